/** TLS with a certificate for each host name, renewed while the gateway runs. */
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { ANON_JWT, REF } from "../../gateway/snapshot.fixture.ts";
import { startGateway } from "./support.ts";

const FIXTURES = join(import.meta.dirname, "certificates");
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function install(directory: string, certificate: string, host = certificate): void {
  copyFileSync(join(FIXTURES, `${certificate}.key`), join(directory, `${host}.key`));
  copyFileSync(join(FIXTURES, `${certificate}.pem`), join(directory, `${host}.pem`));
}

async function start(...hosts: string[]) {
  const directory = mkdtempSync(join(tmpdir(), "supalove-certificates-"));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  for (const host of hosts) install(directory, host);
  const gateway = await startGateway({ tls: { directory, reloadMs: 20, replaceMs: 0 } });
  cleanups.unshift(() => gateway.gateway.close());
  return { ...gateway, directory };
}

async function openTls(port: number, servername: string): Promise<TLSSocket> {
  const socket = connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  cleanups.push(() => socket.destroy());
  return socket;
}

/** Common name of the certificate that a client gets who asks for this host. */
async function certificateFor(port: number, servername: string): Promise<string | undefined> {
  const socket = await openTls(port, servername);
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return Array.isArray(CN) ? CN[0] : CN;
}

function get(port: number, servername: string, path: string): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host: "localhost", apikey: ANON_JWT };
    request({ port, host: "127.0.0.1", servername, path, headers, rejectUnauthorized: false }, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode, body }));
    })
      .on("error", reject)
      .end();
  });
}

test("each host gets its certificate, an unknown one the default", async () => {
  const { port } = await start("default", "a.example", "b.example");
  expect(await certificateFor(port, "a.example")).toBe("a.example");
  expect(await certificateFor(port, "b.example")).toBe("b.example");
  expect(await certificateFor(port, "other.example")).toBe("default");
});

test("requests are served under every name, and services are told that it was https", async () => {
  const { port } = await start("default", "a.example");
  for (const servername of ["a.example", "other.example"]) {
    const { status, body } = await get(port, servername, `/projects/${REF}/rest/v1/x`);
    expect(status, servername).toBe(200);
    expect(JSON.parse(body)).toMatchObject({
      publicUrl: `https://localhost/projects/${REF}`,
      headers: { "x-forwarded-proto": "https" },
    });
  }
});

test("certificates that appear, change or vanish are taken over without a restart", async () => {
  const { port, directory } = await start("default");
  expect(await certificateFor(port, "a.example")).toBe("default");
  install(directory, "a.example");
  await expect.poll(() => certificateFor(port, "a.example")).toBe("a.example");
  expect((await get(port, "a.example", "/health")).status).toBe(200);
  install(directory, "renewed", "a.example");
  await expect.poll(() => certificateFor(port, "a.example")).toBe("renewed");
  expect((await get(port, "a.example", "/health")).status).toBe(200);
  rmSync(join(directory, "a.example.pem"));
  await expect.poll(() => certificateFor(port, "a.example")).toBe("default");
});

test("a renewed default certificate is taken over too", async () => {
  const { port, directory } = await start("default", "a.example");
  install(directory, "renewed", "default");
  await expect.poll(() => certificateFor(port, "other.example")).toBe("renewed");
  expect(await certificateFor(port, "a.example")).toBe("a.example");
});

test.each([
  ["replaced", (directory: string) => install(directory, "renewed", "a.example"), "renewed"],
  ["removed", (directory: string) => rmSync(join(directory, "a.example.pem")), "default"],
])("a connection outlives the certificate it began with: %s", async (_name, change, next) => {
  const { port, directory } = await start("default", "a.example");
  const socket = await openTls(port, "a.example");
  const ask = async () => {
    socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return String((await once(socket, "data"))[0]);
  };
  expect(await ask()).toMatch(/^HTTP\/1.1 200/);
  change(directory);
  await expect.poll(() => certificateFor(port, "a.example")).toBe(next);
  // The server library used to bring the process down here.
  const last = await ask();
  expect(last).toMatch(/^HTTP\/1.1 200/);
  expect(last).toMatch(/connection: close/i);
});

describe("files that make no certificate cost no other host its own", () => {
  const truncate = (directory: string) =>
    writeFileSync(join(directory, "a.example.pem"), readFileSync(join(FIXTURES, "a.example.pem")).subarray(0, 100));
  const mismatch = (directory: string) =>
    copyFileSync(join(FIXTURES, "b.example.pem"), join(directory, "a.example.pem"));
  const unreadable = (directory: string) => {
    rmSync(join(directory, "a.example.pem"), { force: true });
    mkdirSync(join(directory, "a.example.pem"));
  };

  test.each([
    ["truncated", truncate],
    ["with another's key", mismatch],
    ["unreadable", unreadable],
  ])("%s, under a running gateway: the host keeps the one it had", async (_name, spoil) => {
    const { port, directory } = await start("default", "a.example");
    spoil(directory);
    install(directory, "b.example");
    await expect.poll(() => certificateFor(port, "b.example")).toBe("b.example");
    expect(await certificateFor(port, "a.example")).toBe("a.example");
    rmSync(join(directory, "a.example.pem"), { recursive: true });
    install(directory, "renewed", "a.example");
    await expect.poll(() => certificateFor(port, "a.example")).toBe("renewed");
  });

  test.each([
    ["truncated", truncate],
    ["with another's key", mismatch],
    ["unreadable", unreadable],
  ])("%s, at the start: the host gets the default", async (_name, spoil) => {
    const directory = mkdtempSync(join(tmpdir(), "supalove-certificates-"));
    for (const host of ["default", "a.example", "b.example"]) install(directory, host);
    spoil(directory);
    const { gateway, port } = await startGateway({ tls: { directory } });
    cleanups.push(
      () => gateway.close(),
      () => rmSync(directory, { recursive: true }),
    );
    expect(await certificateFor(port, "a.example")).toBe("default");
    expect(await certificateFor(port, "b.example")).toBe("b.example");
  });
});

test("key and certificate that are moved into place one after the other never go with each other's predecessor", async () => {
  const { port, directory } = await start("default", "a.example");
  for (const kind of ["key", "pem"]) {
    const path = join(directory, `a.example.${kind}`);
    copyFileSync(join(FIXTURES, `renewed.${kind}`), `${path}.new`);
    renameSync(`${path}.new`, path);
    if (kind === "pem") break;
    await new Promise((resolve) => setTimeout(resolve, 100)); // looked at in between, at least once
    expect(await certificateFor(port, "a.example")).toBe("a.example");
  }
  await expect.poll(() => certificateFor(port, "a.example")).toBe("renewed");
});

test("without a default certificate it does not start", async () => {
  await expect(start("a.example")).rejects.toThrow(/default\.pem/);
});
