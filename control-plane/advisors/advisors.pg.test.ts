import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createRunningProject, type RunningProject } from "../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";

let plane: TestControlPlane;
let project: RunningProject;
beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  project = await createRunningProject(plane);
});
afterAll(async () => {
  await project.remove();
  await plane[Symbol.asyncDispose]();
});

interface Found {
  readonly key: string;
  readonly name: string;
  readonly object: string;
  readonly fix: string | null;
  readonly ignored: { readonly reason: string } | null;
}

async function advisories(): Promise<Found[]> {
  const { project: found } = await project.client.data(
    `{ project(ref: "${project.ref}") { advisories { key name object fix ignored { reason } } } }`,
  );
  return found.advisories;
}

const sql = (script: string) =>
  project.client.data("mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }", {
    input: { ref: project.ref, sql: script },
  });

test("a new project has no finding", async () => {
  expect(await advisories()).toEqual([]);
});

/** What brings a finding about, and what it is found at. */
const CASES: readonly (readonly [name: string, script: string, object: string])[] = [
  ["rls_disabled_in_public", "create table open_one (id int primary key)", "public.open_one"],
  [
    "policy_exists_rls_disabled",
    "create table shut (id int primary key); create policy mine on shut for select using (id = 1)",
    "public.shut",
  ],
  [
    "rls_enabled_no_policy",
    "create table silent (id int primary key); alter table silent enable row level security",
    "public.silent",
  ],
  [
    "rls_policy_always_true",
    "create table loose (id int primary key); alter table loose enable row level security; create policy all_write on loose for insert to anon with check (true)",
    "public.loose: all_write",
  ],
  [
    "rls_references_user_metadata",
    "create table vain (id int primary key); alter table vain enable row level security; create policy by_meta on vain for select using ((auth.jwt() -> 'user_metadata' ->> 'role') = 'admin')",
    "public.vain: by_meta",
  ],
  ["auth_users_exposed", "create view people as select id, email from auth.users", "public.people"],
  [
    "security_definer_view",
    "create table base (id int primary key); create view as_owner as select * from base",
    "public.as_owner",
  ],
  ["materialized_view_in_api", "create materialized view frozen as select 1 as one", "public.frozen"],
  [
    "function_search_path_mutable",
    "create function wander() returns int language sql as 'select 1'",
    "public.wander()",
  ],
  [
    "anon_security_definer_function_executable",
    "create function rise() returns int language sql security definer set search_path = '' as 'select 1'",
    "public.rise()",
  ],
  [
    "public_bucket_allows_listing",
    "insert into storage.buckets (id, name, public) values ('pics', 'pics', true); create policy list_pics on storage.objects for select using (bucket_id = 'pics')",
    "pics: list_pics",
  ],
  [
    "auth_rls_initplan",
    "create table each_row (id uuid primary key); alter table each_row enable row level security; create policy slow on each_row for select using (id = auth.uid()); create policy quick on each_row for update using (id = (select auth.uid()))",
    "public.each_row: slow",
  ],
  [
    "multiple_permissive_policies",
    "create table twice (id int primary key); alter table twice enable row level security; create policy a on twice for select using (id = 1); create policy b on twice for select using (id = 2)",
    "public.twice: SELECT for public",
  ],
  [
    "unindexed_foreign_keys",
    "create table parent (id int primary key); create table child (id int primary key, parent_id int references parent, good_id int references parent); create index on child (good_id)",
    "public.child: child_parent_id_fkey",
  ],
  ["no_primary_key", "create table keyless (id int)", "public.keyless"],
  [
    "duplicate_index",
    "create table doubled (id int primary key, a int); create index doubled_one on doubled (a); create index doubled_two on doubled (a)",
    "public.doubled_one and public.doubled_two",
  ],
];

test.each(CASES)("%s is found, and gone when it is mended", async (name, script, object) => {
  await sql(script);
  const found = (await advisories()).filter((advisory) => advisory.name === name);
  const [finding] = found.filter((advisory) => advisory.object === object);
  expect(finding, JSON.stringify(found)).toBeDefined();
  if (!finding?.fix) return;
  await sql(finding.fix);
  expect((await advisories()).map(({ key }) => key)).not.toContain(finding.key);
});

test("what is done right is not found", async () => {
  const keys = (await advisories()).map(({ key }) => key);
  expect(keys).not.toContain("auth_rls_initplan: public.each_row: quick");
  expect(keys).not.toContain("unindexed_foreign_keys: public.child: child_good_id_fkey");
});

test("names with anything in them stay names, also in the SQL that mends it", async () => {
  await sql(`create table "a""b; drop table x; --" (id int primary key)`);
  const finding = (await advisories()).find(({ object }) => object.includes("drop table x"));
  expect(finding?.fix).toBe('alter table public."a""b; drop table x; --" enable row level security;');
  await sql(finding?.fix ?? "");
});

test("one to live with is marked with its reason, and counts again without one", async () => {
  const [finding] = await advisories();
  const mark = (reason: string | null) =>
    project.client.data(
      "mutation ($ref: ID!, $key: ID!, $reason: String) { ignoreAdvisory(ref: $ref, key: $key, reason: $reason) }",
      {
        ref: project.ref,
        key: finding?.key,
        reason,
      },
    );
  const reasonOf = async () => (await advisories()).find(({ key }) => key === finding?.key)?.ignored?.reason;
  await mark("a demo");
  expect(await reasonOf()).toBe("a demo");
  await mark(null);
  expect(await reasonOf()).toBeUndefined();
});
