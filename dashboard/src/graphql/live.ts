/**
 * Subscriptions over server-sent events. graphql-sse retries but does not notice silence: the body is watched here, and
 * a stream that has said nothing for half a minute (the server pings every 12 seconds) is opened anew.
 */
import { createClient, type ExecutionResult } from "graphql-sse";

const SILENCE_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** A hidden tab gives its connection back: browsers have six for all tabs of an origin over HTTP/1.1. */
const HIDDEN_MS = 10_000;

export type LiveState = "idle" | "live" | "interrupted";

let openStreams = 0;
let interrupted = 0;
const listeners = new Set<() => void>();

/** Of all subscriptions of the page together: the header shows it. */
export function liveState(): LiveState {
  if (interrupted > 0) return "interrupted";
  return openStreams > 0 ? "live" : "idle";
}

export function onLiveChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function count(change: { open?: number; interrupted?: number }): void {
  openStreams += change.open ?? 0;
  interrupted += change.interrupted ?? 0;
  for (const listener of listeners) listener();
}

const resumedListeners = new Set<() => void>();

/** After a break something may have been missed: whoever shows a query reads it again. */
export function onResumed(listener: () => void): () => void {
  resumedListeners.add(listener);
  return () => resumedListeners.delete(listener);
}

/** All that is shown is read again, and followed from here on. */
export function resume(): void {
  for (const listener of resumedListeners) listener();
}

export interface Subscription {
  readonly query: string;
  readonly variables: Record<string, unknown>;
  readonly onData: (result: ExecutionResult) => void;
  /** The server has ended the stream by itself: the last value was seen, or the right to look is gone. */
  readonly onEnd: () => void;
}

/** Streams of all tabs together. Browsers open six connections to an origin over HTTP/1.1, and questions need some. */
const PLACES = 4;
/** A tab that finds no place reads again this often, until one is free. */
const POLL_MS = 5_000;

/**
 * Calls `onPlace` as soon as a stream may be opened; the returned function gives the place back. Places are locks of
 * the browser, which has them where the page is secure (https, localhost); elsewhere every tab opens its stream.
 */
function takePlace(onPlace: () => void): () => void {
  if (!navigator.locks) {
    onPlace();
    return () => undefined;
  }
  const leaving = new AbortController();
  let giveBack: () => void = () => undefined;
  let polling: ReturnType<typeof setInterval> | undefined;
  const hold = async (lock: Lock | null): Promise<boolean> => {
    if (!lock || leaving.signal.aborted) return false;
    clearInterval(polling);
    await new Promise<void>((given) => {
      giveBack = given;
      onPlace();
    });
    return true;
  };
  const nameOf = (place: number) => `supalove.live.${place}`;
  const take = async () => {
    for (let place = 0; place < PLACES; place++) {
      if (await navigator.locks.request(nameOf(place), { ifAvailable: true }, hold)) return;
    }
    if (leaving.signal.aborted) return;
    polling = setInterval(resume, POLL_MS);
    await navigator.locks.request(nameOf(Math.floor(Math.random() * PLACES)), { signal: leaving.signal }, hold);
  };
  take().catch(() => undefined); // given up while it waited
  return () => {
    leaving.abort();
    clearInterval(polling);
    giveBack();
  };
}

/** Follows until the returned function is called; pauses while the tab is hidden, and begins anew when it is shown. */
export function subscribe({ query, variables, onData, onEnd }: Subscription): () => void {
  let stop: (() => void) | null = null;
  let wasConnected = false;
  let hiding: ReturnType<typeof setTimeout> | undefined;

  function start(): void {
    if (stop) return;
    let close: () => void = () => undefined;
    const giveBack = takePlace(() => {
      close = open();
    });
    stop = () => {
      close();
      giveBack();
      stop = null;
    };
  }

  function open(): () => void {
    let isInterrupted = false;
    const setInterrupted = (value: boolean) => {
      if (value !== isInterrupted) count({ interrupted: value ? 1 : -1 });
      isInterrupted = value;
    };
    const client = createClient({
      url: "/graphql",
      credentials: "same-origin",
      headers: { "x-supalove-client": "dashboard" },
      retryAttempts: Number.POSITIVE_INFINITY,
      retry: async (attempt) => {
        setInterrupted(true);
        const most = Math.min(FIRST_RETRY_MS * 2 ** attempt, LAST_RETRY_MS);
        await new Promise((retry) => setTimeout(retry, most * (0.5 + Math.random() / 2)));
      },
      fetchFn: watchedFetch,
      on: {
        connected: () => {
          setInterrupted(false);
          if (wasConnected) resume();
          wasConnected = true;
        },
      },
    });
    count({ open: 1 });
    const unsubscribe = client.subscribe({ query, variables }, { next: onData, error: onEnd, complete: onEnd });
    return () => {
      unsubscribe();
      client.dispose();
      setInterrupted(false);
      count({ open: -1 });
    };
  }

  function onVisibility(): void {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => stop?.(), HIDDEN_MS);
    else start();
  }

  document.addEventListener("visibilitychange", onVisibility);
  if (!document.hidden) start();
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    clearTimeout(hiding);
    stop?.();
  };
}

async function watchedFetch(url: string, init: RequestInit): Promise<Response> {
  const silence = new AbortController();
  init.signal?.addEventListener("abort", () => silence.abort(), { once: true });
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  const response = await fetch(url, { ...init, signal: silence.signal });
  heard();
  if (!response.body) return response;
  const watched = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        heard();
        controller.enqueue(chunk);
      },
      flush: () => clearTimeout(timer),
    }),
  );
  return new Response(watched, response);
}
