/** Queries, mutations and subscriptions by generated text: types of answers and variables come along with it. */
import type { Client, CombinedError, RequestPolicy } from "@urql/core";
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { useClient, useMutation as useUrqlMutation, useQuery as useUrqlQuery } from "urql";
import { onEnd as ended, subscribe as forEach, pipe } from "wonka";
import { type AppError, toAppError } from "./errors.ts";
import { liveState, onLiveChange, onResumed } from "./live.ts";

/** As the generated files have it. */
export type OperationText<Data, Variables> = string & { readonly types?: (variables: Variables) => Data };
type AnyVariables = Record<string, unknown>;

export interface QueryState<Data> {
  /** Undefined until the first answer; stays while it is read again. */
  readonly data: Data | undefined;
  readonly error: AppError | null;
  /** An answer is on its way. */
  readonly isFetching: boolean;
  /** Reads again from the server. */
  readonly refetch: () => void;
}

export interface QueryOptions {
  /** The question is not asked yet. */
  readonly pause?: boolean;
  readonly policy?: RequestPolicy;
}

export function useQuery<Data, Variables extends AnyVariables>(
  document: OperationText<Data, Variables>,
  variables: Variables,
  { pause = false, policy = "cache-and-network" }: QueryOptions = {},
): QueryState<Data> {
  const [{ data, error, fetching, stale }, execute] = useUrqlQuery<Data, AnyVariables>({
    query: document,
    variables,
    pause,
    requestPolicy: policy,
  });
  const shown = useLastAnswer(data, useAppError(error), JSON.stringify(variables));
  const refetch = useCallback(() => execute({ requestPolicy: "network-only" }), [execute]);
  useEffect(() => (pause ? undefined : onResumed(refetch)), [pause, refetch]);
  return { ...shown, isFetching: fetching || stale, refetch };
}

/** What is gone or no longer the viewer's to see; after any other failure the last answer stays to be seen. */
const FINAL = ["NOT_FOUND", "FORBIDDEN"];

/** A form must not vanish with what was typed because a question failed that was asked again behind it. */
function useLastAnswer<Data>(data: Data | null | undefined, error: AppError | null, key: string) {
  const last = useRef<{ key: string; data: Data } | null>(null);
  if (data !== undefined && data !== null) last.current = { key, data };
  else if (error && FINAL.includes(error.code)) last.current = null;
  return { data: last.current?.key === key ? last.current.data : undefined, error };
}

function useAppError(error: CombinedError | undefined): AppError | null {
  const known = useRef<{ of: CombinedError; is: AppError } | null>(null);
  if (!error) return null;
  if (known.current?.of !== error) known.current = { of: error, is: toAppError(error) };
  return known.current.is;
}

export type Outcome<Data> =
  | { readonly data: Data; readonly error: null }
  | { readonly data: null; readonly error: AppError };

export interface MutationState<Data, Variables> {
  /** Never throws. */
  readonly run: (variables: Variables) => Promise<Outcome<Data>>;
  readonly isRunning: boolean;
  readonly error: AppError | null;
  readonly forgetError: () => void;
}

export function useMutation<Data, Variables extends AnyVariables>(
  document: OperationText<Data, Variables>,
): MutationState<Data, Variables> {
  const [{ fetching }, execute] = useUrqlMutation<Data, AnyVariables>(document);
  const [error, setError] = useState<AppError | null>(null);
  const run = useCallback(
    async (variables: Variables): Promise<Outcome<Data>> => {
      setError(null);
      const outcome = toOutcome(await execute(variables));
      setError(outcome.error);
      return outcome;
    },
    [execute],
  );
  const forgetError = useCallback(() => setError(null), []);
  return { run, isRunning: fetching, error, forgetError };
}

function toOutcome<Data>(result: { data?: Data | undefined; error?: CombinedError | undefined }): Outcome<Data> {
  if (result.error) return { data: null, error: toAppError(result.error) };
  return { data: result.data as Data, error: null };
}

/** For code outside of components, such as the router. @throws {AppError} as the reason of the promise. */
export async function ask<Data, Variables extends AnyVariables>(
  client: Client,
  document: OperationText<Data, Variables>,
  variables: Variables,
  policy: RequestPolicy = "cache-first",
): Promise<Data> {
  const result = await client.query<Data, AnyVariables>(document, variables, { requestPolicy: policy }).toPromise();
  if (result.error || !result.data) throw result.error ? toAppError(result.error) : new Error("no answer");
  return result.data;
}

/**
 * Follows a subscription while the component is shown. The cache takes its values in, so that every page shows them;
 * `onData` sees them as well, and `onEnd` hears that the server has ended it: the thing or the right to see it is gone.
 */
export function useSubscription<Data, Variables extends AnyVariables>(
  document: OperationText<Data, Variables>,
  variables: Variables,
  { onData, onEnd, pause = false }: { onData?: (data: Data) => void; onEnd?: () => void; pause?: boolean },
): void {
  const client = useClient();
  const handlers = useRef({ onData, onEnd });
  handlers.current = { onData, onEnd };
  const key = JSON.stringify(variables);
  useEffect(() => {
    if (pause) return;
    let isLeaving = false;
    const { unsubscribe } = pipe(
      client.subscription<Data, AnyVariables>(document, JSON.parse(key)),
      ended(() => {
        if (!isLeaving) handlers.current.onEnd?.();
      }),
      forEach((result) => {
        if (result.data) handlers.current.onData?.(result.data);
      }),
    );
    return () => {
      isLeaving = true;
      unsubscribe();
    };
  }, [client, document, key, pause]);
}

export function useLiveState() {
  return useSyncExternalStore(onLiveChange, liveState);
}
