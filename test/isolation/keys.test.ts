/** Keys that are revoked, and what stands for keys inside: neither opens anything, however it is spelled. */
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createGraphqlClient, type GraphqlClient } from "../../compose/cli/graphql-client.ts";
import { findOwnerToken } from "../../compose/local-instance.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const dataDir = temporaryDataDir();
let stack: Stack;
let api: GraphqlClient;
let project: CreatedProject;

beforeAll(async () => {
  stack = await startStack(dataDir, { SUPALOVE_LOG_LEVEL: "debug", SUPALOVE_TRUSTED_PROXIES: "127.0.0.1,::1" });
  const { controlPlaneUrl } = JSON.parse((await supalove(dataDir, ["status", "--json"])).stdout);
  api = createGraphqlClient(controlPlaneUrl, findOwnerToken(dataDir) ?? "");
  project = await createProject(dataDir, "keys");
  await api.request("mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }", {
    input: {
      ref: project.ref,
      sql: `create function seen() returns json language sql as $$ select json_build_object(
              'role', current_user, 'headers', current_setting('request.headers')::json,
              'settings', (select json_agg(setting) from pg_settings where name ~ 'request|jwt|supalove')) $$;
            create table kept (id int); revoke all on kept from anon, authenticated`,
    },
  });
  const service = createClient(project.url, project.secretKey);
  await vi.waitFor(async () => expect((await service.rpc("seen")).error).toBeNull(), 10_000);
});

afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
});

/** Other texts that some lenient reader of base64url takes for the same token. */
function spellingsOf(token: string): string[] {
  const [header = "", payload = "", signature = ""] = token.split(".");
  const inSignature = (text: string) => `${header}.${payload}.${text}`;
  const last = signature.charCodeAt(signature.length - 1);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const sibling = alphabet[alphabet.indexOf(signature.at(-1) ?? "") ^ 1];
  return [
    token,
    inSignature(signature.replaceAll("-", "+")),
    inSignature(signature.replaceAll("_", "/")),
    inSignature(`${signature.slice(0, 5)}%${signature.slice(5)}`),
    inSignature(signature.replace(/[2-7][0-9a-f]/i, (pair) => `%${pair}`)),
    inSignature(`${signature.slice(0, -1)}%${last.toString(16)}`),
    inSignature(signature.slice(0, -1) + sibling),
    inSignature(`${signature}=`),
    inSignature(`${signature}==`),
    inSignature(`${signature.slice(0, 9)} ${signature.slice(9)}`),
    inSignature(`${signature.slice(0, 9)}!${signature.slice(9)}`),
    `${token} `,
    ` \t${token}`,
    `${token}\u00a0`,
    `%${token.charCodeAt(0).toString(16)}${token.slice(1)}`,
  ];
}

async function ask(path: string, headers: Record<string, string>): Promise<number> {
  const response = await fetch(project.url + path, { headers });
  await response.arrayBuffer();
  return response.status;
}

test("a role's JWT that stands for an opaque key is seen by no function of the project, and by no log", async () => {
  for (const key of [project.secretKey, project.publishableKey]) {
    const { data, error } = await createClient(project.url, key).rpc("seen");
    expect(error).toBeNull();
    expect(data.role).toBe(key === project.secretKey ? "service_role" : "anon");
    expect(data.headers).toMatchObject({ "x-client-info": expect.any(String) });
    expect(Object.keys(data.headers).filter((name) => /apikey|authorization|supalove/.test(name))).toEqual([]);
    // Nothing that looks like a token or like what gateways and services say to each other.
    expect(JSON.stringify(data)).not.toMatch(/eyJ|[\w-]{43}/);
  }
  expect(
    stack
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .join("\n"),
  ).not.toMatch(/eyJ[\w-]+\.eyJ/);
});

test("what the client itself has sent is seen as it was sent", async () => {
  const { data } = await createClient(project.url, project.anonKey).rpc("seen");
  expect(data.headers).toMatchObject({ apikey: project.anonKey, authorization: `Bearer ${project.anonKey}` });
});

test("a client's address is the one that a proxy of ours was reached from, whatever the client has written", async () => {
  const seen = await fetch(`${project.url}/rest/v1/rpc/seen`, {
    headers: { apikey: project.anonKey, "x-forwarded-for": "6.6.6.6, 192.0.2.9" },
  });
  expect((await seen.json()).headers["x-forwarded-for"]).toMatch(/^192\.0\.2\.9, (?:127\.0\.0\.1|::1)$/);
});

test("a revoked key opens nothing, in no spelling, in no place and at no service", async () => {
  type Keys = { project: { apiKeys: readonly { id: string; kind: string; role: string }[] } };
  const { apiKeys } = (
    await api.request<Keys>("query ($ref: ID!) { project(ref: $ref) { apiKeys { id kind role } } }", {
      ref: project.ref,
    })
  ).project;
  const legacy = apiKeys.find(({ kind, role }) => kind === "LEGACY" && /service/i.test(role));
  const { publishableKey, serviceRoleKey } = project;
  const bearer = (token: string) => ({ apikey: publishableKey, authorization: `Bearer ${token}` });
  expect(await ask("/rest/v1/kept", bearer(serviceRoleKey))).toBe(200);
  expect(await ask("/auth/v1/admin/users", bearer(serviceRoleKey))).toBe(200);

  await api.request("mutation ($ref: ID!, $id: ID!) { revokeApiKey(ref: $ref, id: $id) { id } }", {
    ref: project.ref,
    id: legacy?.id,
  });
  await vi.waitFor(async () => expect(await ask("/rest/v1/kept", bearer(serviceRoleKey))).toBe(401), 10_000);
  for (const spelling of spellingsOf(serviceRoleKey)) {
    for (const path of ["/rest/v1/kept", "/auth/v1/admin/users"]) {
      const places: Record<string, string>[] = [
        bearer(spelling),
        { apikey: publishableKey, authorization: spelling },
        { apikey: spelling, authorization: `Bearer ${spelling}` },
        { apikey: publishableKey, authorization: `bearer ${spelling}` },
      ];
      for (const headers of places) {
        expect(await ask(path, headers), `${path} ${JSON.stringify(headers)}`).toBeGreaterThanOrEqual(400);
      }
    }
  }
  expect(await ask("/rest/v1/kept", { apikey: project.secretKey })).toBe(200);
});
