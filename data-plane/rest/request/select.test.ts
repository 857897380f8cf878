import { expect, test } from "vitest";
import type { SelectedEmbed, SelectedField, SelectItem } from "./query-types.ts";
import { parseColumns, parseSelect } from "./select.ts";

const field = (name: string, override: Partial<SelectedField> = {}): SelectedField => ({
  kind: "field",
  field: { name, jsonPath: [] },
  alias: null,
  cast: null,
  aggregate: null,
  ...override,
});
const embed = (target: string, items: readonly SelectItem[], override: Partial<SelectedEmbed> = {}): SelectedEmbed => ({
  kind: "embed",
  target,
  alias: null,
  hint: null,
  join: null,
  spread: false,
  items,
  ...override,
});

test.each<[string, readonly SelectItem[]]>([
  ["", [field("*")]],
  ["id, name", [field("id"), field("name")]],
  ["label:name::text", [field("name", { alias: "label", cast: "text" })]],
  ["field-with_sep", [field("field-with_sep")]],
  ['"a,b":"c.d"', [field("c.d", { alias: "a,b" })]],
  ["count()", [{ ...field(""), field: null, aggregate: { function: "count", cast: null } }]],
  [
    "total:price::int.sum()::text",
    [field("price", { alias: "total", cast: "int", aggregate: { function: "sum", cast: "text" } })],
  ],
  [
    "id,client:clients!fk!inner(*)",
    [field("id"), embed("clients", [field("*")], { alias: "client", hint: "fk", join: "inner" })],
  ],
  ["clients!inner()", [embed("clients", [], { join: "inner" })]],
  ["...clients(name)", [embed("clients", [field("name")], { spread: true })]],
])("select=%s", (text, items) => {
  expect(parseSelect(text)).toEqual(items);
});

test("a JSON path tells keys from indexes", () => {
  const [item] = parseSelect("data->0->23-xy->>-1") as [SelectedField];
  expect(item.field?.jsonPath).toEqual([
    { kind: "index", index: 0, asText: false },
    { kind: "key", key: "23-xy", asText: false },
    { kind: "index", index: -1, asText: true },
  ]);
});

test.each([
  ["data->>--34", 'unexpected "-" expecting digit', 9],
  ["data->(x", 'unexpected "(" expecting "-", digit or any non reserved character different from: .,>()', 7],
])("select=%s is refused where it goes wrong", (text, details, column) => {
  expect(() => parseSelect(text)).toThrow(
    expect.objectContaining({
      code: "PGRST100",
      details,
      message: `"failed to parse select parameter (${text})" (line 1, column ${column})`,
    }),
  );
});

test("embeds cannot be nested without end", () => {
  expect(() => parseSelect("a(".repeat(10_000) + ")".repeat(10_000))).toThrow(
    expect.objectContaining({ code: "PGRST100" }),
  );
});

test("columns are names, none of them blank", () => {
  expect(parseColumns('id, "a b"')).toEqual(["id", "a b"]);
  expect(() => parseColumns("")).toThrow(
    expect.objectContaining({ details: "unexpected end of input expecting field name (* or [a..z0..9_$])" }),
  );
});
