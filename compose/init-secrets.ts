/**
 * First container of docker-compose.yml: `node compose/init-secrets.ts <folder>` makes every secret that is missing, in
 * the folders of those who need it (`postgres`, `control`, `service`, `gateway`: a volume each). What is there stays;
 * what two of them share is copied from the one that has it, so that a lost volume is filled again.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OWNERS = ["postgres", "control", "service", "gateway"] as const;
type Owner = (typeof OWNERS)[number];

interface Secret {
  readonly name: string;
  readonly owners: readonly Owner[];
  readonly make: () => string;
}

const SECRETS: readonly Secret[] = [
  { name: "superuser-password", owners: ["postgres", "control"], make: () => randomBytes(24).toString("base64url") },
  { name: "master-keys", owners: ["control"], make: () => randomBytes(32).toString("base64") },
  { name: "owner-password", owners: ["control"], make: () => randomBytes(12).toString("base64url") },
  { name: "gateway-token", owners: ["control", "gateway"], make: serviceToken },
  { name: "service-token", owners: ["control", "service"], make: serviceToken },
  { name: "internal-token", owners: ["service", "gateway"], make: () => randomBytes(32).toString("hex") },
];

/** @returns Names of the secrets that were made now. */
export function ensureSecrets(folder: string): string[] {
  const made: string[] = [];
  for (const { name, owners, make } of SECRETS) {
    const paths = owners.map((owner) => join(folder, owner, name));
    const present = paths.find((path) => existsSync(path));
    const value = present === undefined ? make() : readFileSync(present, "utf8").trim();
    if (present === undefined) made.push(name);
    for (const path of paths) if (!existsSync(path)) writeWhole(path, value);
  }
  const password = readFileSync(join(folder, "control/superuser-password"), "utf8").trim();
  // base64url: needs no quoting in a URL
  writeWhole(
    join(folder, "control/database-url"),
    `postgresql://supabase_admin:${password}@shared-postgres:5432/postgres`,
  );
  return made;
}

function serviceToken(): string {
  return `sbsvc_${randomBytes(20).toString("hex")}`;
}

/** Never half a secret: whoever is killed in between leaves the draft, which is written over. */
function writeWhole(path: string, value: string): void {
  writeFileSync(`${path}.new`, `${value}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    console.error("usage: node compose/init-secrets.ts <folder>");
    process.exit(2);
  }
  const made = ensureSecrets(folder);
  console.log(made.length === 0 ? "every secret is there" : `made: ${made.join(", ")}`);
}
