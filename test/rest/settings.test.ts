/** A project's REST settings from the mutation to the answer: through the control plane and the gateway of a real stack. */
import { createHmac } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { GraphqlClient } from "../../control-plane/testing/graphql-client.ts";
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
  create schema reports;
  create table notes (id int primary key, body text);
  insert into notes values (1, 'one'), (2, 'two'), (3, 'three');
  create table reports.totals (id int primary key);
  insert into reports.totals values (7);
  grant usage on schema reports to anon, authenticated, service_role;
  grant select on reports.totals to anon, authenticated, service_role;
  create function reports.hidden() returns text immutable language sql as $$ select 'found' $$;
  grant execute on function reports.hidden to anon;
  create function find_hidden() returns text stable language plpgsql as $$ begin return hidden(); end $$;
  create function gate() returns void language plpgsql as $$ begin
    perform set_config('response.headers', '[{"X-Gate": "passed"}]', true);
    if current_setting('request.headers')::json ->> 'x-banned' is not null then
      raise sqlstate 'PT451' using message = 'banned';
    end if;
  end $$;
`;
const UPDATE =
  "mutation ($ref: ID!, $settings: RestSettingsInput!) { updateRestSettings(ref: $ref, settings: $settings) { ref } }";

const dataDir = temporaryDataDir();
let stack: Stack;
let project: CreatedProject;
let owner: GraphqlClient;
let controlPlaneUrl: string;

beforeAll(async () => {
  stack = await startStack(dataDir);
  const token = /sbp_[0-9a-f]{40}/.exec(stack.output())?.[0] ?? "";
  ({ controlPlaneUrl } = JSON.parse((await supalove(dataDir, ["status", "--json"])).stdout));
  owner = new GraphqlClient(controlPlaneUrl, token);
  project = await createProject(dataDir, "settings");
  const database = new pg.Client({ connectionString: project.databaseUrl });
  await database.connect();
  await database.query(SCHEMA);
  await database.end();
  await vi.waitFor(async () => expect((await ask("/notes?select=id")).status).toBe(200), 10_000);
});
afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
});

const ask = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${project.url}/rest/v1${path}`, { headers: { apikey: project.anonKey, ...headers } });
const update = (settings: object) => owner.data(UPDATE, { ref: project.ref, settings });

interface Seen {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON came back
  readonly body: any;
}

async function see(path: string, headers: Record<string, string> = {}): Promise<Seen> {
  const response = await ask(path, headers);
  const text = await response.text();
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: text === "" ? null : JSON.parse(text),
  };
}

function tokenFor(audience: string): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256" })}.${encode({ role: "authenticated", aud: audience })}`;
  return `Bearer ${signed}.${createHmac("sha256", project.jwtSecret).update(signed).digest("base64url")}`;
}

describe("the next requests obey a changed setting, without a restart, and again when it is taken back", () => {
  const REPORTS = { "accept-profile": "reports" };
  test.each<[string, object, object, string, Record<string, string>, object, object]>([
    [
      "exposed schemas",
      { schemas: ["public", "reports"] },
      { schemas: ["public"] },
      "/totals",
      REPORTS,
      { status: 200, body: [{ id: 7 }], headers: { "content-profile": "reports" } },
      { status: 406, body: { code: "PGRST106", hint: "Only the following schemas are exposed: public" } },
    ],
    [
      "extra search path",
      { extraSearchPath: ["public", "reports"] },
      { extraSearchPath: ["public"] },
      "/rpc/find_hidden",
      {},
      { status: 200, body: "found" },
      { status: 404, body: { code: "42883" } },
    ],
    [
      "most rows",
      { maxRows: 2 },
      { maxRows: null },
      "/notes?select=id&order=id",
      {},
      { status: 200, body: [{ id: 1 }, { id: 2 }] },
      { status: 200, body: [{ id: 1 }, { id: 2 }, { id: 3 }] },
    ],
    [
      "aggregates",
      { aggregatesEnabled: true },
      { aggregatesEnabled: false },
      "/notes?select=count()",
      {},
      { status: 200, body: [{ count: 3 }] },
      { status: 400, body: { code: "PGRST123" } },
    ],
    [
      "function before each request",
      { preRequest: "public.gate" },
      { preRequest: null },
      "/notes?select=id&id=eq.1",
      { "x-banned": "1" },
      { status: 451, body: { message: "banned" } },
      { status: 200, body: [{ id: 1 }] },
    ],
    [
      "OpenAPI mode",
      { openApiMode: "DISABLED" },
      { openApiMode: "FOLLOW_PRIVILEGES" },
      "/",
      {},
      { status: 404, body: { code: "PGRST126" } },
      { status: 200, body: { swagger: "2.0" } },
    ],
  ])("%s", async (_, settings, back, path, headers, then, later) => {
    // The root is for the service role alone, as everywhere.
    const key: Record<string, string> = path === "/" ? { apikey: project.serviceRoleKey } : {};
    const seen = () => see(path, { ...headers, ...key });
    await update(settings);
    await expect.poll(seen).toMatchObject(then);
    await update(back);
    await expect.poll(seen).toMatchObject(later);
  });

  test("audience of tokens", async () => {
    const statuses = () =>
      Promise.all(["app", "other"].map(async (aud) => (await see("/notes", { authorization: tokenFor(aud) })).status));
    expect(await statuses()).toEqual([200, 200]);
    await update({ jwtAudience: "app" });
    await expect.poll(statuses).toEqual([200, 401]);
    expect(await see("/notes", { authorization: tokenFor("other") })).toMatchObject({
      body: { code: "PGRST303", message: "JWT not in audience" },
    });
    await update({ jwtAudience: null });
    await expect.poll(statuses).toEqual([200, 200]);
  });
});

