/**
 * All addresses of the dashboard. Each page is a chunk of its own, loaded when its link is pointed at. The address holds
 * what a page shows (filters, sort, place), so a link opens what its maker saw.
 */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  type RouteComponent,
  redirect,
} from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { AppError } from "./graphql/errors.ts";
import { App } from "./shell/app.tsx";
import { Fault } from "./shell/boundary.tsx";
import { AccountLayout, InstanceLayout, Main, OrganizationLayout, PlainLayout } from "./shell/layouts.tsx";
import { ProjectLayout } from "./shell/project-layout.tsx";
import { loadViewer } from "./shell/viewer.ts";
import { ButtonLink } from "./ui/button.tsx";
import { EmptyState, ErrorState, Loading } from "./ui/state.tsx";

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
  interface StaticDataRouteOption {
    /** How wide a page's content may grow; forms are narrow, lists wide, editors take everything. */
    width?: "narrow" | "wide" | "full";
  }
}

const root = createRootRoute({ component: Outlet, notFoundComponent: UnknownAddress });

/** Texts of the address, by name; what is missing or of another shape is left out. */
function texts<Name extends string>(...names: readonly Name[]) {
  return (search: Record<string, unknown>): { [N in Name]?: string } =>
    Object.fromEntries(
      names.flatMap((name) => (typeof search[name] === "string" && search[name] !== "" ? [[name, search[name]]] : [])),
    ) as { [N in Name]?: string };
}

function page<Name extends string>(load: () => Promise<Record<Name, () => ReactNode>>, name: Name): RouteComponent {
  return lazyRouteComponent(load as () => Promise<Record<string, () => ReactNode>>, name);
}

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: texts("to"),
  component: page(() => import("./account/sign-in.tsx"), "SignInPage"),
});
const signUp = createRoute({
  getParentRoute: () => root,
  path: "/sign-up",
  component: page(() => import("./account/sign-up.tsx"), "SignUpPage"),
});
const join = createRoute({
  getParentRoute: () => root,
  path: "/join",
  component: page(() => import("./account/join.tsx"), "JoinPage"),
});

/** Everything below needs somebody who is signed in. */
const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  beforeLoad: async ({ location }) => {
    const viewer = await loadViewer();
    if (!viewer) throw redirect({ to: "/sign-in", search: location.pathname === "/" ? {} : { to: location.href } });
    return { viewer };
  },
  component: App,
  errorComponent: ({ error }) => <StartFailed error={error} />,
});

const plain = createRoute({ getParentRoute: () => app, id: "plain", component: PlainLayout });
const start = createRoute({
  getParentRoute: () => app,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/projects" });
  },
});
const projects = createRoute({
  getParentRoute: () => plain,
  path: "/projects",
  validateSearch: texts("org", "q", "state", "after", "before"),
  component: page(() => import("./projects/projects-page.tsx"), "ProjectsPage"),
});

const project = createRoute({ getParentRoute: () => app, path: "/projects/$ref", component: ProjectLayout });
const home = createRoute({
  getParentRoute: () => project,
  path: "/",
  component: page(() => import("./home/home-page.tsx"), "HomePage"),
});

const usersSearch = texts("q", "status", "role", "provider", "sort", "after", "before");
const users = createRoute({
  getParentRoute: () => project,
  path: "/users",
  validateSearch: usersSearch,
  staticData: { width: "wide" },
  component: page(() => import("./users/users-page.tsx"), "UsersPage"),
});
const user = createRoute({
  getParentRoute: () => project,
  path: "/users/$userId",
  validateSearch: usersSearch,
  staticData: { width: "wide" },
  component: page(() => import("./users/users-page.tsx"), "UsersPage"),
});

const monitoring = createRoute({
  getParentRoute: () => project,
  path: "/monitoring",
  validateSearch: texts("range"),
  staticData: { width: "wide" },
  component: page(() => import("./monitoring/monitoring-page.tsx"), "MonitoringPage"),
});

