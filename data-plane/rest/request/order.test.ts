import { expect, test } from "vitest";
import { parseOrder } from "./order.ts";

test("terms have a direction, a place for nulls, and a JSON path or an embed", () => {
  expect(parseOrder("a.desc.nullslast,b->>c, client(name).asc")).toEqual([
    { relation: null, field: { name: "a", jsonPath: [] }, direction: "desc", nulls: "last" },
    {
      relation: null,
      field: { name: "b", jsonPath: [{ kind: "key", key: "c", asText: true }] },
      direction: null,
      nulls: null,
    },
    { relation: "client", field: { name: "name", jsonPath: [] }, direction: "asc", nulls: null },
  ]);
});

test.each([
  ["id.asc.nullslasttt", "unexpected 't' expecting \",\" or end of input", 17],
  ["id.sideways", 'unexpected "s" expecting "asc", "desc", "nullsfirst" or "nullslast"', 4],
])("order=%s is refused", (text, details, column) => {
  expect(() => parseOrder(text)).toThrow(
    expect.objectContaining({ details, message: `"failed to parse order (${text})" (line 1, column ${column})` }),
  );
});
