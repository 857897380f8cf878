/** How a gateway or service asks the control plane: two GraphQL operations over HTTP, with its service token. */
import type { Audience, ConfigChanges, SnapshotOf } from "./config-snapshot.ts";
import { FollowProjectConfigsDocument, LookUpProjectConfigsDocument } from "./generated/operations.ts";
import {
  ConfigUnavailable,
  type ControlPlaneAccess,
  createOperationRequests,
  dataOf,
  refusalOf,
  unreadable,
} from "./operation-requests.ts";
import { readServerSentEvents } from "./sse-reader.ts";

/** Answers in the order of what was asked; null: there is no such project. */
export interface ConfigLookup<A extends Audience> {
  readonly byRef: readonly (SnapshotOf<A> | null)[];
  readonly byHost: readonly (SnapshotOf<A> | null)[];
}

export interface ConfigSource<A extends Audience> {
  lookUp(refs: readonly string[], hosts: readonly string[], signal: AbortSignal): Promise<ConfigLookup<A>>;
  /** One connection: it ends or throws when that breaks. */
  follow(after: number | null, signal: AbortSignal): AsyncIterable<ConfigChanges<A>>;
}

export interface ConfigSourceOptions extends ControlPlaneAccess {
  /** Default 5,000. */
  readonly lookupTimeoutMs?: number;
  /** Longest silence on the feed before it counts as lost; the server shows itself every 12 s. Default 30,000. */
  readonly idleTimeoutMs?: number;
}

export function createConfigSource<A extends Audience>(options: ConfigSourceOptions): ConfigSource<A> {
  const { lookupTimeoutMs = 5_000, idleTimeoutMs = 30_000 } = options;
  const post = createOperationRequests(options);

  return {
    async lookUp(refs, hosts, signal) {
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(lookupTimeoutMs)]);
      const variables = { refs: [...refs], hosts: [...hosts] };
      const response = await post(LookUpProjectConfigsDocument, variables, "application/json", timeout);
      const answer = dataOf(LookUpProjectConfigsDocument, await response.json().catch(unreadable));
      // The schema knows snapshots only as JSON; what they hold is the contract in config-snapshot.ts.
      const snapshots = (values: readonly unknown[]) => values as (SnapshotOf<A> | null)[];
      return { byRef: snapshots(answer.projectConfigs), byHost: snapshots(answer.projectConfigsByHost) };
    },

    async *follow(after, signal) {
      const connection = new AbortController();
      const end = () => connection.abort();
      if (signal.aborted) end();
      signal.addEventListener("abort", end, { once: true });
      const timer = setTimeout(end, idleTimeoutMs);
      try {
        const response = await post(
          FollowProjectConfigsDocument,
          { after },
          "text/event-stream",
          connection.signal,
        ).finally(() => clearTimeout(timer));
        if (!response.body || !response.headers.get("content-type")?.startsWith("text/event-stream"))
          throw new ConfigUnavailable(`the control plane refused the feed: ${await refusalOf(response)}`);
        for await (const { event, data } of readServerSentEvents(response.body, idleTimeoutMs, signal)) {
          if (event === "complete") return;
          if (event !== "next") continue;
          yield dataOf(FollowProjectConfigsDocument, JSON.parse(data)).projectConfigs as ConfigChanges<A>;
        }
      } finally {
        signal.removeEventListener("abort", end);
      }
    },
  };
}
