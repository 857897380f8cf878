/** Resumable uploads with tus-js-client, and by hand where the client would not do it. */
import { randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { Upload, type UploadOptions } from "tus-js-client";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createStorageWorld, md5, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

let world: StorageWorld;
let project: StorageProject;
let bucket: string;

beforeAll(async () => {
  world = await createStorageWorld(inject("clusterUrl"));
  project = await world.createProject();
  bucket = "resumable";
  await project.client().storage.createBucket(bucket, { public: false, fileSizeLimit: 30_000_000 });
});
afterAll(() => world.close());

const read = async (name: string) => {
  const { data } = await project.client().storage.from(bucket).download(name);
  return Buffer.from((await data?.arrayBuffer()) ?? new ArrayBuffer(0));
};

function upload(bytes: Buffer, name: string, options: Partial<UploadOptions> = {}): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const tus: Upload = new Upload(bytes, {
      endpoint: `${project.storageUrl}/upload/resumable`,
      headers: { authorization: `Bearer ${project.serviceKey}`, "x-upsert": "false" },
      metadata: { bucketName: bucket, objectName: name, contentType: "application/x-mine", cacheControl: "60" },
      chunkSize: 6 * 1024 * 1024,
      retryDelays: null,
      ...options,
      onSuccess: () => resolve(tus),
      onError: reject,
    } as UploadOptions);
    tus.start();
  });
}

const encode = (text: string) => Buffer.from(text).toString("base64");
const metadataOf = (name: string) => `bucketName ${encode(bucket)},objectName ${encode(name)}`;

