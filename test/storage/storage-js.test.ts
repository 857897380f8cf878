/** The unmodified storage-js against the service behind the gateway: what its own live tests assert, and then some. */
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createStorageWorld, md5, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

let world: StorageWorld;
let project: StorageProject;

beforeAll(async () => {
  world = await createStorageWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world.close());

const unique = () => randomBytes(6).toString("hex");

async function newBucket(
  options: { public?: boolean; fileSizeLimit?: string | number; allowedMimeTypes?: string[] } = {},
) {
  const name = `bucket-${unique()}`;
  const { error } = await project.client().storage.createBucket(name, { public: false, ...options });
  expect(error).toBeNull();
  return { name, files: project.client().storage.from(name) };
}

describe("buckets", () => {
  test("are created, read, listed, changed and deleted", async () => {
    const { storage } = project.client();
    const name = `b-${unique()}`;
    expect(await storage.createBucket(name)).toEqual({ data: { name }, error: null });
    const { data } = await storage.getBucket(name);
    expect(data).toEqual({
      id: name,
      name,
      owner: "",
      public: false,
      file_size_limit: null,
      allowed_mime_types: null,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updated_at: expect.any(String),
    });
    await storage.updateBucket(name, { public: true, fileSizeLimit: "20mb", allowedMimeTypes: ["image/jpeg"] });
    await storage.updateBucket(name, { public: false });
    expect((await storage.getBucket(name)).data).toMatchObject({
      public: false,
      file_size_limit: 20_000_000,
      allowed_mime_types: ["image/jpeg"],
    });
    expect((await storage.listBuckets()).data?.find((bucket) => bucket.id === name)).toMatchObject({
      type: "STANDARD",
    });
    expect(await storage.deleteBucket(name)).toMatchObject({ data: { message: "Successfully deleted" } });
    expect((await storage.getBucket(name)).error?.message).toBe("Bucket not found");
  });

  test("are found by part of their name, sorted and paged", async () => {
    const mark = unique();
    for (const letter of ["b", "a", "c"]) await project.client().storage.createBucket(`${letter}-${mark}_x`);
    const list = async (query: string) => {
      const response = await project.request(`GET /bucket?${query}`);
      return (await response.json()).map(({ id }: { id: string }) => id);
    };
    expect(await list(`search=${mark.toUpperCase()}_&sortColumn=name`)).toEqual(
      ["a", "b", "c"].map((l) => `${l}-${mark}_x`),
    );
    expect(await list(`search=${mark}&sortColumn=name&sortOrder=desc&limit=1&offset=1`)).toEqual([`b-${mark}_x`]);
    expect((await project.request("GET /bucket?limit=0")).status).toBe(400);
  });

  test("that exist already, have a bad name or still hold something are refused in the original's words", async () => {
    const { name, files } = await newBucket();
    const { storage } = project.client();
    expect((await storage.createBucket(name)).error).toMatchObject({
      status: 400,
      statusCode: "409",
      message: "The resource already exists",
    });
    expect((await storage.createBucket("a/b")).error?.message).toBe("Bucket name invalid");
    await files.upload("a.txt", "x");
    expect((await storage.deleteBucket(name)).error?.message).toBe("The bucket you tried to delete is not empty");
    expect((await storage.emptyBucket(name)).data?.message).toBe(
      "Empty bucket has been queued. Completion may take up to an hour.",
    );
    expect((await storage.deleteBucket(name)).error).toBeNull();
  });

  test("without a token are refused as a token that is none", async () => {
    const response = await project.request("GET /bucket", { key: null });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      statusCode: "403",
      error: "Unauthorized",
      message: "Invalid Compact JWS",
      code: "AccessDenied",
    });
  });
});

