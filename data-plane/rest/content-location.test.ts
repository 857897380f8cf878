import { expect, test } from "vitest";
import { contentLocation, locationTemplate } from "./content-location.ts";
import { shapeOfQuery } from "./request/shape.ts";

const locate = (query: string, takesArguments = false) => {
  const shape = shapeOfQuery(query, takesArguments);
  return contentLocation("/t", locationTemplate(shape), shape.slots);
};

test.each([
  ["", "/t"],
  ["b=eq.1&a=eq.2", "/t?a=eq.2&b=eq.1"],
  ["select=id,name&id=in.(1,2)", "/t?id=in.%281%2C2%29&select=id%2Cname"],
  ["a+b=eq.c%26d", "/t?a%20b=eq.c%26d"],
  ["a=is.null&offset=3&limit=2", "/t?a=is.null&limit=2&offset=3"],
  ["a=%ff", "/t?a=%EF%BF%BD"],
])("%s", (query, location) => {
  expect(locate(query)).toBe(location);
});

test("one template serves every request of the shape", () => {
  const first = shapeOfQuery("id=eq.1&select=name", false);
  const second = shapeOfQuery("id=eq.a b&select=name", false);
  expect(contentLocation("/t", locationTemplate(first), second.slots)).toBe("/t?id=eq.a%20b&select=name");
});

test("arguments of a function are parameters like any other", () => {
  expect(locate("b=1&a=x", true)).toBe("/t?a=x&b=1");
});

test.each([
  ["of many values", `id=in.(${"1234,".repeat(2_000)}5)`],
  ["that grows when it is encoded", `name=eq.${"(".repeat(2_000)}`],
  ["of a long path", "select=id"],
])("an address %s is left out: clients take few kilobytes of headers", (title, query) => {
  const shape = shapeOfQuery(query, false);
  const path = title.endsWith("path") ? `/${"t".repeat(5_000)}` : "/t";
  expect(contentLocation(path, locationTemplate(shape), shape.slots)).toBeNull();
});
