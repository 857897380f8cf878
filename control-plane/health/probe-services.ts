/** Asks a project's services how they are, as a client would: through the gateway, with the project's public key. */
import { SERVICES, type ServiceName } from "../client/config-snapshot.ts";
import { probePathOf } from "../client/service-probe.ts";

export type ServiceStatus = "healthy" | "unhealthy" | "unknown";

export interface ServiceHealth {
  readonly name: ServiceName;
  /** `unknown` when the gateway itself does not answer the control plane. */
  readonly status: ServiceStatus;
  readonly latencyMs: number | null;
}

const TIMEOUT_MS = 3_000;

/**
 * An answer below 500 is a service that is there, whatever it thinks of the request.
 * @param projectUrl Base URL of the project at the gateway. @param apiKey one that may be in a page; null when there is none.
 */
export function probeServices(projectUrl: string, apiKey: string | null): Promise<ServiceHealth[]> {
  return Promise.all(SERVICES.map((name) => probe(name, projectUrl, apiKey)));
}

async function probe(name: ServiceName, projectUrl: string, apiKey: string | null): Promise<ServiceHealth> {
  const startedAt = performance.now();
  try {
    const response = await fetch(`${projectUrl}/${name}/v1${probePathOf(name)}`, {
      headers: apiKey === null ? {} : { apikey: apiKey },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel(); // what a tenant's service says is not read
    const status = response.status < 500 ? "healthy" : "unhealthy";
    return { name, status, latencyMs: performance.now() - startedAt };
  } catch (error) {
    // Connected and then silent is the service's fault; not connected is between the control plane and the gateway.
    const isSilent = error instanceof Error && error.name === "TimeoutError";
    return { name, status: isSilent ? "unhealthy" : "unknown", latencyMs: null };
  }
}