describe("an upload", () => {
  const text = "hello storage";
  test.each([
    ["text", () => text],
    ["buffer", () => Buffer.from(text)],
    ["array buffer", () => new TextEncoder().encode(text).buffer as ArrayBuffer],
    ["blob", () => new Blob([text], { type: "text/plain" })],
    ["stream", () => Readable.from([Buffer.from(text)])],
    [
      "form",
      () => {
        const form = new FormData();
        form.append("", new Blob([text], { type: "text/plain" }));
        return form;
      },
    ],
  ])("of a %s reads back as it was", async (_kind, body) => {
    const { files, name } = await newBucket();
    const { data, error } = await files.upload("folder/file.txt", body() as string, { duplex: "half" } as object);
    expect(error).toBeNull();
    expect(data).toEqual({ id: expect.any(String), path: "folder/file.txt", fullPath: `${name}/folder/file.txt` });
    expect(await (await files.download("folder/file.txt")).data?.text()).toBe(text);
    const { data: info } = await files.info("folder/file.txt");
    expect(info).toMatchObject({ name: "folder/file.txt", size: text.length, etag: `"${md5(text)}"`, metadata: {} });
  });

  test("keeps type, cache control and metadata", async () => {
    const { files } = await newBucket();
    const options = { contentType: "text/x-mine", cacheControl: "77", metadata: { custom: "märchen", n: 3 } };
    await files.upload("raw", Buffer.from("x"), options);
    await files.upload("form", new Blob(["x"]), { ...options, contentType: "image/png" });
    for (const path of ["raw", "form"]) {
      expect((await files.info(path)).data).toMatchObject({
        metadata: { custom: "märchen", n: 3 },
        cacheControl: "max-age=77",
      });
    }
    expect((await files.info("raw")).data?.contentType).toBe("text/x-mine");
  });

  test("twice is a duplicate, unless it is meant to replace; the id stays", async () => {
    const { files } = await newBucket();
    const first = await files.upload("a", "1");
    expect((await files.upload("a", "2")).error).toMatchObject({
      status: 400,
      statusCode: "409",
      message: "The resource already exists",
    });
    const second = await files.upload("a", "3", { upsert: true });
    expect(second.data?.id).toBe(first.data?.id);
    await files.update("a", "4");
    expect(await (await files.download("a")).data?.text()).toBe("4");
    expect((await files.update("new", "5")).error).toBeNull();
  });

  test("into a bucket that is not there, of a wrong type, too large or under a bad name is refused", async () => {
    const { files } = await newBucket({ fileSizeLimit: "1kb", allowedMimeTypes: ["image/png", "text/*"] });
    expect((await project.client().storage.from("nowhere").upload("a", "x")).error?.message).toBe("Bucket not found");
    expect((await files.upload("a", Buffer.from("x"), { contentType: "image/jpeg" })).error).toMatchObject({
      statusCode: "415",
      message: "mime type image/jpeg is not supported",
    });
    const large = { status: 400, statusCode: "413", message: "The object exceeded the maximum allowed size" };
    expect((await files.upload("a", Buffer.alloc(1001), { contentType: "image/png" })).error).toMatchObject(large);
    expect((await files.upload("a", new Blob([Buffer.alloc(1001)], { type: "text/plain" }))).error).toMatchObject(
      large,
    );
    const stream = Readable.from([Buffer.alloc(600), Buffer.alloc(600)]);
    expect(
      (await files.upload("a", stream as never, { contentType: "text/plain", duplex: "half" } as object)).error,
    ).toMatchObject(large);
    expect((await files.upload("ü", "x")).error).toMatchObject({ statusCode: "400", message: "Invalid key: ü" });
    expect((await files.list()).data).toEqual([]);
  });

  test("of nothing is an empty object", async () => {
    const { files } = await newBucket();
    await files.upload("empty", Buffer.alloc(0));
    expect((await files.download("empty")).data?.size).toBe(0);
    expect((await files.info("empty")).data).toMatchObject({ size: 0, etag: `"${md5("")}"` });
  });

  test("of many megabytes reads back by its hash", async () => {
    const { files } = await newBucket();
    const bytes = randomBytes(20_000_000);
    await files.upload("large", bytes);
    const { data } = await files.download("large");
    expect(md5(Buffer.from((await data?.arrayBuffer()) as ArrayBuffer))).toBe(md5(bytes));
  });
});