const advisors = createRoute({
  getParentRoute: () => project,
  path: "/advisors",
  component: page(() => import("./advisors/advisors-page.tsx"), "AdvisorsPage"),
});

const sqlEditor = createRoute({
  getParentRoute: () => project,
  path: "/sql",
  validateSearch: texts("as"),
  staticData: { width: "full" },
  component: page(() => import("./sql/sql-page.tsx"), "SqlPage"),
});

const tables = createRoute({
  getParentRoute: () => project,
  path: "/tables",
  validateSearch: texts("schema"),
  staticData: { width: "full" },
  component: page(() => import("./tables/tables-page.tsx"), "TablesPage"),
});
const table = createRoute({
  getParentRoute: () => project,
  path: "/tables/$schema/$table",
  validateSearch: texts("filter", "sort", "after", "before", "as", "view"),
  staticData: { width: "full" },
  component: page(() => import("./tables/tables-page.tsx"), "TablesPage"),
});

const groupPages = () => import("./settings/group-pages.tsx");
const auditSearch = texts("actor", "action", "since", "after", "before");
const settings = [
  createRoute({
    getParentRoute: () => project,
    path: "/settings/general",
    component: page(() => import("./settings/general-page.tsx"), "GeneralSettingsPage"),
  }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/keys",
    component: page(() => import("./settings/keys-page.tsx"), "KeysPage"),
  }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/jwt",
    component: page(() => import("./settings/jwt-page.tsx"), "JwtPage"),
  }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/auth",
    component: page(groupPages, "AuthSettingsPage"),
  }),
  createRoute({ getParentRoute: () => project, path: "/settings/api", component: page(groupPages, "ApiSettingsPage") }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/gateway",
    component: page(groupPages, "GatewaySettingsPage"),
  }),
  createRoute({ getParentRoute: () => project, path: "/settings/limits", component: page(groupPages, "LimitsPage") }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/realtime",
    component: page(groupPages, "RealtimeSettingsPage"),
  }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/storage",
    component: page(groupPages, "StorageSettingsPage"),
  }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/secrets",
    component: page(() => import("./settings/secrets-page.tsx"), "SecretsPage"),
  }),
  createRoute({
    getParentRoute: () => project,
    path: "/settings/audit",
    validateSearch: auditSearch,
    staticData: { width: "wide" },
    component: page(() => import("./settings/audit-page.tsx"), "ProjectAuditPage"),
  }),
] as const;

/** Addresses of Supabase Studio, as people have them in their bookmarks. `_` asks which project. */
const studio = createRoute({
  getParentRoute: () => app,
  path: "/project/$ref/$",
  beforeLoad: ({ params: { ref, _splat = "" } }) => {
    if (ref === "_") throw redirect({ to: "/projects" });
    const [, target] = STUDIO_PAGES.find(([prefix]) => _splat.startsWith(prefix)) ?? [];
    throw redirect({ href: `/projects/${encodeURIComponent(ref)}${target ?? ""}` });
  },
});
const STUDIO_PAGES = [
  ["editor", "/tables"],
  ["sql", "/sql"],
  ["auth/users", "/users"],
  ["auth/policies", "/database/policies"],
  ["database", "/database"],
  ["settings", "/settings/general"],
] as const;

const account = createRoute({ getParentRoute: () => app, path: "/account", component: AccountLayout });
const accountPages = [
  createRoute({
    getParentRoute: () => account,
    path: "/profile",
    component: page(() => import("./account/profile-page.tsx"), "ProfilePage"),
  }),
  createRoute({
    getParentRoute: () => account,
    path: "/organizations",
    component: page(() => import("./account/organizations-page.tsx"), "OrganizationsPage"),
  }),
  createRoute({
    getParentRoute: () => account,
    path: "/tokens",
    component: page(() => import("./account/tokens-page.tsx"), "TokensPage"),
  }),
  createRoute({
    getParentRoute: () => account,
    path: "/preferences",
    component: page(() => import("./account/preferences-page.tsx"), "PreferencesPage"),
  }),
] as const;

