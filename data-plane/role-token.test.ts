import { expect, test } from "vitest";
import { readJwt } from "../control-plane/client/jwt.ts";
import { projectSnapshot } from "./auth/testing/snapshot.ts";
import { RoleTokenReader } from "./role-token.ts";
import { clientHeaders } from "./service.ts";

const snapshot = projectSnapshot();
const said = snapshot.roleTokens.service_role;
const start = 1_700_000_000_000;

function requestWith(headers: Record<string, string>, query = "") {
  return { headers, query, signal: new AbortController().signal, path: "/notes" };
}

function claimsOf(token = ""): Record<string, unknown> {
  const reading = readJwt(token);
  if (reading.kind === "fault") throw new Error(reading.fault);
  return { ...reading.token.claims };
}

test("what the gateway says for an opaque key becomes a JWT of its role, wherever it stands", () => {
  const request = requestWith({ apikey: said, authorization: `Bearer ${said}`, accept: "*/*" }, `vsn=1&apikey=${said}`);
  const read = new RoleTokenReader(() => start).read(request, snapshot) as typeof request & { roleToken?: string };
  const { roleToken } = read;
  expect(claimsOf(roleToken)).toMatchObject({ role: "service_role", ref: snapshot.projectRef });
  expect(read.headers).toEqual({ apikey: roleToken, authorization: `Bearer ${roleToken}`, accept: "*/*" });
  expect(read.query).toBe(`vsn=1&apikey=${roleToken}`);
  expect(read.signal).toBe(request.signal);
  expect(clientHeaders(read)).toEqual({ accept: "*/*" });
  expect(request.headers.apikey).toBe(said);
});

test("the JWT lives for minutes and is made anew long before its end, and with each change of the project", () => {
  let now = start;
  const reader = new RoleTokenReader(() => now);
  const tokenOf = (of = snapshot) => reader.read(requestWith({ apikey: said }), of).headers.apikey ?? "";
  const first = tokenOf();
  const { iat, exp } = claimsOf(first) as { iat: number; exp: number };
  expect(exp - iat).toBeLessThanOrEqual(300);
  now += 60_000;
  expect(tokenOf()).toBe(first);
  now += 60_000;
  expect(tokenOf()).not.toBe(first);
  const rotated = { ...snapshot, jwt: { ...snapshot.jwt, secret: "another secret of at least 32 characters" } };
  expect(tokenOf(rotated)).not.toBe(tokenOf());
});

test.each([
  ["a client's own token", { apikey: "a.b.c", authorization: "Bearer a.b.c" }],
  ["no credential", {}],
  ["another spelling", { authorization: `bearer ${said}` }],
  ["a longer text", { authorization: `Bearer ${said} ` }],
])("%s stays as it is", (_what, headers) => {
  const request = requestWith(headers as Record<string, string>);
  expect(new RoleTokenReader(() => start).read(request, snapshot)).toBe(request);
});
