import { expect, test } from "vitest";
import { ConnectionLost, DatabaseError, PoolTimeout } from "../database/database.ts";
import { errorOf } from "./error.ts";

const database = (code: string, message = "x", more: { detail?: string; statementIndex?: number } = {}) =>
  new DatabaseError({ code, message, severity: "ERROR", ...more });
const context = { authenticated: false, settingsIndex: 0 };

test.each([
  ["0LP01", 403],
  ["28000", 403],
  ["40001", 500],
  ["08000", 503],
  ["ABCDE", 400],
  ["23505", 409],
  ["23503", 409],
  ["23502", 400],
  ["25006", 405],
  ["25P02", 500],
  ["42883", 404],
  ["42P01", 404],
  ["42P17", 500],
  ["42703", 400],
  ["53400", 500],
  ["53300", 503],
  ["57014", 500],
  ["08006", 503],
  ["P0001", 400],
  ["P0002", 500],
  ["PT402", 402],
  ["PT40A", 500],
  ["21000", 500],
  ["22P02", 400],
])("SQLSTATE %s is %i", (code, status) => {
  expect(errorOf(database(code), context)).toMatchObject({ status, code, message: "x" });
});

test("privileges that are missing call for a token, unless there is one", () => {
  expect(errorOf(database("42501"), context)).toMatchObject({ status: 401, headers: [["WWW-Authenticate", "Bearer"]] });
  expect(errorOf(database("42501"), { ...context, authenticated: true })).toMatchObject({ status: 403, headers: [] });
});

test("a role that does not exist is the token's fault only where the role is set", () => {
  const message = 'role "x" does not exist';
  expect(errorOf(database("22023", message), context)).toMatchObject({
    status: 401,
    headers: [["WWW-Authenticate", "Bearer"]],
  });
  expect(errorOf(database("22023", message, { statementIndex: 1 }), context)).toMatchObject({ status: 400 });
});

test("every 401 says how to authenticate, a raised one too", () => {
  expect(errorOf(database("PT401"), context)).toMatchObject({ status: 401, headers: [["WWW-Authenticate", "Bearer"]] });
});

test("safeupdate's missing WHERE can be mended by the client", () => {
  expect(errorOf(database("21000", "DELETE requires a WHERE clause"), context)).toMatchObject({ status: 400 });
});

test("a raised response is passed on whole", () => {
  const error = database("PGRST", '{"code":"123","message":"ABC","hint":"H"}', {
    detail: '{"status":332,"status_text":"Mine","headers":{"X-A":"b"}}',
  });
  expect(errorOf(error, context)).toMatchObject({
    status: 332,
    statusText: "Mine",
    code: "123",
    message: "ABC",
    details: null,
    hint: "H",
    headers: [["X-A", "b"]],
  });
});

test.each([
  ["INVALID", "{}", "Invalid JSON value for MESSAGE: 'INVALID'"],
  ['{"code":"1","message":"m"}', undefined, "DETAIL is missing in the RAISE statement"],
  ['{"code":"1","message":"m"}', "[]", "Invalid JSON value for DETAIL: '[]'"],
])("a raised response %s with %s is PGRST121", (message, detail, details) => {
  const error = database("PGRST", message, detail === undefined ? {} : { detail });
  expect(errorOf(error, context)).toMatchObject({ status: 500, code: "PGRST121", details });
});

test("a database that cannot be reached is a passing state", () => {
  expect(errorOf(new PoolTimeout(), context)).toMatchObject({ status: 504, code: "PGRST003" });
  expect(errorOf(new ConnectionLost("x", { sent: true }), context)).toMatchObject({
    status: 503,
    headers: [["Retry-After", "1"]],
  });
});

test("a bug stays a bug", () => {
  const bug = new TypeError("x");
  expect(errorOf(bug, context)).toBe(bug);
});
