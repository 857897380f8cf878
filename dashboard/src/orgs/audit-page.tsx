/** What happened in an organization. */
import { AUDIT_PAGE_SIZE, AuditLog, useAuditFilter } from "../audit/audit-log.tsx";
import { useQuery } from "../graphql/hooks.ts";
import { Page } from "../shell/page.tsx";
import { pageArguments } from "../ui/data-list.tsx";
import { OrganizationAuditDocument } from "./generated/operations.ts";
import { WithOrganization } from "./organization.tsx";

export function OrganizationAuditPage() {
  return <WithOrganization>{({ id, name }) => <Log organizationId={id} name={name} />}</WithOrganization>;
}

function Log({ organizationId, name }: { readonly organizationId: string; readonly name: string }) {
  const { search, filter } = useAuditFilter();
  const variables = { id: organizationId, filter, ...pageArguments(search, AUDIT_PAGE_SIZE) };
  const { data, error, refetch } = useQuery(OrganizationAuditDocument, variables);
  return (
    <Page title="Audit log" documentTitle={`Audit log of ${name}`} lead={`What was done in ${name} and its projects.`}>
      <AuditLog log={data?.organization.auditLog} error={error} onRetry={refetch} showsProject what="organization" />
    </Page>
  );
}
