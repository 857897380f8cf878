import { beforeEach, describe, expect, test } from "vitest";
import type { Channel } from "../channel.ts";
import type { RealtimeProject } from "../project.ts";
import { Catalogue, type Column, type Table } from "./catalogue.ts";
import { Subscriptions } from "./subscriptions.ts";

const COLUMN: Column = {
  name: "id",
  number: 1,
  typeName: "int4",
  baseTypeName: "int4",
  sqlType: "integer",
  collation: null,
  isGenerated: false,
  conversion: { kind: "string" },
};

function tableAt(oid: number): Table {
  return {
    oid,
    schema: "public",
    name: `table_${oid}`,
    sqlName: `public.table_${oid}`,
    hasRowSecurity: false,
    columns: [COLUMN],
    columnsByName: new Map([["id", COLUMN]]),
    primaryKey: [COLUMN],
  };
}

const catalogueOf = (count: number) =>
  new Catalogue(
    `${count}`,
    Array.from({ length: count }, (_, index) => tableAt(index + 1)),
  );

/** A database in which every role exists. */
const project = {
  ref: "abcdefghijklmnopqrst",
  database: () => ({
    pipeline: async (statements: readonly { text: string }[]) =>
      statements.map(({ text }) => ({ rows: text.includes("readRoles") ? [["anon", "f"]] : [] })),
  }),
} as unknown as RealtimeProject;

interface ToldChannel extends Channel {
  readonly told: string[];
}

function channel(): ToldChannel {
  const told: string[] = [];
  const system = (_extension: string, status: string, message: string) => told.push(`${status}: ${message}`);
  return { token: { role: "anon" }, isClosed: false, told, system } as unknown as ToldChannel;
}

let subscriptions: Subscriptions;
beforeEach(() => {
  subscriptions = new Subscriptions(project);
});

function add(binding: object, count = 1): ToldChannel {
  const subscriber = channel();
  const bindings = Array.from({ length: count }, () => ({ event: "*", schema: "public", ...binding }));
  subscriptions.add(subscriber, bindings, [...bindings.keys()]);
  return subscriber;
}

async function judgeAll(): Promise<void> {
  const { waiting } = subscriptions;
  await subscriptions.loadRoles(waiting);
  await subscriptions.judge(waiting, () => true);
}

/** How often others have had a turn of the loop until the work was done. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns += 1;
    if (!isOver) setTimeout(count, 0);
  };
  setTimeout(count, 0);
  await work();
  isOver = true;
  return turns;
}

describe("a binding for all tables", () => {
  test("is kept once however many tables there are, and gets the changes of each", async () => {
    await subscriptions.takeOver(catalogueOf(5_000));
    for (let index = 0; index < 50; index += 1) add({}, 100);
    await judgeAll();
    expect(subscriptions.index.ofSchema("public").size).toBe(5_000);
    expect(subscriptions.index.ofTable(tableAt(7)).size).toBe(0);
    const candidates = await subscriptions.index.match(tableAt(4_999), "INSERT", () => "1");
    expect(candidates).toHaveLength(5_000);
  });

  test("with a filter stands at each table, up to a bound for the project", async () => {
    await subscriptions.takeOver(catalogueOf(5_000));
    const first = add({ filter: "id=eq.1" }, 20);
    const second = add({ filter: "id=eq.1" }, 30);
    await judgeAll();
    expect(first.told).toEqual(["ok: Subscribed to PostgreSQL"]);
    expect(second.told).toEqual(["error: Too many subscriptions to database changes of this project"]);
    expect(await subscriptions.index.match(tableAt(1), "INSERT", () => "1")).toHaveLength(20);
  });
});

test("a new catalogue is taken over in slices: others are served meanwhile, and everybody is subscribed again", async () => {
  await subscriptions.takeOver(catalogueOf(2_000));
  const channels = Array.from({ length: 500 }, (_, index) =>
    add({ table: `table_${index + 1}`, filter: "id=gt.3" }, 100),
  );
  await judgeAll();
  const turns = await turnsDuring(() => subscriptions.takeOver(catalogueOf(2_000)));
  expect(turns).toBeGreaterThanOrEqual(3);
  expect(channels.every(({ told }) => told.length === 2)).toBe(true);
  expect(subscriptions.index.ofTable(tableAt(500)).size).toBe(100);
});

test("a change for a hundred thousand bindings is matched in slices", async () => {
  await subscriptions.takeOver(catalogueOf(1));
  for (let index = 0; index < 1_000; index += 1) add({ table: "table_1", filter: "id=gt.3" }, 100);
  await judgeAll();
  let found: readonly unknown[] = [];
  const turns = await turnsDuring(async () => {
    found = await subscriptions.index.match(tableAt(1), "INSERT", () => "4");
  });
  expect(found).toHaveLength(100_000);
  expect(turns).toBeGreaterThanOrEqual(2);
});

test("who was judged by a catalogue that has been replaced meanwhile is judged again", async () => {
  await subscriptions.takeOver(catalogueOf(1));
  const subscriber = add({ table: "table_1", filter: "id=eq.1" });
  const { waiting } = subscriptions;
  await subscriptions.loadRoles(waiting);
  const judging = subscriptions.judge(waiting, () => true);
  await Promise.all([judging, subscriptions.takeOver(catalogueOf(2))]);
  await judgeAll();
  expect(subscriber.told.at(-1)).toBe("ok: Subscribed to PostgreSQL");
  expect(subscriptions.index.ofTable(tableAt(1)).size).toBe(1);
});

test("a channel that leaves takes its bindings along", async () => {
  await subscriptions.takeOver(catalogueOf(3));
  const leaving = add({}, 3);
  add({ table: "table_2" });
  await judgeAll();
  subscriptions.remove(leaving);
  expect(subscriptions.index.hasListeners(tableAt(1))).toBe(false);
  expect(subscriptions.index.hasListeners(tableAt(2))).toBe(true);
});
