import { readdirSync, readFileSync } from "node:fs";
import { isEnumType, isInputObjectType, isObjectType } from "graphql";
import { expect, test } from "vitest";
import { ERROR_CODES } from "./errors.ts";
import { buildSchema, printedSchema } from "./schema.ts";

test("schema.graphql is what the code says (npm run schema:print)", () => {
  expect(readFileSync(new URL("schema.graphql", import.meta.url), "utf8")).toBe(printedSchema());
});

test("every feature's GraphQL file is part of the schema", () => {
  const imported = readFileSync(new URL("schema.ts", import.meta.url), "utf8");
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" });
  const forgotten = files.filter((file) => file.endsWith(".graphql.ts") && !imported.includes(`"./${file}"`));
  expect(forgotten).toEqual([]);
});

test("every query, mutation and subscription says what it does", () => {
  const schema = buildSchema();
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  const fields = roots.flatMap((root) => Object.values(root?.getFields() ?? {}));
  expect(fields.filter(({ description }) => !description).map(({ name }) => name)).toEqual([]);
});

test("clients can read all error codes from the schema", () => {
  const codes = buildSchema().getType("ErrorCode");
  expect(
    isEnumType(codes) &&
      codes
        .getValues()
        .map(({ name }) => name)
        .sort(),
  ).toEqual(Object.keys(ERROR_CODES).sort());
});

test("no output type has a field for a stored secret", () => {
  const secretish = /ciphertext|hash|passwordHash|wrappedKey/i;
  const found = Object.values(buildSchema().getTypeMap())
    .filter((type) => isObjectType(type) || isInputObjectType(type))
    .filter(({ name }) => !name.startsWith("__"))
    .flatMap((type) => Object.values(type.getFields()).map((field) => `${type.name}.${field.name}`))
    .filter((path) => secretish.test(path));
  expect(found).toEqual([]);
});
