/** Asks a project's auth service to send a test mail: through the gateway, with a secret key of the project. */
import { listApiKeys, openApiKey } from "../api-keys/api-key-table.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict, InvalidInput } from "../errors.ts";

export interface TestMail {
  /** The server has taken the mail. */
  readonly accepted: boolean;
  /** What it said. */
  readonly answer: string;
}

/** A server may take its time over a greeting and a login. */
const TIMEOUT_MS = 45_000;

/** @throws {Conflict} the service cannot be asked, or the project has no mail server. */
export async function sendTestMail(
  { database, vault, publicUrls }: Pick<GraphqlContext, "database" | "vault" | "publicUrls">,
  ref: string,
  to: string,
): Promise<TestMail> {
  const keys = await listApiKeys(database, ref);
  const key = keys.find(({ role, revokedAt }) => role === "service_role" && revokedAt === null);
  if (!key) throw new Conflict("the project has no secret key by which its auth service could be asked");
  const text = openApiKey(await vault.dataKey(database, ref), key);
  const response = await fetch(`${publicUrls.internalProjectUrl(ref)}/auth/v1/admin/mail/test`, {
    method: "POST",
    headers: { apikey: text, authorization: `Bearer ${text}`, "content-type": "application/json" },
    body: JSON.stringify({ to }),
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch(() => {
    throw new Conflict("the project's auth service does not answer");
  });
  const answer = (await response.json().catch(() => ({}))) as Partial<TestMail> & { msg?: string; message?: string };
  if (response.ok && typeof answer.accepted === "boolean")
    return { accepted: answer.accepted, answer: String(answer.answer ?? "") };
  if (response.status === 400) throw new InvalidInput("to", answer.msg ?? answer.message ?? "is not taken");
  throw new Conflict(`the project's auth service answered ${response.status}`);
}
