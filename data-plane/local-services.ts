/** The multi-tenant services of this process, by project: what the gateway calls for a local upstream, and the HTTP host. */
import type { ProjectRef, ServiceName, ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";
import type { Service, ServiceRequest, ServiceResponse } from "./service.ts";

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
}

export function createLocalServices(options: {
  readonly configs: ServiceConfigs;
  readonly services: Partial<Readonly<Record<ServiceName, Service>>>;
}): LocalServices {
  const { configs, services } = options;

  async function load(ref: ProjectRef): Promise<ServiceSnapshot | null> {
    try {
      return await configs.get(ref);
    } catch (cause) {
      throw new LocalServiceError("config_unavailable", { cause });
    }
  }

  return {
    offers: (service) => services[service] !== undefined,
    async handle(ref, service, request) {
      const run = services[service];
      if (!run) throw new LocalServiceError("service_not_available");
      let snapshot = configs.peek(ref);
      if (snapshot === undefined) snapshot = await load(ref);
      if (snapshot === null) throw new LocalServiceError("project_not_found");
      if (snapshot.state !== "active") throw new LocalServiceError(`project_${snapshot.state}`);
      return run(request, snapshot);
    },
  };
}
