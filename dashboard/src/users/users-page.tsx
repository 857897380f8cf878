/** The people who sign in to a project's application. */
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { UserPlus } from "lucide-react";
import { useRef, useState } from "react";
import { useQuery } from "../graphql/hooks.ts";
import { AdminPasswordBanner } from "../home/admin-password.tsx";
import { Page, Toolbar } from "../shell/page.tsx";
import { NeedsActive, NeedsRole, useProject } from "../shell/project-layout.tsx";
import { keysLabel, SHORTCUTS, useShortcuts } from "../shell/shortcuts.ts";
import { Button } from "../ui/button.tsx";
import { DataList, type PagePlace, Pager, pageArguments } from "../ui/data-list.tsx";
import { DelayedSearchField, Select } from "../ui/field.tsx";
import { formatNumber, visible } from "../ui/format.ts";
import { Ago } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, Loading, Stale } from "../ui/state.tsx";
import { CreateUserDialog } from "./create-user-dialog.tsx";
import { ProjectUserRolesDocument, ProjectUsersDocument } from "./generated/operations.ts";
import { UserPanel } from "./user-panel.tsx";
import { type UserStatus, UserStatusDot, userTitle } from "./user-status.tsx";

const PAGE_SIZE = 50;

interface UserSearch extends PagePlace {
  readonly q?: string;
  readonly status?: string;
  readonly role?: string;
  readonly provider?: string;
  readonly sort?: string;
}

const STATUSES = [
  { value: "any", label: "Any status" },
  { value: "ACTIVE", label: "Active" },
  { value: "UNCONFIRMED", label: "Unconfirmed" },
  { value: "BANNED", label: "Banned" },
  { value: "ANONYMOUS", label: "Anonymous" },
] as const;

const SORTS = [
  { value: "CREATED", label: "Newest first" },
  { value: "LAST_SIGN_IN", label: "Last seen first" },
  { value: "EMAIL", label: "E-mail, a to z" },
] as const;

export function UsersPage() {
  return (
    <NeedsRole least="DEVELOPER" what="users">
      <NeedsActive>
        <Users />
      </NeedsActive>
    </NeedsRole>
  );
}

