/** The S3 endpoint with the AWS SDK, and with rclone where it is installed. */
import { execFile, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createStorageWorld, md5, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

const run = promisify(execFile);
const KEY = { accessKeyId: "a".repeat(32), secretAccessKey: "s".repeat(64) };
let world: StorageWorld;
let project: StorageProject;
let s3: S3Client;

function clientOf(target: StorageProject, credentials: S3ClientConfig["credentials"] = KEY) {
  return new S3Client({ region: "us-east-1", endpoint: `${target.storageUrl}/s3`, forcePathStyle: true, credentials });
}

beforeAll(async () => {
  world = await createStorageWorld(inject("clusterUrl"));
  project = await world.createProject();
  project.configure({}, { s3AccessKeys: [{ ...KEY, role: "service_role" }], s3SessionSecrets: [project.anonKey] });
  s3 = clientOf(project);
});
afterAll(async () => {
  s3.destroy();
  await world.close();
});

async function newBucket(): Promise<string> {
  const Bucket = `s3-${randomBytes(6).toString("hex")}`;
  await s3.send(new CreateBucketCommand({ Bucket }));
  return Bucket;
}

const errorOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(() => null).catch((failure) => failure);
  return error && [error.name, error.$metadata?.httpStatusCode];
};

describe("buckets", () => {
  test("are made, found, listed and deleted", async () => {
    const Bucket = await newBucket();
    expect((await s3.send(new HeadBucketCommand({ Bucket }))).$metadata.httpStatusCode).toBe(200);
    expect((await s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toContain(Bucket);
    await s3.send(new GetBucketLocationCommand({ Bucket }));
    await s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: "x" }));
    expect((await errorOf(s3.send(new DeleteBucketCommand({ Bucket }))))?.[1]).toBe(409);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: "a" }));
    await s3.send(new DeleteObjectCommand({ Bucket, Key: "a" }));
    await s3.send(new DeleteBucketCommand({ Bucket }));
    expect(await errorOf(s3.send(new HeadBucketCommand({ Bucket })))).toEqual(["NotFound", 404]);
    expect(await errorOf(s3.send(new ListObjectsV2Command({ Bucket })))).toEqual(["NoSuchBucket", 404]);
  });
});

