import { expect, test, vi } from "vitest";

vi.stubGlobal("navigator", { language: "en-US" });
const { statusOf, userTitle } = await import("./user-status.tsx");

const now = Date.parse("2026-06-01T00:00:00Z");
const user = { bannedUntil: null, isAnonymous: false, emailConfirmedAt: null, phoneConfirmedAt: null };

test.each([
  ["BANNED", { ...user, isAnonymous: true, bannedUntil: "2026-06-02T00:00:00Z" }],
  ["ACTIVE", { ...user, bannedUntil: "2026-05-01T00:00:00Z", emailConfirmedAt: "2026-01-01T00:00:00Z" }],
  ["ANONYMOUS", { ...user, isAnonymous: true }],
  ["ACTIVE", { ...user, phoneConfirmedAt: "2026-01-01T00:00:00Z" }],
  ["UNCONFIRMED", user],
])("%s: %j", (status, given) => {
  expect(statusOf(given, now)).toBe(status);
});

test("a hostile address stays text in one line", () => {
  expect(userTitle({ id: "1", email: "a\u202e@b\n", phone: null, isAnonymous: false })).toBe("a\\u202e@b\\u000a");
});
