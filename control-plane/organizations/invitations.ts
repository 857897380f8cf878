/** Invitations: a token, shown once to who invites and handed over by them, that lets one e-mail address in. */
import { generateToken, hashToken } from "../accounts/tokens.ts";
import type { Queryable } from "../database.ts";
import { NotFound } from "../errors.ts";
import type { Role } from "../permissions.ts";
import { insertMember } from "./organization-table.ts";

const INVITATION_DAYS = 14;

export interface InvitationRow {
  readonly id: string;
  readonly organizationId: string;
  readonly email: string;
  readonly role: Role;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

const INVITATION_COLUMNS = `invitations.id, invitations.organization_id as "organizationId", invitations.email,
  invitations.role, invitations.created_at as "createdAt", invitations.expires_at as "expiresAt"`;

/** Inviting an address again replaces its invitation: the older token stops working. */
export async function createInvitation(
  tx: Queryable,
  input: { organizationId: string; email: string; role: Role; invitedBy: string; now: number },
): Promise<{ invitation: InvitationRow; token: string }> {
  const token = generateToken("invitation");
  const [invitation] = await tx.query<InvitationRow>(
    `/* createInvitation */ insert into invitations (organization_id, email, role, token_hash, invited_by, expires_at)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (organization_id, lower(email)) do update
       set role = excluded.role, token_hash = excluded.token_hash, invited_by = excluded.invited_by,
           expires_at = excluded.expires_at
     returning ${INVITATION_COLUMNS}`,
    [
      input.organizationId,
      input.email,
      input.role,
      hashToken(token),
      input.invitedBy,
      new Date(input.now + INVITATION_DAYS * 86_400_000),
    ],
  );
  if (!invitation) throw new Error("an insert returned no row");
  return { invitation, token };
}

/** Null for a token that is wrong, expired, used, or meant for another address. */
export async function findInvitation(
  db: Queryable,
  token: string,
  email: string,
  now: number,
): Promise<InvitationRow | null> {
  const [row] = await db.query<InvitationRow>(
    `/* findInvitation */ select ${INVITATION_COLUMNS} from invitations
     where token_hash = $1 and lower(email) = $2 and expires_at > $3`,
    [hashToken(token), email, new Date(now)],
  );
  return row ?? null;
}

/**
 * Makes the account a member and uses the invitation up.
 * @throws {NotFound} as {@link findInvitation} says null, or when somebody was quicker.
 */
export async function useInvitation(
  tx: Queryable,
  token: string,
  account: { id: string; email: string },
  now: number,
): Promise<InvitationRow> {
  const [invitation] = await tx.query<InvitationRow>(
    `/* useInvitation */ delete from invitations
     where token_hash = $1 and lower(email) = $2 and expires_at > $3 returning ${INVITATION_COLUMNS}`,
    [hashToken(token), account.email, new Date(now)],
  );
  if (!invitation) throw new NotFound("invitation");
  await insertMember(tx, invitation.organizationId, account.id, invitation.role);
  return invitation;
}

/** Those that are still open, newest first. */
export async function listInvitations(db: Queryable, organizationId: string, now: number): Promise<InvitationRow[]> {
  return db.query<InvitationRow>(
    `/* listInvitations */ select ${INVITATION_COLUMNS} from invitations
     where organization_id = $1 and expires_at > $2 order by created_at desc, id`,
    [organizationId, new Date(now)],
  );
}

/** @returns the address that was invited; null when there is no such invitation. */
export async function deleteInvitation(tx: Queryable, organizationId: string, id: string): Promise<string | null> {
  const [row] = await tx.query<{ email: string }>(
    "/* deleteInvitation */ delete from invitations where organization_id = $1 and id = $2 returning email",
    [organizationId, id],
  );
  return row?.email ?? null;
}