describe("an object", () => {
  test("is put, read in ranges, described, copied and removed", async () => {
    const Bucket = await newBucket();
    const Key = "dir/a b+c(1)!'*.txt";
    const put = await s3.send(
      new PutObjectCommand({ Bucket, Key, Body: "0123456789", ContentType: "text/x", Metadata: { mine: "1" } }),
    );
    expect(put.ETag).toBe(`"${md5("0123456789")}"`);
    const part = await s3.send(
      new GetObjectCommand({ Bucket, Key, Range: "bytes=2-4", ResponseContentType: "text/other" }),
    );
    expect([await part.Body?.transformToString(), part.ContentRange, part.ContentType, part.Metadata]).toEqual([
      "234",
      "bytes 2-4/10",
      "text/other",
      { mine: "1" },
    ]);
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key }))).toMatchObject({
      ...{ ContentLength: 10, ContentType: "text/x", ETag: put.ETag, Metadata: { mine: "1" } },
    });
    expect((await project.client().storage.from(Bucket).info(Key)).data).toMatchObject({
      metadata: { mine: "1" },
      size: 10,
    });
    expect((await errorOf(s3.send(new GetObjectCommand({ Bucket, Key, IfNoneMatch: put.ETag }))))?.[1]).toBe(304);
    expect((await errorOf(s3.send(new GetObjectCommand({ Bucket, Key, IfMatch: '"x"' }))))?.[1]).toBe(412);
    const CopySource = `/${Bucket}/${Key.split("/").map(encodeURIComponent).join("/")}`;
    await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource }));
    await s3.send(
      new CopyObjectCommand({
        Bucket,
        Key: "replaced",
        CopySource,
        MetadataDirective: "REPLACE",
        ContentType: "text/y",
      }),
    );
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: "copy" }))).toMatchObject({ Metadata: { mine: "1" } });
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: "replaced" }))).toMatchObject({
      ContentType: "text/y",
      Metadata: {},
    });
    expect(
      await errorOf(s3.send(new CopyObjectCommand({ Bucket, Key: "no", CopySource, CopySourceIfMatch: '"x"' }))),
    ).toEqual(["PreconditionFailed", 412]);
    expect(await errorOf(s3.send(new HeadObjectCommand({ Bucket, Key: "nothing" })))).toEqual(["NotFound", 404]);
    expect(await errorOf(s3.send(new GetObjectCommand({ Bucket, Key: "nothing" })))).toEqual(["NoSuchKey", 404]);
    const gone = await s3.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: { Objects: [{ Key: "copy" }, { Key: "nothing" }, { Key: "replaced" }] },
      }),
    );
    expect(gone.Deleted?.map((entry) => entry.Key)).toEqual(["copy", "nothing", "replaced"]);
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).Contents?.map((entry) => entry.Key)).toEqual([Key]);
  });

  test("of unknown length goes in signed chunks with a checksum at the end", async () => {
    const Bucket = await newBucket();
    const bytes = randomBytes(300_000);
    await s3.send(
      new PutObjectCommand({
        ...{ Bucket, Key: "chunks", ContentLength: bytes.length, ChecksumAlgorithm: "CRC32" },
        Body: Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]),
      }),
    );
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: "chunks" }));
    expect(md5(Buffer.from((await Body?.transformToByteArray()) ?? []))).toBe(md5(bytes));
  });

  test("whose checksum is wrong is not kept", async () => {
    const Bucket = await newBucket();
    expect(
      (
        await errorOf(
          s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: "x", ContentMD5: "AAAAAAAAAAAAAAAAAAAAAA==" })),
        )
      )?.[1],
    ).toBe(400);
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
  });

  test("is reached by a presigned URL until it expires, and by no other one", async () => {
    const Bucket = await newBucket();
    await s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: "presigned" }));
    const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "a" }), { expiresIn: 60 });
    expect(await (await fetch(url)).text()).toBe("presigned");
    const forged = await fetch(url.replace("/a?", "/b?"));
    expect([forged.status, await forged.text()]).toEqual([
      403,
      expect.stringContaining("<Code>SignatureDoesNotMatch</Code>"),
    ]);
    const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "up" }), { expiresIn: 60 });
    expect((await fetch(put, { method: "PUT", body: "by url" })).status).toBe(200);
    expect(await (await project.client().storage.from(Bucket).download("up")).data?.text()).toBe("by url");
    const old = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "a" }), {
      expiresIn: 60,
      signingDate: new Date(Date.now() - 120_000),
    });
    const late = await fetch(old);
    expect([late.status, await late.text()]).toEqual([400, expect.stringContaining("<Code>ExpiredToken</Code>")]);
  });
});

describe("lists", () => {
  test("come in pages, with prefixes and delimiters", async () => {
    const Bucket = await newBucket();
    for (const Key of ["a/1", "a/2", "b", "c/x/1", "c/y"])
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    for (const version of [1, 2]) {
      const seen: string[] = [];
      let next: string | undefined;
      do {
        const page =
          version === 2
            ? await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: "/", MaxKeys: 1, ContinuationToken: next }))
            : await s3.send(new ListObjectsCommand({ Bucket, Delimiter: "/", MaxKeys: 1, Marker: next }));
        seen.push(
          ...(page.Contents ?? []).map(({ Key = "" }) => Key),
          ...(page.CommonPrefixes ?? []).map(({ Prefix = "" }) => Prefix),
        );
        next =
          "NextMarker" in page ? page.NextMarker : (page as { NextContinuationToken?: string }).NextContinuationToken;
      } while (next);
      expect(seen).toEqual(["a/", "b", "c/"]);
    }
    const below = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "c/", StartAfter: "c/x/1" }));
    expect(below.Contents?.map(({ Key }) => Key)).toEqual(["c/y"]);
    expect(await s3.send(new ListObjectsV2Command({ Bucket, MaxKeys: 0 }))).toMatchObject({
      KeyCount: 0,
      IsTruncated: false,
    });
  });
});

