/** Who is signed in, and what a role may do: what it never may is hidden, what the state forbids is disabled. */
import { createContext, use } from "react";
import { entities } from "../graphql/client.ts";
import { ask } from "../graphql/hooks.ts";
import { ViewerDocument, type ViewerQuery } from "./generated/operations.ts";

export type Viewer = NonNullable<ViewerQuery["viewer"]>;
export type Role = Viewer["organizations"][number]["viewerRole"];

const ROLES: readonly Role[] = ["VIEWER", "DEVELOPER", "ADMIN", "OWNER"];

/** Pure: as the control plane orders them. */
export function roleAllows(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least);
}

export const ROLE_NAMES: Readonly<Record<Role, string>> = {
  VIEWER: "Viewer",
  DEVELOPER: "Developer",
  ADMIN: "Admin",
  OWNER: "Owner",
};

/** Null when nobody is signed in. */
export async function loadViewer(): Promise<Viewer | null> {
  const { viewer } = await ask(entities, ViewerDocument, {});
  return viewer ?? null;
}

export const ViewerContext = createContext<Viewer | null>(null);

export function useViewer(): Viewer {
  const viewer = use(ViewerContext);
  if (!viewer) throw new Error("this page is shown to people who are signed in");
  return viewer;
}
