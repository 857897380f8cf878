/** How a gateway or service asks the control plane: two GraphQL operations over HTTP, with its service token. */
import type { Audience, ConfigChanges, SnapshotOf } from "./config-snapshot.ts";
import {
  FollowProjectConfigsDocument,
  LookUpProjectConfigsDocument,
  type OperationText,
} from "./generated/operations.ts";
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

/** The control plane could not be asked, or refused; the message never holds the token. */
export class ConfigUnavailable extends Error {}

export interface ConfigSourceOptions {
  /** Such as `http://localhost:8000`. */
  readonly controlPlaneUrl: string;
  /** A service token `sbsvc_…` of the audience. */
  readonly token: string;
  /** Default 5,000. */
  readonly lookupTimeoutMs?: number;
  /** Longest silence on the feed before it counts as lost; the server shows itself every 12 s. Default 30,000. */
  readonly idleTimeoutMs?: number;
}

export function createConfigSource<A extends Audience>(options: ConfigSourceOptions): ConfigSource<A> {
  const { token, lookupTimeoutMs = 5_000, idleTimeoutMs = 30_000 } = options;
  const endpoint = new URL("graphql", `${options.controlPlaneUrl.replace(/\/+$/, "")}/`);

  async function post<Data, Variables>(
    operation: OperationText<Data, Variables>,
    variables: Variables,
    accept: string,
    signal: AbortSignal,
  ): Promise<Response> {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", accept, authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: operation, variables }),
      redirect: "error", // the token goes to this one place
      signal,
    }).catch((cause: unknown) => {
      throw new ConfigUnavailable(`the control plane at ${endpoint.origin} does not answer`, { cause });
    });
    if (response.ok) return response;
    throw new ConfigUnavailable(`the control plane refused: ${response.status} ${await reason(response)}`);
  }

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
          throw new ConfigUnavailable(`the control plane refused the feed: ${await reason(response)}`);
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

interface GraphqlResult {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string }[];
}

/** @param _operation gives the type of its answer. */
function dataOf<Data, Variables>(_operation: OperationText<Data, Variables>, result: unknown): Data {
  const { data, errors } = result as GraphqlResult;
  if (errors?.[0] || !data)
    throw new ConfigUnavailable(`the control plane refused: ${errors?.[0]?.message ?? "no data"}`);
  return data as Data;
}

async function reason(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  try {
    return (JSON.parse(text) as GraphqlResult).errors?.[0]?.message ?? "";
  } catch {
    return text.slice(0, 200);
  }
}

function unreadable(cause: unknown): never {
  throw new ConfigUnavailable("the control plane's answer broke off", { cause });
}
