import { expect, test } from "vitest";
import { DatabaseError } from "../database/database.ts";
import { AuthError, errorResponse, OAuthError, unexpectedFailure, wantsCodedErrors } from "./errors.ts";

const body = (response: { body: unknown }) => JSON.parse(String(response.body));

test.each([
  ["2024-01-01", true],
  ["2025-07-30", true],
  ["2023-12-31", false],
  ["2024-13-01", false],
  ["tomorrow", false],
  [undefined, false],
])("version %s asks for coded errors: %s", (header, expected) => {
  expect(wantsCodedErrors(header)).toBe(expected);
});

test("a client of 2024 gets the code as `code` and the version header that makes auth-js read it", () => {
  const response = errorResponse(new AuthError("user_banned", "User is banned"), "2024-01-01", "r1");
  expect(response.status).toBe(403);
  expect(response.headers).toContainEqual(["X-Supabase-Api-Version", "2024-01-01"]);
  expect(body(response)).toEqual({ code: "user_banned", message: "User is banned" });
});

test("an older client gets the status as `code`, and the request id only on a 5xx", () => {
  const refused = errorResponse(new AuthError("user_banned", "User is banned"), undefined, "r1");
  expect(body(refused)).toEqual({ code: 403, error_code: "user_banned", msg: "User is banned" });
  expect(refused.headers.map(([name]) => name)).not.toContain("X-Supabase-Api-Version");
  expect(body(errorResponse(unexpectedFailure("Boom"), undefined, "r1"))).toMatchObject({ error_id: "r1" });
});

test("a weak password carries its reasons in both forms", () => {
  const weak = new AuthError("weak_password", "too short", { details: { weak_password: { reasons: ["length"] } } });
  for (const version of [undefined, "2024-01-01"]) {
    expect(body(errorResponse(weak, version, "r1"))).toMatchObject({ weak_password: { reasons: ["length"] } });
  }
});

test("what a trigger raised is shown to older clients alone, and PTnnn chooses the status", () => {
  const raised = (code: string) =>
    unexpectedFailure(
      "Database error saving new user",
      new DatabaseError({ code, message: "no beta access", severity: "ERROR", hint: "ask us" }),
    );
  const shown = errorResponse(raised("P0001"), undefined, "r1");
  expect([shown.status, body(shown)]).toEqual([500, { code: "P0001", message: "no beta access", hint: "ask us" }]);
  expect(errorResponse(raised("PT402"), undefined, "r1").status).toBe(402);
  expect(body(errorResponse(raised("42P01"), undefined, "r1")).msg).toBe("Database error saving new user");
  expect(body(errorResponse(raised("P0001"), "2024-01-01", "r1")).message).toBe("Database error saving new user");
});

test("an OAuth error is 400 in OAuth's shape whatever the version", () => {
  const response = errorResponse(new OAuthError("invalid_client", "unknown client"), "2024-01-01", "r1");
  expect(response.status).toBe(400);
  expect(body(response)).toEqual({ error: "invalid_client", error_description: "unknown client" });
});
