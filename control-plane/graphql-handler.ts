/** GraphQL over HTTP: limits, the viewer of each request, masked errors, one log line an operation. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage, ServerResponse } from "node:http";
import { GraphQLError, type GraphQLSchema, parse } from "graphql";
import { createYoga, type Plugin } from "graphql-yoga";
import { authenticate } from "./accounts/authenticate.ts";
import type { GraphqlContext, Services } from "./context.ts";
import { TooManyRequests, UserError } from "./errors.ts";
import { exceededLimit, MAX_BODY_BYTES, MAX_TOKENS, type Operation, rootFields } from "./graphql-limits.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import { asRefusal, createAddressPlaces, limitOperations, limitSubscriptions } from "./operation-limits.ts";

/** What the HTTP server knows of a request. */
export interface RequestScope {
  readonly requestId: string;
  readonly clientAddress: string;
  readonly addressBlock: string;
  readonly logger: Logger;
}

export interface GraphqlHandlerOptions {
  readonly schema: GraphQLSchema;
  readonly services: Services;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly dashboardOrigins: readonly string[];
}

export type GraphqlHandler = (request: IncomingMessage, response: ServerResponse, scope: RequestScope) => Promise<void>;

interface ServerContext {
  readonly scope: RequestScope;
  readonly nodeResponse: ServerResponse;
  /** The response is a stream from here on: it is no operation under way any more. */
  readonly onStream: () => void;
}

export function createGraphqlHandler(options: GraphqlHandlerOptions): GraphqlHandler {
  const { services, dashboardOrigins } = options;
  // Errors are masked deep inside the server, where no context is handed on; the id of the request is found by this.
  const scopes = new AsyncLocalStorage<RequestScope>();

  const yoga = createYoga<ServerContext>({
    schema: options.schema,
    graphqlEndpoint: "/graphql",
    graphiql: false, // its page would load scripts from elsewhere into the dashboard's origin
    landingPage: false,
    healthCheckEndpoint: "/graphql/health",
    cors: false, // decided by the HTTP server for all routes
    multipart: false,
    batching: false,
    maxRequestBodySize: MAX_BODY_BYTES,
    logging: false,
    maskedErrors: { maskError: (error) => maskError(error, scopes.getStore(), options.logger) },
    context: async ({ request, scope, nodeResponse }): Promise<GraphqlContext> => ({
      ...services,
      ...scope,
      request,
      viewer: await authenticate(request, { ...services, dashboardOrigins }),
      setCookie: (header) => nodeResponse.appendHeader("set-cookie", header),
    }),
    plugins: [
      refuseBrokenParameters(),
      limitDocuments(options.schema),
      limitSubscriptions(),
      limitOperations(),
      endRequestWithStream(),
      observe(options.metrics),
    ],
  });

  const takeAddressPlace = createAddressPlaces();
  return (request, response, scope) =>
    scopes.run(scope, async () => {
      const giveBack = takeAddressPlace(scope.addressBlock, request.headers.authorization);
      if (!giveBack) return refuse(response, scope);
      response.once("close", giveBack);
      await yoga(request, response, { scope, nodeResponse: response, onStream: giveBack });
    });
}

/** Before the body is read and the credential is looked up: whoever floods costs nothing of that. */
function refuse(response: ServerResponse, { logger }: RequestScope): void {
  logger.info("a request was refused: too many of its address are under way");
  const { message, extensions } = asRefusal(new TooManyRequests("too many requests of this address are under way"));
  const { http: _http, ...rest } = extensions;
  response
    .writeHead(429, { "content-type": "application/json", "retry-after": String(rest.retryAfterSeconds) })
    .end(JSON.stringify({ errors: [{ message, extensions: rest }] }));
}

