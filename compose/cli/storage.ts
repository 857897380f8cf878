/** `supalove storage ls|cp|rm`: files of any project of the installation, addressed as `ss://<ref>/<bucket>/<path>`. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { GraphqlClient } from "./graphql-client.ts";
import { CommandError, formatTable, printJson } from "./output.ts";
import { revealCredentials } from "./projects.ts";

export interface StorageAddress {
  readonly ref: string;
  /** Empty for all buckets. */
  readonly bucket: string;
  /** Without a slash in front; empty for the whole bucket. */
  readonly path: string;
}

const SCHEME = "ss://";

/** @throws {CommandError} */
export function parseStorageAddress(text: string): StorageAddress {
  const [ref = "", bucket = "", ...path] = text.startsWith(SCHEME) ? text.slice(SCHEME.length).split("/") : [];
  if (!/^[a-z]{20}$/.test(ref)) throw new CommandError(`${text} is no address of storage: ss://<ref>/<bucket>/<path>`);
  return { ref, bucket, path: path.join("/") };
}

export const isStorageAddress = (text: string) => text.startsWith(SCHEME);

interface Entry {
  /** Whole key; a folder's ends in a slash. */
  readonly name: string;
  readonly bytes: number | null;
  readonly updatedAt: string | null;
}

/** One project's storage, as the service role. */
export class ProjectStorage {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, serviceKey: string) {
    this.#url = `${url}/storage/v1`;
    this.#headers = { apikey: serviceKey, authorization: `Bearer ${serviceKey}` };
  }

  async buckets(): Promise<{ readonly name: string; readonly public: boolean }[]> {
    return (await this.#call("GET", "/bucket?sortColumn=name")).json() as Promise<{ name: string; public: boolean }[]>;
  }

  /** Everything below a prefix; one level where `isDeep` is false, with folders. */
  async *list(bucket: string, prefix: string, isDeep: boolean): AsyncGenerator<Entry> {
    let cursor: string | undefined;
    do {
      const body = { prefix, cursor, limit: 1000, with_delimiter: !isDeep };
      const page = (await (await this.#json("POST", `/object/list-v2/${encodeURIComponent(bucket)}`, body)).json()) as {
        readonly nextCursor?: string;
        readonly folders: readonly { readonly name: string }[];
        readonly objects: readonly { name: string; updated_at: string | null; metadata: { size?: number } | null }[];
      };
      for (const { name } of page.folders) yield { name, bytes: null, updatedAt: null };
      for (const { name, updated_at, metadata } of page.objects) {
        yield { name, bytes: metadata?.size ?? null, updatedAt: updated_at };
      }
      cursor = page.nextCursor;
    } while (cursor);
  }

  /** Replaces what is there. */
  async upload(bucket: string, name: string, file: string): Promise<void> {
    const { size } = await stat(file);
    await this.#call("POST", this.#objectPath(bucket, name), {
      headers: { "x-upsert": "true", "content-type": typeOf(name), "content-length": String(size) },
      body: size === 0 ? "" : (Readable.toWeb(createReadStream(file)) as ReadableStream),
    });
  }

  async download(bucket: string, name: string, file: string): Promise<void> {
    const response = await this.#call("GET", this.#objectPath(bucket, name));
    await mkdir(dirname(file), { recursive: true });
    const body = response.body ? Readable.fromWeb(response.body as never) : Readable.from([]);
    await pipeline(body, createWriteStream(file));
  }

  async copy(from: StorageAddress, to: StorageAddress): Promise<void> {
    const body = { bucketId: from.bucket, sourceKey: from.path, destinationBucket: to.bucket, destinationKey: to.path };
    await this.#json("POST", "/object/copy", body, { "x-upsert": "true" });
  }

  /** @returns How many there were. */
  async remove(bucket: string, names: readonly string[]): Promise<number> {
    const response = await this.#json("DELETE", `/object/${encodeURIComponent(bucket)}`, { prefixes: names });
    return ((await response.json()) as unknown[]).length;
  }

  #objectPath(bucket: string, name: string): string {
    return `/object/${encodeURIComponent(bucket)}/${name.split("/").map(encodeURIComponent).join("/")}`;
  }

  #json(method: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return this.#call(method, path, {
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  async #call(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...this.#headers, ...(init.headers as Record<string, string>) };
    const response = await fetch(`${this.#url}${path}`, { method, ...init, headers, duplex: "half" } as RequestInit);
    if (response.ok) return response;
    const text = await response.text();
    throw new CommandError(`${decodeURIComponent(path)}: ${messageOf(text) ?? `status ${response.status}`}`);
  }
}

