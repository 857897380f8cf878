/** A valid gateway snapshot and keys for tests; each test overrides only what it is about. */
import { hash } from "node:crypto";
import {
  type ApiKeyEntry,
  type ApiKeyRole,
  type GatewaySnapshot,
  parseProjectRef,
} from "../control-plane/client/config-snapshot.ts";

export const REF = parseProjectRef("abcdefghijklmnopqrst");
export const ANON_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJlLW9mLXRoZS1hbm9uLWtleS0wMDA";
export const SERVICE_JWT =
  "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJlLW9mLXNlcnZpY2Uta2V5LTAwMDAw";
export const PUBLISHABLE = "sb_publishable_AAAAAAAAAAAAAAAAAAAAAA_12345678";
export const SECRET = "sb_secret_BBBBBBBBBBBBBBBBBBBBBB_12345678";
export const ROLE_TOKENS = { anon: "role-token-anon", service_role: "role-token-service" } as const;

export function keyEntry(key: string, role: ApiKeyRole, override: Partial<ApiKeyEntry> = {}): ApiKeyEntry {
  const kind = key.startsWith("sb_publishable_") ? "publishable" : key.startsWith("sb_secret_") ? "secret" : "legacy";
  return { id: `key-${kind}-${role}`, hash: hash("sha256", key, "hex"), role, kind, revoked: false, ...override };
}

export function snapshot(override: Partial<GatewaySnapshot> = {}): GatewaySnapshot {
  const local = { kind: "local" } as const;
  return {
    audience: "gateway",
    projectRef: REF,
    version: 1,
    state: "active",
    plan: "shared",
    limits: {
      requestsPerSecond: 10_000,
      requestBurst: 10_000,
      concurrentRequests: 1_000,
      sockets: 100,
      maxBodyBytes: 1_000_000,
      maxUploadBytes: 50_000_000,
    },
    upstreams: { rest: local, auth: local, storage: local, realtime: local },
    apiKeys: [
      keyEntry(ANON_JWT, "anon"),
      keyEntry(SERVICE_JWT, "service_role"),
      keyEntry(PUBLISHABLE, "anon"),
      keyEntry(SECRET, "service_role"),
    ],
    roleTokens: ROLE_TOKENS,
    requireApiKey: true,
    corsOrigins: ["*"],
    customHosts: [],
    ...override,
  };
}