function Users() {
  const { ref, name, viewerRole } = useProject();
  const search = useSearch({ strict: false }) as UserSearch;
  const { userId } = useParams({ strict: false }) as { userId?: string };
  const navigate = useNavigate();
  const [isCreating, setCreating] = useState(false);
  const searchInput = useRef<HTMLInputElement>(null);
  const status = STATUSES.find(({ value }) => value === search.status)?.value ?? "any";
  const sort = SORTS.find(({ value }) => value === search.sort)?.value ?? "CREATED";
  const roles = useQuery(ProjectUserRolesDocument, { ref });
  const { data, error, isFetching, refetch } = useQuery(ProjectUsersDocument, {
    ref,
    search: search.q ?? null,
    statuses: status === "any" ? null : [status as UserStatus],
    role: search.role ?? null,
    provider: search.provider ?? null,
    sort,
    ...pageArguments(search, PAGE_SIZE),
  });
  const go = (change: Partial<Record<keyof UserSearch, string | undefined>>) =>
    void navigate({
      to: "/projects/$ref/users",
      params: { ref },
      search: { ...search, after: undefined, before: undefined, ...change } as never,
    });
  const clear = () => go({ q: undefined, status: undefined, role: undefined, provider: undefined });
  const readAgain = () => {
    refetch();
    roles.refetch();
  };
  useShortcuts({
    search: () => searchInput.current?.focus(),
    createUser: () => setCreating(true),
    create: () => setCreating(true),
    refresh: readAgain,
    clearFilters: clear,
  });

  const users = data?.project.users;
  const isFiltered = Boolean(search.q || search.status || search.role || search.provider);
  const known = roles.data?.project.userRoles ?? [];
  return (
    <Page
      title={users ? `Users ${formatNumber(users.totalCount)}` : "Users"}
      documentTitle={`Users of ${name}`}
      actions={
        <Button variant="primary" onPress={() => setCreating(true)}>
          <UserPlus aria-hidden /> Create user
        </Button>
      }
    >
      {roles.data ? (
        <AdminPasswordBanner
          projectRef={ref}
          adminUser={roles.data.project.adminUser}
          viewerRole={viewerRole}
          onTaken={roles.refetch}
        />
      ) : null}
      <Toolbar>
        <DelayedSearchField
          label="Part of e-mail, phone, or an id"
          placeholder={`Part of e-mail, phone, id  ${keysLabel(SHORTCUTS.search.keys)}`}
          value={search.q ?? ""}
          onChange={(q) => go({ q: q || undefined })}
          inputRef={searchInput}
        />
        <Select
          label="Status"
          isCompact
          value={status}
          onChange={(value) => go({ status: value === "any" ? undefined : value })}
          choices={STATUSES}
        />
        <Select
          label="Role"
          isCompact
          value={search.role ?? ""}
          onChange={(role) => go({ role: role || undefined })}
          choices={[
            { value: "", label: "Any role" },
            ...[...new Set([...known, ...(search.role ? [search.role] : [])])].map((role) => ({
              value: role,
              label: visible(role),
            })),
          ]}
        />
        <Select label="Sort" isCompact value={sort} onChange={(value) => go({ sort: value })} choices={SORTS} />
        {users ? <Pager pageInfo={users.pageInfo} onMove={(place) => go(place)} /> : null}
      </Toolbar>
      {error && !users ? <ErrorState error={error} onRetry={refetch} what="project" /> : null}
      {!users && !error ? <Loading what={`the users of ${name}`} /> : null}
      {users?.edges.length === 0 ? (
        isFiltered ? (
          <EmptyState
            title={search.q ? `Nothing matches “${visible(search.q)}”` : "No user matches the filters"}
            actions={<Button onPress={clear}>Clear filters</Button>}
          />
        ) : (
          <EmptyState title="No users yet" actions={<Button onPress={() => setCreating(true)}>Create user</Button>}>
            People appear here when they sign up in your application, or when you create them.
          </EmptyState>
        )
      ) : null}
      {users && users.edges.length > 0 ? (
        <Stale isStale={isFetching && Boolean(error)}>
          <DataList
            label="Users"
            items={users.edges.map(({ node }) => node)}
            keyOf={({ id }) => id}
            columns={[
              {
                id: "email",
                title: "E-mail or phone",
                place: "primary",
                cell: (user) => (
                  <Button
                    variant="ghost"
                    size="small"
                    aria-label={`Open ${userTitle(user)}`}
                    onPress={() =>
                      void navigate({
                        to: "/projects/$ref/users/$userId",
                        params: { ref, userId: user.id },
                        search: search as never,
                      })
                    }
                  >
                    <bdi>{userTitle(user)}</bdi>
                  </Button>
                ),
              },
              {
                id: "role",
                title: "Role",
                cell: ({ role }) => (role ? <Badge tone="accent">{visible(role)}</Badge> : "–"),
              },
              { id: "status", title: "Status", cell: (user) => <UserStatusDot user={user} /> },
              {
                id: "provider",
                title: "Provider",
                isQuiet: true,
                cell: ({ providers }) => (providers.length > 0 ? visible(providers.join(", ")) : "–"),
              },
              {
                id: "created",
                title: "Created",
                isQuiet: true,
                isNarrow: true,
                cell: ({ createdAt }) => <Ago at={createdAt} />,
              },
              {
                id: "seen",
                title: "Last seen",
                isQuiet: true,
                isNarrow: true,
                cell: ({ lastSignInAt }) => <Ago at={lastSignInAt} />,
              },
            ]}
          />
        </Stale>
      ) : null}
      {isCreating ? (
        <CreateUserDialog
          projectRef={ref}
          knownRoles={known}
          onClose={() => setCreating(false)}
          onCreated={readAgain}
        />
      ) : null}
      {userId ? (
        <UserPanel key={userId} userId={userId} knownRoles={known} onClose={() => go({})} onChanged={readAgain} />
      ) : null}
    </Page>
  );
}
