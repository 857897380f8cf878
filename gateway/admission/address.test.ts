import { describe, expect, test } from "vitest";
import { REF } from "../snapshot.fixture.ts";
import { classifyHost, locate as locateOn, parseHost } from "./address.ts";

const HOSTS = { baseDomains: ["supalove.example"], ownHosts: ["gateway"] };

const locate = (hosts: typeof HOSTS, name: string, path: string) => locateOn(classifyHost(hosts, name), name, path);

describe("locate", () => {
  test("finds a project by its path, whatever of the gateway's own hosts is used", () => {
    for (const host of ["supalove.example", "gateway", "127.0.0.1", "[::1]"]) {
      expect(locate(HOSTS, host, `/projects/${REF}/rest/v1/x`)).toEqual({ kind: "path", ref: REF, path: "/rest/v1/x" });
    }
    expect(locate(HOSTS, "gateway", `/projects/${REF}`)).toEqual({ kind: "path", ref: REF, path: "/" });
  });

  test("finds a project by its host label", () => {
    expect(locate(HOSTS, `${REF}.supalove.example`, "/rest/v1/x")).toEqual({ kind: "host", ref: REF });
  });

  test("takes no other project's path on a project's host, where it would share the origin", () => {
    const other = "zzzzzzzzzzzzzzzzzzzz";
    expect(locate(HOSTS, `${REF}.supalove.example`, `/projects/${other}/rest/v1`)).toEqual({ kind: "host", ref: REF });
  });

  test.each([
    "www.supalove.example",
    `a.${REF}.supalove.example`,
    `${REF}x.supalove.example`,
    `${REF.slice(1)}.supalove.example`,
    `x.${REF}.eu.supalove.example`,
  ])("takes %s, below a base domain, for nobody's custom host", (host) => {
    const hosts = { ...HOSTS, baseDomains: ["supalove.example", "eu.supalove.example"] };
    expect(classifyHost(hosts, host)).toEqual({ kind: "own" });
  });

  test("finds a project below the longer of two base domains, in either order", () => {
    for (const baseDomains of [
      ["supalove.example", "eu.supalove.example"],
      ["eu.supalove.example", "supalove.example"],
    ]) {
      expect(classifyHost({ ...HOSTS, baseDomains }, `${REF}.eu.supalove.example`)).toEqual({
        kind: "project",
        ref: REF,
      });
    }
  });

  test("asks for a custom host before it believes in a path", () => {
    expect(locate(HOSTS, "api.customer.example", `/projects/${REF}/rest/v1`)).toEqual({
      kind: "custom",
      host: "api.customer.example",
      fallback: { kind: "path", ref: REF, path: "/rest/v1" },
    });
  });

  test.each([
    ["/projects/short/rest/v1"],
    [`/projects/${REF}x/rest/v1`],
    [`/projects/${REF.toUpperCase()}/rest/v1`],
    ["/health"],
  ])("%s is none of a project", (path) => {
    expect(locate(HOSTS, "gateway", path)).toEqual({ kind: "gateway" });
  });

  test("finds the issuer's project behind the well-known part (RFC 8414)", () => {
    const path = `/.well-known/oauth-authorization-server/projects/${REF}/auth/v1`;
    expect(locate(HOSTS, "gateway", path)).toEqual({
      kind: "path",
      ref: REF,
      path: "/.well-known/oauth-authorization-server",
    });
  });
});

describe("parseHost", () => {
  test.each([
    ["Example.COM:8083", "example.com", "8083"],
    ["example.com.", "example.com", ""],
    ["[::1]:80", "[::1]", "80"],
  ])("%s is %s and port %s", (header, name, port) => {
    expect(parseHost(header)).toEqual({ name, port });
  });

  test("a name has a length that DNS knows", () => {
    expect(parseHost(`${"a".repeat(253)}.:65535`)?.name.length).toBe(253);
    expect(parseHost("a".repeat(300))).toBeNull();
    expect(parseHost(`${".".repeat(60_000)}!`)).toBeNull();
  });

  test.each(["", "a b", "localhost, evil", "a/b", "user@host", "host:port", "host:123456", "[::1"])(
    "%j is no host",
    (header) => {
      expect(parseHost(header)).toBeNull();
    },
  );
});
