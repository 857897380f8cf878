/** The auth service behind a bare HTTP server, at `/projects/<ref>/auth/v1` as the gateway mounts it. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { BodyTooLarge, type RequestBody, type Service } from "../../data-plane/service.ts";
import type { TestProject } from "../harness/auth-world.ts";

export interface AuthServer {
  /** `http://127.0.0.1:<port>`. */
  readonly origin: string;
  /** Serves the project from now on, and answers its public base URL. */
  mount(project: TestProject): string;
  /** Requests that were answered so far, as `GET /user`. */
  readonly log: readonly string[];
  close(): Promise<void>;
}

export async function startAuthServer(handle: Service): Promise<AuthServer> {
  const projects = new Map<string, TestProject>();
  const log: string[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const [, ref = "", path = "/", query = ""] =
      /^\/projects\/([a-z]{20})\/auth\/v1(\/[^?]*)?(?:\?(.*))?$/.exec(incoming.url ?? "") ?? [];
    const project = projects.get(ref);
    if (!project) return outgoing.writeHead(404).end();
    const method = incoming.method ?? "GET";
    log.push(`${method} ${path}`);
    const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
    const response = await handle(
      {
        method,
        path,
        query,
        headers,
        body: bodyOf(incoming),
        publicUrl: project.snapshot.publicUrl,
        publicPath: `/projects/${ref}/auth/v1`,
        clientAddress: incoming.socket.remoteAddress ?? "",
        requestId: "test",
        signal: new AbortController().signal,
      },
      project.snapshot,
    );
    outgoing.writeHead(response.status, response.headers.flat() as string[]).end(response.body as string | null);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    log,
    mount(project) {
      const { projectRef } = project.snapshot;
      const publicUrl = `${origin}/projects/${projectRef}`;
      project.replace({ publicUrl, jwt: { ...project.snapshot.jwt, issuer: `${publicUrl}/auth/v1` } });
      projects.set(projectRef, project);
      return publicUrl;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

function bodyOf(incoming: IncomingMessage): RequestBody | null {
  const declared = incoming.headers["content-length"];
  if (declared === undefined && incoming.headers["transfer-encoding"] === undefined) return null;
  return {
    declaredBytes: declared === undefined ? undefined : Number(declared),
    async read(maxBytes) {
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > maxBytes) throw new BodyTooLarge(maxBytes);
      }
      return Buffer.concat(chunks);
    },
    stream: () => incoming as AsyncIterable<Buffer>,
  };
}
