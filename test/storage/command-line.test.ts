/** Storage on the whole stack: files on the command line, access keys and usage over GraphQL, and what a deletion leaves. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ListBucketsCommand, S3Client } from "@aws-sdk/client-s3";
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findLocalInstance, findOwnerToken } from "../../compose/local-instance.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const dataDir = temporaryDataDir();
const folder = mkdtempSync(join(tmpdir(), "supalove-cli-storage-"));
let stack: Stack;
let project: CreatedProject;

beforeAll(async () => {
  stack = await startStack(dataDir);
  project = await createProject(dataDir, "files");
});
afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
  rmSync(folder, { recursive: true, force: true });
});

const run = async (...args: string[]) => {
  const result = await supalove(dataDir, ["storage", ...args]);
  if (result.code !== 0) throw new Error(result.stderr);
  return result.stdout;
};

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
async function graphql(query: string): Promise<any> {
  const response = await fetch(`${findLocalInstance(dataDir)?.controlPlaneUrl}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${findOwnerToken(dataDir)}` },
    body: JSON.stringify({ query }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

test("folders go there and back, are listed and removed", async () => {
  const { storage } = createClient(project.url, project.serviceRoleKey, { auth: { persistSession: false } });
  await storage.createBucket("b");
  const large = randomBytes(3_000_000);
  mkdirSync(join(folder, "in/deep"), { recursive: true });
  writeFileSync(join(folder, "in/large.bin"), large);
  writeFileSync(join(folder, "in/deep/small.txt"), "small");
  writeFileSync(join(folder, "in/empty"), "");
  expect(await run("ls", `ss://${project.ref}`)).toBe("b/\n");
  expect(await run("cp", "-r", join(folder, "in"), `ss://${project.ref}/b/backup`)).toBe("3 files copied\n");
  const listed = JSON.parse(await run("ls", "-r", "--json", `ss://${project.ref}/b/backup/`));
  expect(listed.map(({ name }: { name: string }) => name)).toEqual([
    "backup/deep/small.txt",
    "backup/empty",
    "backup/large.bin",
  ]);
  await run("cp", "-r", `ss://${project.ref}/b/backup`, join(folder, "out"));
  expect(readFileSync(join(folder, "out/large.bin")).equals(large)).toBe(true);
  expect(readFileSync(join(folder, "out/deep/small.txt"), "utf8")).toBe("small");
  await run("cp", `ss://${project.ref}/b/backup/deep/small.txt`, `ss://${project.ref}/b/copy.txt`);
  await run("cp", `ss://${project.ref}/b/copy.txt`, join(folder, "copy.txt"));
  expect(readFileSync(join(folder, "copy.txt"), "utf8")).toBe("small");
  expect((await supalove(dataDir, ["storage", "cp", join(folder, "in"), `ss://${project.ref}/b/`])).stderr).toContain(
    "use --recursive",
  );
  expect(await run("rm", "-r", `ss://${project.ref}/b/backup`)).toBe("3 objects removed\n");
  expect((await supalove(dataDir, ["storage", "rm", `ss://${project.ref}/b/nothing`])).code).toBe(1);
  const { project: seen } = await graphql(
    `{ project(ref: "${project.ref}") { usage { storageBytes storageObjects } } }`,
  );
  expect(seen.usage).toEqual({ storageBytes: 5, storageObjects: 1 });
});

test("an S3 access key works at once, and no more when it is revoked", async () => {
  const { createS3AccessKey: created } = await graphql(
    `mutation { createS3AccessKey(ref: "${project.ref}", description: "backup") { secretAccessKey accessKey { accessKeyId } } }`,
  );
  const { accessKeyId } = created.accessKey;
  const credentials = { accessKeyId, secretAccessKey: created.secretAccessKey };
  const s3 = new S3Client({
    region: "us-east-1",
    endpoint: `${project.url}/storage/v1/s3`,
    forcePathStyle: true,
    credentials,
  });
  const list = () => s3.send(new ListBucketsCommand({}));
  await expect
    .poll(() =>
      list()
        .then(({ Buckets }) => Buckets?.map(({ Name }) => Name))
        .catch((error) => error.name),
    )
    .toEqual(["b"]);
  await graphql(`mutation { revokeS3AccessKey(ref: "${project.ref}", accessKeyId: "${accessKeyId}") { accessKeyId } }`);
  await expect
    .poll(() =>
      list()
        .then(() => "listed")
        .catch((error) => error.name),
    )
    .toBe("InvalidAccessKeyId");
  const { project: seen } = await graphql(`{ project(ref: "${project.ref}") { s3AccessKeys { accessKeyId } } }`);
  expect(seen.s3AccessKeys).toEqual([]);
});

test("settings reach the service, a pause keeps the bytes and a deletion erases them", async () => {
  const { storage } = createClient(project.url, project.serviceRoleKey, { auth: { persistSession: false } });
  await graphql(
    `mutation { updateStorageSettings(ref: "${project.ref}", settings: { fileSizeLimitBytes: 10 }) { ref } }`,
  );
  await expect
    .poll(async () => (await storage.from("b").upload("large", "x".repeat(11), { upsert: true })).error?.message)
    .toBe("The object exceeded the maximum allowed size");
  const bytes = join(dataDir, "storage", project.ref);
  await supalove(dataDir, ["project", "pause", project.ref]);
  expect(existsSync(bytes)).toBe(true);
  await supalove(dataDir, ["project", "resume", project.ref]);
  await expect.poll(async () => (await storage.from("b").download("copy.txt")).data?.text()).toBe("small");
  await supalove(dataDir, ["project", "delete", project.ref]);
  expect(existsSync(bytes)).toBe(false);
});
