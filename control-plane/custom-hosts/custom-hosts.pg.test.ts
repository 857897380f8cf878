/** Custom hosts and their proofs, against a real name server on loopback. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { startDnsServer, type TestDns } from "../../test/harness/dns-server.ts";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";
import { insertTestProject } from "../testing/test-project.ts";

const CLAIM =
  "mutation ($ref: ID!, $hosts: [String!]) { updateGatewaySettings(ref: $ref, settings: {customHosts: $hosts}) { ref } }";
const FIELDS = "host state records { type name value } verifiedAt checkedAt lastError routedUntil";

let dns: TestDns;
let plane: TestControlPlane;
let owner: GraphqlClient;
let counter = 0;

beforeAll(async () => {
  dns = await startDnsServer();
  plane = await createTestControlPlane(inject("clusterUrl"), {
    publicGatewayUrl: "https://gateway.example.net",
    baseDomain: "projects.example.net",
    dnsServers: [dns.address],
  });
  owner = plane.client((await insertTestAccount(plane.database, "owner")).token);
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  await dns.close();
});

const project = async () => (await insertTestProject(plane.database, plane.controlPlane.services.vault)).ref;
const freshHost = () => `api.customer-${++counter}.com`;

async function claim(ref: string, ...hosts: string[]): Promise<void> {
  expect((await owner.request(CLAIM, { ref, hosts })).errors).toEqual([]);
}

async function hostsOf(ref: string) {
  return (await owner.data(`{ project(ref: "${ref}") { customHosts { ${FIELDS} } } }`)).project.customHosts;
}

async function verify(ref: string, host: string) {
  return (await owner.data(`mutation { verifyCustomHost(ref: "${ref}", host: "${host}") { ${FIELDS} } }`))
    .verifyCustomHost;
}

/** Sets the TXT record that the claim asks for, besides those of others. */
async function prove(ref: string, host: string, ...others: string[]): Promise<string> {
  const [{ records }] = (await hostsOf(ref)).filter((entry: { host: string }) => entry.host === host);
  const { name, value } = records.find(({ type }: { type: string }) => type === "TXT");
  dns.setTxt(name, "v=spf1 -all", value, ...others);
  return value;
}

/** The project to which a gateway is told to send requests of the host. */
async function ledTo(host: string): Promise<string | undefined> {
  return (await plane.controlPlane.services.configSnapshots.findByHosts("gateway", [host])).get(host)?.projectRef;
}

async function auditedOf(ref: string): Promise<string[]> {
  const rows = await plane.database.query<{ action: string }>(
    "select action from audit_log where project_ref = $1 and action like 'custom_host.%' order by id",
    [ref],
  );
  return rows.map(({ action }) => action);
}

describe("a claimed host", () => {
  test("leads nowhere until its TXT record is there, and says which record that is", async () => {
    const [ref, host] = [await project(), freshHost()];
    await claim(ref, host);
    expect(await hostsOf(ref)).toMatchObject([
      {
        host,
        state: "PENDING",
        records: [
          { type: "CNAME", name: host, value: `${ref}.projects.example.net` },
          {
            type: "TXT",
            name: `_supalove.${host}`,
            value: expect.stringMatching(/^supalove-verification=[0-9a-f]{64}$/),
          },
        ],
      },
    ]);
    expect(await verify(ref, host)).toMatchObject({ state: "PENDING", lastError: "neither of the records is there" });
    expect(await ledTo(host)).toBeUndefined();

    await prove(ref, host);
    expect(await verify(ref, host)).toMatchObject({ state: "VERIFIED", lastError: null, routedUntil: null });
    expect(await ledTo(host)).toBe(ref);
    expect(await auditedOf(ref)).toEqual(["custom_host.verify"]);
  });

  test("is proved by a CNAME to the project's own host, not to another's", async () => {
    const [ref, other, host] = [await project(), await project(), freshHost()];
    await claim(ref, host);
    dns.setCname(host, `${other}.projects.example.net`);
    expect((await verify(ref, host)).state).toBe("PENDING");
    dns.setCname(host, `${ref.toUpperCase()}.Projects.example.net`);
    expect((await verify(ref, host)).state).toBe("VERIFIED");
  });

  test("is found by itself when nobody asks", async () => {
    const [ref, host] = [await project(), freshHost()];
    await claim(ref, host);
    await prove(ref, host);
    await expect.poll(() => ledTo(host), { timeout: 15_000, interval: 200 }).toBe(ref);
  });
});

