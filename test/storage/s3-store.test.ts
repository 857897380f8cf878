/**
 * Objects in an S3 store: the same service over another backend. The store is our own S3 endpoint, and versitygw where it is
 * installed (`go install github.com/versity/versitygw/cmd/versitygw@v1.8.0`).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "tus-js-client";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { moveObject } from "../../compose/cli/move-storage.ts";
import { DiskBackend } from "../../data-plane/storage/backend/disk-backend.ts";
import { DiskStore } from "../../data-plane/storage/backend/disk-store.ts";
import { S3Backend } from "../../data-plane/storage/backend/s3-backend.ts";
import type { S3StoreOptions } from "../../data-plane/storage/backend/storage-options.ts";
import { freePort } from "../harness/cluster.ts";
import { createStorageWorld, md5, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

const KEY = { accessKeyId: "a".repeat(32), secretAccessKey: "s".repeat(64) };
const hasVersity = spawnSync("versitygw", ["--version"]).status === 0;

async function ownStore(): Promise<{ options: S3StoreOptions; stop(): Promise<void> }> {
  const world = await createStorageWorld(inject("clusterUrl"));
  const project = await world.createProject({ trashSeconds: 0, fileSizeLimitBytes: 100_000_000 });
  project.configure({}, { s3AccessKeys: [{ ...KEY, role: "service_role" }] });
  return {
    options: { endpoint: `${project.storageUrl}/s3`, region: "us-east-1", bucket: "objects", ...KEY },
    stop: () => world.close(),
  };
}

async function versityStore(): Promise<{ options: S3StoreOptions; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "supalove-versity-"));
  mkdirSync(join(folder, "data"));
  const port = await freePort();
  const child: ChildProcess = spawn(
    "versitygw",
    [
      "--access",
      KEY.accessKeyId,
      "--secret",
      KEY.secretAccessKey,
      "--port",
      `127.0.0.1:${port}`,
      "--region",
      "us-east-1",
      "posix",
      "--sidecar",
      folder,
      join(folder, "data"),
    ],
    { stdio: "ignore" },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  const isUp = () =>
    fetch(endpoint).then(
      () => true,
      () => false,
    );
  for (let tries = 0; tries < 100 && !(await isUp()); tries += 1) await delay(100);
  return {
    options: { endpoint, region: "us-east-1", bucket: "objects", ...KEY },
    async stop() {
      child.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

describe.each([
  ["our own S3 endpoint", true, ownStore],
  ["versitygw", hasVersity, versityStore],
] as const)("in %s", (_name, isHere, open) => {
  let store: Awaited<ReturnType<typeof open>>;
  let client: S3Client;
  let world: StorageWorld;
  let project: StorageProject;
  const files = () => project.client().storage.from("b");
  const keys = async () => {
    const { Contents = [] } = await client.send(
      new ListObjectsV2Command({ Bucket: "objects", Prefix: `${project.ref}/` }),
    );
    return Contents.map(({ Key }) => Key);
  };

  beforeAll(async () => {
    if (!isHere) return;
    store = await open();
    const { endpoint, region, bucket, ...credentials } = store.options;
    client = new S3Client({ endpoint: endpoint as string, region, forcePathStyle: true, credentials });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    world = await createStorageWorld(inject("clusterUrl"), {
      backend: (staging) => new S3Backend(store.options, staging),
    });
    project = await world.createProject({ trashSeconds: 0 });
    await project.client().storage.createBucket("b", { public: true });
  });
  afterAll(async () => {
    await world?.close();
    await store?.stop();
  });

  test.runIf(isHere)("objects of every size are read back, in ranges too, under the original's keys", async () => {
    for (const size of [0, 10, 2_000_000, 20_000_000]) {
      const bytes = randomBytes(size);
      const name = `dir/${size} bytes+x`;
      expect((await files().upload(name, bytes)).error).toBeNull();
      const { data } = await files().download(name);
      expect(md5(Buffer.from((await data?.arrayBuffer()) as ArrayBuffer))).toBe(md5(bytes));
      if (size < 10) continue;
      const part = await project.request(`GET /object/public/b/${encodeURIComponent(name).replace("%2F", "/")}`, {
        headers: { range: "bytes=3-7" },
      });
      expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(3, 8));
    }
    const { rows } = await project.db.query("select name, version from storage.objects order by name");
    expect((await keys()).sort()).toEqual(
      rows.map(({ name, version }) => `${project.ref}/b/${name}/${version}`).sort(),
    );
  });

  test.runIf(isHere)("what is moved, copied, replaced and deleted leaves nothing behind", async () => {
    await files().upload("one", "1");
    await files().move("one", "two");
    await files().copy("two", "three");
    await files().upload("three", "3", { upsert: true });
    await files().remove(["two"]);
    expect(await (await files().download("three")).data?.text()).toBe("3");
    await project.db.query("update supalove.storage_versions set expires_at = now() - interval '1 second'");
    await world.service.upkeep.sweep(project.snapshot);
    const { rows } = await project.db.query("select count(*)::int as n from storage.objects");
    expect(await keys()).toHaveLength(rows[0].n);
  });

  test.runIf(isHere)("a resumable upload is staged here and ends there", async () => {
    const bytes = randomBytes(7_000_000);
    await new Promise<void>((onSuccess, onError) => {
      new Upload(bytes, {
        endpoint: `${project.storageUrl}/upload/resumable`,
        headers: { authorization: `Bearer ${project.serviceKey}` },
        metadata: { bucketName: "b", objectName: "tus" },
        chunkSize: 3_000_000,
        ...{ onSuccess: () => onSuccess(), onError },
      }).start();
    });
    const { data } = await files().download("tus");
    expect(md5(Buffer.from((await data?.arrayBuffer()) as ArrayBuffer))).toBe(md5(bytes));
    for await (const left of world.store.list(project.ref)) throw new Error(`${left.version} is still here`);
  });

  test.runIf(isHere)("an upload that fails in the middle keeps no part", async () => {
    const before = await keys();
    await project.client().storage.createBucket("small", { public: false, fileSizeLimit: 18_000_000 });
    const { error } = await project
      .client()
      .storage.from("small")
      .upload("a", new Blob([randomBytes(20_000_000)]));
    expect(error).toMatchObject({ statusCode: "413" });
    expect(await keys()).toEqual(before);
  });

  test.runIf(isHere)("bytes move between the disk and the store, and a second run finds them there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "supalove-move-"));
    const disk = new DiskBackend(new DiskStore({ root: folder, reservedBytes: 0 }));
    const remote = new S3Backend(store.options, world.store);
    const { rows } = await project.db.query("select bucket_id as bucket, name, version from storage.objects");
    for (const expected of ["copied", "present"]) {
      for (const row of rows) expect(await moveObject(remote, disk, { project: project.ref, ...row })).toBe(expected);
    }
    for (const row of rows) expect(await moveObject(disk, remote, { project: project.ref, ...row })).toBe("present");
    rmSync(folder, { recursive: true });
  });

  test.runIf(isHere)("a project is erased whole", async () => {
    await world.service.projectDeleted(project.ref);
    expect(await keys()).toEqual([]);
  });
});
