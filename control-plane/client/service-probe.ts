/**
 * Where the control plane asks a project's services how they are, through the gateway and as any client would. Services
 * of ours answer by a look at the project's database through their own pool; those of another make refuse a path that
 * they do not know, which says that they are there.
 */
import type { ServiceName } from "./config-snapshot.ts";

/** No table, function, user, bucket or channel has such a path. */
const PROBE = "/-/health";
/** The gateway takes all else below `/realtime/v1` for the opening of a WebSocket. */
const REALTIME_PROBE = `/api${PROBE}`;

/** The path as the service knows it. */
export function probePathOf(service: ServiceName): string {
  return service === "realtime" ? REALTIME_PROBE : PROBE;
}
