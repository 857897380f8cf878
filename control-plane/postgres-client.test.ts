import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");

test("every client of the driver is made where it gets an error listener: a dying backend ends no process", () => {
  const strangers = ["control-plane", "data-plane", "gateway", "compose"]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((file) => `${folder}/${file}`))
    .filter((file) => /\.ts$/.test(file) && !/test|postgres-client\.ts$/.test(file))
    .filter((file) => /new (?:pg\.)?(?:Pool|Client)\((?!projectRef)/.test(readFileSync(join(root, file), "utf8")))
    .filter((file) => /from "pg"/.test(readFileSync(join(root, file), "utf8")));
  expect(strangers).toEqual([]);
});