describe("an invalid value", () => {
  test.each<[object, string, string]>([
    [{ schemas: ["pg_catalog"] }, "settings.schemas.0", "db-schemas does not allow schema: 'pg_catalog'"],
    [{ schemas: [] }, "settings.schemas", "must have at least 1 entry"],
    [{ maxRows: -1 }, "settings.maxRows", "must be at least 0"],
    [
      { preRequest: "gate(); drop table notes" },
      "settings.preRequest",
      "must be a function's name, with its schema or without: schema.name",
    ],
    [{ jwtRoleClaimKey: "role" }, "settings.jwtRoleClaimKey", "must be a JSON path such as $.role"],
  ])("%j is refused by name, and changes nothing beside it either", async (settings, field, message) => {
    const { errors } = await owner.request(UPDATE, {
      ref: project.ref,
      settings: { ...settings, aggregatesEnabled: true },
    });
    expect(errors[0]).toMatchObject({ message, extensions: { code: "INVALID_INPUT", field } });
    expect(await restSettings()).toMatchObject({ aggregatesEnabled: false });
    expect((await see("/notes?select=count()")).status).toBe(400);
  });

  async function restSettings() {
    const query = "query ($ref: ID!) { project(ref: $ref) { restSettings { aggregatesEnabled } } }";
    return (await owner.data(query, { ref: project.ref })).project.restSettings;
  }
});

test("the audit log has who changed what", async () => {
  await update({ maxRows: 9, openApiMode: "IGNORE_PRIVILEGES" });
  const { project: seen } = await owner.data(
    "query ($ref: ID!) { project(ref: $ref) { auditLog(first: 1) { edges { node { action actor details } } } } }",
    { ref: project.ref },
  );
  expect(seen.auditLog.edges[0].node).toMatchObject({
    action: "settings.update",
    actor: expect.stringContaining("@"),
    details: { group: "rest", settings: { maxRows: 9, openApiMode: "ignore-privileges" } },
  });
});

test("a viewer may neither change nor see them", async () => {
  const { project: seen } = await owner.data("query ($ref: ID!) { project(ref: $ref) { organization { id } } }", {
    ref: project.ref,
  });
  const invited = await owner.data(
    `mutation ($id: ID!) { addMember(organizationId: $id, email: "vi@viewers.example", role: VIEWER) { invitationToken } }`,
    { id: seen.organization.id },
  );
  const signedUp = await new GraphqlClient(controlPlaneUrl).request(
    "mutation ($input: SignUpInput!) { signUp(input: $input) { email } }",
    {
      input: {
        email: "vi@viewers.example",
        password: "correct horse battery",
        invitationToken: invited.addMember.invitationToken,
      },
    },
  );
  const cookie = signedUp.headers
    .getSetCookie()
    .map((text) => text.split(";")[0])
    .join("; ");
  const viewer = new GraphqlClient(controlPlaneUrl, { cookie, "x-supalove-client": "test" });
  const { ref } = project;
  expect(await viewer.data("query ($ref: ID!) { project(ref: $ref) { ref } }", { ref })).toEqual({ project: { ref } });
  expect(await viewer.code(UPDATE, { ref, settings: { maxRows: 1 } })).toBe("FORBIDDEN");
  expect(await viewer.code("query ($ref: ID!) { project(ref: $ref) { restSettings { maxRows } } }", { ref })).toBe(
    "FORBIDDEN",
  );
});
