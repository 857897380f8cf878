/** How a gateway tells the control plane of its projects' traffic. */
import { randomUUID } from "node:crypto";
import { ReportTrafficDocument, type TrafficEntryInput } from "./generated/operations.ts";
import { type ControlPlaneAccess, createOperationRequests, dataOf, unreadable } from "./operation-requests.ts";
import type { TrafficEntry } from "./traffic.ts";

/** @throws {ConfigUnavailable} when the control plane did not take it; it may be sent again with the same number. */
export type SendTraffic = (sequence: number, entries: readonly TrafficEntry[]) => Promise<void>;

const TIMEOUT_MS = 10_000;

/** One a process: the control plane tells processes apart to count each report once. */
export function createTrafficReports(access: ControlPlaneAccess): SendTraffic {
  const post = createOperationRequests(access);
  const process = randomUUID();
  return async (sequence, entries) => {
    const variables = { process, sequence, entries: entries.map(toInput) };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await post(ReportTrafficDocument, variables, "application/json", signal);
    dataOf(ReportTrafficDocument, await response.json().catch(unreadable));
  };
}

/** The generated types know no read-only lists. */
function toInput(entry: TrafficEntry): TrafficEntryInput {
  return { ...entry, statuses: [...entry.statuses], durations: [...entry.durations] };
}
