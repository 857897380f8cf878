import { expect, test } from "vitest";
import { returnAddress } from "./return-address.ts";

test.each(["/projects/abc/sql", "/projects?q=shop", "/orgs/x/members"])("%s is an address to return to", (to) => {
  expect(returnAddress(to)).toBe(to);
});

test.each([
  undefined,
  "",
  "https://evil.example",
  "//evil.example",
  "/\\evil.example",
  "/\t/evil.example",
  "javascript:1",
])("%j leads to the projects instead", (to) => {
  expect(returnAddress(to)).toBe("/projects");
});