function messageOf(text: string): string | null {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? null;
  } catch {
    return null;
  }
}

async function openStorage(api: GraphqlClient, { ref }: StorageAddress): Promise<ProjectStorage> {
  const { url, serviceRoleKey } = await revealCredentials(api, ref);
  return new ProjectStorage(url, serviceRoleKey);
}

export async function listStorage(
  api: GraphqlClient,
  target: string,
  options: { readonly recursive?: boolean; readonly json?: boolean },
): Promise<void> {
  const address = parseStorageAddress(target);
  const storage = await openStorage(api, address);
  if (address.bucket === "") {
    const buckets = await storage.buckets();
    if (options.json) return printJson(buckets);
    for (const bucket of buckets) console.log(`${bucket.name}/${bucket.public ? "  (public)" : ""}`);
    return;
  }
  const entries: Entry[] = [];
  for await (const entry of storage.list(address.bucket, address.path, options.recursive ?? false)) entries.push(entry);
  if (options.json) return printJson(entries);
  if (entries.length === 0) return;
  const rows = entries.map(({ name, bytes, updatedAt }) => [
    updatedAt ?? "",
    bytes === null ? "" : String(bytes),
    name,
  ]);
  console.log(formatTable(["UPDATED", "BYTES", "NAME"], rows));
}

export interface CopyOptions {
  readonly recursive?: boolean;
  readonly jobs: number;
  readonly quiet?: boolean;
}

/** From here to storage, from storage to here, or within one project. */
export async function copyStorage(api: GraphqlClient, from: string, to: string, options: CopyOptions): Promise<void> {
  if (isStorageAddress(from) && isStorageAddress(to)) return copyWithin(api, from, to, options);
  if (isStorageAddress(to)) return uploadTo(api, from, parseStorageAddress(to), options);
  if (isStorageAddress(from)) return downloadFrom(api, parseStorageAddress(from), to, options);
  throw new CommandError("One of the two must be an address of storage: ss://<ref>/<bucket>/<path>");
}

interface Job {
  readonly name: string;
  run(): Promise<void>;
}

