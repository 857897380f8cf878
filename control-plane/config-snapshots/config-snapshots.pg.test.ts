import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Audience, ConfigChanges } from "../client/config-snapshot.ts";
import { createEvents, type PostgresEvents } from "../events.ts";
import { createLogger } from "../logger.ts";
import { createSettingsPolicy } from "../projects/settings.ts";
import { createPublicUrls } from "../public-urls.ts";
import { parseMasterKeys } from "../secrets/master-keys.ts";
import { createVault } from "../secrets/vault.ts";
import { type ControlPlaneDatabase, createControlPlaneDatabase } from "../testing/fresh-database.ts";
import { insertTestProject } from "../testing/test-project.ts";
import { type ConfigSnapshots, createConfigSnapshots } from "./config-snapshots.ts";
import { touchProject, touchProjectsOfCluster } from "./touch.ts";

const vault = createVault(parseMasterKeys(randomBytes(32).toString("base64")));
const local = { kind: "local" } as const;
const logger = createLogger("silent");
let db: ControlPlaneDatabase;
let events: PostgresEvents;
let configSnapshots: ConfigSnapshots;

beforeAll(async () => {
  db = await createControlPlaneDatabase(inject("clusterUrl"));
  events = createEvents({ databaseUrl: db.url, logger });
  await events.start();
  configSnapshots = createConfigSnapshots({
    database: db.database,
    events,
    logger,
    vault,
    publicUrls: createPublicUrls("http://localhost:8083", "localhost"),
    settingsPolicy: createSettingsPolicy(),
    upstreamsOf: () => ({
      rest: local,
      auth: local,
      storage: local,
      realtime: { kind: "http", origin: "http://rt:4000" },
    }),
  });
});
afterAll(async () => {
  configSnapshots.close();
  await events.close();
  await db.drop();
});

const touch = (ref: string) => db.database.transaction((tx) => touchProject(tx, ref));

async function snapshotOf<A extends Audience>(audience: A, ref: string) {
  const found = (await configSnapshots.findByRefs(audience, [ref])).get(ref);
  if (!found) throw new Error("no snapshot");
  return found;
}

/** Every property name, however deep. */
function keysOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [...(Array.isArray(value) ? [] : [key]), ...keysOf(inner)]);
}

