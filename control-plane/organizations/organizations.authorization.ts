import { randomUUID } from "node:crypto";
import {
  type AuthorizationTable,
  members,
  onOrganization,
  type ReachedBy,
  type World,
} from "../testing/authorization.ts";
import { createInvitation } from "./invitations.ts";

const invite = ({ database, organizationId, accounts }: World, email: string) =>
  createInvitation(database, { organizationId, email, role: "viewer", invitedBy: accounts.owner.id, now: Date.now() });

export const authorization: AuthorizationTable = {
  "Query.organization": { rule: members("viewer"), document: onOrganization("id") },
  "Query.organizations": {
    rule: { who: "instance-owner" },
    document: () => "{ organizations { totalCount edges { node { id } } } }",
  },
  "Organization.id": { rule: members("viewer"), document: onOrganization("id") },
  "Organization.name": { rule: members("viewer"), document: onOrganization("name") },
  "Organization.slug": { rule: members("viewer"), document: onOrganization("slug") },
  "Organization.createdAt": { rule: members("viewer"), document: onOrganization("createdAt") },
  "Organization.viewerRole": { rule: members("viewer"), document: onOrganization("viewerRole") },
  "Organization.members": {
    rule: members("viewer"),
    document: onOrganization("members { totalCount edges { node { email } } }"),
  },
  "Organization.invitations": { rule: members("admin"), document: onOrganization("invitations { email }") },
  "Mutation.createOrganization": {
    rule: { who: "accounts" },
    document: () => 'mutation { createOrganization(name: "Another") { id } }',
  },
  "Mutation.renameOrganization": {
    rule: members("admin"),
    document: ({ organizationId }) => `mutation { renameOrganization(id: "${organizationId}", name: "New") { id } }`,
  },
  "Mutation.deleteOrganization": {
    rule: members("owner"),
    document: ({ organizationId }) => `mutation { deleteOrganization(id: "${organizationId}") }`,
  },
  "Mutation.addMember": {
    rule: members("admin"),
    document: ({ organizationId }) =>
      `mutation { addMember(organizationId: "${organizationId}", email: "${randomUUID()}@example.com", role: ADMIN) { invitationToken } }`,
  },
  "Mutation.acceptInvitation": {
    rule: { who: "accounts" },
    document: async (world, actor) => {
      const account = actor === "anonymous" || actor === "service" ? world.accounts.stranger : world.accounts[actor];
      return `mutation { acceptInvitation(token: "${(await invite(world, account.email)).token}") { id } }`;
    },
  },
  "Mutation.revokeInvitation": {
    rule: members("admin"),
    document: async (world) => {
      const { invitation } = await invite(world, "somebody@example.com");
      return `mutation { revokeInvitation(organizationId: "${world.organizationId}", id: "${invitation.id}") }`;
    },
  },
  "Mutation.changeMemberRole": {
    rule: members("admin"),
    document: ({ organizationId, accounts }) =>
      `mutation { changeMemberRole(organizationId: "${organizationId}", accountId: "${accounts.developer.id}", role: VIEWER) { role } }`,
  },
  // Somebody else; leaving oneself is in organizations.pg.test.ts.
  "Mutation.removeMember": {
    rule: members("admin"),
    document: async ({ organizationId, database }) => {
      const [other] = await database.query<{ id: string }>(
        `with account as (insert into accounts (email, password_hash) values ($2, 'none') returning id)
         insert into memberships (organization_id, account_id, role) select $1, id, 'viewer' from account
         returning account_id as id`,
        [organizationId, `${randomUUID()}@example.com`],
      );
      return `mutation { removeMember(organizationId: "${organizationId}", accountId: "${other?.id}") }`;
    },
  },
};

export const reachedBy: ReachedBy = {
  AddMemberPayload: "Mutation.addMember",
  Invitation: "Organization.invitations",
  Member: "Organization.members",
  MemberConnection: "Organization.members",
  MemberEdge: "Organization.members",
  OrganizationConnection: "Query.organizations",
  OrganizationEdge: "Query.organizations",
};
