/** What a hostile user or tenant tries with names, headers, tokens and bytes of storage. Each wall a test. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createStorageWorld, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

let world: StorageWorld;
let alice: StorageProject;
let bob: StorageProject;

beforeAll(async () => {
  world = await createStorageWorld(inject("clusterUrl"));
  [alice, bob] = [await world.createProject(), await world.createProject()];
  for (const project of [alice, bob]) await project.client().storage.createBucket("shared-name", { public: true });
  await bob.client().storage.from("shared-name").upload("secret.txt", "bob's");
  await bob.client().storage.createBucket("private");
  await bob.client().storage.from("private").upload("secret.txt", "bob's");
});
afterAll(() => world.close());

const files = (project: StorageProject) => project.client().storage.from("shared-name");

describe("names", () => {
  test.each([
    "..",
    ".",
    "../x",
    "a/../../x",
    "a/./b",
    "a/..",
    "./a",
    "a\\b",
    "a\0b",
    "a%00b",
    "a\nb",
    "ａ",
    "a\u202eb",
    "a\u0000",
    "ä",
    "a|b",
    "a<b>",
    'a"b',
    "~",
    "x".repeat(1025),
  ])("%j is no key", async (name) => {
    const encoded = encodeURIComponent(name).replace(/\./g, "%2e");
    const response = await alice.request(`POST /object/shared-name/${encoded}`, { body: "x" });
    expect([400, 404]).toContain(response.status);
    const moved = await alice.request("POST /object/move", {
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ bucketId: "shared-name", sourceKey: "secret.txt", destinationKey: name }),
    });
    expect(moved.status).toBe(400);
  });

  test.each(["a/b", "..", " x", "x ", "", "x".repeat(101), "ä", "a\nb", "x--table-s3"])(
    "%j is no bucket",
    async (name) => {
      expect((await alice.client().storage.createBucket(name)).error).not.toBeNull();
      const other = await alice.request("POST /bucket", {
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: "fine", id: name === "" ? "a/b" : name }),
      });
      expect(other.status).toBe(400);
    },
  );

  test("a version that a tenant writes into his row leads nowhere but to his own bytes", async () => {
    mkdirSync(join(world.directory, "etc"), { recursive: true });
    writeFileSync(join(world.directory, "etc/passwd"), "root");
    const { rows } = await bob.db.query("select version from storage.objects where bucket_id = 'shared-name'");
    for (const version of [
      "../../etc/passwd",
      "/etc/passwd",
      `../${bob.ref}/${rows[0].version}`,
      rows[0].version,
      "1",
      "",
    ]) {
      await alice.db.query("delete from storage.objects where name = 'forged'").catch(() => {});
      await alice.db.query(
        `begin; set local storage.allow_delete_query = 'true'; delete from storage.objects where name = 'forged';
         insert into storage.objects (bucket_id, name, version, metadata) values ('shared-name', 'forged', '${version}', '{"size": 5}'); commit`,
      );
      const response = await alice.request("GET /object/public/shared-name/forged");
      expect([response.status, (await response.json()).message]).toEqual([400, "The resource was not found"]);
    }
  });

  test("a row that a tenant writes cannot put a header into an answer", async () => {
    for (const metadata of [
      { mimetype: "text/plain\r\nset-cookie: a=b" },
      { cacheControl: "x\r\n\r\n<script>" },
      { eTag: '"x"\n' },
      { xRobotsTag: "none\r\nlocation: //evil" },
    ]) {
      await files(alice).upload("headers", "x", { upsert: true });
      await alice.db.query("update storage.objects set metadata = metadata || $1::jsonb where name = 'headers'", [
        JSON.stringify(metadata),
      ]);
      const response = await alice.request("GET /object/public/shared-name/headers");
      expect([response.status, response.headers.get("set-cookie"), response.headers.get("location")]).toEqual([
        400,
        null,
        null,
      ]);
    }
  });
});

describe("answers", () => {
  test("?download cannot put a header into the answer", async () => {
    await files(alice).upload("d", "x");
    const response = await alice.request("GET /object/public/shared-name/d?download=a%0d%0aset-cookie:%20x=1%22;");
    expect(response.headers.get("set-cookie")).toBeNull();
    expect(response.headers.get("content-disposition")).toBe(
      "attachment; filename=a%0D%0Aset-cookie%3A%20x%3D1%22%3B; filename*=UTF-8''a%0D%0Aset-cookie%3A%20x%3D1%22%3B",
    );
  });

  test.each([
    ["text/html", "text/plain"],
    ["TEXT/HTML; charset=utf-8", "text/plain"],
    ["image/svg+xml", "image/svg+xml"],
    ["application/xhtml+xml", "application/xhtml+xml"],
    ["text/xml", "text/xml"],
  ])("%s is served as %s, and runs nothing", async (stored, served) => {
    await files(alice).upload("page", Buffer.from("<script>alert(1)</script>"), { contentType: stored, upsert: true });
    const response = await alice.request("GET /object/public/shared-name/page", { key: null });
    expect([response.headers.get("content-type"), response.headers.get("x-content-type-options")]).toEqual([
      served,
      "nosniff",
    ]);
    if (served !== "text/plain") expect(response.headers.get("content-security-policy")).toContain("sandbox");
  });
});

describe("tokens", () => {
  test("of one object, scope or project are good for no other", async () => {
    await files(alice).upload("one", "1");
    await files(alice).upload("two", "2");
    const token = (url: string | undefined) => new URL(url ?? "").searchParams.get("token") ?? "";
    const read = token((await files(alice).createSignedUrl("one", 60)).data?.signedUrl);
    const write = (await files(alice).createSignedUploadUrl("three")).data?.token ?? "";
    const bobs = token((await files(bob).createSignedUrl("secret.txt", 60)).data?.signedUrl);
    const status = async (project: StorageProject, path: string, init?: RequestInit) =>
      (await project.request(path, { key: null, ...init })).status;
    expect(await status(alice, `GET /object/sign/shared-name/one?token=${read}`)).toBe(200);
    expect(await status(alice, `GET /object/sign/shared-name/two?token=${read}`)).toBe(400);
    expect(await status(alice, `GET /object/sign/shared-name/three?token=${write}`)).toBe(400);
    expect(await status(alice, `PUT /object/upload/sign/shared-name/one?token=${read}`, { body: "x" })).toBe(400);
    expect(await status(alice, `PUT /object/upload/sign/shared-name/two?token=${write}`, { body: "x" })).toBe(400);
    expect(await status(alice, `GET /object/sign/shared-name/secret.txt?token=${bobs}`)).toBe(400);
    expect(await status(alice, `GET /bucket`, { headers: { authorization: `Bearer ${read}` } })).toBe(400);
    expect(await status(alice, `GET /bucket`, { headers: { authorization: `Bearer ${bob.serviceKey}` } })).toBe(400);
    expect(await status(alice, `GET /render/image/sign/shared-name/two?token=${read}`)).toBe(400);
  });

  test("carry no claim that the client has put into the request", async () => {
    const response = await alice.request("POST /object/sign/shared-name/one", {
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        expiresIn: 60,
        url: "shared-name/two",
        role: "service_role",
        scope: "upload",
        upsert: true,
        owner: "x",
      }),
    });
    const [, claims = ""] = (await response.json()).signedURL.split("token=")[1].split(".");
    expect(JSON.parse(Buffer.from(claims, "base64url").toString())).toEqual({
      ...{ url: "shared-name/one", scope: "download", iat: expect.any(Number), exp: expect.any(Number) },
    });
  });
});

describe("projects", () => {
  test("with buckets and objects of the same names see their own only, also from memory", async () => {
    await files(alice).upload("secret.txt", "alice's");
    for (let times = 0; times < 3; times += 1) {
      expect(await (await alice.request("GET /object/public/shared-name/secret.txt")).text()).toBe("alice's");
      expect(await (await bob.request("GET /object/public/shared-name/secret.txt")).text()).toBe("bob's");
    }
    expect((await alice.client().storage.getBucket("private")).error?.message).toBe("Bucket not found");
    expect((await alice.client().storage.from("private").download("secret.txt")).error).not.toBeNull();
    expect((await alice.client().storage.from("private").upload("x", "x")).error?.message).toBe("Bucket not found");
    const copied = await files(alice)
      .copy("../../x", "y")
      .catch((error) => ({ error }));
    expect(copied.error).not.toBeNull();
  });

  test("a resumable upload of one is nothing to another", async () => {
    const encode = (text: string) => Buffer.from(text).toString("base64");
    const headers = {
      ...{ "tus-resumable": "1.0.0", "upload-length": "5" },
      "upload-metadata": `bucketName ${encode("shared-name")},objectName ${encode("tus")}`,
    };
    const location = (await bob.request("POST /upload/resumable", { headers })).headers.get("location") ?? "";
    const id = location.slice(location.lastIndexOf("/"));
    const patch = { ...headers, "content-type": "application/offset+octet-stream", "upload-offset": "0" };
    expect((await alice.request(`PATCH /upload/resumable${id}`, { headers: patch, body: "hello" })).status).toBe(404);
    const forged = `/${Buffer.from("shared-name/tus/../../../etc/passwd").toString("base64url")}`;
    expect((await alice.request(`PATCH /upload/resumable${forged}`, { headers: patch, body: "hello" })).status).toBe(
      400,
    );
  });

  test("the erasure of one leaves the other's bytes", async () => {
    const gone = await world.createProject();
    await gone.client().storage.createBucket("b");
    await gone.client().storage.from("b").upload("a", "x");
    await world.service.projectDeleted(gone.ref);
    await world.service.projectDeleted(gone.ref);
    for await (const { version } of world.store.list(gone.ref)) throw new Error(`${version} is still there`);
    expect(await (await bob.request("GET /object/public/shared-name/secret.txt")).text()).toBe("bob's");
  });
});

describe("what could fill something", () => {
  test("uploads that stand still take no more than the project's share, and the neighbour is served", async () => {
    const { connect } = await import("node:net");
    const port = Number(new URL(world.gatewayUrl).port);
    const answers: string[] = [];
    const sockets = Array.from({ length: 260 }, () => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.on("data", (bytes) => answers.push(String(bytes)));
      socket.write(
        `POST /projects/${alice.ref}/storage/v1/object/shared-name/still-${Math.random()} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${alice.serviceKey}\r\ncontent-length: 20000000\r\n\r\n1`,
      );
      return socket;
    });
    await expect
      .poll(() => answers.filter((text) => text.startsWith("HTTP/1.1 429")).length, { timeout: 15_000 })
      .toBe(60);
    expect((await bob.request("POST /object/shared-name/mine", { body: "x" })).status).toBe(200);
    expect((await alice.request("GET /object/public/shared-name/secret.txt")).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await expect
      .poll(
        async () =>
          (await alice.request("POST /object/shared-name/again", { body: "x", headers: { "x-upsert": "true" } }))
            .status,
        { timeout: 15_000 },
      )
      .toBe(200);
  });

  test("resumable and multipart uploads that nobody goes on with are bounded", async () => {
    const fill = (table: string, columns: string, values: string) =>
      alice.db.query(`insert into ${table} (${columns}) select ${values} from generate_series(1, 1000) n`);
    await fill(
      "supalove.storage_uploads",
      "version, bucket_id, name, expires_at",
      "gen_random_uuid()::text, 'shared-name', 'x', now() + interval '1 day'",
    );
    const encode = (text: string) => Buffer.from(text).toString("base64");
    const response = await alice.request("POST /upload/resumable", {
      headers: {
        ...{ "tus-resumable": "1.0.0", "upload-length": "5" },
        "upload-metadata": `bucketName ${encode("shared-name")},objectName ${encode("tus")}`,
      },
    });
    expect(response.status).toBe(429);
    await alice.db.query("delete from supalove.storage_uploads");
  });

  test("bodies and lists of names have an end", async () => {
    const json = (body: unknown) => ({ headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    expect(
      (await alice.request("DELETE /object/shared-name", json({ prefixes: Array(10_001).fill("x") }))).status,
    ).toBe(400);
    expect(
      (await alice.request("POST /object/sign/shared-name", json({ expiresIn: 1, paths: Array(1_001).fill("x") })))
        .status,
    ).toBe(400);
    expect((await alice.request("POST /object/list/shared-name", json({ prefix: "x".repeat(1_100_000) }))).status).toBe(
      413,
    );
    const form = new FormData();
    for (let field = 0; field < 30; field += 1) form.append(`f${field}`, "x");
    form.append("", new Blob(["x"]));
    expect((await alice.request("POST /object/shared-name/form", { body: form })).status).toBe(400);
    const large = new FormData();
    large.append("metadata", JSON.stringify({ x: "y".repeat(1_100_000) }));
    large.append("", new Blob(["x"]));
    expect((await (await alice.request("POST /object/shared-name/form", { body: large })).json()).message).toBe(
      "The user_metadata exceeded the maximum allowed size",
    );
  });
});