describe("a snapshot", () => {
  test("for a service holds what serves the project", async () => {
    const { ref } = await insertTestProject(db.database, vault);
    const secrets = await vault.getAll(db.database, ref);
    expect(await snapshotOf("service", ref)).toMatchObject({
      audience: "service",
      projectRef: ref,
      state: "active",
      plan: "shared",
      publicUrl: `http://localhost:8083/projects/${ref}`,
      database: {
        host: "db.internal",
        port: 5432,
        database: `project_${ref}`,
        user: `project_${ref}_authenticator`,
        password: secrets.get("AUTHENTICATOR_PASSWORD"),
        ssl: false,
      },
      jwt: {
        secret: secrets.get("JWT_SECRET"),
        signingKey: null,
        verificationKeys: [],
        revokedTokens: [],
        issuer: `http://localhost:8083/projects/${ref}/auth/v1`,
      },
      rest: { schemas: ["public", "graphql_public"], maxRows: 1000 },
      auth: { siteUrl: "http://localhost:3000" },
    });
  });

  test("for a gateway holds hashes of keys, and none of what opens a database or signs a token", async () => {
    const { ref } = await insertTestProject(db.database, vault);
    const gateway = await snapshotOf("gateway", ref);
    expect([...new Set(keysOf(gateway))].sort()).toEqual(
      [
        ["audience", "projectRef", "version", "state", "plan", "limits", "upstreams", "apiKeys", "roleTokens"],
        ["requireApiKey", "corsOrigins", "customHosts", "rest", "auth", "storage", "realtime", "kind", "origin"],
        ["id", "hash", "role", "revoked", "anon", "service_role", "requestsPerSecond", "requestBurst"],
        ["concurrentRequests", "sockets", "maxBodyBytes", "maxUploadBytes"],
      ]
        .flat()
        .sort(),
    );
    expect(gateway.apiKeys.filter(({ revoked }) => !revoked).map(({ kind, role }) => [kind, role])).toEqual([
      ["legacy", "anon"],
      ["legacy", "service_role"],
      ["publishable", "anon"],
      ["secret", "service_role"],
    ]);
    const text = JSON.stringify(gateway);
    for (const [name, secret] of await vault.getAll(db.database, ref)) {
      if (!name.startsWith("GATEWAY_")) expect(text, name).not.toContain(secret);
    }
    expect(text).not.toContain("db.internal");
  });

  test("tells gateways and services the same of what stands for opaque keys and of what was revoked", async () => {
    const { ref } = await insertTestProject(db.database, vault);
    await db.database.query(
      "update api_keys set revoked_at = now() where project_ref = $1 and kind = 'legacy' and role = 'anon'",
      [ref],
    );
    const [gateway, service] = [await snapshotOf("gateway", ref), await snapshotOf("service", ref)];
    expect(service.roleTokens).toEqual(gateway.roleTokens);
    const revoked = gateway.apiKeys.filter((key) => key.revoked);
    expect(revoked).toMatchObject([{ kind: "legacy", role: "anon" }]);
    expect(service.jwt.revokedTokens).toEqual(revoked.map(({ hash }) => hash));
  });

  test("of a project whose secrets are not made yet, or do not open, is unavailable without harming others", async () => {
    const half = await insertTestProject(db.database, vault, { hasSecrets: false });
    const broken = await insertTestProject(db.database, vault);
    const whole = await insertTestProject(db.database, vault);
    await db.database.query("update project_secrets set ciphertext = '\\x00' where project_ref = $1", [broken.ref]);
    const refs = [half.ref, broken.ref, whole.ref];
    for (const audience of ["gateway", "service"] as const) {
      const found = await configSnapshots.findByRefs(audience, refs);
      expect(refs.map((ref) => found.get(ref)?.state)).toEqual(["unavailable", "unavailable", "active"]);
    }
  });

  test.each([
    ["PAUSED", "paused"],
    ["PAUSING", "paused"],
    ["RESUMING", "unavailable"],
    ["FAILED", "unavailable"],
    ["DELETING", "unavailable"],
  ] as const)("of a project in state %s says %s", async (state, served) => {
    const { ref } = await insertTestProject(db.database, vault, { state });
    expect((await snapshotOf("gateway", ref)).state).toBe(served);
  });

  test("is found by custom host once that is verified, unless the project is gone", async () => {
    const { ref } = await insertTestProject(db.database, vault);
    await db.database.query("insert into custom_hosts (host, project_ref) values ('api.example.com', $1)", [ref]);
    const hosts = ["api.example.com", "other.example.com"];
    expect(await configSnapshots.findByHosts("gateway", hosts)).toEqual(new Map());
    expect((await configSnapshots.findByRefs("gateway", [ref])).get(ref)?.customHosts).toEqual([]);
    await db.database.query("update custom_hosts set verified_at = now() where project_ref = $1", [ref]);
    const found = await configSnapshots.findByHosts("gateway", hosts);
    expect([...found].map(([host, snapshot]) => [host, snapshot.projectRef])).toEqual([["api.example.com", ref]]);
    expect(found.get("api.example.com")?.customHosts).toEqual(["api.example.com"]);
    await db.database.query("update projects set state = 'DELETED', deleted_at = now() where ref = $1", [ref]);
    expect(await configSnapshots.findByHosts("gateway", hosts)).toEqual(new Map());
    expect(await configSnapshots.findByRefs("gateway", [ref])).toEqual(new Map());
  });
});

