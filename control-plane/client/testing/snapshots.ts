/** For tests: a valid snapshot of which a test overrides only what it is about. */
import type { GatewaySnapshot, ProjectRef } from "../config-snapshot.ts";

/** A ref that differs by its number: 0 is aaaaaaaaaaaaaaaaaaaa. */
export function refNumber(number: number): ProjectRef {
  const digits = [...number.toString(26).padStart(20, "0")];
  return digits.map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 26))).join("") as ProjectRef;
}

export function gatewaySnapshot(overrides: Partial<GatewaySnapshot> = {}): GatewaySnapshot {
  const local = { kind: "local" } as const;
  return {
    audience: "gateway",
    projectRef: refNumber(0),
    version: 1,
    state: "active",
    plan: "shared",
    limits: {
      requestsPerSecond: 100,
      requestBurst: 100,
      concurrentRequests: 10,
      sockets: 10,
      maxBodyBytes: 1024,
      maxUploadBytes: 1024,
    },
    upstreams: { rest: local, auth: local, storage: local, realtime: local },
    apiKeys: [],
    roleTokens: { anon: "anon-token", service_role: "service-token" },
    requireApiKey: true,
    corsOrigins: ["*"],
    customHosts: [],
    ...overrides,
  };
}
