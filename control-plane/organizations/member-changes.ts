/** Who may give and take which role, and that an organization is never left without an owner. */
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { Conflict, Forbidden, NotFound } from "../errors.ts";
import { publishEvent } from "../events.ts";
import { type OrganizationRow, type Role, requireOrganization, roleAllows } from "../permissions.ts";
import { endAccess } from "./access-end.ts";
import { countOwners, findMember, lockOrganization, type MemberRow } from "./organization-table.ts";

/** Authorizes a change that gives `role`: admins give roles up to their own, owners give any. */
export async function requireMayGive(
  context: GraphqlContext,
  organizationId: string,
  role: Role,
): Promise<OrganizationRow> {
  const organization = await requireOrganization(context, organizationId, "members.manage");
  if (role === "owner" && !roleAllows(organization.viewerRole, "owners.manage")) {
    throw new Forbidden("only an owner makes somebody an owner");
  }
  return organization;
}

/**
 * Changes or removes one member in a transaction: `change` runs when nothing forbids it. The member's open
 * subscriptions are told to authorize again, and what the role let him keep is taken back.
 * @param newRole Null removes the member. Members may always remove themselves.
 */
export async function changeMember(
  context: GraphqlContext,
  organizationId: string,
  accountId: string,
  newRole: Role | null,
  change: (tx: Queryable, member: MemberRow) => Promise<void>,
): Promise<MemberRow> {
  const isSelf = context.viewer?.kind === "account" && context.viewer.accountId === accountId;
  const leaves = isSelf && newRole === null;
  const organization = await requireOrganization(
    context,
    organizationId,
    leaves ? "organization.read" : "members.manage",
  );
  let resets = false;
  const changed = await context.database.transaction(async (tx) => {
    await lockOrganization(tx, organization.id);
    const member = await findMember(tx, organization.id, accountId);
    if (!member) throw new NotFound("member");
    const touchesOwner = member.role === "owner" || newRole === "owner";
    if (touchesOwner && !leaves && !roleAllows(organization.viewerRole, "owners.manage")) {
      throw new Forbidden("only an owner changes owners");
    }
    if (member.role === "owner" && newRole !== "owner" && (await countOwners(tx, organization.id)) < 2) {
      throw new Conflict("this is the last owner: make somebody else an owner first");
    }
    await change(tx, member);
    const { email, role: from } = member;
    resets = await endAccess(tx, context, { organizationId, accountId, email, from, to: newRole });
    await publishEvent(tx, { topic: "access", accountId });
    return member;
  });
  if (resets) await context.loginResets.settle();
  return changed;
}
