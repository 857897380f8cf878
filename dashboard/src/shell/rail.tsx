/** The navigation at the left: a list of links by section. On narrow screens the same list is in a drawer. */
import { Link, type LinkProps, useParams, useRouterState } from "@tanstack/react-router";
import {
  Activity,
  Boxes,
  Braces,
  Building2,
  FolderKanban,
  Gauge,
  HardDrive,
  House,
  KeyRound,
  Lightbulb,
  Lock,
  Palette,
  Radio,
  ScrollText,
  Server,
  Settings,
  ShieldCheck,
  Signature,
  SquareTerminal,
  Table2,
  UserRound,
  Users,
  Waypoints,
} from "lucide-react";
import type { ComponentType, SVGProps } from "react";
import { useQuery } from "../graphql/hooks.ts";
import { ProjectFrameDocument } from "./generated/operations.ts";
import styles from "./shell.module.css";
import { type Role, roleAllows, useViewer } from "./viewer.ts";

export interface RailItem {
  readonly label: string;
  readonly icon: ComponentType<SVGProps<SVGSVGElement>>;
  readonly to: NonNullable<LinkProps["to"]>;
  /** The role that may see the page at all. */
  readonly least?: Role;
  /** The link is current only at exactly this address. */
  readonly isExact?: boolean;
}

export interface RailGroup {
  readonly heading?: string;
  readonly items: readonly RailItem[];
}

/** A project's pages. A page that is added here appears in rail, drawer and palette. */
export const PROJECT_PAGES: readonly RailGroup[] = [
  {
    items: [
      { label: "Home", icon: House, to: "/projects/$ref", isExact: true },
      { label: "Tables", icon: Table2, to: "/projects/$ref/tables", least: "DEVELOPER" },
      { label: "SQL", icon: SquareTerminal, to: "/projects/$ref/sql", least: "DEVELOPER" },
      { label: "Users", icon: Users, to: "/projects/$ref/users", least: "DEVELOPER" },
      { label: "Monitoring", icon: Activity, to: "/projects/$ref/monitoring" },
      { label: "Advisors", icon: Lightbulb, to: "/projects/$ref/advisors", least: "DEVELOPER" },
    ],
  },
  {
    heading: "Settings",
    items: [
      { label: "General", icon: Settings, to: "/projects/$ref/settings/general" },
      { label: "API keys", icon: KeyRound, to: "/projects/$ref/settings/keys", least: "DEVELOPER" },
      { label: "JWT", icon: Signature, to: "/projects/$ref/settings/jwt", least: "DEVELOPER" },
      { label: "Auth", icon: ShieldCheck, to: "/projects/$ref/settings/auth", least: "DEVELOPER" },
      { label: "Data API", icon: Braces, to: "/projects/$ref/settings/api", least: "DEVELOPER" },
      { label: "Gateway", icon: Waypoints, to: "/projects/$ref/settings/gateway", least: "DEVELOPER" },
      { label: "Storage", icon: HardDrive, to: "/projects/$ref/settings/storage", least: "DEVELOPER" },
      { label: "Realtime", icon: Radio, to: "/projects/$ref/settings/realtime", least: "DEVELOPER" },
      { label: "Limits", icon: Gauge, to: "/projects/$ref/settings/limits", least: "DEVELOPER" },
      { label: "Secrets", icon: Lock, to: "/projects/$ref/settings/secrets", least: "DEVELOPER" },
      { label: "Audit log", icon: ScrollText, to: "/projects/$ref/settings/audit", least: "ADMIN" },
    ],
  },
];

export const ORGANIZATION_PAGES: readonly RailGroup[] = [
  {
    items: [
      { label: "Members", icon: Users, to: "/orgs/$slug/members" },
      { label: "Audit log", icon: ScrollText, to: "/orgs/$slug/audit", least: "ADMIN" },
      { label: "Settings", icon: Settings, to: "/orgs/$slug/settings" },
    ],
  },
];

