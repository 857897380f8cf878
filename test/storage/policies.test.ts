/** Who may what: row-level security on buckets and objects, ownership, and what policies see of a request. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { createStorageWorld, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

const USER = "317eadce-631a-4429-a0bb-f19a7a517b4a";
let world: StorageWorld;
let project: StorageProject;
let bucket: string;
let userToken: string;

beforeAll(async () => {
  world = await createStorageWorld(inject("clusterUrl"));
  project = await world.createProject();
  userToken = project.token({ role: "authenticated", sub: USER });
});
afterAll(() => world.close());

const service = () => project.client().storage.from(bucket);
const user = () => project.client(userToken).storage.from(bucket);
const RLS = { status: 400, statusCode: "403", message: "new row violates row-level security policy" };

beforeEach(async () => {
  bucket = `p-${randomBytes(6).toString("hex")}`;
  await project.client().storage.createBucket(bucket);
  const { rows } = await project.db.query("select policyname, tablename from pg_policies where schemaname = 'storage'");
  for (const { policyname, tablename } of rows)
    await project.db.query(`drop policy "${policyname}" on storage.${tablename}`);
});

const policy = (kind: string, check: string, table = "objects") =>
  project.db.query(
    `create policy "${kind} ${randomBytes(4).toString("hex")}" on storage.${table} for ${kind} to authenticated
     ${kind === "insert" ? `with check (${check})` : kind === "update" ? `using (${check}) with check (${check})` : `using (${check})`}`,
  );

describe("without a policy", () => {
  test("a user reads, lists, writes, changes and deletes nothing", async () => {
    await service().upload("a", "x");
    expect((await user().download("a")).error).not.toBeNull();
    expect((await user().list()).data).toEqual([]);
    expect((await user().upload("b", "x")).error).toMatchObject(RLS);
    expect((await user().update("a", "y")).error).toMatchObject(RLS);
    expect((await user().move("a", "c")).error?.message).toBe("Object not found");
    expect((await user().copy("a", "c")).error?.message).toBe("Object not found");
    expect((await user().remove(["a"])).data).toEqual([]);
    expect((await user().createSignedUrl("a", 60)).error?.message).toBe("Object not found");
    expect((await user().createSignedUploadUrl("b")).error).toMatchObject(RLS);
    const response = await project.request(`DELETE /object/${bucket}/a`, { key: userToken });
    expect((await response.json()).message).toBe("Access denied");
    const { storage } = project.client(userToken);
    expect((await storage.listBuckets()).data).toEqual([]);
    expect((await storage.createBucket("mine")).error).toMatchObject(RLS);
    expect((await storage.updateBucket(bucket, { public: true })).error?.message).toBe("Bucket not found");
    expect((await storage.emptyBucket(bucket)).error).toMatchObject({
      status: 403,
      message: "Access denied: Invalid role",
    });
    expect(await (await service().download("a")).data?.text()).toBe("x");
  });

  test("a public bucket is read by everybody, and neither listed nor written", async () => {
    await project.client().storage.updateBucket(bucket, { public: true });
    await service().upload("a", "x");
    expect(await (await user().download("a")).data?.text()).toBe("x");
    expect((await user().list()).data).toEqual([]);
    expect((await user().upload("b", "x")).error).toMatchObject(RLS);
    expect((await user().createSignedUrl("a", 60)).error?.message).toBe("Object not found");
  });
});

describe("with a policy for", () => {
  test("inserting alone, a user creates and does not replace", async () => {
    await policy("insert", `bucket_id = '${bucket}'`);
    expect((await user().upload("a", "x")).error).toBeNull();
    expect((await user().upload("a", "y")).error).toMatchObject({ statusCode: "409" });
    expect((await user().upload("new", "y", { upsert: true })).error).toMatchObject(RLS);
    expect((await user().download("a")).error).not.toBeNull();
  });

  test("reading alone, a user reads, lists and signs", async () => {
    await policy("select", `bucket_id = '${bucket}' and name like 'open/%'`);
    await service().upload("open/a", "x");
    await service().upload("shut/a", "x");
    expect(await (await user().download("open/a")).data?.text()).toBe("x");
    expect((await user().download("shut/a")).error).not.toBeNull();
    expect((await user().list()).data?.map(({ name }) => name)).toEqual(["open"]);
    expect((await user().createSignedUrl("open/a", 60)).error).toBeNull();
    expect((await user().copy("open/a", "b")).error).toMatchObject(RLS);
    expect((await user().move("open/a", "b")).error?.message).toBe("Object not found");
    expect((await user().remove(["open/a"])).data).toEqual([]);
  });

  test("updating within a folder, a user moves there and not out of it", async () => {
    await policy("select", `bucket_id = '${bucket}'`);
    await policy("update", `bucket_id = '${bucket}' and name like 'mine/%'`);
    await service().upload("mine/a", "x");
    expect((await user().move("mine/a", "mine/b")).error).toBeNull();
    expect((await user().move("mine/b", "theirs/b")).error).toMatchObject(RLS);
    expect(await (await service().download("mine/b")).data?.text()).toBe("x");
  });

  test("deleting, a user deletes what he sees", async () => {
    await policy("select", `bucket_id = '${bucket}'`);
    await policy("delete", `bucket_id = '${bucket}' and name like 'mine/%'`);
    await service().upload("mine/a", "x");
    await service().upload("b", "x");
    expect((await user().remove(["mine/a", "b"])).data?.map(({ name }) => name)).toEqual(["mine/a"]);
  });

  test("an operation, a user does this one only", async () => {
    await policy("select", `storage.allow_only_operation('storage.object.list')`);
    await service().upload("a", "x");
    expect((await user().list()).data?.map(({ name }) => name)).toEqual(["a"]);
    expect((await user().download("a")).error).not.toBeNull();
  });

  test("metadata, type and length, each of them is seen before the bytes are taken", async () => {
    await policy(
      "insert",
      `bucket_id = '${bucket}' and metadata ->> 'mimetype' like 'image/%' and (metadata ->> 'contentLength')::int < 1000
       and user_metadata ->> 'approved' = 'yes'`,
    );
    const good = { contentType: "image/png", metadata: { approved: "yes" } };
    expect((await user().upload("a", Buffer.alloc(10), good)).error).toBeNull();
    expect((await user().upload("b", Buffer.alloc(10), { ...good, contentType: "text/plain" })).error).toMatchObject(
      RLS,
    );
    expect((await user().upload("c", Buffer.alloc(1000), good)).error).toMatchObject(RLS);
    expect((await user().upload("d", Buffer.alloc(10), { ...good, metadata: {} })).error).toMatchObject(RLS);
    const form = new FormData();
    form.append("metadata", JSON.stringify({ approved: "yes" }));
    form.append("", new Blob(["x"], { type: "image/png" }));
    expect((await user().upload("e", form)).error).toBeNull();
    const late = new FormData(); // the metadata comes behind the file
    late.append("", new Blob(["x"], { type: "image/png" }));
    late.append("metadata", JSON.stringify({ approved: "no" }));
    expect((await user().upload("f", late)).error).toMatchObject(RLS);
    const { rows } = await project.db.query("select name from storage.objects where bucket_id = $1 order by name", [
      bucket,
    ]);
    expect(rows.map(({ name }) => name)).toEqual(["a", "e"]);
  });
});

describe("an owner", () => {
  test("is the token's subject, and stays when the service key replaces the object", async () => {
    await policy("insert", "true");
    await policy("select", "owner_id = auth.uid()::text");
    await user().upload("a", "x");
    expect(await (await user().download("a")).data?.text()).toBe("x");
    const owner = async () => {
      const { rows } = await project.db.query("select owner, owner_id from storage.objects where bucket_id = $1", [
        bucket,
      ]);
      return rows[0];
    };
    expect(await owner()).toEqual({ owner: USER, owner_id: USER });
    await service().upload("a", "y", { upsert: true });
    expect(await owner()).toEqual({ owner: USER, owner_id: USER });
    const other = project.token({ role: "authenticated", sub: "d8c7bce9-cfeb-497b-bd61-e66ce2cbdaa2" });
    expect((await project.client(other).storage.from(bucket).download("a")).error).not.toBeNull();
  });

  test("whose subject is no UUID stands in owner_id alone, and auth.uid() on it is the client's error", async () => {
    await policy("insert", "true");
    const odd = project.token({ role: "authenticated", sub: "user|7" });
    expect((await project.client(odd).storage.from(bucket).upload("a", "x")).error).toBeNull();
    const { rows } = await project.db.query("select owner, owner_id from storage.objects where bucket_id = $1", [
      bucket,
    ]);
    expect(rows).toEqual([{ owner: null, owner_id: "user|7" }]);
    await policy("select", "owner = auth.uid()");
    expect((await project.client(odd).storage.from(bucket).list()).error).toMatchObject({ status: 400 });
  });
});

test("policies see the request: token, claims, headers, method and path", async () => {
  await project.db.query(`create table if not exists public.seen (value jsonb);
    grant all on public.seen to authenticated;
    create or replace function public.note() returns boolean language plpgsql as $$ begin
      insert into public.seen values (jsonb_build_object('claims', current_setting('request.jwt.claims')::jsonb,
        'headers', current_setting('request.headers')::jsonb, 'method', current_setting('request.method'),
        'path', current_setting('request.path'), 'operation', storage.operation(), 'role', current_user));
      return true; end $$`);
  await policy("select", "public.note()");
  await service().upload("dir/a", "x");
  await project.request(`GET /object/${bucket}/dir/a?x=1`, {
    key: userToken,
    headers: { "x-mine": "1", cookie: "secret=1" },
  });
  const { rows } = await project.db.query("select value from public.seen");
  expect(rows[0].value).toMatchObject({
    ...{ claims: { role: "authenticated", sub: USER }, headers: { "x-mine": "1" }, method: "GET" },
    ...{ path: `/object/${bucket}/dir/a?x=1`, operation: "storage.object.get_authenticated", role: "authenticated" },
  });
  expect(rows[0].value.headers.cookie).toBeUndefined();
});

test.each([
  ["expired", { role: "service_role", exp: 1 }, '"exp" claim timestamp check failed'],
  ["not yet valid", { role: "service_role", nbf: 9e9 }, '"nbf" claim timestamp check failed'],
  [
    "of an owner of the services",
    { role: "supabase_storage_admin" },
    'permission denied to set role "supabase_storage_admin"',
  ],
  ["of the superuser", { role: "supabase_admin" }, 'permission denied to set role "supabase_admin"'],
])("a token that is %s is refused", async (_what, claims, message) => {
  const response = await project.request("GET /bucket", { key: project.token(claims) });
  expect([response.status, await response.json()]).toEqual([
    400,
    { statusCode: "403", error: "Unauthorized", message, code: "AccessDenied" },
  ]);
});

test("a role that the database does not know is its error", async () => {
  const response = await project.request("GET /bucket", { key: project.token({ role: "nobody" }) });
  expect([response.status, (await response.json()).message]).toEqual([500, "database error, code: 22023"]);
});

test.each([
  ["POST /bucket", "{}", "body must have required property 'name'"],
  ["POST /bucket", "", "Body cannot be empty when content-type is set to 'application/json'"],
  ["POST /bucket", "{x", "Body is not valid JSON but content-type is set to 'application/json'"],
  [
    "POST /bucket",
    '{"name":"x","__proto__":{}}',
    "Body is not valid JSON but content-type is set to 'application/json'",
  ],
  ["POST /bucket", "[]", "body must be object"],
  ["POST /object/sign/b/a", "{}", "body must have required property 'expiresIn'"],
  ["POST /object/sign/b/a", '{"expiresIn":0}', "body/expiresIn must be >= 1"],
  ["POST /object/list/b", "{}", "body must have required property 'prefix'"],
  ["POST /object/list/b", '{"prefix":"","limit":"x"}', "body/limit must be integer"],
  ["DELETE /object/b", '{"prefixes":[]}', "body/prefixes must NOT have fewer than 1 items"],
])("%s with %j is told: %s", async (target, body, message) => {
  const response = await project.request(target, { body, headers: { "content-type": "application/json" } });
  expect([response.status, (await response.json()).message]).toEqual([400, message]);
});

test("unknown routes and methods are the original's 404", async () => {
  const response = await project.request("GET /object/nothing");
  expect([response.status, await response.json()]).toEqual([
    404,
    { statusCode: "404", error: "Not Found", message: "Route GET:/object/nothing not found", code: "InvalidRequest" },
  ]);
  expect((await (await project.request("GET /nowhere")).json()).statusCode).toBe(404);
  expect((await project.request("GET /object/b/%ff")).status).toBe(400);
});
