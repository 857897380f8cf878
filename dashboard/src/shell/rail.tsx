/** The navigation at the left: a list of links by section. On narrow screens the same list is in a drawer. */
import { Link, type LinkProps, useParams, useRouterState } from "@tanstack/react-router";
import { FolderKanban, House } from "lucide-react";
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
    items: [{ label: "Home", icon: House, to: "/projects/$ref", isExact: true }],
  },
];

export const ORGANIZATION_PAGES: readonly RailGroup[] = [];

export const INSTANCE_PAGES: readonly RailGroup[] = [];

export const ACCOUNT_PAGES: readonly RailGroup[] = [];

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
    items: [{ label: "Projects", icon: FolderKanban, to: "/projects" }],
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
