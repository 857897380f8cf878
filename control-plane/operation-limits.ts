/**
 * How much one account or one address may have under way, so that nobody takes the database's connections from the
 * others. Counted in the memory of one instance: several allow as many times more.
 */
import { GraphQLError } from "graphql";
import type { Plugin } from "graphql-yoga";
import { createLimitByKey, createPlaces } from "./concurrency-limit.ts";
import type { GraphqlContext } from "./context.ts";
import { TooManyRequests, type UserError } from "./errors.ts";

/**
 * Of one account, or of one address without a credential. Below the connections of the pool, so that some are left for
 * others; above the scripts of the SQL runner (run-places.ts), so that one is left to cancel them by.
 */
const OPERATIONS_AT_ONCE = 20;
/** A burst waits its turn: a script that makes a hundred projects need not pace itself. */
const OPERATIONS_WAITING = 200;
/** Requests of one address, counted before their credential is looked at. A whole office may share one. */
const REQUESTS_OF_ADDRESS = 400;
/** Each holds a connection and costs reads with every event. */
const SUBSCRIPTIONS_OF_ONE = 100;

/** Lets a viewer's operations run in order, a bounded number at once. Services only read what they may flood by themselves. */
export function limitOperations(): Plugin {
  const limit = createLimitByKey(OPERATIONS_AT_ONCE, OPERATIONS_WAITING);
  return {
    onExecute({ executeFn, setExecuteFn }) {
      setExecuteFn(async (args) => {
        const context = args.contextValue as GraphqlContext;
        if (context.viewer?.kind === "service") return executeFn(args);
        try {
          return await limit(holderOf(context), async () => executeFn(args));
        } catch (error) {
          if (!(error instanceof TooManyRequests)) throw error;
          return { errors: [asRefusal(error)] };
        }
      });
    },
  };
}

export function limitSubscriptions(): Plugin {
  const places = createPlaces(SUBSCRIPTIONS_OF_ONE);
  return {
    onSubscribe({ args, setResultAndStopExecution }) {
      const close = places.take(holderOf(args.contextValue as unknown as GraphqlContext));
      if (!close) {
        setResultAndStopExecution({ errors: [asRefusal(new TooManyRequests("too many subscriptions are open", 60))] });
        return;
      }
      return {
        onSubscribeResult({ result }) {
          if (Symbol.asyncIterator in result) return { onEnd: close };
          close();
        },
        onSubscribeError: close,
      };
    },
  };
}

/** Null when the address has as many requests under way as it may. */
export type TakeAddressPlace = (addressBlock: string, authorization: string | undefined) => (() => void) | null;

/** Gateways and services have places of their own: behind a proxy they may share an address with everybody. */
export function createAddressPlaces(): TakeAddressPlace {
  const places = createPlaces(REQUESTS_OF_ADDRESS);
  return (addressBlock, authorization) =>
    places.take(authorization?.startsWith("Bearer sbsvc_") ? `service ${addressBlock}` : addressBlock);
}

/** A failure before anything has run: told by the HTTP status as well. */
export function asRefusal({ message, code, details }: UserError): GraphQLError {
  const headers = { "retry-after": String(details.retryAfterSeconds) };
  return new GraphQLError(message, { extensions: { ...details, code, http: { status: 429, headers } } });
}

function holderOf({ viewer, addressBlock }: GraphqlContext): string {
  if (!viewer) return `address ${addressBlock}`;
  return viewer.kind === "account" ? `account ${viewer.accountId}` : `service ${viewer.name}`;
}