export const INSTANCE_PAGES: readonly RailGroup[] = [
  {
    items: [
      { label: "Clusters", icon: Server, to: "/instance/clusters" },
      { label: "Organizations", icon: Building2, to: "/instance/organizations" },
      { label: "Accounts", icon: UserRound, to: "/instance/accounts" },
      { label: "Service tokens", icon: KeyRound, to: "/instance/services" },
      { label: "Audit log", icon: ScrollText, to: "/instance/audit" },
    ],
  },
];

export const ACCOUNT_PAGES: readonly RailGroup[] = [
  {
    items: [
      { label: "Profile", icon: UserRound, to: "/account/profile" },
      { label: "Organizations", icon: Building2, to: "/account/organizations" },
      { label: "Access tokens", icon: KeyRound, to: "/account/tokens" },
      { label: "Preferences", icon: Palette, to: "/account/preferences" },
    ],
  },
];

export function Rail({
  label,
  groups,
  viewerRole,
}: {
  readonly label: string;
  readonly groups: readonly RailGroup[];
  readonly viewerRole: Role;
}) {
  return (
    <nav aria-label={label} className={styles.rail}>
      <RailLinks groups={groups} viewerRole={viewerRole} />
    </nav>
  );
}

function RailLinks({
  groups,
  viewerRole,
  onChosen,
}: {
  readonly groups: readonly RailGroup[];
  readonly viewerRole: Role;
  readonly onChosen?: () => void;
}) {
  return groups.map(({ heading, items }, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: groups are constants
    <div key={index} className={styles.railGroup}>
      {heading ? <div className={styles.railHeading}>{heading}</div> : null}
      {items
        .filter(({ least }) => !least || roleAllows(viewerRole, least))
        .map(({ label, icon: Icon, to, isExact }) => (
          <Link
            key={to}
            to={to}
            params={(current: Record<string, string>) => current}
            search={{}}
            activeOptions={{ exact: isExact ?? false, includeSearch: false }}
            className={styles.railLink ?? ""}
            {...(onChosen ? { onClick: onChosen } : {})}
          >
            <Icon aria-hidden />
            {label}
          </Link>
        ))}
    </div>
  ));
}

/** In the drawer: the pages of where one is, then the ways elsewhere. */
export function DrawerContent({ onChosen }: { readonly onChosen: () => void }) {
  const { ref, slug } = useParams({ strict: false });
  const path = useRouterState({ select: (state) => state.location.pathname });
  const { isInstanceOwner, organizations } = useViewer();
  const { data } = useQuery(ProjectFrameDocument, { ref: ref ?? "" }, { policy: "cache-first", pause: !ref });
  const organization = organizations.find((candidate) => candidate.slug === slug);
  const elsewhere: RailGroup = {
    heading: "Elsewhere",
    items: [
      { label: "Projects", icon: FolderKanban, to: "/projects" },
      ...(isInstanceOwner ? [{ label: "Installation", icon: Boxes, to: "/instance/clusters" } as const] : []),
      { label: "Account", icon: UserRound, to: "/account/profile" },
    ],
  };
  const [groups, viewerRole]: [readonly RailGroup[], Role] = ref
    ? [PROJECT_PAGES, data?.project.viewerRole ?? "VIEWER"]
    : slug
      ? [ORGANIZATION_PAGES, organization?.viewerRole ?? (isInstanceOwner ? "OWNER" : "VIEWER")]
      : path.startsWith("/instance")
        ? [INSTANCE_PAGES, "OWNER"]
        : path.startsWith("/account")
          ? [ACCOUNT_PAGES, "OWNER"]
          : [[], "OWNER"];
  return (
    <nav aria-label="Navigation">
      <RailLinks groups={[...groups, elsewhere]} viewerRole={viewerRole} onChosen={onChosen} />
    </nav>
  );
}