async function uploadTo(api: GraphqlClient, from: string, to: StorageAddress, options: CopyOptions): Promise<void> {
  requireBucket(to);
  const source = await stat(from).catch(() => {
    throw new CommandError(`${from} is not there`);
  });
  const storage = await openStorage(api, to);
  if (!source.isDirectory()) {
    const name = to.path === "" || to.path.endsWith("/") ? `${to.path}${basename(from)}` : to.path;
    return work([{ name, run: () => storage.upload(to.bucket, name, from) }], options);
  }
  requireRecursive(options, from);
  const files = (await readdir(from, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const prefix = folderPrefix(to.path);
  await work(
    files.map(({ parentPath, name: fileName }) => {
      const file = join(parentPath, fileName);
      const name = `${prefix}${relative(from, file).split(sep).join("/")}`;
      return { name, run: () => storage.upload(to.bucket, name, file) };
    }),
    options,
  );
}

async function downloadFrom(api: GraphqlClient, from: StorageAddress, to: string, options: CopyOptions): Promise<void> {
  requireBucket(from);
  const storage = await openStorage(api, from);
  const isFolder = await stat(to).then(
    (target) => target.isDirectory(),
    () => to.endsWith("/"),
  );
  if (!options.recursive) {
    if (from.path === "" || from.path.endsWith("/")) requireRecursive(options, from.path || from.bucket);
    const file = isFolder ? join(to, basename(from.path)) : to;
    return work([{ name: from.path, run: () => storage.download(from.bucket, from.path, file) }], options);
  }
  const prefix = folderPrefix(from.path);
  const jobs: Job[] = [];
  for await (const { name } of storage.list(from.bucket, prefix, true)) {
    const file = resolve(to, name.slice(prefix.length));
    // A name cannot hold dot segments; nothing is ever written outside of the folder all the same.
    if (!file.startsWith(`${resolve(to)}${sep}`)) throw new CommandError(`${name} leads out of ${to}`);
    jobs.push({ name, run: () => storage.download(from.bucket, name, file) });
  }
  await work(jobs, options);
}

async function copyWithin(api: GraphqlClient, fromText: string, toText: string, options: CopyOptions): Promise<void> {
  const [from, to] = [parseStorageAddress(fromText), parseStorageAddress(toText)];
  if (from.ref !== to.ref) throw new CommandError("Copy to a folder here first: the two are different projects.");
  requireBucket(from);
  requireBucket(to);
  const storage = await openStorage(api, from);
  if (!options.recursive) {
    const path = to.path === "" || to.path.endsWith("/") ? `${to.path}${basename(from.path)}` : to.path;
    return work([{ name: path, run: () => storage.copy(from, { ...to, path }) }], options);
  }
  const prefix = folderPrefix(from.path);
  const jobs: Job[] = [];
  for await (const { name } of storage.list(from.bucket, prefix, true)) {
    const path = `${folderPrefix(to.path)}${name.slice(prefix.length)}`;
    jobs.push({ name: path, run: () => storage.copy({ ...from, path: name }, { ...to, path }) });
  }
  await work(jobs, options);
}

const REMOVE_BATCH = 500;

export async function removeStorage(
  api: GraphqlClient,
  target: string,
  options: { readonly recursive?: boolean; readonly quiet?: boolean },
): Promise<void> {
  const address = parseStorageAddress(target);
  requireBucket(address);
  const storage = await openStorage(api, address);
  let removed = 0;
  if (!options.recursive) {
    removed = await storage.remove(address.bucket, [address.path]);
    if (removed === 0) throw new CommandError(`${target} is not there`);
  } else {
    const prefix = folderPrefix(address.path);
    for (;;) {
      const names: string[] = [];
      for await (const { name } of storage.list(address.bucket, prefix, true)) {
        names.push(name);
        if (names.length === REMOVE_BATCH) break;
      }
      if (names.length === 0) break;
      removed += await storage.remove(address.bucket, names);
    }
  }
  if (!options.quiet) console.log(`${removed} ${removed === 1 ? "object" : "objects"} removed`);
}

/** Several at a time, with a line of progress where somebody looks; the first failure ends it. */
async function work(jobs: readonly Job[], { jobs: width, quiet }: CopyOptions): Promise<void> {
  let next = 0;
  let done = 0;
  const isWatched = !quiet && process.stderr.isTTY;
  const runner = async () => {
    for (let job = jobs[next++]; job; job = jobs[next++]) {
      await job.run();
      done += 1;
      if (isWatched) process.stderr.write(`\r\x1b[K${done}/${jobs.length}  ${job.name}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(width, jobs.length) }, runner));
  } finally {
    if (isWatched) process.stderr.write("\r\x1b[K");
  }
  if (!quiet) console.log(`${done} ${done === 1 ? "file" : "files"} copied`);
}

function folderPrefix(path: string): string {
  return path === "" || path.endsWith("/") ? path : `${path}/`;
}

function requireBucket({ bucket }: StorageAddress): void {
  if (bucket === "") throw new CommandError("Name a bucket: ss://<ref>/<bucket>/<path>");
}

function requireRecursive({ recursive }: CopyOptions, what: string): void {
  if (!recursive) throw new CommandError(`${what} is a folder: use --recursive`);
}

const TYPES: Readonly<Record<string, string>> = {
  ...{ ".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".html": "text/html", ".css": "text/css" },
  ...{ ".js": "text/javascript", ".json": "application/json", ".xml": "application/xml", ".pdf": "application/pdf" },
  ...{ ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp" },
  ...{
    ".avif": "image/avif",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".mp4": "video/mp4",
    ".mp3": "audio/mpeg",
  },
  ...{ ".zip": "application/zip", ".gz": "application/gzip", ".wasm": "application/wasm", ".woff2": "font/woff2" },
};

function typeOf(name: string): string {
  return TYPES[extname(name).toLowerCase()] ?? "application/octet-stream";
}