describe("a multipart upload", () => {
  test("becomes one object, whatever the order of its parts", async () => {
    const Bucket = await newBucket();
    const Key = "big";
    const { UploadId } = await s3.send(
      new CreateMultipartUploadCommand({ Bucket, Key, ContentType: "text/z", Metadata: { m: "1" } }),
    );
    const bytes = randomBytes(3_000_000);
    const slices = [bytes.subarray(0, 1_000_000), bytes.subarray(1_000_000, 2_000_000), bytes.subarray(2_000_000)];
    const upload = (index: number, Body: Buffer) =>
      s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: index + 1, Body }));
    await upload(1, randomBytes(10)); // sent again below: the newest counts
    const etags = await Promise.all(
      [2, 0, 1].map(async (index) => [index, (await upload(index, slices[index] as Buffer)).ETag] as const),
    );
    const Parts = etags.sort().map(([index, ETag]) => ({ PartNumber: index + 1, ETag }));
    expect((await s3.send(new ListPartsCommand({ Bucket, Key, UploadId }))).Parts?.map((part) => part.Size)).toEqual(
      slices.map((slice) => slice.length),
    );
    expect(
      (await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads?.map((entry) => entry.UploadId),
    ).toEqual([UploadId]);
    const wrong = { Parts: [{ PartNumber: 1, ETag: '"x"' }] };
    expect(
      await errorOf(s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: wrong }))),
    ).toEqual(["InvalidPart", 400]);
    const done = await s3.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
    );
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
    const read = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(md5(Buffer.from((await read.Body?.transformToByteArray()) ?? []))).toBe(md5(bytes));
    expect([read.ContentType, read.Metadata]).toEqual(["text/z", { m: "1" }]);
    expect(await errorOf(s3.send(new ListPartsCommand({ Bucket, Key, UploadId })))).toEqual(["NoSuchUpload", 404]);
    const { rows } = await project.db.query(
      "select count(*)::int as n from supalove.storage_versions where state = 'pending'",
    );
    expect(rows[0].n).toBe(0);
  });

  test("is given up without a trace, and knows its own key only", async () => {
    const Bucket = await newBucket();
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "k" }));
    await s3.send(new UploadPartCommand({ Bucket, Key: "k", UploadId, PartNumber: 1, Body: "part" }));
    expect(
      await errorOf(s3.send(new UploadPartCommand({ Bucket, Key: "other", UploadId, PartNumber: 1, Body: "x" }))),
    ).toEqual(["NoSuchUpload", 404]);
    await s3.send(new PutObjectCommand({ Bucket, Key: "source", Body: "0123456789" }));
    await s3.send(
      new UploadPartCopyCommand({
        Bucket,
        Key: "k",
        UploadId,
        PartNumber: 2,
        CopySource: `${Bucket}/source`,
        CopySourceRange: "bytes=1-3",
      }),
    );
    expect(
      (await s3.send(new ListPartsCommand({ Bucket, Key: "k", UploadId }))).Parts?.map(({ Size }) => Size),
    ).toEqual([4, 3]);
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: "k", UploadId }));
    await world.service.upkeep.sweep(project.snapshot);
    const { rows } = await project.db.query("select count(*)::int as n from storage.s3_multipart_uploads_parts");
    expect(rows[0].n).toBe(0);
    expect(await errorOf(s3.send(new HeadObjectCommand({ Bucket, Key: "k" })))).toEqual(["NotFound", 404]);
  });

  test("by the SDK's own uploader", async () => {
    const Bucket = await newBucket();
    const bytes = randomBytes(11_000_000);
    const Body = Readable.from([bytes.subarray(0, 6_000_000), bytes.subarray(6_000_000)]);
    await new Upload({ client: s3, params: { Bucket, Key: "u", Body }, partSize: 5 * 1024 * 1024 }).done();
    const { data } = await project.client().storage.from(Bucket).download("u");
    expect(md5(Buffer.from((await data?.arrayBuffer()) as ArrayBuffer))).toBe(md5(bytes));
  });
});

