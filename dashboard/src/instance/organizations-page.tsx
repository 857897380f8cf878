/** All organizations of the installation. */
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useQuery } from "../graphql/hooks.ts";
import { Page, Toolbar } from "../shell/page.tsx";
import { Button } from "../ui/button.tsx";
import { DataList, type PagePlace, Pager, pageArguments } from "../ui/data-list.tsx";
import { DelayedSearchField } from "../ui/field.tsx";
import { plural, visible } from "../ui/format.ts";
import { Ago, Name } from "../ui/parts.tsx";
import { EmptyState, ErrorState, Loading } from "../ui/state.tsx";
import { OrganizationsDocument } from "./generated/operations.ts";

const PAGE_SIZE = 50;

export function InstanceOrganizationsPage() {
  const search = useSearch({ strict: false }) as PagePlace & { q?: string };
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery(OrganizationsDocument, {
    search: search.q ?? null,
    ...pageArguments(search, PAGE_SIZE),
  });
  const go = (change: Partial<Record<"q" | "after" | "before", string | undefined>>) =>
    void navigate({ to: ".", search: { ...search, after: undefined, before: undefined, ...change } as never });
  const organizations = data?.organizations;
  return (
    <Page
      title="Organizations"
      documentTitle="Organizations of the installation"
      lead={organizations ? plural(organizations.totalCount, "organization") : undefined}
    >
      <Toolbar>
        <DelayedSearchField label="Part of a name" value={search.q ?? ""} onChange={(q) => go({ q: q || undefined })} />
        {organizations ? <Pager pageInfo={organizations.pageInfo} onMove={(place) => go(place)} /> : null}
      </Toolbar>
      {error && !organizations ? <ErrorState error={error} onRetry={refetch} what="page" /> : null}
      {!organizations && !error ? <Loading what="the organizations" /> : null}
      {organizations?.edges.length === 0 ? (
        search.q ? (
          <EmptyState
            title={`Nothing matches “${visible(search.q)}”`}
            actions={<Button onPress={() => go({ q: undefined })}>Clear filters</Button>}
          />
        ) : (
          <EmptyState title="No organizations" />
        )
      ) : null}
      {organizations && organizations.edges.length > 0 ? (
        <DataList
          label="Organizations"
          items={organizations.edges.map(({ node }) => node)}
          keyOf={({ id }) => id}
          columns={[
            {
              id: "name",
              title: "Name",
              place: "primary",
              cell: ({ name, slug }) => (
                <Link to="/orgs/$slug/members" params={{ slug }}>
                  <Name>{name}</Name>
                </Link>
              ),
            },
            { id: "slug", title: "Address", isQuiet: true, cell: ({ slug }) => <code>{slug}</code> },
            { id: "since", title: "Since", isQuiet: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
          ]}
        />
      ) : null}
    </Page>
  );
}
