/** TLS with a certificate for each host name, renewed while the gateway runs. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { afterEach, expect, test } from "vitest";
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
  for (const host of hosts) install(directory, host);
  const gateway = await startGateway({ tls: { directory, reloadMs: 20 } });
  cleanups.push(
    () => gateway.gateway.close(),
    () => rmSync(directory, { recursive: true }),
  );
  return { ...gateway, directory };
}

/** Common name of the certificate that a client gets who asks for this host. */
async function certificateFor(port: number, servername: string): Promise<string | undefined> {
  const socket: TLSSocket = connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
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

test("without a default certificate it does not start", async () => {
  await expect(start("a.example")).rejects.toThrow(/default\.pem/);
});