const organization = createRoute({ getParentRoute: () => app, path: "/orgs/$slug", component: OrganizationLayout });
const organizationPages = [
  createRoute({
    getParentRoute: () => organization,
    path: "/members",
    validateSearch: texts("after", "before"),
    component: page(() => import("./orgs/members-page.tsx"), "MembersPage"),
  }),
  createRoute({
    getParentRoute: () => organization,
    path: "/audit",
    validateSearch: auditSearch,
    component: page(() => import("./orgs/audit-page.tsx"), "OrganizationAuditPage"),
  }),
  createRoute({
    getParentRoute: () => organization,
    path: "/settings",
    component: page(() => import("./orgs/settings-page.tsx"), "OrganizationSettingsPage"),
  }),
] as const;

const instance = createRoute({ getParentRoute: () => app, path: "/instance", component: InstanceLayout });
const instancePages = [
  createRoute({
    getParentRoute: () => instance,
    path: "/clusters",
    component: page(() => import("./instance/clusters-page.tsx"), "ClustersPage"),
  }),
  createRoute({
    getParentRoute: () => instance,
    path: "/organizations",
    validateSearch: texts("q", "after", "before"),
    component: page(() => import("./instance/organizations-page.tsx"), "InstanceOrganizationsPage"),
  }),
  createRoute({
    getParentRoute: () => instance,
    path: "/accounts",
    validateSearch: texts("q", "after", "before"),
    component: page(() => import("./instance/accounts-page.tsx"), "AccountsPage"),
  }),
  createRoute({
    getParentRoute: () => instance,
    path: "/services",
    component: page(() => import("./instance/services-page.tsx"), "ServicesPage"),
  }),
  createRoute({
    getParentRoute: () => instance,
    path: "/audit",
    validateSearch: auditSearch,
    component: page(() => import("./instance/audit-page.tsx"), "InstanceAuditPage"),
  }),
] as const;

const routeTree = root.addChildren([
  signIn,
  signUp,
  join,
  app.addChildren([
    start,
    studio,
    plain.addChildren([projects]),
    project.addChildren([home, monitoring, advisors, users, user, sqlEditor, tables, table, ...settings]),
    account.addChildren(accountPages),
    organization.addChildren(organizationPages),
    instance.addChildren(instancePages),
  ]),
]);

export const router = createRouter({
  routeTree,
  defaultPreload: "intent",
  scrollRestoration: true,
  defaultPendingMs: 150,
  defaultPendingMinMs: 0,
  defaultPendingComponent: () => <Loading what="the page" />,
  defaultErrorComponent: ({ error, reset }) => <Fault error={error} what="this page" onRetry={reset} />,
  defaultNotFoundComponent: UnknownAddress,
  parseSearch,
  stringifySearch,
});

/** Begins to load the files of the page that the address names. */
export function preloadPage(): void {
  const matches: readonly { readonly routeId: string }[] = router.matchRoutes(router.latestLocation);
  for (const { routeId } of matches) {
    const component = router.routesById[routeId as keyof typeof router.routesById]?.options.component;
    if (component && "preload" in component) void component.preload?.();
  }
}

/** Plain texts; a name that is there several times is a list of them. */
function parseSearch(text: string): Record<string, unknown> {
  const search: Record<string, string | string[]> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const known = search[name];
    search[name] = known === undefined ? value : [known, value].flat();
  }
  return search;
}

function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "") params.append(name, String(one));
    }
  }
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

function UnknownAddress() {
  return (
    <Main>
      <EmptyState title="There is no such page" actions={<ButtonLink to="/projects">Projects</ButtonLink>}>
        The address may be mistyped, or from an older version.
      </EmptyState>
    </Main>
  );
}

function StartFailed({ error }: { readonly error: unknown }) {
  const known = typeof error === "object" && error !== null && "code" in error && "message" in error;
  return (
    <Main>
      {known ? (
        <ErrorState error={error as AppError} what="page" onRetry={() => location.reload()} />
      ) : (
        <Fault error={error} what="the dashboard" onRetry={() => location.reload()} />
      )}
    </Main>
  );
}