describe("a download", () => {
  test("of what is not there tells so in the original's words", async () => {
    const { files, name } = await newBucket();
    const response = await project.request(`GET /object/${name}/nothing`);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      statusCode: "404",
      error: "not_found",
      message: "Object not found",
      code: "NoSuchKey",
    });
    expect(await files.exists("nothing")).toMatchObject({ data: false });
    await files.upload("there", "x");
    expect(await files.exists("there")).toMatchObject({ data: true });
  });

  test("honours ranges and conditions", async () => {
    const { name, files } = await newBucket();
    await files.upload("a", "0123456789", { contentType: "text/plain" });
    const get = (headers: Record<string, string>) => project.request(`GET /object/${name}/a`, { headers });
    const part = await get({ range: "bytes=2-4" });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 2-4/10", "234"]);
    expect(await (await get({ range: "bytes=-3" })).text()).toBe("789");
    expect(await (await get({ range: "bytes=8-99" })).text()).toBe("89");
    const beyond = await get({ range: "bytes=10-" });
    expect([beyond.status, beyond.headers.get("content-range"), (await beyond.json()).code]).toEqual([
      416,
      "bytes */10",
      "InvalidRange",
    ]);
    const whole = await get({});
    const etag = whole.headers.get("etag") ?? "";
    expect(etag).toBe(`"${md5("0123456789")}"`);
    for (const value of [etag, `"x", ${etag}`, `W/${etag}`, "*"]) {
      const unchanged = await get({ "if-none-match": value });
      expect([unchanged.status, unchanged.headers.get("etag")]).toEqual([304, etag]);
    }
    const changed = await get({ "if-none-match": '"other"' });
    expect([changed.status, changed.headers.get("cache-control")]).toEqual([
      200,
      "max-age=3600, stale-while-revalidate=30",
    ]);
    expect((await get({ "if-modified-since": whole.headers.get("last-modified") ?? "" })).status).toBe(304);
    expect((await get({ range: "bytes=0-1", "if-range": '"other"' })).status).toBe(200);
    expect((await get({ range: "bytes=0-1", "if-range": etag })).status).toBe(206);
  });

  test("of a public bucket needs no token, and is offered for saving when asked", async () => {
    const { name, files } = await newBucket({ public: true });
    await files.upload("dir/a b.txt", "hi");
    const url = files.getPublicUrl("dir/a b.txt", { download: "ö.txt" }).data.publicUrl;
    const response = await fetch(url);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-disposition")).toBe(
      "attachment; filename=%C3%B6.txt; filename*=UTF-8''%C3%B6.txt",
    );
    expect(await response.text()).toBe("hi");
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), head.headers.get("x-robots-tag")]).toEqual([
      200,
      "2",
      "none",
    ]);
    expect((await project.request(`GET /object/${name}/dir/a%20b.txt`, { key: null })).status).toBe(200);
    await project.client().storage.updateBucket(name, { public: false });
    expect((await (await fetch(url)).json()).message).toBe("Bucket not found");
  });

  test("keeps doubled slashes of a key, in both forms of the project's address", async () => {
    const { name } = await newBucket({ public: true });
    await project.request(`POST /object/${name}/a//b///c`, { body: "twice" });
    expect(await (await project.request(`GET /object/public/${name}/a//b///c`)).text()).toBe("twice");
    expect((await project.request(`GET /object/public/${name}/a/b/c`)).status).toBe(400);
    const port = new URL(world.gatewayUrl).port;
    const { request } = await import("node:http");
    const body = await new Promise<string>((resolve) => {
      const path = `/storage/v1/object/public/${name}/a//b///c`;
      request({ host: "127.0.0.1", port, path, headers: { host: `${project.ref}.localhost:${port}` } }, (response) => {
        let text = "";
        response.on("data", (chunk) => (text += chunk)).on("end", () => resolve(text));
      }).end();
    });
    expect(body).toBe("twice");
  });
});

describe("lists", () => {
  test("of version 1 show one level, with names relative to the prefix", async () => {
    const { files } = await newBucket();
    for (const path of ["a/1.txt", "a/b/2.txt", "top.txt", "A/3.txt"]) await files.upload(path, path);
    const names = async (prefix?: string, options?: object) =>
      (await files.list(prefix, options as never)).data?.map(({ name }) => name);
    expect(await names()).toEqual(["a", "top.txt"]); // folders that differ in case are one
    expect(await names("a", { sortBy: { column: "name", order: "desc" } })).toEqual(["b", "3.txt", "1.txt"]);
    const [entry] = (await files.list("", { search: "top" })).data ?? [];
    expect(entry).toMatchObject({ name: "top.txt", metadata: { size: 7, mimetype: "text/plain;charset=UTF-8" } });
    expect((await project.client().storage.from("nowhere").list()).data).toEqual([]);
  });

  test("of version 2 come in pages", async () => {
    const { files } = await newBucket();
    for (const n of [1, 2, 3, 4, 5]) await files.upload(`p/${n}.txt`, String(n));
    await files.upload("p", "file beside a folder of its name");
    for (const sortBy of [undefined, { column: "created_at", order: "desc" }]) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const { data } = await files.listV2({ limit: 2, cursor, sortBy } as never);
        seen.push(...(data?.objects.map(({ name }) => name) ?? []));
        cursor = data?.nextCursor;
        expect(data?.hasNext).toBe(cursor !== undefined);
      } while (cursor);
      const all = ["p", "p/1.txt", "p/2.txt", "p/3.txt", "p/4.txt", "p/5.txt"];
      expect(seen).toEqual(sortBy ? ["p", "p/5.txt", "p/4.txt", "p/3.txt", "p/2.txt", "p/1.txt"] : all);
    }
    const level = await files.listV2({ with_delimiter: true, limit: 1 } as never);
    expect(level.data).toMatchObject({ hasNext: true, folders: [], objects: [{ key: "p", name: "p" }] });
    const next = await files.listV2({ with_delimiter: true, cursor: level.data?.nextCursor } as never);
    expect(next.data).toMatchObject({ hasNext: false, folders: [{ key: "p", name: "p/" }], objects: [] });
  });
});

