import { expect, test } from "vitest";
import { InvalidRoleClaimKey, roleSelector } from "./role-claim.ts";

const CLAIMS = {
  role: "plain",
  postgrest: { roles: ["other", "author"] },
  "https://example.com/role": { key: "far" },
  realms: [
    { name: "a", role: "first" },
    { name: "b", role: "second" },
  ],
};

test.each([
  ["$.role", "plain"],
  ["$.postgrest.roles[1]", "author"],
  ["$.postgrest.roles[-1]", "author"],
  ["$['https://example.com/role'].key", "far"],
  ["$.postgrest.roles[?(@ == 'author')]", "author"],
  ["$.postgrest.roles[?search(@, '^au')]", "author"],
  ["$.realms[?(@.name == 'b')].role", "second"],
  ["$.realms[*].role", "first"],
  ["$..key", "far"],
  [".role", "plain"],
  ['."https://example.com/role".key', "far"],
  ['.postgrest.roles[?(@ ^== "aut")]', "author"],
  ["$.nothing", null],
  ["$.postgrest", null],
  ["$.constructor", null],
])("%s", (key, role) => {
  expect(roleSelector(key)(CLAIMS)).toBe(role);
});

test.each(["", "$", "$.", "$.a[", "role", "$.a[?search(@, '(')]", "$.a[?search(@, '(?=a)')]"])(
  "%j is no path",
  (key) => {
    expect(() => roleSelector(key)).toThrow(InvalidRoleClaimKey);
  },
);