describe("the feed", () => {
  type Changes = ConfigChanges<"gateway">;

  async function next(feed: AsyncIterator<Changes>): Promise<Changes> {
    const { value, done } = await feed.next();
    if (done) throw new Error("the feed has ended");
    return value;
  }

  const seen = ({ snapshots }: Changes) => snapshots.map(({ projectRef, version }) => [projectRef, version] as const);

  test("begins now for a reader without a cursor, and then tells every change", async () => {
    const { ref } = await insertTestProject(db.database, vault);
    const feed = configSnapshots.changes("gateway", null);
    const first = await next(feed);
    expect(first).toMatchObject({ snapshots: [], resync: true });
    await touch(ref);
    const change = await next(feed);
    expect(seen(change)).toEqual([[ref, change.cursor]]);
    expect(change.cursor).toBeGreaterThan(first.cursor);
    await feed.return?.();
  });

  test("replays what was missed, in the order of the versions, with deleted projects as such", async () => {
    const { cursor } = await next(configSnapshots.changes("gateway", null));
    const projects = [];
    for (let count = 0; count < 3; count++) projects.push((await insertTestProject(db.database, vault)).ref);
    const [a = "", b = "", c = ""] = projects;
    await db.database.query("update projects set state = 'DELETED', deleted_at = now() where ref = $1", [b]);
    await touch(b);
    await touch(a);
    const feed = configSnapshots.changes("gateway", cursor);
    const replay = await next(feed);
    expect(replay.resync).toBe(false);
    expect(seen(replay).map(([ref]) => ref)).toEqual([c, b, a]);
    expect(replay.snapshots[1]).toEqual({ projectRef: b, version: seen(replay)[1]?.[1], deleted: true });
    await feed.return?.();
  });

  test("replays more than one batch", async () => {
    const organizationId = (await insertTestProject(db.database, vault)).organizationId;
    const { cursor } = await next(configSnapshots.changes("gateway", null));
    await db.database.query(
      `insert into projects (ref, organization_id, name, plan, state)
       select 'many' || translate(lpad(number::text, 16, '0'), '0123456789', 'abcdefghij'), $1, 'many', 'shared', 'CREATING'
       from generate_series(1, 450) as number`,
      [organizationId],
    );
    const feed = configSnapshots.changes("gateway", cursor);
    const refs = new Set<string>();
    while (refs.size < 450) for (const [ref] of seen(await next(feed))) refs.add(ref);
    expect(refs.size).toBe(450);
    await feed.return?.();
  });

  test("loses no change when many transactions commit at once", async () => {
    const projects = await Promise.all(Array.from({ length: 10 }, () => insertTestProject(db.database, vault)));
    const feed = configSnapshots.changes("gateway", null);
    let { cursor } = await next(feed);
    await Promise.all(Array.from({ length: 100 }, (_, count) => touch(projects[count % 10]?.ref ?? "")));
    const rows = await db.database.query<{ ref: string; version: number }>(
      "select ref, config_version as version from projects where ref = any ($1) order by config_version",
      [projects.map(({ ref }) => ref)],
    );
    const newest = rows.at(-1)?.version ?? 0;
    const versions = new Map<string, number>();
    while (cursor < newest) {
      const changes = await next(feed);
      expect(changes.cursor).toBeGreaterThan(cursor);
      cursor = changes.cursor;
      for (const [ref, version] of seen(changes)) versions.set(ref, version);
    }
    expect(versions).toEqual(new Map(rows.map(({ ref, version }) => [ref, version])));
    await feed.return?.();
  });

  test("tells readers that are up to date the same, and a slow one later", async () => {
    const { ref } = await insertTestProject(db.database, vault);
    const open = () => configSnapshots.changes("gateway", null);
    const [fast, other, slow] = [open(), open(), open()];
    await Promise.all([fast, other, slow].map(next));
    for (let round = 0; round < 20; round++) {
      const both = Promise.all([next(fast), next(other)]);
      await touch(ref);
      const [one, two] = await both;
      expect(seen(one)).toEqual(seen(two));
    }
    expect(seen(await next(slow))).toEqual([[ref, (await snapshotOf("gateway", ref)).version]]); // once, the newest
    for (const feed of [fast, other, slow]) await feed.return?.();
  });

  test("tells a reader from the future to read everything again", async () => {
    const feed = configSnapshots.changes("gateway", 9_000_000_000);
    const first = await next(feed);
    expect(first).toMatchObject({ snapshots: [], resync: true });
    expect(first.cursor).toBeLessThan(9_000_000_000);
    await feed.return?.();
  });

  test("ends while it waits, when its reader leaves or the instance closes", async () => {
    const feed = configSnapshots.changes("gateway", null);
    await next(feed);
    const waiting = feed.next();
    await feed.return?.();
    expect(await waiting).toMatchObject({ done: true });
  });

  test("hears of a cluster's move once for all its projects", async () => {
    const { ref } = await insertTestProject(db.database, vault);
    const feed = configSnapshots.changes("service", null);
    await feed.next();
    const [row] = await db.database.query<{ id: string }>("select cluster_id as id from projects where ref = $1", [
      ref,
    ]);
    const waiting = feed.next();
    await db.database.transaction((tx) => touchProjectsOfCluster(tx, row?.id ?? ""));
    const { value } = await waiting;
    expect(value?.snapshots.map(({ projectRef }: { projectRef: string }) => projectRef)).toContain(ref);
    await feed.return?.();
  });
});
