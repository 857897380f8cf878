/**
 * Secrets of projects, encrypted at rest: each project has a data key, wrapped by a master key that is not in the
 * database. A backup of the database alone reveals nothing, and destroying a project's data key destroys its secrets.
 */
import { randomBytes } from "node:crypto";
import type { Queryable } from "../database.ts";
import { MasterKeyError, type MasterKeys } from "./master-keys.ts";
import { isReservedSecretName } from "./names.ts";
import { KEY_BYTES, type Place, seal, unseal } from "./sealed-box.ts";

export interface PutOptions {
  /** Made by the control plane itself: people can neither set nor delete it. Default false. */
  readonly system?: boolean;
}

export interface Vault {
  /** Gives the project its data key; does nothing when it has one. Before any other call for the project. */
  createDataKey(tx: Queryable, ref: string): Promise<void>;
  /** @throws {ReservedSecretName} when a person's secret would take the place of a system one. */
  put(tx: Queryable, ref: string, name: string, value: string, options?: PutOptions): Promise<void>;
  /** {@link put} for several at once, in one statement. */
  putAll(tx: Queryable, ref: string, secrets: Readonly<Record<string, string>>, options?: PutOptions): Promise<void>;
  /** Null when the project has no such secret. */
  get(tx: Queryable, ref: string, name: string): Promise<string | null>;
  /** Every secret of the project, system and other, by name. */
  getAll(tx: Queryable, ref: string): Promise<Map<string, string>>;
  /** @returns whether there was such a secret. */
  delete(tx: Queryable, ref: string, name: string): Promise<boolean>;
  /** Destroys the data key and all secrets: what was encrypted for the project is lost for good. */
  destroy(tx: Queryable, ref: string): Promise<void>;

  /** The project's data key, for values that live in other tables. @throws {MissingDataKey} */
  dataKey(tx: Queryable, ref: string): Promise<DataKey>;
  /** {@link dataKey} from a row of project_data_keys that was read along with something else. */
  unwrapDataKey(ref: string, row: WrappedKey): DataKey;

  /** Id of the master key that wraps from now on. */
  readonly currentKeyId: string;
  /** Encrypts under the current master key what belongs to no project, such as a cluster's password. */
  sealForInstance(name: string, value: string): { ciphertext: Buffer; keyId: string };
  /** @throws {UnsealError} @throws {MasterKeyError} */
  openForInstance(name: string, ciphertext: Buffer, keyId: string): string;

  /**
   * After a new master key was put first: wraps again every data key that an older one wraps. Safe while the control
   * plane runs, and to run again; see rotate-master-key.ts.
   * @returns how many data keys were wrapped again.
   */
  rewrapDataKeys(tx: Queryable): Promise<number>;
}

export interface WrappedKey {
  readonly wrappedKey: Buffer;
  readonly masterKeyId: string;
}

/** Seals and opens values of one project; `kind` and `name` bind a value to its row. */
export interface DataKey {
  seal(kind: SealedKind, name: string, value: string): Buffer;
  /** @throws {UnsealError} when the value was sealed for another project, kind or name. */
  open(kind: SealedKind, name: string, ciphertext: Buffer): string;
}

export type SealedKind = "secret" | "api-key" | "s3-key";

/** The project has none: it was not provisioned yet, or it was deleted. */
export class MissingDataKey extends Error {}

/** A person may not write a secret of this name. */
export class ReservedSecretName extends Error {}

export function createVault(masterKeys: MasterKeys): Vault {
  return new PostgresVault(masterKeys);
}

class PostgresVault implements Vault {
  readonly #masterKeys: MasterKeys;

  constructor(masterKeys: MasterKeys) {
    this.#masterKeys = masterKeys;
  }

  get currentKeyId(): string {
    return this.#masterKeys.currentId;
  }

