import { expect, test } from "vitest";
import { formatIdentity, identityName, parseIdentity } from "./identity.ts";

test.each([undefined, "anon", "authenticated", "service_role", "user:00000000-0000-4000-8000-000000000001"])(
  "%s is the same in the address and out of it",
  (as) => {
    expect(formatIdentity(parseIdentity(as))).toBe(as);
  },
);

test("what is unknown is the owner", () => {
  expect(parseIdentity("postgres")).toEqual({ role: "USER", userId: null });
  expect(identityName("nonsense")).toBe("owner");
});
