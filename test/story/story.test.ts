/** The main job of the product, end to end: `supalove start` in a process, projects by the command line, supabase-js as it is. */
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { findLocalInstance, findOwnerToken, type LocalInstance } from "../../compose/local-instance.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const SCHEMA = `
create table authors (id uuid primary key default auth.uid() references auth.users on delete cascade, name text not null);
create table notes (
  id bigint generated always as identity primary key,
  author_id uuid not null default auth.uid() references authors on delete cascade,
  slug text not null unique,
  body text not null
);
alter table authors enable row level security;
alter table notes enable row level security;
create policy own_author on authors for all to authenticated using (id = auth.uid()) with check (id = auth.uid());
create policy own_notes on notes for all to authenticated using (author_id = auth.uid()) with check (author_id = auth.uid());
create function note_count() returns bigint language sql stable as $$ select count(*) from notes $$;
`;

const PASSWORD = "correct horse battery staple";
const dataDir = temporaryDataDir();
let stack: Stack;
let blue: CreatedProject;
let red: CreatedProject;

function connect(project: CreatedProject, key: string = project.anonKey): SupabaseClient {
  return createClient(project.url, key, { auth: { persistSession: false, autoRefreshToken: false } });
}

async function runSql(project: CreatedProject, sql: string): Promise<void> {
  const result = await supalove(dataDir, ["project", "sql", project.ref, sql, "--json"]);
  if (result.code !== 0) throw new Error(result.stderr + result.stdout);
}

/** DDL reaches REST by a notification; a table is served a moment after it was made. */
async function untilServed(project: CreatedProject, table: string): Promise<void> {
  const service = connect(project, project.serviceRoleKey);
  await vi.waitFor(async () => expect((await service.from(table).select("*").limit(1)).error).toBeNull(), 5_000);
}

async function signedUp(project: CreatedProject, email: string): Promise<SupabaseClient> {
  const client = connect(project);
  const { data, error } = await client.auth.signUp({ email, password: PASSWORD });
  expect(error).toBeNull();
  expect(data.session?.access_token).toBeTypeOf("string");
  expect((await client.from("authors").insert({ name: email })).error).toBeNull();
  return client;
}

beforeAll(async () => {
  stack = await startStack(dataDir);
  [blue, red] = await Promise.all([createProject(dataDir, "blue"), createProject(dataDir, "red")]);
  for (const project of [blue, red]) {
    await runSql(project, SCHEMA);
    await untilServed(project, "notes");
  }
});

afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
});

describe("row-level security through supabase-js", () => {
  test("two users insert and read with embedding and cannot see each other's rows", async () => {
    const ada = await signedUp(blue, "ada@rows.example");
    const grace = await signedUp(blue, "grace@rows.example");
    const inserted = await ada
      .from("notes")
      .insert([
        { slug: "ada-1", body: "one" },
        { slug: "ada-2", body: "two" },
      ])
      .select("slug");
    expect(inserted.data).toEqual([{ slug: "ada-1" }, { slug: "ada-2" }]);
    expect((await grace.from("notes").insert({ slug: "grace-1", body: "hers" })).status).toBe(201);

    const adas = await ada.from("notes").select("slug, author:authors(name)").order("slug");
    expect(adas.data).toEqual([
      { slug: "ada-1", author: { name: "ada@rows.example" } },
      { slug: "ada-2", author: { name: "ada@rows.example" } },
    ]);
    expect((await grace.from("notes").select("slug")).data).toEqual([{ slug: "grace-1" }]);
    const stolen = await grace.from("notes").update({ body: "mine now" }).eq("slug", "ada-1").select();
    expect(stolen.data).toEqual([]);
  });

  test("anon sees nothing and may insert nothing, the service role sees everything", async () => {
    const ada = await signedUp(blue, "ada@roles.example");
    await ada.from("notes").insert({ slug: "roles-1", body: "one" });
    expect((await connect(blue).from("notes").select()).data).toEqual([]);
    const refused = await connect(blue).from("notes").insert({ slug: "anon", body: "x" });
    expect(refused.error?.code).toBe("42501");
    for (const key of [blue.serviceRoleKey, blue.secretKey]) {
      const { data } = await connect(blue, key).from("notes").select("slug").eq("slug", "roles-1");
      expect(data).toEqual([{ slug: "roles-1" }]);
    }
  });

  test("upsert, rpc, count and single answer as supabase-js expects", async () => {
    const ada = await signedUp(blue, "ada@verbs.example");
    await ada.from("notes").insert({ slug: "verbs-1", body: "one" });
    const upserted = await ada
      .from("notes")
      .upsert({ slug: "verbs-1", body: "again" }, { onConflict: "slug" })
      .select("body")
      .single();
    expect(upserted.data).toEqual({ body: "again" });
    expect((await ada.rpc("note_count")).data).toBe(1);
    const counted = await ada.from("notes").select("*", { count: "exact", head: true });
    expect(counted.count).toBe(1);
    const none = await ada.from("notes").select().eq("slug", "missing").single();
    expect(none.error?.code).toBe("PGRST116");
    expect((await ada.from("notes").select().eq("slug", "missing").maybeSingle()).data).toBeNull();
  });

  test("refresh rotates the token, sign-out ends the session", async () => {
    const ada = await signedUp(blue, "ada@session.example");
    const before = (await ada.auth.getSession()).data.session;
    const refreshed = await ada.auth.refreshSession();
    expect(refreshed.data.session?.refresh_token).not.toBe(before?.refresh_token);
    expect((await ada.auth.getUser()).data.user?.email).toBe("ada@session.example");
    const token = refreshed.data.session?.access_token ?? "";
    expect((await ada.auth.signOut()).error).toBeNull();
    const gone = await connect(blue).auth.getUser(token);
    expect(gone.error?.name).toBe("AuthSessionMissingError"); // what auth-js makes of session_not_found
    const again = await ada.auth.signInWithPassword({ email: "ada@session.example", password: PASSWORD });
    expect(again.error).toBeNull();
    const wrong = await ada.auth.signInWithPassword({ email: "ada@session.example", password: "wrong" });
    expect(wrong.error?.message).toBe("Invalid login credentials");
  });

  test("the service role lists the users, the anon key may not", async () => {
    await signedUp(blue, "ada@admin.example");
    const { data } = await connect(blue, blue.serviceRoleKey).auth.admin.listUsers({ perPage: 1000 });
    expect(data.users.map((user) => user.email)).toContain("ada@admin.example");
    expect((await connect(blue).auth.admin.listUsers()).error?.status).toBe(403);
  });
});

describe("between projects", () => {
  test("a key of one project is refused by the other, as apikey and as bearer", async () => {
    for (const key of [red.anonKey, red.serviceRoleKey, red.publishableKey, red.secretKey]) {
      const { status } = await connect(blue, key).from("notes").select();
      expect(status).toBe(401);
    }
    const asBearer = await fetch(`${blue.url}/rest/v1/notes`, {
      headers: { apikey: blue.anonKey, authorization: `Bearer ${red.serviceRoleKey}` },
    });
    expect(asBearer.status).toBe(401);
  });

  test("a user's token of one project is refused by the other", async () => {
    const ada = await signedUp(red, "ada@red.example");
    const token = (await ada.auth.getSession()).data.session?.access_token ?? "";
    const rest = await fetch(`${blue.url}/rest/v1/notes`, {
      headers: { apikey: blue.anonKey, authorization: `Bearer ${token}` },
    });
    expect(rest.status).toBe(401);
    expect((await connect(blue).auth.getUser(token)).error?.status).toBe(403);
  });

  test("the database login of a project is itself, in its own database, and nowhere else", async () => {
    const client = new pg.Client({ connectionString: blue.databaseUrl });
    await client.connect();
    const { rows } = await client.query("select current_database() as database, current_user as user");
    await client.end();
    expect(rows).toEqual([{ database: `project_${blue.ref}`, user: `project_${blue.ref}_user` }]);
    const intruder = new pg.Client({
      connectionString: blue.databaseUrl.replace(/project_[a-z]{20}$/, `project_${red.ref}`),
    });
    await expect(intruder.connect()).rejects.toThrow(/permission denied for database/);
  });
});

/** Requests of the last hours by service, as the control plane knows them. */
async function requestsOf(ownDataDir: string, ref: string): Promise<Record<string, number>> {
  const { controlPlaneUrl } = findLocalInstance(ownDataDir) as LocalInstance;
  const nowMs = Date.now();
  const [from, to] = [nowMs - 3_600_000, nowMs + 60_000].map((ms) => new Date(ms).toISOString());
  const response = await fetch(`${controlPlaneUrl}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${findOwnerToken(ownDataDir)}` },
    body: JSON.stringify({
      query: `{ project(ref: "${ref}") { metrics(names: [REQUESTS], from: "${from}", to: "${to}", stepSeconds: 3600) {
        series { service values } } } }`,
    }),
  });
  const { data } = (await response.json()) as {
    data: { project: { metrics: { series: { service: string; values: number[] }[] } } };
  };
  return Object.fromEntries(
    data.project.metrics.series.map(({ service, values }) => [service, values.reduce((sum, count) => sum + count, 0)]),
  );
}

test("after a restart everything is still there", async () => {
  const own = temporaryDataDir();
  try {
    const first = await startStack(own);
    const project = await createProject(own, "kept");
    expect(first.output()).toMatch(/owner@/);
    const sql = await supalove(own, ["project", "sql", project.ref, SCHEMA, "--json"]);
    expect(sql.code).toBe(0);
    await untilServed(project, "notes");
    const ada = await signedUp(project, "ada@kept.example");
    await ada.from("notes").insert({ slug: "kept", body: "still here" });
    expect(await first.stop()).toBe(0);

    const second = await startStack(own);
    expect(second.output()).not.toMatch(/Owner's password/);
    const shown = await supalove(own, ["project", "show", project.ref, "--json"]);
    const { url } = JSON.parse(shown.stdout) as { url: string };
    const later = connect({ ...project, url });
    expect((await later.auth.signInWithPassword({ email: "ada@kept.example", password: PASSWORD })).error).toBeNull();
    expect((await later.from("notes").select("body")).data).toEqual([{ body: "still here" }]);
    expect(await requestsOf(own, project.ref)).toMatchObject({ rest: expect.toSatisfy((count: number) => count >= 3) });
    expect(await second.stop()).toBe(0);
  } finally {
    removeDataDir(own);
  }
});
