/** The frame of all pages for people who are signed in: header, strips, the rail's drawer, palette and shortcuts. */
import { Link, Outlet, useNavigate, useRouteContext } from "@tanstack/react-router";
import { Menu as MenuIcon, Search } from "lucide-react";
import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { useLiveState } from "../graphql/hooks.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Sheet } from "../ui/dialog.tsx";
import { StateDot } from "../ui/state.tsx";
import { AccountMenu } from "./account-menu.tsx";
import { Crumbs } from "./crumbs.tsx";
import { DrawerContent } from "./rail.tsx";
import { SessionEnded } from "./session-ended.tsx";
import styles from "./shell.module.css";
import { keysLabel, SHORTCUTS, useShortcuts } from "./shortcuts.ts";
import { type Viewer, ViewerContext } from "./viewer.ts";

const Palette = lazy(() => import("./palette.tsx"));
const ShortcutSheet = lazy(() => import("./shortcut-sheet.tsx"));

export function App() {
  const { viewer } = useRouteContext({ strict: false }) as { viewer: Viewer };
  const navigate = useNavigate();
  const [opened, setOpened] = useState<"palette" | "shortcuts" | "drawer" | null>(null);
  useShortcuts({
    palette: () => setOpened("palette"),
    help: () => setOpened("shortcuts"),
    goProjects: () => void navigate({ to: "/projects" }),
  });
  return (
    <ViewerContext value={viewer}>
      <a className={styles.skip} href="#main">
        Skip to the content
      </a>
      <header className={styles.header}>
        <IconButton label="Navigation" className={styles.menuButton ?? ""} onPress={() => setOpened("drawer")}>
          <MenuIcon aria-hidden />
        </IconButton>
        <Link to="/projects" className={styles.brand ?? ""} aria-label="Supalove, projects">
          <img src="/favicon.svg" alt="" />
          <span>Supalove</span>
        </Link>
        <Crumbs />
        <span className={styles.spacer} />
        <LiveMark />
        <Button
          className={styles.search ?? ""}
          aria-label={`Search ${keysLabel(SHORTCUTS.palette.keys)}`}
          onPress={() => setOpened("palette")}
        >
          <Search aria-hidden />
          <span>Search </span>
          <kbd>{keysLabel(SHORTCUTS.palette.keys)}</kbd>
        </Button>
        <AccountMenu onShortcuts={() => setOpened("shortcuts")} />
      </header>
      <Strips />
      <Outlet />
      <Sheet title="Navigation" side="left" isOpen={opened === "drawer"} onClose={() => setOpened(null)}>
        <DrawerContent onChosen={() => setOpened(null)} />
      </Sheet>
      <Suspense>
        {opened === "palette" ? <Palette onClose={() => setOpened(null)} /> : null}
        {opened === "shortcuts" ? <ShortcutSheet onClose={() => setOpened(null)} /> : null}
      </Suspense>
      <SessionEnded />
    </ViewerContext>
  );
}

function LiveMark() {
  const state = useLiveState();
  if (state === "idle") return null;
  return (
    <span className={styles.live} role="status">
      {state === "live" ? <StateDot tone="good">live</StateDot> : <StateDot tone="busy">reconnecting</StateDot>}
    </span>
  );
}

/** What concerns the whole page: no network, or pushes that do not arrive. */
function Strips() {
  const isOnline = useOnline();
  const live = useLiveState();
  const isInterrupted = useDelayed(live === "interrupted", 2_000);
  if (!isOnline) {
    return (
      <div role="alert" className={styles.strip}>
        Offline. What is shown is as it was; changes wait until the connection is back.
      </div>
    );
  }
  if (isInterrupted) {
    return (
      <div role="alert" className={styles.strip}>
        Live updates are interrupted. They go on by themselves as soon as the server answers.
      </div>
    );
  }
  return null;
}

function useOnline(): boolean {
  return useSyncExternalStore(
    (listener) => {
      addEventListener("online", listener);
      addEventListener("offline", listener);
      return () => {
        removeEventListener("online", listener);
        removeEventListener("offline", listener);
      };
    },
    () => navigator.onLine,
  );
}

/** True once the value has been true for a while: a break of a moment is no news. */
function useDelayed(value: boolean, delayMs: number): boolean {
  const [isDue, setDue] = useState(false);
  useEffect(() => {
    if (!value) return setDue(false);
    const timer = setTimeout(() => setDue(true), delayMs);
    return () => clearTimeout(timer);
  }, [value, delayMs]);
  return isDue;
}
