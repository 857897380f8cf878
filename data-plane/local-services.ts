/** The multi-tenant services of this process, by project: what the gateway calls for a local upstream, and the HTTP host. */
import type { ProjectRef, ServiceName, ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";
import { probePathOf } from "../control-plane/client/service-probe.ts";
import { RoleTokenReader } from "./role-token.ts";
import type { Service, ServiceRequest, ServiceResponse } from "./service.ts";
import type { SocketOpening, SocketRequest, SocketService } from "./socket-service.ts";

/** The part of the config cache that is needed here. */
export interface ServiceConfigs {
  /** Undefined: not cached; null: known not to exist. */
  peek(ref: ProjectRef): ServiceSnapshot | null | undefined;
  /** @throws When the control plane cannot be reached and nothing is cached. */
  get(ref: ProjectRef): Promise<ServiceSnapshot | null>;
}

/** Why a request never reached its service. */
export class LocalServiceError extends Error {
  readonly code:
    | "service_not_available"
    | "project_not_found"
    | "project_paused"
    | "project_closed"
    | "project_unavailable"
    | "config_unavailable";

  constructor(code: LocalServiceError["code"], options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}

export interface LocalServices {
  /** Whether this process runs the service. */
  offers(service: ServiceName): boolean;
  /** @throws {LocalServiceError} and whatever the service throws. */
  handle(ref: ProjectRef, service: ServiceName, request: ServiceRequest): Promise<ServiceResponse>;
  /**
   * Judges the opening of a WebSocket, at once when the project is cached and the service has nothing to wait for.
   * @throws {LocalServiceError} and whatever the service throws.
   */
  openSocket(ref: ProjectRef, service: ServiceName, request: SocketRequest): SocketOpening | Promise<SocketOpening>;
}

/** A service, and how it finds out whether it can serve a project. */
export interface ProbedService {
  readonly handle: Service;
  /** Goes the way that requests go, through the pool that they use. Rejects when they would fail. */
  probe(project: ServiceSnapshot): Promise<unknown>;
  /** Of a service that has WebSockets. */
  readonly openSocket?: SocketService;
}

export function createLocalServices(options: {
  readonly configs: ServiceConfigs;
  readonly services: Partial<Readonly<Record<ServiceName, ProbedService>>>;
}): LocalServices {
  const { configs, services } = options;
  const roleTokens = new RoleTokenReader(Date.now);

  async function load(ref: ProjectRef): Promise<ServiceSnapshot | null> {
    try {
      return await configs.get(ref);
    } catch (cause) {
      throw new LocalServiceError("config_unavailable", { cause });
    }
  }

  function served(snapshot: ServiceSnapshot | null): ServiceSnapshot {
    if (snapshot === null) throw new LocalServiceError("project_not_found");
    if (snapshot.state !== "active") throw new LocalServiceError(`project_${snapshot.state}`);
    return snapshot;
  }

  return {
    offers: (service) => services[service] !== undefined,
    async handle(ref, service, request) {
      const running = services[service];
      if (!running) throw new LocalServiceError("service_not_available");
      const cached = configs.peek(ref);
      const snapshot = served(cached === undefined ? await load(ref) : cached);
      if (request.path === probePathOf(service)) return answerProbe(request, () => running.probe(snapshot));
      return running.handle(roleTokens.read(request, snapshot), snapshot);
    },
    openSocket(ref, service, request) {
      const open = services[service]?.openSocket;
      if (!open) throw new LocalServiceError("service_not_available");
      const cached = configs.peek(ref);
      const judge = (snapshot: ServiceSnapshot) => open(roleTokens.read(request, snapshot), snapshot);
      if (cached === undefined) return load(ref).then((snapshot) => judge(served(snapshot)));
      return judge(served(cached));
    },
  };
}

/** Why a service is unwell is in its log: whoever has the public key may ask. */
async function answerProbe({ method }: ServiceRequest, probe: () => Promise<unknown>): Promise<ServiceResponse> {
  if (method !== "GET" && method !== "HEAD") return { status: 405, headers: [["allow", "GET, HEAD"]], body: null };
  try {
    await probe();
    return { status: 200, headers: [["content-type", "application/json"]], body: '{"status":"healthy"}' };
  } catch {
    return { status: 503, headers: [["content-type", "application/json"]], body: '{"status":"unhealthy"}' };
  }
}
