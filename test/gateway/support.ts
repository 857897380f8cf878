/** A gateway on a free port with snapshots in memory, and raw sockets to speak to it. */
import { connect } from "node:net";
import type {
  GatewaySnapshot,
  ProjectRef,
  ServiceName,
  ServiceSnapshot,
} from "../../control-plane/client/config-snapshot.ts";
import { createLocalServices, type LocalServices } from "../../data-plane/local-services.ts";
import type { Service, ServiceRequest, ServiceResponse } from "../../data-plane/service.ts";
import type { ClientSocket, SocketService } from "../../data-plane/socket-service.ts";
import type { GatewayConfigs } from "../../gateway/configs.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../../gateway/server.ts";
import { snapshot } from "../../gateway/snapshot.fixture.ts";

/** Config cache of a test: what it is given it knows at once; `uncached` refs are found only by asking. */
export class MemoryConfigs implements GatewayConfigs {
  readonly #snapshots = new Map<string, GatewaySnapshot | null>();
  readonly #listeners = new Set<Parameters<GatewayConfigs["onChange"]>[0]>();
  /** Answers of {@link get} for what is not cached; throws while the control plane is down. */
  load: (ref: string) => GatewaySnapshot | null = () => null;
  /** The same of {@link getByHost}. */
  loadByHost: (host: string) => GatewaySnapshot | null = () => null;

  constructor(...snapshots: readonly GatewaySnapshot[]) {
    for (const entry of snapshots) this.set(entry);
  }

  set(entry: GatewaySnapshot): void {
    this.#snapshots.set(entry.projectRef, entry);
    for (const listener of this.#listeners) listener({ projectRef: entry.projectRef, snapshot: entry });
  }

  peek(ref: string): GatewaySnapshot | null | undefined {
    return this.#snapshots.get(ref);
  }

  async get(ref: string): Promise<GatewaySnapshot | null> {
    const known = this.#snapshots.get(ref);
    return known === undefined ? this.load(ref) : known;
  }

  peekByHost(host: string): GatewaySnapshot | null | undefined {
    return [...this.#snapshots.values()].find((entry) => entry?.customHosts.includes(host)) ?? undefined;
  }

  async getByHost(host: string): Promise<GatewaySnapshot | null> {
    return this.peekByHost(host) ?? this.loadByHost(host);
  }

  /** When the feed was lost; null while it is there. */
  lostSince: number | null = null;

  status() {
    const { lostSince } = this;
    return { connected: lostSince === null, disconnectedSince: lostSince, entries: this.#snapshots.size };
  }

  onChange(listener: Parameters<GatewayConfigs["onChange"]>[0]): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export const SILENT = { info() {}, warn() {}, error() {} };

/** The gateway does not look into service snapshots: refs are enough. */
export function localServices(
  services: Partial<Record<ServiceName, Service>>,
  openSocket?: SocketService,
): LocalServices {
  const peek = (ref: ProjectRef) =>
    ({ projectRef: ref, state: "active", roleTokens: { anon: "-", service_role: "-" } }) as ServiceSnapshot;
  const probed = Object.fromEntries(
    Object.entries(services).map(([name, handle]) => [
      name,
      { handle, probe: async () => {}, ...(openSocket && { openSocket }) },
    ]),
  );
  return createLocalServices({ configs: { peek, get: async (ref) => peek(ref) }, services: probed });
}

/** Tells what it was asked, then sends back each frame; the frame `late` says that the answer may take a while. */
export const echoSocket: SocketService = async ({ path, query, headers, clientAddress, publicUrl }) => {
  if (query.includes("refuse")) return { kind: "refuse", response: { status: 418, headers: [], body: "no tea" } };
  if (query.includes("throw")) throw new Error("password=secret");
  if (query.includes("late")) await new Promise((resolve) => setTimeout(resolve, 20));
  let client: ClientSocket | undefined;
  return {
    kind: "accept",
    handler: {
      opened(socket) {
        client = socket;
        const key = headers["x-api-key"];
        socket.send(JSON.stringify({ path, query, key, clientAddress, publicUrl, host: headers.host }), false);
      },
      message(data, isBinary) {
        if (Buffer.from(data).toString() === "close") client?.close(4001, "as told");
        else client?.send(Buffer.from(data), isBinary);
      },
      drained() {},
      closed() {},
    },
  };
};

/** Answers with what it was asked, as JSON. */
export const echo: Service = async (request: ServiceRequest): Promise<ServiceResponse> => {
  const { method, path, query, headers, publicUrl, publicPath, clientAddress, requestId } = request;
  const body = (await request.body?.read(100_000_000))?.toString() ?? null;
  const text = JSON.stringify({ method, path, query, headers, publicUrl, publicPath, clientAddress, requestId, body });
  return { status: 200, headers: [["content-type", "application/json"]], body: text };
};

export interface RunningGateway {
  readonly gateway: Gateway;
  readonly port: number;
  readonly url: string;
  /** `<url>/projects/<ref>`. */
  readonly projectUrl: string;
  readonly configs: MemoryConfigs;
}

export async function startGateway(
  options: Partial<GatewayOptions> & { configs?: MemoryConfigs } = {},
): Promise<RunningGateway> {
  const configs = options.configs ?? new MemoryConfigs(snapshot());
  const gateway = createGateway({
    localServices: localServices({ rest: echo, auth: echo, storage: echo }),
    publicUrl: "http://gateway.example",
    baseDomains: ["localhost"],
    logger: SILENT,
    ...options,
    configs,
  });
  const { port } = await gateway.listen(0, "127.0.0.1");
  const url = `http://127.0.0.1:${port}`;
  return { gateway, port, url, projectUrl: `${url}/projects/${snapshot().projectRef}`, configs };
}

/** Writes bytes as they are and returns all that comes back until the other side closes or is silent for a while. */
export function rawExchange(port: number, message: string | Buffer, silenceMs = 200): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.setTimeout(silenceMs, () => socket.destroy());
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
    });
    socket.on("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
    socket.write(typeof message === "string" ? Buffer.from(message, "latin1") : message);
  });
}
