/** What happened in the whole installation. */
import { AUDIT_PAGE_SIZE, AuditLog, useAuditFilter } from "../audit/audit-log.tsx";
import { useQuery } from "../graphql/hooks.ts";
import { Page } from "../shell/page.tsx";
import { pageArguments } from "../ui/data-list.tsx";
import { InstanceAuditDocument } from "./generated/operations.ts";

export function InstanceAuditPage() {
  const { search, filter } = useAuditFilter();
  const { data, error, refetch } = useQuery(InstanceAuditDocument, {
    filter,
    ...pageArguments(search, AUDIT_PAGE_SIZE),
  });
  return (
    <Page
      title="Audit log"
      documentTitle="Audit log of the installation"
      lead="Everything that people and services did."
    >
      <AuditLog log={data?.auditLog} error={error} onRetry={refetch} showsProject what="page" />
    </Page>
  );
}
