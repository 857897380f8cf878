/**
 * Asymmetric keys (ES256) that sign user tokens in place of the JWT secret. They are one internal secret of the project:
 * a JSON list, newest first. `standby` verifies already so that every service knows it before it signs, `current` signs,
 * `previous` still verifies until what it signed has run out.
 */
import { randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair } from "jose";
import { z } from "zod";

export const SIGNING_KEY_STATES = ["standby", "current", "previous"] as const;
export type SigningKeyState = (typeof SIGNING_KEY_STATES)[number];

const signingKeySchema = z.object({
  kid: z.string(),
  state: z.enum(SIGNING_KEY_STATES),
  /** Seconds since the epoch. */
  createdAt: z.int(),
  jwk: z.object({ kty: z.literal("EC"), crv: z.literal("P-256"), x: z.string(), y: z.string(), d: z.string() }),
});
export type SigningKey = Readonly<z.infer<typeof signingKeySchema>>;

/** As snapshots carry them. */
export interface JwtKeySet {
  readonly signingKey: JsonWebKey | null;
  readonly verificationKeys: readonly JsonWebKey[];
}

export function parseSigningKeyList(secret: string | null): SigningKey[] {
  return secret === null ? [] : z.array(signingKeySchema).parse(JSON.parse(secret));
}

/** The key set that the secret JWT_SIGNING_KEYS stands for: the private current key, the others only as public ones. */
export function parseSigningKeys(secret: string): JwtKeySet {
  const keys = parseSigningKeyList(secret);
  const current = keys.find(({ state }) => state === "current");
  return {
    signingKey: current ? { ...privateJwk(current), key_ops: ["sign"] } : null,
    verificationKeys: keys.filter((key) => key !== current).map(publicJwk),
  };
}

/** Without the private part `d`. */
export function publicJwk({ kid, jwk: { kty, crv, x, y } }: SigningKey): JsonWebKey {
  return { kty, crv, x, y, kid, alg: "ES256", use: "sig", key_ops: ["verify"] } as JsonWebKey;
}

function privateJwk({ kid, jwk }: SigningKey): JsonWebKey {
  return { ...jwk, kid, alg: "ES256", use: "sig" } as JsonWebKey;
}

/** @param now Milliseconds since the epoch. */
export async function generateSigningKey(now: number): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = await exportJWK(privateKey);
  return signingKeySchema.parse({ kid: randomUUID(), state: "standby", createdAt: Math.floor(now / 1000), jwk });
}
