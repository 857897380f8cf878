/** Through whose eyes a page shows the data; stands in the address as `?as=anon` or `?as=user:<id>`. Pure. */

export type ActingRole = "USER" | "ANON" | "AUTHENTICATED" | "SERVICE_ROLE";

export interface Identity {
  readonly role: ActingRole;
  readonly userId: string | null;
}

const ROLES: Readonly<Record<string, ActingRole>> = {
  anon: "ANON",
  authenticated: "AUTHENTICATED",
  service_role: "SERVICE_ROLE",
};

export function parseIdentity(as: string | undefined): Identity {
  if (as?.startsWith("user:")) return { role: "AUTHENTICATED", userId: as.slice("user:".length) };
  return { role: ROLES[as ?? ""] ?? "USER", userId: null };
}

/** Undefined for the owner, who needs no mention. */
export function formatIdentity({ role, userId }: Identity): string | undefined {
  if (userId) return `user:${userId}`;
  return Object.entries(ROLES).find(([, known]) => known === role)?.[0];
}

export function identityName(as: string | undefined): string {
  const { role, userId } = parseIdentity(as);
  if (userId) return `user ${userId.slice(0, 8)}`;
  return role === "USER" ? "owner" : role.toLowerCase();
}