  async createDataKey(tx: Queryable, ref: string): Promise<void> {
    await tx.query(
      `/* createDataKey */ insert into project_data_keys (project_ref, wrapped_key, master_key_id) values ($1, $2, $3)
       on conflict (project_ref) do nothing`,
      [ref, this.#wrap(ref, randomBytes(KEY_BYTES)), this.currentKeyId],
    );
  }

  async put(tx: Queryable, ref: string, name: string, value: string, options?: PutOptions): Promise<void> {
    await this.putAll(tx, ref, { [name]: value }, options);
  }

  async putAll(
    tx: Queryable,
    ref: string,
    secrets: Readonly<Record<string, string>>,
    { system = false }: PutOptions = {},
  ): Promise<void> {
    const names = Object.keys(secrets);
    const reserved = system ? undefined : names.find(isReservedSecretName);
    if (reserved !== undefined) throw new ReservedSecretName(`${reserved} is made by the system`);
    const key = await this.dataKey(tx, ref);
    const written = await tx.query(
      `/* putSecrets */ insert into project_secrets (project_ref, name, ciphertext, is_system)
       select $1, name, ciphertext, $4 from unnest($2::text[], $3::bytea[]) as secret (name, ciphertext)
       on conflict (project_ref, name) do update
         set ciphertext = excluded.ciphertext, is_system = excluded.is_system, updated_at = now()
         where excluded.is_system or not project_secrets.is_system
       returning name`,
      [ref, names, Object.entries(secrets).map(([name, value]) => key.seal("secret", name, value)), system],
    );
    if (written.length < names.length) throw new ReservedSecretName("a secret of the system is not replaced by hand");
  }

  async get(tx: Queryable, ref: string, name: string): Promise<string | null> {
    const [row] = await tx.query<WrappedKey & { ciphertext: Buffer }>(
      `/* getSecret */ select ciphertext, wrapped_key as "wrappedKey", master_key_id as "masterKeyId"
       from project_secrets join project_data_keys using (project_ref) where project_ref = $1 and name = $2`,
      [ref, name],
    );
    return row ? this.unwrapDataKey(ref, row).open("secret", name, row.ciphertext) : null;
  }

  async getAll(tx: Queryable, ref: string): Promise<Map<string, string>> {
    const rows = await tx.query<WrappedKey & { name: string; ciphertext: Buffer }>(
      `/* getSecrets */ select name, ciphertext, wrapped_key as "wrappedKey", master_key_id as "masterKeyId"
       from project_secrets join project_data_keys using (project_ref) where project_ref = $1 order by name`,
      [ref],
    );
    const [first] = rows;
    if (!first) return new Map();
    const key = this.unwrapDataKey(ref, first);
    return new Map(rows.map(({ name, ciphertext }) => [name, key.open("secret", name, ciphertext)]));
  }

  async delete(tx: Queryable, ref: string, name: string): Promise<boolean> {
    const rows = await tx.query(
      "/* deleteSecret */ delete from project_secrets where project_ref = $1 and name = $2 returning name",
      [ref, name],
    );
    return rows.length > 0;
  }

  async destroy(tx: Queryable, ref: string): Promise<void> {
    await tx.query("/* destroySecrets */ delete from project_secrets where project_ref = $1", [ref]);
    await tx.query("/* destroyDataKey */ delete from project_data_keys where project_ref = $1", [ref]);
  }

  async dataKey(tx: Queryable, ref: string): Promise<DataKey> {
    const [row] = await tx.query<WrappedKey>(
      `/* dataKey */ select wrapped_key as "wrappedKey", master_key_id as "masterKeyId"
       from project_data_keys where project_ref = $1`,
      [ref],
    );
    if (!row) throw new MissingDataKey(`project ${ref} has no data key`);
    return this.unwrapDataKey(ref, row);
  }

  unwrapDataKey(ref: string, { wrappedKey, masterKeyId }: WrappedKey): DataKey {
    const key = unseal(this.#masterKey(masterKeyId), wrappedKey, dataKeyPlace(ref));
    return {
      seal: (kind, name, value) => seal(key, Buffer.from(value, "utf8"), [kind, ref, name]),
      open: (kind, name, ciphertext) => unseal(key, ciphertext, [kind, ref, name]).toString("utf8"),
    };
  }

  sealForInstance(name: string, value: string): { ciphertext: Buffer; keyId: string } {
    const keyId = this.currentKeyId;
    const ciphertext = seal(this.#masterKey(keyId), Buffer.from(value, "utf8"), ["instance", name]);
    return { ciphertext, keyId };
  }

  openForInstance(name: string, ciphertext: Buffer, keyId: string): string {
    return unseal(this.#masterKey(keyId), ciphertext, ["instance", name]).toString("utf8");
  }

  async rewrapDataKeys(tx: Queryable): Promise<number> {
    const rows = await tx.query<WrappedKey & { ref: string }>(
      `/* rewrapDataKeys */ select project_ref as ref, wrapped_key as "wrappedKey", master_key_id as "masterKeyId"
       from project_data_keys where master_key_id <> $1 order by project_ref for update`,
      [this.currentKeyId],
    );
    const wrapped = rows.map((row) =>
      this.#wrap(row.ref, unseal(this.#masterKey(row.masterKeyId), row.wrappedKey, dataKeyPlace(row.ref))),
    );
    await tx.query(
      `/* rewrapDataKeys: write */ update project_data_keys set wrapped_key = fresh.wrapped_key, master_key_id = $3
       from unnest($1::text[], $2::bytea[]) as fresh (ref, wrapped_key) where project_ref = fresh.ref`,
      [rows.map(({ ref }) => ref), wrapped, this.currentKeyId],
    );
    return rows.length;
  }

  #wrap(ref: string, key: Buffer): Buffer {
    return seal(this.#masterKey(this.currentKeyId), key, dataKeyPlace(ref));
  }

  #masterKey(id: string): Buffer {
    const key = this.#masterKeys.byId.get(id);
    if (!key) throw new MasterKeyError(`something is encrypted under master key ${id}, which is not configured`);
    return key;
  }
}

function dataKeyPlace(ref: string): Place {
  return ["data-key", ref];
}