async function tus(target: string, headers: Record<string, string> = {}, body?: string) {
  const [method = "", url = ""] = target.split(" ");
  const response = await fetch(url.startsWith("http") ? url : `${project.storageUrl}/upload/resumable${url}`, {
    method,
    headers: { "tus-resumable": "1.0.0", authorization: `Bearer ${project.serviceKey}`, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const open = async (name: string, length: number, headers: Record<string, string> = {}) => {
  const answer = await tus("POST ", {
    "upload-length": String(length),
    "upload-metadata": metadataOf(name),
    ...headers,
  });
  expect([answer.status, answer.text]).toEqual([201, ""]);
  return answer.headers.get("location") ?? "";
};
const OFFSET = { "content-type": "application/offset+octet-stream" };
const send = (url: string, offset: number, body: string, headers: Record<string, string> = {}) =>
  tus(`PATCH ${url}`, { ...OFFSET, "upload-offset": String(offset), ...headers }, body);

describe("tus-js-client", () => {
  test("uploads in pieces, and the object has its type, its metadata and its bytes", async () => {
    const bytes = randomBytes(15_000_000);
    await upload(bytes, "big.bin", {
      metadata: {
        bucketName: bucket,
        objectName: "big.bin",
        contentType: "application/x-mine",
        cacheControl: "60",
        metadata: '{"m":1}',
      },
    });
    expect(md5(await read("big.bin"))).toBe(md5(bytes));
    expect((await project.client().storage.from(bucket).info("big.bin")).data).toMatchObject({
      ...{ contentType: "application/x-mine", cacheControl: "max-age=60", size: bytes.length, metadata: { m: 1 } },
      etag: expect.stringMatching(/^"[0-9a-f]{32}-3"$/),
    });
  });

  test("goes on after a break where it was", async () => {
    const bytes = randomBytes(8_000_000);
    let tusUrl: string | null = null;
    await new Promise<void>((resolve, reject) => {
      const first: Upload = new Upload(bytes, {
        endpoint: `${project.storageUrl}/upload/resumable`,
        headers: { authorization: `Bearer ${project.serviceKey}` },
        metadata: { bucketName: bucket, objectName: "broken" },
        chunkSize: 2_000_000,
        onChunkComplete: () => {
          tusUrl = first.url;
          void first.abort().then(() => resolve());
        },
        onError: reject,
      });
      first.start();
    });
    await upload(bytes, "broken", { uploadUrl: tusUrl });
    expect(md5(await read("broken"))).toBe(md5(bytes));
  });

  test("uploads to a signed URL without a token of its own", async () => {
    const { data } = await project.client().storage.from(bucket).createSignedUploadUrl("signed.bin");
    const bytes = randomBytes(100_000);
    const headers = { "x-signature": data?.token ?? "" };
    await upload(bytes, "signed.bin", { endpoint: `${project.storageUrl}/upload/resumable/sign`, headers });
    expect(md5(await read("signed.bin"))).toBe(md5(bytes));
    const other = upload(bytes, "other.bin", { endpoint: `${project.storageUrl}/upload/resumable/sign`, headers });
    await expect(other).rejects.toThrow("Invalid signature");
  });
});

describe("the protocol", () => {
  test("is described to whoever asks", async () => {
    const answer = await tus("OPTIONS ", { authorization: "" });
    expect([answer.status, answer.headers.get("tus-version"), answer.headers.get("tus-extension")]).toEqual([
      204,
      "1.0.0",
      "creation,creation-with-upload,creation-defer-length,termination,expiration",
    ]);
  });

  test("tells offset, length and metadata, and takes bytes only there", async () => {
    const url = await open("steps", 10);
    expect(url).toMatch(new RegExp(`^${project.storageUrl}/upload/resumable/[\\w-]+$`));
    expect((await send(url, 0, "01234")).headers.get("upload-offset")).toBe("5");
    const head = await tus(`HEAD ${url}`);
    expect([head.status, head.headers.get("upload-offset"), head.headers.get("upload-length")]).toEqual([
      200,
      "5",
      "10",
    ]);
    expect([head.headers.get("upload-metadata"), head.headers.get("cache-control")]).toEqual([
      metadataOf("steps"),
      "no-store",
    ]);
    expect(Date.parse(head.headers.get("upload-expires") ?? "")).toBeGreaterThan(Date.now() + 23 * 3_600_000);
    const conflict = await send(url, 3, "x");
    expect([conflict.status, conflict.text]).toEqual([409, "Upload-Offset conflict\n"]);
    const tooMuch = await send(url, 5, "567890");
    expect([tooMuch.status, tooMuch.text]).toEqual([413, "upload's size exceeded\n"]);
    const last = await send(url, 5, "56789");
    expect([last.status, last.headers.get("tus-complete"), last.headers.get("upload-offset")]).toEqual([
      204,
      "1",
      "10",
    ]);
    expect((await read("steps")).toString()).toBe("0123456789");
    expect((await tus(`HEAD ${url}`)).headers.get("upload-offset")).toBe("10");
  });

  test.each([
    ["no version", { "tus-resumable": "" }, 400, "Invalid tus-resumable\n"],
    ["another version", { "tus-resumable": "0.2.0" }, 400, "Invalid tus-resumable\n"],
    ["no length", { "upload-length": "x" }, 400, "Invalid upload-length\n"],
    ["both lengths", { "upload-defer-length": "1" }, 400, "Upload-Length or Upload-Defer-Length header required\n"],
    ["no metadata", { "upload-metadata": "x" }, 400, "Invalid upload-metadata\n"],
    ["too large", { "upload-length": "30000001" }, 413, "Maximum size exceeded\n"],
    ["concatenation", { "upload-concat": "partial" }, 501, "Concatenation extension is not (yet) supported.\n"],
    [
      "a bad name",
      { "upload-metadata": `bucketName ${encode("resumable")},objectName ${encode("a/../b")}` },
      400,
      "Invalid key: a/../b contains dot path segment",
    ],
    [
      "no bucket",
      { "upload-metadata": `bucketName ${encode("nowhere")},objectName ${encode("a")}` },
      404,
      "Bucket not found",
    ],
  ])("refuses a creation with %s", async (_what, headers, status, text) => {
    const answer = await tus("POST ", { "upload-length": "1", "upload-metadata": metadataOf("a"), ...headers });
    expect([answer.status, answer.text]).toEqual([status, text]);
  });

  test("needs a token, and answers without one as the other routes do", async () => {
    const answer = await tus("POST ", { authorization: "", "upload-length": "1" });
    expect([answer.status, JSON.parse(answer.text).message]).toEqual([400, "Invalid Compact JWS"]);
    expect((await tus("PATCH /bm8")).text).toBe("Invalid upload id");
  });

  test("takes the length later, and bytes with the creation", async () => {
    const answer = await tus(
      "POST ",
      { ...OFFSET, "upload-defer-length": "1", "upload-metadata": metadataOf("later") },
      "abc",
    );
    expect([answer.status, answer.headers.get("upload-offset")]).toEqual([201, "3"]);
    const url = answer.headers.get("location") ?? "";
    expect((await tus(`HEAD ${url}`)).headers.get("upload-defer-length")).toBe("1");
    expect((await send(url, 3, "def", { "upload-length": "6" })).headers.get("tus-complete")).toBe("1");
    expect((await read("later")).toString()).toBe("abcdef");
  });

  test("ends an upload for good, and its bytes go", async () => {
    const url = await open("ended", 10);
    await send(url, 0, "0123");
    expect((await tus(`DELETE ${url}`)).status).toBe(204);
    const gone = await tus(`HEAD ${url}`);
    expect(gone.status).toBe(404);
    await world.service.upkeep.sweep(project.snapshot);
    const { rows } = await project.db.query(
      "select count(*)::int as n from supalove.storage_versions where name = 'ended'",
    );
    expect(rows[0].n).toBe(0);
  });

  test("lets the first that finishes win", async () => {
    const [first, second] = [await open("race", 3), await open("race", 3)];
    expect((await send(first, 0, "one")).status).toBe(204);
    const late = await send(second, 0, "two");
    expect([late.status, late.text]).toEqual([409, "The resource already exists"]);
    expect((await read("race")).toString()).toBe("one");
    const replacing = await open("race", 3, { "x-upsert": "true" });
    expect((await send(replacing, 0, "new", { "x-upsert": "true" })).status).toBe(204);
    expect((await read("race")).toString()).toBe("new");
  });

  test("forgets an upload that nobody goes on with", async () => {
    const url = await open("old", 10);
    await send(url, 0, "0123");
    await project.db.query(
      "update supalove.storage_uploads set expires_at = now() - interval '1 second' where name = 'old'",
    );
    await project.db.query(
      "update supalove.storage_versions set expires_at = now() - interval '1 second' where name = 'old'",
    );
    expect((await tus(`HEAD ${url}`)).status).toBe(410);
    await world.service.upkeep.sweep(project.snapshot);
    expect((await tus(`HEAD ${url}`)).status).toBe(404);
  });

  test("keeps what a broken request has brought, and one writer at a time", async () => {
    const url = await open("cut", 2_000_000);
    const hanging = httpRequest(url, {
      method: "PATCH",
      headers: {
        ...OFFSET,
        "tus-resumable": "1.0.0",
        authorization: `Bearer ${project.serviceKey}`,
        "upload-offset": "0",
        "content-length": "2000000",
      },
    });
    hanging.on("error", () => {});
    hanging.write(Buffer.alloc(1_000_000, "a"));
    await expect
      .poll(async () => {
        const { rows } = await project.db.query("select locked_by from supalove.storage_uploads where name = 'cut'");
        return rows[0].locked_by;
      })
      .not.toBeNull();
    hanging.destroy();
    await expect.poll(async () => (await tus(`HEAD ${url}`)).headers.get("upload-offset")).toBe("1000000");
    expect((await send(url, 1_000_000, "b".repeat(1_000_000))).status).toBe(204);
    expect(md5(await read("cut"))).toBe(md5(`${"a".repeat(1_000_000)}${"b".repeat(1_000_000)}`));
  });

  test("asks the policies at each step", async () => {
    await project.db.query(
      `create policy "tus" on storage.objects for insert to authenticated
       with check (bucket_id = 'resumable' and name like 'mine/%' and (metadata ->> 'contentLength')::int < 100)`,
    );
    const authorization = `Bearer ${project.token({ role: "authenticated", sub: "d8c7bce9-cfeb-497b-bd61-e66ce2cbdaa2" })}`;
    const create = (name: string, length: number) =>
      tus("POST ", { authorization, "upload-length": String(length), "upload-metadata": metadataOf(name) });
    expect((await create("mine/a", 3)).status).toBe(201);
    const refused = await create("other", 3);
    expect([refused.status, refused.text]).toEqual([403, "new row violates row-level security policy"]);
    expect((await create("mine/b", 100)).status).toBe(403);
    const url = (await create("mine/c", 3)).headers.get("location") ?? "";
    await project.db.query('drop policy "tus" on storage.objects');
    expect((await send(url, 0, "abc", { authorization })).status).toBe(403);
  });
});
