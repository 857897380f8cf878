/** Bytes and rows stay together: replaced and deleted versions, broken uploads, a full disk. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createStorageWorld, md5, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

let world: StorageWorld;
let project: StorageProject;

beforeAll(async () => {
  world = await createStorageWorld(inject("clusterUrl"));
  project = await world.createProject();
  await project.client().storage.createBucket("b", { public: true });
});
afterAll(() => world.close());

const files = () => project.client().storage.from("b");

async function versions(target = project, from = world): Promise<string[]> {
  const found: string[] = [];
  for await (const { version } of from.store.list(target.ref)) found.push(version);
  return found.sort();
}

async function waiting(): Promise<Record<string, number>> {
  const { rows } = await project.db.query(
    "select state, count(*)::int as n from supalove.storage_versions group by state",
  );
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

test("replaced and deleted versions are kept for the time of the trash, then their bytes go", async () => {
  await files().upload("a", "1");
  const [first = ""] = await versions();
  await files().upload("a", "2", { upsert: true });
  await files().upload("gone", "3");
  await files().remove(["gone"]);
  await files().move("a", "moved");
  expect(await waiting()).toEqual({ trash: 3 });
  expect(await versions()).toContain(first);
  await world.service.upkeep.sweep(project.snapshot);
  expect(await versions()).toHaveLength(4);
  await project.db.query("update supalove.storage_versions set expires_at = now() - interval '1 second'");
  await world.service.upkeep.sweep(project.snapshot);
  const { rows } = await project.db.query("select version from storage.objects");
  expect(await versions()).toEqual(rows.map(({ version }) => version));
  expect(await waiting()).toEqual({});
  expect(await (await files().download("moved")).data?.text()).toBe("2");
});

test("rows deleted in SQL give their bytes up too, and the running total follows", async () => {
  await files().upload("sql", "12345");
  const total = async () => {
    const { rows } = await project.db.query(
      "select sum(bytes)::int as bytes, sum(objects)::int as objects from supalove.storage_usage",
    );
    return rows[0];
  };
  const before = await total();
  await project.db.query(
    "begin; set local storage.allow_delete_query = 'true'; delete from storage.objects where name = 'sql'; commit",
  );
  expect(await total()).toEqual({ bytes: before.bytes - 5, objects: before.objects - 1 });
  expect((await waiting()).trash).toBe(1);
});

test("a client that goes away in the middle of an upload leaves nothing", async () => {
  const before = await versions();
  await new Promise<void>((resolve) => {
    const { port } = new URL(world.gatewayUrl);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(
      `POST /projects/${project.ref}/storage/v1/object/b/cut HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${project.serviceKey}\r\ncontent-length: 1000000\r\n\r\n`,
    );
    socket.write(Buffer.alloc(200_000));
    setTimeout(() => socket.destroy(), 150);
    socket.on("close", () => resolve());
  });
  await expect.poll(async () => [await versions(), (await waiting()).pending]).toEqual([before, undefined]);
  expect((await files().exists("cut")).data).toBe(false);
});

test("two creations of one name at a time: one is made, the other is told", async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) => files().upload("race", `content ${index}`)),
  );
  expect(answers.filter(({ error }) => error === null)).toHaveLength(1);
  for (const { error } of answers) if (error) expect(error.message).toBe("The resource already exists");
});

test("readers never see half of anything while an object is replaced and its old versions go", async () => {
  const contents = Array.from({ length: 3 }, () => randomBytes(300_000));
  const hashes = new Set(contents.map((bytes) => md5(bytes)));
  await files().upload("hot", contents[0] as Buffer);
  project.configure({ trashSeconds: 0 });
  let isWriting = true;
  const write = async () => {
    for (let round = 0; round < 15; round += 1) {
      await files().upload("hot", contents[round % 3] as Buffer, { upsert: true });
      await world.service.upkeep.sweep(project.snapshot);
    }
    isWriting = false;
  };
  const read = async () => {
    while (isWriting) {
      const response = await fetch(files().getPublicUrl("hot").data.publicUrl);
      expect(response.status).toBe(200);
      expect(hashes).toContain(md5(Buffer.from(await response.arrayBuffer())));
    }
  };
  await Promise.all([write(), read(), read()]);
  project.configure({ trashSeconds: 3600 });
});

test("an emptied bucket loses what was there before, bytes included", async () => {
  await project.client().storage.createBucket("many");
  const many = project.client().storage.from("many");
  await Promise.all(Array.from({ length: 20 }, (_, index) => many.upload(`f/${index}`, "x")));
  await project.client().storage.emptyBucket("many");
  expect((await many.list()).data).toEqual([]);
  await many.upload("after", "y");
  expect((await project.client().storage.deleteBucket("many")).error?.message).toBe(
    "The bucket you tried to delete is not empty",
  );
});

const small = mkdtempSync(join(tmpdir(), "supalove-small-disk-"));
const hasSmallDisk = spawnSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", small]).status === 0;
afterAll(() => {
  if (hasSmallDisk) spawnSync("umount", [small]);
  rmSync(small, { recursive: true, force: true });
});

test.runIf(hasSmallDisk)(
  "a full disk refuses what does not fit, keeps none of it, and the service goes on",
  async () => {
    const tiny = await createStorageWorld(inject("clusterUrl"), { directory: small });
    try {
      const other = await tiny.createProject();
      await other.client().storage.createBucket("b");
      const target = other.client().storage.from("b");
      await target.upload("fits", randomBytes(3_000_000));
      const stored = await versions(other, tiny);
      for (const body of [randomBytes(5_000_000), new Blob([randomBytes(5_000_000)])]) {
        const { error } = await target.upload("large", body);
        expect(error).toMatchObject({
          status: 507,
          statusCode: "507",
          message: "The server has no room for the object at the moment",
        });
      }
      expect(await versions(other, tiny)).toEqual(stored);
      expect((await target.upload("small", "goes on")).error).toBeNull();
      expect((await target.download("fits")).data?.size).toBe(3_000_000);
    } finally {
      await tiny.close();
    }
  },
);

test("the last part of the disk is not for objects", async () => {
  const reserved = await createStorageWorld(inject("clusterUrl"), { reservedBytes: Number.MAX_SAFE_INTEGER });
  try {
    const other = await reserved.createProject();
    await other.client().storage.createBucket("b");
    expect((await other.client().storage.from("b").upload("a", "x")).error).toMatchObject({ statusCode: "507" });
  } finally {
    await reserved.close();
  }
});

test("a project that has used up its storage is told so", async () => {
  const other = await world.createProject({ totalBytesLimit: 1_000 });
  await other.client().storage.createBucket("b");
  const target = other.client().storage.from("b");
  expect((await target.upload("a", Buffer.alloc(900))).error).toBeNull();
  expect((await target.upload("b", Buffer.alloc(900))).error).toMatchObject({
    statusCode: "413",
    message: "The project has used up its storage",
  });
  await target.remove(["a"]);
  expect((await target.upload("b", Buffer.alloc(900))).error).toBeNull();
});
