/** The life of signing keys: standby → current → previous → removed. Pure; lists are newest first. */
import { Conflict, NotFound } from "../errors.ts";
import type { SigningKey } from "./signing-keys.ts";

/** All are in every service's snapshot and in the public JWKS. */
const MAX_KEYS = 10;

/** @throws {Conflict} there is a standby key already, or too many keys. */
export function addSigningKey(keys: readonly SigningKey[], key: SigningKey): SigningKey[] {
  if (keys.some(({ state }) => state === "standby")) throw new Conflict("there is a standby key already: rotate it in");
  if (keys.length >= MAX_KEYS) throw new Conflict(`a project has at most ${MAX_KEYS} signing keys: remove one first`);
  return [key, ...keys];
}

/** @throws {Conflict} there is no standby key. */
export function rotateSigningKeys(keys: readonly SigningKey[]): SigningKey[] {
  if (!keys.some(({ state }) => state === "standby")) throw new Conflict("there is no standby key: create one first");
  return keys.map((key) => ({ ...key, state: key.state === "standby" ? "current" : "previous" }));
}

/** @throws {NotFound} */
export function removeSigningKey(keys: readonly SigningKey[], kid: string): SigningKey[] {
  if (!keys.some((key) => key.kid === kid)) throw new NotFound("signing key");
  return keys.filter((key) => key.kid !== kid);
}
