/**
 * JSON bodies, read as the original's validator reads them: unknown keys are ignored, scalars are coerced, and the messages
 * name what is wrong in its words.
 */
import { BodyTooLarge, type ServiceRequest } from "../../service.ts";
import { storageError } from "../errors.ts";

const MAX_JSON_BYTES = 1024 * 1024;

/** The fields of a JSON object, each read by what it must be. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #place: string;

  /** @param place How messages call the object: `body`, `body/sortBy`, `querystring`. */
  constructor(values: Readonly<Record<string, unknown>>, place = "body") {
    this.#values = values;
    this.#place = place;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#values, name) && this.#values[name] !== undefined;
  }

  isNull(name: string): boolean {
    return this.#values[name] === null;
  }

  raw(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  text(name: string): string {
    return this.optionalText(name) ?? this.#missing(name);
  }

  optionalText(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value === "string") return value;
    if (value === null) return "";
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    if (Array.isArray(value) && value.length === 1 && typeof value[0] === "string") return value[0];
    throw this.#invalid(name, "must be string");
  }

  flag(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "boolean") return value;
    if (value === "true" || value === 1) return true;
    if (value === "false" || value === 0 || value === null) return false;
    throw this.#invalid(name, "must be boolean");
  }

  integer(name: string, { min, max }: { min: number; max?: number }): number {
    return this.optionalInteger(name, max === undefined ? { min } : { min, max }) ?? this.#missing(name);
  }

  optionalInteger(name: string, { min, max }: { min: number; max?: number }): number | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const number = value === null ? 0 : typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isInteger(number)) throw this.#invalid(name, "must be integer");
    if (number < min) throw this.#invalid(name, `must be >= ${min}`);
    if (max !== undefined && number > max) throw this.#invalid(name, `must be <= ${max}`);
    return number;
  }

  choice<const T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.optionalText(name);
    if (value === undefined) return undefined;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw this.#invalid(name, "must be equal to one of the allowed values");
    return found;
  }

  texts(name: string, { min, max }: { min?: number; max?: number } = {}): readonly string[] {
    const value = this.raw(name);
    if (value === undefined) return this.#missing(name);
    const list = Array.isArray(value) ? value : [value];
    const texts = list.map((item, index) => {
      if (typeof item === "string") return item;
      if (typeof item === "number" || typeof item === "boolean") return String(item);
      throw this.#invalid(`${name}/${index}`, "must be string");
    });
    if (min !== undefined && texts.length < min) throw this.#invalid(name, `must NOT have fewer than ${min} items`);
    if (max !== undefined && texts.length > max) throw this.#invalid(name, `must NOT have more than ${max} items`);
    return texts;
  }

  object(name: string): Fields | undefined {
    const value = this.raw(name);
    if (value === undefined || value === null) return undefined;
    if (!isRecord(value)) throw this.#invalid(name, "must be object");
    return new Fields(value, `${this.#place}/${name}`);
  }

  #invalid(name: string, problem: string) {
    return storageError("invalidRequest", `${this.#place}/${name} ${problem}`);
  }

  #missing(name: string): never {
    throw storageError("invalidRequest", `${this.#place} must have required property '${name}'`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const EMPTY_BODY = "Body cannot be empty when content-type is set to 'application/json'";
const INVALID_JSON = "Body is not valid JSON but content-type is set to 'application/json'";

/** @param mayBeEmpty For routes that need nothing of their body. */
export async function readFields(request: ServiceRequest, { mayBeEmpty = false } = {}): Promise<Fields> {
  const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    if (mayBeEmpty) return new Fields({});
    throw storageError("invalidRequest", "body must be object");
  }
  const text = (await readBytes(request)).toString("utf8");
  if (text.trim() === "") {
    if (mayBeEmpty) return new Fields({});
    throw storageError("malformedBody", EMPTY_BODY);
  }
  let value: unknown;
  try {
    value = JSON.parse(text, (key, inner) => {
      if (key === "__proto__") throw new SyntaxError("a key that would change the prototype");
      return inner;
    });
  } catch {
    throw storageError("malformedBody", INVALID_JSON);
  }
  if (!isRecord(value)) throw storageError("invalidRequest", "body must be object");
  return new Fields(value);
}

async function readBytes(request: ServiceRequest): Promise<Buffer> {
  try {
    return (await request.body?.read(MAX_JSON_BYTES)) ?? Buffer.alloc(0);
  } catch (error) {
    if (error instanceof BodyTooLarge) throw storageError("jsonTooLarge");
    throw error;
  }
}
