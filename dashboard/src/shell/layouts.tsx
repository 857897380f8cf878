/** Layouts below the frame: a rail and the page beside it, one for each part of the dashboard. */
import { Outlet, useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { cx } from "../ui/cx.ts";
import { EmptyState } from "../ui/state.tsx";
import { ACCOUNT_PAGES, INSTANCE_PAGES, ORGANIZATION_PAGES, Rail } from "./rail.tsx";
import styles from "./shell.module.css";
import { useViewer } from "./viewer.ts";

export function Main({
  children,
  width = "narrow",
}: {
  readonly children: ReactNode;
  readonly width?: "narrow" | "wide" | "full";
}) {
  return (
    <main
      id="main"
      tabIndex={-1}
      className={cx(styles.main, width === "narrow" && styles.mainNarrow, width === "full" && styles.mainFull)}
    >
      {children}
    </main>
  );
}

export function PlainLayout() {
  return (
    <div className={styles.body}>
      <Main width="wide">
        <Outlet />
      </Main>
    </div>
  );
}

export function AccountLayout() {
  return (
    <div className={styles.body}>
      <Rail label="Account" groups={ACCOUNT_PAGES} viewerRole="OWNER" />
      <Main>
        <Outlet />
      </Main>
    </div>
  );
}

export function InstanceLayout() {
  const { isInstanceOwner } = useViewer();
  return (
    <div className={styles.body}>
      {isInstanceOwner ? <Rail label="Installation" groups={INSTANCE_PAGES} viewerRole="OWNER" /> : null}
      <Main width="wide">
        {isInstanceOwner ? (
          <Outlet />
        ) : (
          <EmptyState title="Not for your account">Only the owner of this installation sees these pages.</EmptyState>
        )}
      </Main>
    </div>
  );
}

export function OrganizationLayout() {
  const { slug } = useParams({ strict: false });
  const { organizations, isInstanceOwner } = useViewer();
  const role = organizations.find((organization) => organization.slug === slug)?.viewerRole;
  return (
    <div className={styles.body}>
      <Rail
        label="Organization"
        groups={ORGANIZATION_PAGES}
        viewerRole={role ?? (isInstanceOwner ? "OWNER" : "VIEWER")}
      />
      <Main>
        <Outlet />
      </Main>
    </div>
  );
}
