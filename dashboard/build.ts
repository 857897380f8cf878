/**
 * Builds the dashboard into the folder that is given, every file beside its brotli and gzip form. Run in a process of its
 * own by whoever starts a control plane (control-plane/dashboard/build.ts): `node dashboard/build.ts <folder>`.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { build } from "vite";

const COMPRESSIBLE = /\.(js|css|svg|html)$/;
/** A tenth larger than the best, in a twentieth of the time: the build runs beside a stack that serves. */
const BROTLI_QUALITY = 9;

const [folder] = process.argv.slice(2);
if (!folder) throw new Error("usage: node dashboard/build.ts <folder>");
setPriority(10); // the stack beside it serves requests

await build({
  configFile: join(import.meta.dirname, "vite.config.ts"),
  logLevel: "error",
  build: { outDir: folder },
});

for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
  if (!COMPRESSIBLE.test(name) || name === "index.html") continue;
  const path = join(folder, name);
  const bytes = readFileSync(path);
  const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };
  writeFileSync(`${path}.br`, await promisify(brotliCompress)(bytes, { params }));
  writeFileSync(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }));
}
