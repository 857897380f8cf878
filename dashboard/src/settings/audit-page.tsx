/** What was done to a project. */
import { AUDIT_PAGE_SIZE, AuditLog, useAuditFilter } from "../audit/audit-log.tsx";
import { useQuery } from "../graphql/hooks.ts";
import { Page } from "../shell/page.tsx";
import { NeedsRole, useProject } from "../shell/project-layout.tsx";
import { pageArguments } from "../ui/data-list.tsx";
import { ProjectAuditDocument } from "./generated/operations.ts";

export function ProjectAuditPage() {
  const { name } = useProject();
  return (
    <Page title="Audit log" documentTitle={`Audit log of ${name}`} lead="What people did to this project.">
      <NeedsRole least="ADMIN" what="the audit log">
        <Log />
      </NeedsRole>
    </Page>
  );
}

function Log() {
  const { ref } = useProject();
  const { search, filter } = useAuditFilter();
  const { data, error, refetch } = useQuery(ProjectAuditDocument, {
    ref,
    filter,
    ...pageArguments(search, AUDIT_PAGE_SIZE),
  });
  return <AuditLog log={data?.project.auditLog} error={error} onRetry={refetch} what="project" />;
}
