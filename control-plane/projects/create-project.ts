/** A new project: its row and the operation that makes it run, in one transaction. */
import { randomInt } from "node:crypto";
import { parseName } from "../accounts/account-table.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { type ProjectRef, parseProjectRef } from "../client/config-snapshot.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict } from "../errors.ts";
import { lockOrganization } from "../organizations/organization-table.ts";
import { requireAccount, requireOrganization } from "../permissions.ts";
import { findProject, type ProjectRow } from "./project-row.ts";

const REF_LENGTH = 20;

/** 20 random lower-case letters: 94 bits, so that refs neither collide nor can be guessed. */
export function generateProjectRef(): ProjectRef {
  const letter = () => String.fromCharCode(97 + randomInt(26));
  return parseProjectRef(Array.from({ length: REF_LENGTH }, letter).join(""));
}

export interface CreateProjectInput {
  readonly organizationId: string;
  readonly name: string;
  readonly plan: ProjectRow["plan"];
  /** Whether the project begins with a first user. */
  readonly adminUser: boolean;
}

/**
 * Answers the project in state CREATING.
 * @throws {Conflict} the organization has as many projects as it may have.
 * @throws {Unsupported} this installation runs no projects of that plan.
 */
export async function createProject(context: GraphqlContext, input: CreateProjectInput): Promise<ProjectRow> {
  const organization = await requireOrganization(context, input.organizationId, "project.create");
  const { accountId } = requireAccount(context);
  const name = parseName("name", input.name);
  const ref = generateProjectRef();
  return context.database.transaction(async (tx) => {
    await lockOrganization(tx, organization.id); // counted and inserted by one at a time
    const [count] = await tx.query<{ projects: number }>(
      "/* createProject: count */ select count(*) as projects from projects where organization_id = $1 and deleted_at is null",
      [organization.id],
    );
    const most = context.settings.maxProjectsPerOrganization;
    if ((count?.projects ?? 0) >= most) throw new Conflict(`an organization has at most ${most} projects here`);
    await tx.query(
      `/* createProject */ insert into projects (ref, organization_id, name, plan, state, created_by, has_administrator)
       values ($1, $2, $3, $4, 'CREATING', $5, $6)`,
      [ref, organization.id, name, input.plan, accountId, input.adminUser],
    );
    await context.provisioner.begin(tx, ref, "create");
    await recordAudit(tx, context, {
      action: "project.create",
      organizationId: organization.id,
      projectRef: ref,
      details: { name, plan: input.plan },
    });
    const project = await findProject(tx, ref);
    if (!project) throw new Error("a project that was just inserted is not there");
    return project;
  });
}
