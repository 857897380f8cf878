/**
 * Two clients: `entities` with the normalised cache, for accounts, organizations, projects, settings and users; `data`
 * without any, for rows, SQL, catalogs and logs, which are large and age at once. The session is an httpOnly cookie that
 * no script sees.
 */
import { Client, type Exchange, fetchExchange, mapExchange, subscriptionExchange } from "@urql/core";
import { entityCache } from "./cache.ts";
import { toAppError } from "./errors.ts";
import { subscribe } from "./live.ts";
import { setSessionEnded } from "./session-end.ts";

const noticeSessionEnd = mapExchange({
  onResult({ error }) {
    if (error && toAppError(error).code === "UNAUTHENTICATED") setSessionEnded(true);
  },
});

function createClient(exchanges: Exchange[]): Client {
  return new Client({
    url: "/graphql",
    preferGetMethod: false,
    fetchOptions: { credentials: "same-origin", headers: { "x-supalove-client": "dashboard" } },
    exchanges: [noticeSessionEnd, ...exchanges, fetchExchange],
  });
}

const liveUpdates = subscriptionExchange({
  forwardSubscription: ({ query = "", variables = {} }) => ({
    subscribe: (sink) => ({
      unsubscribe: subscribe({
        query,
        variables: variables as Record<string, unknown>,
        onData: (result) => sink.next(result as Parameters<typeof sink.next>[0]),
        onEnd: () => sink.complete(),
      }),
    }),
  }),
});

export const entities = createClient([entityCache(), liveUpdates]);
export const data = createClient([]);
