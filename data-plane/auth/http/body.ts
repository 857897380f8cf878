/** Reads a JSON request body whatever its Content-Type says, as the wire protocol has it. */
import { z } from "zod";
import { BodyTooLarge, type ServiceRequest } from "../../service.ts";
import { AuthError } from "../errors.ts";

const MAX_BODY_BYTES = 1_048_576;

/** A text that may be absent or null; both read as "". */
export const text = z
  .string()
  .nullish()
  .transform((value) => value ?? "");

/** A text whose absence (or null) means something else than the empty text. */
export const optionalText = z
  .string()
  .nullish()
  .transform((value) => value ?? undefined);

/** A switch that may be absent or null; both read as false. */
export const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false);

/** Metadata: an object whose null values delete keys. Absent and null read as undefined. */
export const metadata = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => value ?? undefined);

/** Both parameters of the PKCE flow; auth-js sends null for them in the implicit flow. */
export const pkceFields = { code_challenge: text, code_challenge_method: text };

const badJson = (reason: string): AuthError =>
  new AuthError("bad_json", `Could not parse request body as JSON: ${reason}`);

/**
 * @throws {AuthError} `bad_json` for an empty, malformed or wrongly typed body, `request_entity_too_large` beyond 1 MiB.
 */
export async function readBody<S extends z.ZodType>(request: ServiceRequest, schema: S): Promise<z.output<S>> {
  return parse(await readText(request), schema);
}

/** As {@link readBody}, for endpoints whose body may be left out. */
export async function readOptionalBody<S extends z.ZodType>(request: ServiceRequest, schema: S): Promise<z.output<S>> {
  return parse((await readText(request)) || "{}", schema);
}

async function readText(request: ServiceRequest): Promise<string> {
  if (!request.body) return "";
  try {
    return (await request.body.read(MAX_BODY_BYTES)).toString("utf8");
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error;
    throw new AuthError("request_entity_too_large", `Request body too large (max ${MAX_BODY_BYTES} bytes)`);
  }
}

function parse<S extends z.ZodType>(raw: string, schema: S): z.output<S> {
  if (raw.trim() === "") throw badJson("unexpected end of JSON input");
  if (isNestedTooDeep(raw)) throw badJson("exceeded max depth");
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    throw badJson("invalid syntax");
  }
  // Neither NUL nor half a surrogate pair can be stored in PostgreSQL; both need an escape to appear in JSON.
  if (/\\u(?:0000|d[89a-f])/i.test(raw)) value = withStorableText(value);
  refuseOtherCase(schema, value);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw badJson(`${issue?.path.join(".") || "body"}: ${issue?.message ?? "wrong type"}`);
}

/**
 * GoTrue takes keys in any case of letters. Here `{"Email": …}` would be a body without an address, which can mean
 * something else: an anonymous user instead of an account. @throws {AuthError} `bad_json` naming the key.
 */
function refuseOtherCase(schema: z.ZodType, value: unknown): void {
  if (!(schema instanceof z.ZodObject) || typeof value !== "object" || value === null) return;
  const known = new Set(Object.keys(schema.shape));
  for (const key of Object.keys(value)) {
    const lower = key.toLowerCase();
    if (!known.has(key) && known.has(lower))
      throw badJson(`unknown key ${JSON.stringify(key)}, did you mean "${lower}"`);
  }
}

/** A million brackets take the parser a tenth of a second, and nothing here is nested beyond metadata. */
const MAX_DEPTH = 200;
const SHORT_CHARACTERS = 16_384;

/** Of texts that are JSON, brackets within strings left aside; of others roughly. */
function isNestedTooDeep(raw: string): boolean {
  if (raw.length < SHORT_CHARACTERS) return false;
  let depth = 0;
  let isString = false;
  for (let index = 0; index < raw.length; index += 1) {
    const character = raw.charCodeAt(index);
    if (character === 0x5c /* \ */) index += 1;
    else if (character === 0x22 /* " */) isString = !isString;
    else if (isString) continue;
    else if (character === 0x5b /* [ */ || character === 0x7b /* { */) depth += 1;
    else if (character === 0x5d /* ] */ || character === 0x7d /* } */) depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** Half a surrogate pair becomes U+FFFD. @throws {AuthError} `bad_json` on NUL. */
function withStorableText(value: unknown): unknown {
  if (typeof value === "string") {
    if (value.includes("\0")) throw badJson("\\u0000 cannot be stored");
    return value.toWellFormed();
  }
  if (Array.isArray(value)) return value.map(withStorableText);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [withStorableText(key), withStorableText(inner)]),
  );
}
