/**
 * Table `operations`: the queue of provisioning runs and their record. An instance works on a row while it holds its
 * lease; each write of a worker names itself as the owner, so that a late one changes nothing.
 * All times are the database's, so that instances need not agree on a clock.
 */
import type { Queryable } from "../database.ts";
import { encodeEvent } from "../events.ts";
import type { ClaimedOperation, OperationKind, OperationRow, ProvisionedProject } from "./operation.ts";

const OPERATION_COLUMNS = `
  o.id, o.project_ref as "projectRef", o.kind, o.state, o.step, o.completed_steps as "completedSteps", o.attempts,
  o.error, o.created_at as "createdAt", o.finished_at as "finishedAt"`;

/** Inserts a running operation, or answers null when the project has one already. */
export async function insertOperation(tx: Queryable, ref: string, kind: OperationKind): Promise<OperationRow | null> {
  const [row] = await tx.query<OperationRow>(
    `/* insertOperation */ insert into operations as o (project_ref, kind) values ($1, $2)
     on conflict (project_ref) where state = 'running' do nothing returning ${OPERATION_COLUMNS}`,
    [ref, kind],
  );
  return row ?? null;
}

/** The operation that brought the project into its present state. */
export async function findLastFinishedOperation(db: Queryable, ref: string): Promise<OperationRow | null> {
  const [row] = await db.query<OperationRow>(
    `/* findLastFinishedOperation */ select ${OPERATION_COLUMNS} from operations o
     where o.project_ref = $1 and o.state <> 'running' order by o.finished_at desc limit 1`,
    [ref],
  );
  return row ?? null;
}

/**
 * Takes the lease of one operation that nobody works on, or null. The organization with the fewest operations under
 * way goes first, so that one that creates a hundred projects does not keep the others waiting; then the oldest.
 * Migrations, for which nobody waits, come last.
 * @param plans of projects that this instance has a runtime for.
 * @param except ids that this instance itself still works on, though their lease has run out.
 */
export async function claimOperation(
  db: Queryable,
  owner: string,
  leaseMs: number,
  plans: readonly string[],
  except: readonly string[],
): Promise<ClaimedOperation | null> {
  const [row] = await db.query<
    OperationRow & { organizationId: string } & Pick<ProvisionedProject, "plan" | "clusterId">
  >(
    `/* claimOperation */
     with busy as (
       select p.organization_id, count(*) as operations
       from operations o join projects p on p.ref = o.project_ref
       where o.state = 'running' and o.lease_expires_at >= clock_timestamp()
       group by p.organization_id
     ), next as (
       select o.id
       from operations o join projects p on p.ref = o.project_ref left join busy on busy.organization_id = p.organization_id
       where o.state = 'running' and p.plan = any ($3) and o.id <> all ($4)
         and (o.lease_expires_at is null or o.lease_expires_at < clock_timestamp())
       order by o.kind = 'migrate', coalesce(busy.operations, 0), o.created_at
       limit 1
       for update of o skip locked
     )
     update operations o
     set owner = $1, lease_expires_at = clock_timestamp() + $2 * interval '1 millisecond'
     from next, projects p
     where o.id = next.id and p.ref = o.project_ref
     returning ${OPERATION_COLUMNS}, p.organization_id as "organizationId", p.plan, p.cluster_id as "clusterId"`,
    [owner, leaseMs, plans, except],
  );
  if (!row) return null;
  const { organizationId, plan, clusterId, ...operation } = row;
  return { ...operation, project: { ref: row.projectRef, organizationId, plan, clusterId } };
}

/** Renews the leases of the operations that are still this owner's, and answers their ids. */
export async function renewLeases(
  db: Queryable,
  owner: string,
  leaseMs: number,
  ids: readonly string[],
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `/* renewLeases */ update operations
     set lease_expires_at = clock_timestamp() + $2 * interval '1 millisecond'
     where owner = $1 and state = 'running' and id = any ($3) returning id`,
    [owner, leaseMs, ids],
  );
  return rows.map(({ id }) => id);
}

/** Gives a lease back unfinished, so that another instance may go on at once. */
export async function releaseLease(db: Queryable, owner: string, id: string): Promise<void> {
  await db.query(
    `/* releaseLease */ update operations set owner = null, lease_expires_at = null
     where owner = $1 and state = 'running' and id = $2`,
    [owner, id],
  );
}

/**
 * Records that `step` begins and `completed` are done, and announces it, in one round trip.
 * Null when the operation is no longer this owner's.
 */
export async function recordStep(
  db: Queryable,
  owner: string,
  { id, projectRef: ref, kind }: OperationRow,
  step: string,
  completed: readonly string[],
): Promise<number | null> {
  const event = encodeEvent({ topic: "operation", ref, operationId: id, kind, step });
  const [row] = await db.query<{ attempts: number }>(
    `/* recordStep */ with recorded as (
       update operations
       set step = $3, completed_steps = $4, attempts = case when step = $3 then attempts + 1 else 1 end
       where owner = $1 and state = 'running' and id = $2 returning attempts
     )
     select attempts, pg_notify($5, $6) from recorded`,
    [owner, id, step, completed, event.channel, event.payload],
  );
  return row?.attempts ?? null;
}

export type OperationEnd =
  | { readonly state: "succeeded"; readonly completedSteps: readonly string[] }
  | { readonly state: "failed"; readonly error: string };

/** False when the operation is no longer this owner's: the caller rolls its transaction back. */
export async function finishOperation(tx: Queryable, owner: string, id: string, end: OperationEnd): Promise<boolean> {
  const rows = await tx.query(
    `/* finishOperation */ update operations
     set state = $3, error = $4, completed_steps = coalesce($5, completed_steps),
         step = case when $3 = 'failed' then step end,
         owner = null, lease_expires_at = null, finished_at = clock_timestamp()
     where owner = $1 and state = 'running' and id = $2 returning id`,
    [
      owner,
      id,
      end.state,
      end.state === "failed" ? end.error : null,
      end.state === "succeeded" ? end.completedSteps : null,
    ],
  );
  return rows.length === 1;
}