/** `variables` and `extensions` of a GET or a form are JSON texts of the client's: broken ones are its mistake. */
function refuseBrokenParameters(): Plugin {
  return {
    onRequestParse({ requestParser, setRequestParser }) {
      if (!requestParser) return;
      setRequestParser(async (request) => {
        try {
          return await requestParser(request);
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error;
          const extensions = { code: "BAD_REQUEST", http: { status: 400 } };
          throw new GraphQLError("variables and extensions must be JSON", { extensions });
        }
      });
    },
  };
}

function endRequestWithStream(): Plugin {
  return {
    onSubscribe: ({ args }) => ({
      onSubscribeResult({ result }) {
        if (isAsyncIterable(result)) (args.contextValue as unknown as ServerContext).onStream();
      },
    }),
  };
}

/**
 * Our own errors with code and details; those of GraphQL itself (syntax, validation, limits) as they are; everything
 * else as INTERNAL with the request's id, and into the log.
 */
function maskError(error: unknown, scope: RequestScope | undefined, fallback: Logger): Error {
  const located = error instanceof GraphQLError ? error : null;
  const original = located?.originalError ?? error;
  const place = located
    ? {
        nodes: located.nodes ?? null,
        source: located.source ?? null,
        positions: located.positions ?? null,
        path: located.path ?? null,
      }
    : {};
  if (original instanceof UserError) {
    const { code, details, message, cause } = original;
    if (cause !== undefined) (scope?.logger ?? fallback).warn({ err: cause, code }, "a request was refused");
    // A credential that is wrong as such is refused before anything runs: then the status says so as well.
    const http = located ? {} : { http: { status: code === "UNAUTHENTICATED" ? 401 : 403 } };
    return new GraphQLError(message, { ...place, extensions: { ...details, code, ...http } });
  }
  if (original instanceof GraphQLError) return located ?? original;
  (scope?.logger ?? fallback).error({ err: original, path: located?.path }, "a request failed");
  const extensions = { code: "INTERNAL", requestId: scope?.requestId };
  return new GraphQLError("internal error", { ...place, extensions });
}

function limitDocuments(schema: GraphQLSchema): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn((source, parseOptions) => parse(source, { ...parseOptions, maxTokens: MAX_TOKENS }));
    },
    onExecute({ args, setResultAndStopExecution }) {
      const error = exceededLimit(schema, args as Operation);
      if (error) setResultAndStopExecution({ errors: [error] });
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const error = exceededLimit(schema, args as Operation);
      if (error) setResultAndStopExecution({ errors: [error] });
    },
  };
}

/** One log line and one count for each operation, with the names of its root fields and never its arguments. */
function observe(metrics: Metrics): Plugin {
  const begin = (args: { contextValue: unknown }) => {
    const context = args.contextValue as GraphqlContext;
    const { type, fields } = rootFields(args as unknown as Operation);
    const startedAt = performance.now();
    return {
      field: fields[0] ?? "none",
      end(result: { errors?: readonly GraphQLError[] | undefined }) {
        const [error] = result.errors ?? [];
        const outcome = error ? String(error.extensions.code ?? "GRAPHQL_ERROR") : "ok";
        const durationMs = performance.now() - startedAt;
        metrics.operation(type, fields[0] ?? "none", outcome, durationMs / 1000);
        context.logger.info(
          { type, fields, outcome, durationMs: Math.round(durationMs * 10) / 10, actor: actorOf(context) },
          "graphql",
        );
      },
    };
  };
  return {
    onExecute({ args }) {
      const operation = begin(args);
      return {
        onExecuteDone({ result }) {
          if (!isAsyncIterable(result)) operation.end(result);
        },
      };
    },
    onSubscribe({ args }) {
      const operation = begin(args);
      return {
        onSubscribeResult({ result }) {
          if (!isAsyncIterable(result)) return operation.end(result);
          operation.end({});
          metrics.subscriptionOpened(operation.field);
          return { onEnd: () => metrics.subscriptionClosed(operation.field) };
        },
      };
    },
  };
}

function actorOf({ viewer }: GraphqlContext): string {
  if (!viewer) return "anonymous";
  return viewer.kind === "account" ? viewer.accountId : `service ${viewer.name}`;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
