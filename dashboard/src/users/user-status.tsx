/** How a user stands: a word, a shape and a colour; decided in the order that the API decides it. */
import { formatDateTime, visible } from "../ui/format.ts";
import { StateDot } from "../ui/state.tsx";
import type { ProjectUsersQuery } from "./generated/operations.ts";

export type ProjectUser = ProjectUsersQuery["project"]["users"]["edges"][number]["node"];
export type UserStatus = "BANNED" | "ANONYMOUS" | "UNCONFIRMED" | "ACTIVE";

/** Pure. */
export function statusOf(
  user: Pick<ProjectUser, "bannedUntil" | "isAnonymous" | "emailConfirmedAt" | "phoneConfirmedAt">,
  now = Date.now(),
): UserStatus {
  if (user.bannedUntil && new Date(user.bannedUntil).getTime() > now) return "BANNED";
  if (user.isAnonymous) return "ANONYMOUS";
  return user.emailConfirmedAt || user.phoneConfirmedAt ? "ACTIVE" : "UNCONFIRMED";
}

const DOTS = {
  ACTIVE: { tone: "good", word: "Active" },
  UNCONFIRMED: { tone: "unknown", word: "Unconfirmed" },
  BANNED: { tone: "paused", word: "Banned" },
  ANONYMOUS: { tone: "unknown", word: "Anonymous" },
} as const;

export function UserStatusDot({ user }: { readonly user: ProjectUser }) {
  const status = statusOf(user);
  const { tone, word } = DOTS[status];
  return (
    <StateDot tone={tone}>
      {word}
      {status === "BANNED" && user.bannedUntil ? ` until ${formatDateTime(new Date(user.bannedUntil))}` : ""}
    </StateDot>
  );
}

/** What people call a user by. */
export function userTitle({
  email,
  phone,
  id,
  isAnonymous,
}: Pick<ProjectUser, "email" | "phone" | "id" | "isAnonymous">): string {
  return visible(email ?? (phone ? `+${phone}` : isAnonymous ? `anonymous ${id.slice(0, 8)}` : id));
}
