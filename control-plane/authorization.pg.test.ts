/**
 * Goes over every field of the schema as everybody: anonymous, a service, a stranger, each role, the instance owner.
 * The expected outcome is a row in a `*.authorization.ts` table beside the feature; a field without a row fails.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isObjectType } from "graphql";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { ensureServiceToken } from "./accounts/service-tokens.ts";
import { buildSchema } from "./schema.ts";
import {
  ACTORS,
  type Actor,
  type AuthorizationTable,
  expectedOutcome,
  type Outcome,
  type ReachedBy,
  type Row,
  type World,
} from "./testing/authorization.ts";
import { createWorldMaker, type WorldMaker } from "./testing/authorization-world.ts";
import { createTestControlPlane, type TestControlPlane } from "./testing/test-control-plane.ts";

/** Types whose every field has a row of its own. */
const GUARDED_TYPES = ["Query", "Mutation", "Subscription", "Project", "Organization"];

const features = await readFeatures();
const table: AuthorizationTable = Object.assign({}, ...features.map(({ authorization }) => authorization));
/** All other object types. Relay's PageInfo belongs to no feature. */
const reachedBy: ReachedBy = Object.assign(
  { PageInfo: "Query.projects" },
  ...features.map((feature) => feature.reachedBy ?? {}),
);

let plane: TestControlPlane;
let worlds: WorldMaker;
let serviceToken: string;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), {
    openSignUp: true,
    provisioning: { concurrency: 0 }, // operations are recorded and stay as they are
  });
  worlds = await createWorldMaker(plane);
  serviceToken = await ensureServiceToken(plane.database, "gateway", "authorization test");
});
afterAll(() => plane[Symbol.asyncDispose]());

describe("every field has its row", () => {
  const types = Object.values(buildSchema().getTypeMap()).filter(
    (type) => isObjectType(type) && !type.name.startsWith("__"),
  );

  test("in the tables", () => {
    const fields = types
      .filter(({ name }) => GUARDED_TYPES.includes(name))
      .flatMap((type) =>
        isObjectType(type) ? Object.keys(type.getFields()).map((field) => `${type.name}.${field}`) : [],
      );
    expect(Object.keys(table).sort()).toEqual(fields.sort());
  });

  test("in one table only", () => {
    const names = features.flatMap(({ authorization }) => Object.keys(authorization));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test("or its type hangs on a field that has one", () => {
    const others = types.map(({ name }) => name).filter((name) => !GUARDED_TYPES.includes(name));
    expect(Object.keys(reachedBy).sort()).toEqual(others.sort());
    expect(Object.values(reachedBy).filter((field) => !table[field])).toEqual([]);
  });
});

describe.each(Object.entries(table))("%s", (_field, row) => {
  test(`is for ${describeRule(row)}`, async () => {
    const denied = await worlds.make();
    const outcomes: Partial<Record<Actor, Outcome>> = {};
    const expected = Object.fromEntries(ACTORS.map((actor) => [actor, expectedOutcome(row.rule, actor)]));
    for (const actor of ACTORS) {
      // Whoever is allowed may change the world: the next one gets a new one.
      const world = expected[actor] === "allowed" ? await worlds.make() : denied;
      outcomes[actor] = await ask(row, world, actor);
    }
    expect(outcomes).toEqual(expected);
  });

  test.runIf(needsSession(row))("is refused to access tokens", async () => {
    const world = await worlds.make();
    const document = await row.document(world, "instance-owner");
    expect(await outcomeOf(document, world.accounts["instance-owner"].token)).toBe("FORBIDDEN");
  });
});

async function ask(row: Row, world: World, actor: Actor): Promise<Outcome> {
  const document = await row.document(world, actor);
  if (actor === "anonymous") return outcomeOf(document);
  if (actor === "service") return outcomeOf(document, serviceToken);
  const { session, token } = world.accounts[actor];
  return outcomeOf(document, needsSession(row) ? session : token);
}

function needsSession({ rule }: Row): boolean {
  return "session" in rule && rule.session === true;
}

async function outcomeOf(document: string, credential?: string | Readonly<Record<string, string>>): Promise<Outcome> {
  const client = plane.client(credential);
  const code = document.startsWith("subscription")
    ? await firstCode(client.subscribe(document))
    : await client.code(document);
  if (code === "unknown" || code === "INTERNAL")
    throw new Error(`the row's document is not right: ${code} for ${document}`);
  return code === "UNAUTHENTICATED" || code === "FORBIDDEN" || code === "NOT_FOUND" ? code : "allowed";
}

async function firstCode(results: ReturnType<ReturnType<TestControlPlane["client"]>["subscribe"]>) {
  for await (const { errors } of results) return errors[0] ? (errors[0].extensions?.code ?? "unknown") : null;
  return null;
}

function describeRule({ rule }: Row): string {
  return rule.who === "members" ? `members from ${rule.least} up` : rule.who;
}

interface Feature {
  readonly authorization: AuthorizationTable;
  readonly reachedBy?: ReachedBy;
}

async function readFeatures(): Promise<Feature[]> {
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" });
  const names = files.filter((file) => file.endsWith(".authorization.ts"));
  return Promise.all(names.map((name) => import(join(import.meta.dirname, name)) as Promise<Feature>));
}