describe("who claims the host of another", () => {
  test("gets nothing, neither by being first nor by the other's record", async () => {
    const [victim, hostile, host] = [await project(), await project(), freshHost()];
    await claim(hostile, host);
    await claim(victim, host);
    await prove(victim, host);
    expect((await verify(hostile, host)).state).toBe("PENDING");
    expect((await verify(victim, host)).state).toBe("VERIFIED");
    expect((await verify(hostile, host)).state).toBe("PENDING");
    expect(await ledTo(host)).toBe(victim);
  });

  test("does not get it while the other's record is there, and gets it when only his own is: the domain was sold", async () => {
    const [before, after, host] = [await project(), await project(), freshHost()];
    await claim(before, host);
    const old = await prove(before, host);
    await verify(before, host);
    await claim(after, host);
    await prove(after, host, old);
    expect(await verify(after, host)).toMatchObject({
      state: "PENDING",
      lastError: "the host leads to another project, whose record is still there",
    });
    expect(await ledTo(host)).toBe(before);

    await prove(after, host);
    expect((await verify(after, host)).state).toBe("VERIFIED");
    expect(await ledTo(host)).toBe(after);
    expect((await hostsOf(before))[0]).toMatchObject({ state: "PENDING" });
    expect(await auditedOf(before)).toEqual(["custom_host.verify", "custom_host.lose"]);
  });

  test("needs a proof of his own after the other has given it up or is gone, and so does the other", async () => {
    const [former, next, host] = [await project(), await project(), freshHost()];
    await claim(former, host);
    await prove(former, host);
    await verify(former, host);
    await claim(former);
    expect(await ledTo(host)).toBeUndefined();
    await claim(next, host);
    expect((await verify(next, host)).state).toBe("PENDING");
    await claim(former, host);
    expect((await verify(former, host)).state).toBe("PENDING");

    await prove(former, host);
    await verify(former, host);
    await plane.database.query("update projects set state = 'DELETED', deleted_at = now() where ref = $1", [former]);
    await plane.database.query("delete from custom_hosts where project_ref = $1", [former]);
    expect((await verify(next, host)).state).toBe("PENDING");
    expect(await ledTo(host)).toBeUndefined();
  });

  test("of two that can prove it at the same time one gets it", async () => {
    const [refs, host] = [await Promise.all([project(), project(), project()]), freshHost()];
    const values: string[] = [];
    for (const ref of refs) {
      await claim(ref, host);
      values.push(await prove(ref, host, ...values));
    }
    const states = await Promise.all(refs.map(async (ref) => (await verify(ref, host)).state));
    expect(states.toSorted()).toEqual(["PENDING", "PENDING", "VERIFIED"]);
  });
});

describe("a verified host whose record is gone", () => {
  test("leads on for three days, then no more, and comes back with its record", async () => {
    const [ref, host] = [await project(), freshHost()];
    await claim(ref, host);
    await prove(ref, host);
    await verify(ref, host);
    dns.remove(`_supalove.${host}`);
    expect(await verify(ref, host)).toMatchObject({ state: "FAILING", routedUntil: expect.any(String) });
    expect(await ledTo(host)).toBe(ref);

    await plane.database.query(
      "update custom_hosts set failing_since = failing_since - interval '3 days' where host = $1",
      [host],
    );
    expect((await verify(ref, host)).state).toBe("PENDING");
    expect(await ledTo(host)).toBeUndefined();
    expect(await auditedOf(ref)).toEqual(["custom_host.verify", "custom_host.lose"]);
    await prove(ref, host);
    expect((await verify(ref, host)).state).toBe("VERIFIED");
  });
});

test("the owner of the installation takes a host back; a new claim needs a new record", async () => {
  const [ref, host] = [await project(), freshHost()];
  await claim(ref, host);
  await prove(ref, host);
  await verify(ref, host);
  await owner.data(`mutation { releaseCustomHost(host: "${host}") }`);
  expect([await ledTo(host), await hostsOf(ref)]).toEqual([undefined, []]);
  await claim(ref, host);
  expect((await verify(ref, host)).state).toBe("PENDING");
  expect(await auditedOf(ref)).toEqual(["custom_host.verify", "custom_host.release"]);
  expect(await owner.code(`mutation { releaseCustomHost(host: "${host}") }`)).toBe("NOT_FOUND");
});

test("name servers that do not answer take no host away", async () => {
  const silent = await startDnsServer();
  const { controlPlane } = await plane.startAnother({ dnsServers: [silent.address] });
  await silent.close();
  const [ref, host] = [await project(), freshHost()];
  await claim(ref, host);
  await prove(ref, host);
  await verify(ref, host);
  const { hostChecks, database } = controlPlane.services;
  const { findClaim } = await import("./custom-host-table.ts");
  const held = await findClaim(database, ref, host);
  const checked = held && (await hostChecks.check(held));
  expect(checked).toMatchObject({ verifiedAt: expect.any(Date), failingSince: null });
  expect(checked?.lastError).toMatch(/^the name servers gave no answer/);
});