describe("who may", () => {
  test("a user signs with the public key and his own token, and is under the policies", async () => {
    const Bucket = await newBucket();
    await project.db.query(
      `create policy "s3 ${Bucket}" on storage.objects for all to authenticated
       using (bucket_id = '${Bucket}' and name like 'mine/%') with check (bucket_id = '${Bucket}' and name like 'mine/%')`,
    );
    const user = project.token({ role: "authenticated", sub: "317eadce-631a-4429-a0bb-f19a7a517b4a" });
    const mine = clientOf(project, { accessKeyId: project.ref, secretAccessKey: project.anonKey, sessionToken: user });
    await mine.send(new PutObjectCommand({ Bucket, Key: "mine/a", Body: "x" }));
    await s3.send(new PutObjectCommand({ Bucket, Key: "theirs", Body: "x" }));
    expect(await errorOf(mine.send(new PutObjectCommand({ Bucket, Key: "other", Body: "x" })))).toEqual([
      "AccessDenied",
      403,
    ]);
    expect(await errorOf(mine.send(new GetObjectCommand({ Bucket, Key: "theirs" })))).toEqual(["NoSuchKey", 404]);
    expect(await errorOf(mine.send(new DeleteObjectCommand({ Bucket, Key: "theirs" })))).toEqual(["AccessDenied", 403]);
    const { rows } = await project.db.query(
      "select owner_id from storage.objects where bucket_id = $1 and name = 'mine/a'",
      [Bucket],
    );
    expect(rows).toEqual([{ owner_id: "317eadce-631a-4429-a0bb-f19a7a517b4a" }]);
    const bad = clientOf(project, {
      accessKeyId: project.ref,
      secretAccessKey: project.anonKey,
      sessionToken: "no.token.here",
    });
    expect(await errorOf(bad.send(new ListBucketsCommand({})))).toEqual(["AccessDenied", 403]);
  });

  test("a wrong secret, an unknown key, another project's key and no signature are refused", async () => {
    const other = await world.createProject();
    const refused = (credentials: { accessKeyId: string; secretAccessKey: string }, target = project) =>
      errorOf(clientOf(target, credentials).send(new ListBucketsCommand({})));
    expect(await refused({ ...KEY, secretAccessKey: "x" })).toEqual(["SignatureDoesNotMatch", 403]);
    expect(await refused({ ...KEY, accessKeyId: "b".repeat(32) })).toEqual(["InvalidAccessKeyId", 403]);
    expect(await refused(KEY, other)).toEqual(["InvalidAccessKeyId", 403]);
    const bare = await fetch(`${project.storageUrl}/s3/x`);
    expect([bare.status, await bare.text()]).toEqual([
      403,
      expect.stringContaining("<Message>Missing signature</Message>"),
    ]);
    project.configure({ s3ProtocolEnabled: false });
    expect((await refused(KEY))?.[1]).toBe(403);
    project.configure({ s3ProtocolEnabled: true });
  });
});

const has = (program: string) => spawnSync(program, ["--version"]).status === 0;

describe("tools", () => {
  test.runIf(has("rclone"))("rclone copies folders there and back", async () => {
    const Bucket = await newBucket();
    const folder = mkdtempSync(join(tmpdir(), "supalove-rclone-"));
    const bytes = randomBytes(6_000_000);
    writeFileSync(join(folder, "large.bin"), bytes);
    writeFileSync(join(folder, "small.txt"), "small");
    const remote = `:s3,provider=Other,access_key_id=${KEY.accessKeyId},secret_access_key=${KEY.secretAccessKey},endpoint="${project.storageUrl}/s3",chunk_size=5Mi,upload_cutoff=5Mi:${Bucket}`;
    const rclone = (...args: string[]) =>
      run("rclone", ["--config", "/dev/null", "--retries", "1", ...args], {
        env: { ...process.env, AWS_CA_BUNDLE: "" },
      });
    await rclone("copy", folder, `${remote}/backup`);
    await rclone("check", folder, `${remote}/backup`, "--download");
    expect((await rclone("lsf", `${remote}/backup`)).stdout.trim().split("\n").sort()).toEqual([
      "large.bin",
      "small.txt",
    ]);
    await rclone("delete", `${remote}/backup`);
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    rmSync(folder, { recursive: true });
  });
});