describe("moving, copying and removing", () => {
  test("within and between buckets", async () => {
    const { files, name } = await newBucket();
    const other = await newBucket();
    const { data } = await files.upload("a", "bytes", { metadata: { m: 1 } });
    expect((await files.move("a", "b/c")).data?.message).toBe("Successfully moved");
    expect((await files.info("b/c")).data).toMatchObject({ id: data?.id, metadata: { m: 1 } });
    expect((await files.copy("b/c", "copied")).data?.path).toBe(`${name}/copied`);
    expect((await files.copy("b/c", "copied")).error?.message).toBe("The resource already exists");
    expect((await files.move("b/c", "copied")).error?.message).toBe("The resource already exists");
    await files.move("copied", "there", { destinationBucket: other.name });
    expect(await (await other.files.download("there")).data?.text()).toBe("bytes");
    expect((await files.move("nothing", "x")).error?.message).toBe("Object not found");
    expect((await files.move("b/c", "")).error).not.toBeNull();
    expect((await files.copy("b/c", "x", { destinationBucket: "nowhere" })).error?.message).toBe(
      "The related resource does not exist",
    );
    const { data: removed } = await files.remove(["b/c", "nothing"]);
    expect(removed).toMatchObject([{ name: "b/c", id: data?.id, bucket_id: name }]);
    expect((await files.list()).data).toEqual([]);
  });

  test("of one object by its path", async () => {
    const { files, name } = await newBucket();
    await files.upload("x", "1");
    expect(await (await project.request(`DELETE /object/${name}/x`)).json()).toEqual({
      message: "Successfully deleted",
    });
    expect((await (await project.request(`DELETE /object/${name}/x`)).json()).code).toBe("NoSuchKey");
  });
});

describe("signed URLs", () => {
  test("read one object until they expire", async () => {
    const { files } = await newBucket();
    await files.upload("dir/a b+c.txt", "signed");
    const { data } = await files.createSignedUrl("dir/a b+c.txt", 60);
    const response = await fetch(data?.signedUrl ?? "");
    expect([response.status, await response.text()]).toEqual([200, "signed"]);
    expect(response.headers.get("expires")).toMatch(/GMT$/);
    expect(response.headers.get("cache-control")).toBeNull();
    expect((await files.createSignedUrl("nothing", 60)).error?.message).toBe("Object not found");
    const many = await files.createSignedUrls(["dir/a b+c.txt", "nothing"], 60);
    expect(many.data?.map(({ error }) => error)).toEqual([
      null,
      "Either the object does not exist or you do not have access to it",
    ]);
    const other = (data?.signedUrl ?? "").replace("c.txt", "d.txt");
    expect((await (await fetch(other)).json()).code).toBe("InvalidSignature");
  });

  test("upload one object once, or again when they may replace it", async () => {
    const { files, name } = await newBucket();
    const { data } = await files.createSignedUploadUrl("up.txt");
    const token = data?.token ?? "";
    expect((await files.uploadToSignedUrl("up.txt", token, "first")).error).toBeNull();
    expect((await files.uploadToSignedUrl("up.txt", token, "second")).error).toMatchObject({
      statusCode: "409",
      message: "The resource already exists",
    });
    const again = await files.createSignedUploadUrl("up.txt", { upsert: true });
    await files.uploadToSignedUrl("up.txt", again.data?.token ?? "", "third");
    expect(await (await files.download("up.txt")).data?.text()).toBe("third");
    expect((await files.uploadToSignedUrl("other.txt", token, "x")).error?.message).toBe("Invalid signature");
    const read = (await files.createSignedUrl("up.txt", 60)).data?.signedUrl.split("token=")[1] ?? "";
    expect((await files.uploadToSignedUrl("up.txt", read, "x")).error?.message).toBe("Token is not scoped for upload");
    const misused = await project.request(`GET /object/sign/${name}/up.txt?token=${token}`, { key: null });
    expect((await misused.json()).message).toBe("Token is not scoped for download");
  });
});
