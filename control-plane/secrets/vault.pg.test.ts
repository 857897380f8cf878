import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { getClusterAddress, insertCluster } from "../clusters/cluster-table.ts";
import { type ControlPlaneDatabase, createControlPlaneDatabase } from "../testing/fresh-database.ts";
import { insertTestProject } from "../testing/test-project.ts";
import { MasterKeyError, parseMasterKeys } from "./master-keys.ts";
import { moveToCurrentMasterKey } from "./rotate-master-key.ts";
import { UnsealError } from "./sealed-box.ts";
import { createVault, MissingDataKey, ReservedSecretName, type Vault } from "./vault.ts";

const masterKey = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString("base64")}`;
const oldKey = masterKey("old", 1);
const newKey = masterKey("new", 2);

let db: ControlPlaneDatabase;
let vault: Vault;

beforeAll(async () => {
  db = await createControlPlaneDatabase(inject("clusterUrl"));
  vault = createVault(parseMasterKeys(oldKey));
});
afterAll(() => db.drop());

async function project() {
  return (await insertTestProject(db.database, vault)).ref;
}

test("keeps a secret so that the database alone does not know it", async () => {
  const ref = await project();
  await vault.put(db.database, ref, "STRIPE_KEY", "größtes Geheimnis");
  expect(await vault.get(db.database, ref, "STRIPE_KEY")).toBe("größtes Geheimnis");
  expect(await vault.get(db.database, ref, "OTHER")).toBeNull();
  const [row] = await db.database.query<{ dump: string }>(
    "select string_agg(encode(ciphertext, 'hex'), '') as dump from project_secrets where project_ref = $1",
    [ref],
  );
  expect(row?.dump).not.toContain(Buffer.from("Geheimnis").toString("hex"));
});

test("a ciphertext moved to another name or project does not open", async () => {
  const [one, other] = [await project(), await project()];
  await vault.putAll(db.database, one, { A: "value of a", B: "value of b" });
  await vault.put(db.database, other, "A", "value of the other");
  await db.database.query(
    `update project_secrets set ciphertext = (select ciphertext from project_secrets where project_ref = $1 and name = 'A')
     where project_ref = $1 and name = 'B'`,
    [one],
  );
  await expect(vault.get(db.database, one, "B")).rejects.toThrow(UnsealError);
  await db.database.query(
    `update project_secrets set ciphertext = (select ciphertext from project_secrets where project_ref = $1 and name = 'A')
     where project_ref = $2 and name = 'A'`,
    [one, other],
  );
  await expect(vault.get(db.database, other, "A")).rejects.toThrow(UnsealError);
  await db.database.query(
    `update project_data_keys set wrapped_key = (select wrapped_key from project_data_keys where project_ref = $1)
     where project_ref = $2`,
    [one, other],
  );
  await expect(vault.get(db.database, other, "A")).rejects.toThrow(UnsealError);
});

test("people cannot write what the system reads, whether it is there yet or not", async () => {
  const ref = await project();
  for (const name of ["POSTGRES_DB", "JWT_SIGNING_KEYS", "SUPALOVE_ANYTHING"])
    await expect(vault.put(db.database, ref, name, "x")).rejects.toThrow(ReservedSecretName);
  expect(await vault.get(db.database, ref, "POSTGRES_DB")).toBe(`project_${ref}`);
  await vault.put(db.database, ref, "FUTURE_SYSTEM_SECRET", "made by a newer version", { system: true });
  await expect(vault.put(db.database, ref, "FUTURE_SYSTEM_SECRET", "x")).rejects.toThrow(ReservedSecretName);
});

test("a project without a data key cannot keep anything, and a second data key does not replace the first", async () => {
  const { ref } = await insertTestProject(db.database, vault, { hasSecrets: false });
  await expect(vault.put(db.database, ref, "A", "x")).rejects.toThrow(MissingDataKey);
  await vault.createDataKey(db.database, ref);
  await vault.put(db.database, ref, "A", "x");
  await vault.createDataKey(db.database, ref);
  expect(await vault.get(db.database, ref, "A")).toBe("x");
});

test("destroying leaves nothing to decrypt", async () => {
  const ref = await project();
  await vault.destroy(db.database, ref);
  expect(await vault.getAll(db.database, ref)).toEqual(new Map());
  await expect(vault.dataKey(db.database, ref)).rejects.toThrow(MissingDataKey);
});

test("the master key rotates: all is moved to the new one, and the old one can go", async () => {
  await using own = await createControlPlaneDatabase(inject("clusterUrl"));
  const { ref } = await insertTestProject(own.database, vault);
  const address = { host: "db", port: 5432, user: "admin", password: "pässword", ssl: false };
  const cluster = { name: "one", capacity: 1, publicHost: null, publicPort: null, address };
  const { id } = await insertCluster(own.database, vault, cluster);

  const both = createVault(parseMasterKeys(`${newKey},${oldKey}`));
  expect(await both.get(own.database, ref, "POSTGRES_DB")).toBe(`project_${ref}`);
  expect(await moveToCurrentMasterKey(own.database, both)).toEqual({ dataKeys: 1, clusterPasswords: 1 });
  expect(await moveToCurrentMasterKey(own.database, both)).toEqual({ dataKeys: 0, clusterPasswords: 0 });

  const onlyNew = createVault(parseMasterKeys(newKey));
  expect(await onlyNew.get(own.database, ref, "POSTGRES_DB")).toBe(`project_${ref}`);
  expect(await getClusterAddress(own.database, onlyNew, id)).toEqual(address);
  await expect(vault.get(own.database, ref, "POSTGRES_DB")).rejects.toThrow(MasterKeyError);
});

test("without the key that wraps, nothing is moved and nothing is lost", async () => {
  await using own = await createControlPlaneDatabase(inject("clusterUrl"));
  const { ref } = await insertTestProject(own.database, vault);
  const stranger = createVault(parseMasterKeys(newKey));
  await expect(moveToCurrentMasterKey(own.database, stranger)).rejects.toThrow(
    "something is encrypted under master key old, which is not configured",
  );
  expect(await vault.get(own.database, ref, "POSTGRES_DB")).toBe(`project_${ref}`);
});
