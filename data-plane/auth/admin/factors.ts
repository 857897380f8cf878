/** A user's second factors as an administrator sees and changes them. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import type { AuthContext } from "../context.ts";
import { databaseStep } from "../database/failures.ts";
import { AuthError } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { deleteFactor, downgradeSessions, findFactors, renameFactor } from "../mfa/factor-queries.ts";
import { proofOf } from "../mfa/factors.ts";
import { requireAdmin } from "../sessions/bearer.ts";
import { parsePathId } from "../users/identifiers.ts";
import { type FactorRow, factorJson, type UserRecord } from "../users/user.ts";
import { findUserById } from "../users/user-queries.ts";

async function findSubject(context: AuthContext): Promise<UserRecord> {
  const id = parsePathId(context.params.id, "user_id");
  const [record] = await databaseStep("Database error loading user", context.database.run(findUserById(id)));
  if (!record) throw new AuthError("user_not_found", "User not found");
  return record;
}

function findFactor({ params }: AuthContext, { factors }: UserRecord): FactorRow {
  const id = parsePathId(params.factorId, "factor_id");
  const factor = factors.find((one) => one.id === id);
  if (!factor) throw new AuthError("mfa_factor_not_found", "Factor not found");
  return factor;
}

/** GET /admin/users/:id/factors. */
export async function listFactors(context: AuthContext): Promise<ServiceResponse> {
  await requireAdmin(context);
  const { factors } = await findSubject(context);
  return json(factors.map(factorJson));
}

/** PUT /admin/users/:id/factors/:factorId. */
export async function updateFactorById(context: AuthContext): Promise<ServiceResponse> {
  const admin = await requireAdmin(context);
  const record = await findSubject(context);
  const factor = findFactor(context, record);
  const { friendly_name: name } = await readBody(context.request, z.object({ friendly_name: text }));
  if (!name) return json(factorJson(factor));
  const results = await databaseStep(
    "Database error updating factor",
    context.database.batch([
      renameFactor(factor.id, name, context.now),
      ...audit(context, admin, "factor_updated", { user_id: record.user.id, factor_id: factor.id }),
      findFactors(record.user.id),
    ]),
  );
  const factors = (results.at(-1) ?? []) as FactorRow[];
  return json(factorJson(factors.find(({ id }) => id === factor.id) ?? factor));
}

/** DELETE /admin/users/:id/factors/:factorId. */
export async function deleteFactorById(context: AuthContext): Promise<ServiceResponse> {
  const admin = await requireAdmin(context);
  const record = await findSubject(context);
  const factor = findFactor(context, record);
  await databaseStep(
    "Database error deleting factor",
    context.database.batch([
      ...downgradeSessions(factor.id, proofOf(factor)),
      deleteFactor(factor.id),
      ...audit(context, admin, "factor_deleted", { user_id: record.user.id, factor_id: factor.id }),
    ]),
  );
  return json(factorJson(factor));
}
