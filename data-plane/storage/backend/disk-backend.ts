/** Objects on a local disk. */
import type { ProjectRef } from "../../../control-plane/client/config-snapshot.ts";
import type {
  ObjectAddress,
  ObjectBackend,
  OpenObject,
  StoredVersion,
  WriteOptions,
  WrittenObject,
} from "./backend.ts";
import type { DiskStore } from "./disk-store.ts";

export class DiskBackend implements ObjectBackend {
  readonly kind = "disk";
  readonly #store: DiskStore;

  constructor(store: DiskStore) {
    this.#store = store;
  }

  write(address: ObjectAddress, body: AsyncIterable<Buffer>, options: WriteOptions): Promise<WrittenObject> {
    return this.#store.write(address.project, address.version, body, options);
  }

  open({ project, version }: ObjectAddress): Promise<OpenObject | null> {
    return this.#store.open(project, version);
  }

  async copy(from: ObjectAddress, to: ObjectAddress): Promise<void> {
    await this.#store.copy(to.project, from.version, to.version);
  }

  /** A single staged file that has the version's own name is the object already. */
  async publish({ project, version }: ObjectAddress, staged: readonly string[]): Promise<void> {
    const [only] = staged;
    if (staged.length === 1 && only !== undefined) {
      if (only !== version) await this.#store.copy(project, only, version);
      return;
    }
    await this.#store.requireSpace(0);
    await this.#store.concatenate(project, staged, version);
  }

  async remove({ project, version }: ObjectAddress): Promise<void> {
    await this.#store.remove(project, version);
  }

  eraseProject(project: ProjectRef): Promise<void> {
    return this.#store.eraseProject(project);
  }

  list(project: ProjectRef): AsyncIterable<StoredVersion> {
    return this.#store.list(project);
  }
}
