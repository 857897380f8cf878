/**
 * The order in which a request is judged: route → snapshot → state → key → limits → upstream. Nothing waits when the
 * project is cached, and the first pass that refuses answers.
 */
import type { ApiKeyEntry, GatewaySnapshot, ProjectRef, ServiceName } from "../control-plane/client/config-snapshot.ts";
import { type Address, classifyHost, type GatewayHosts, type HostKind, locate, parseHost } from "./address.ts";
import { type Credentials, decideCredentials } from "./api-key.ts";
import type { ClientRequest } from "./client-request.ts";
import type { GatewayConfigs } from "./configs.ts";
import { OPEN_CORS } from "./cors.ts";
import type { GatewayErrorCode } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Budget } from "./limits.ts";
import type { Logger } from "./logger.ts";
import { matchRoute, normalizePath, type ProxyRoute, type RouteMatch } from "./route.ts";
import type { Tenant, Tenants } from "./tenants.ts";
import type { Upstream } from "./upstream.ts";

export interface PassesOptions {
  readonly configs: GatewayConfigs;
  readonly tenants: Tenants;
  readonly hosts: GatewayHosts;
  /** Base URL of the path form where the request's own host cannot be believed; without a trailing slash. */
  readonly publicUrl: string;
  readonly upstreamOf: (tenant: Tenant, service: ServiceName) => Upstream;
  /** Answers what is addressed to the gateway itself. */
  readonly gatewayEndpoint: (exchange: Exchange, path: string) => void;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface SeenHost {
  readonly name: string;
  readonly kind: HostKind;
  /** The gateway is known by this name: it may stand in links. */
  readonly believed: boolean;
}

const MAX_SEEN_HOSTS = 1_000;

/** What the gateway answers on its own behalf even when it cannot find out whose host it was asked under. */
const PROBES: ReadonlySet<string> = new Set(["/health", "/ready"]);

/** A request that passed everything but the choice of its upstream. */
export type Admitted = (exchange: Exchange, tenant: Tenant, route: ProxyRoute, credentials: Credentials) => void;

export interface Passes {
  /** Judges a plain request and sends it on. */
  run(exchange: Exchange): void;
  /** Judges the opening of a WebSocket; `admitted` goes on from there. */
  runUpgrade(exchange: Exchange, admitted: Admitted): void;
}

export function createPasses(options: PassesOptions): Passes {
  const { configs, tenants, hosts, now } = options;
  const publicHostName = new URL(options.publicUrl).hostname;

  /** Hosts seen lately: most requests name one of a few. Emptied when somebody makes names up. */
  const seenHosts = new Map<string, SeenHost>();

  function lookAtHost(header: string): SeenHost | null {
    const seen = seenHosts.get(header);
    if (seen) return seen;
    const parsed = parseHost(header);
    if (parsed === null) return null;
    const { name } = parsed;
    // Links in mails are made of this: a host that anybody may write into a request must not get into them.
    const believed = hosts.baseDomains.includes(name) || name === publicHostName;
    const host: SeenHost = { name, kind: classifyHost(hosts, name), believed };
    if (seenHosts.size >= MAX_SEEN_HOSTS) seenHosts.clear();
    seenHosts.set(header, host);
    return host;
  }

  function start(exchange: Exchange, admitted: Admitted): void {
    const { request } = exchange;
    const path = normalizePath(request.path);
    const host = lookAtHost(exchange.forwarded.host);
    if (request.fault) exchange.reject(request.fault);
    else if (path === null) exchange.reject("invalid_request_target");
    else if (host === null) exchange.reject("invalid_header");
    else follow(exchange, locate(host.kind, host.name, path), path, host, admitted);
  }

  function follow(exchange: Exchange, address: Address, path: string, host: SeenHost, admitted: Admitted): void {
    const { request } = exchange;
    switch (address.kind) {
      case "gateway":
        options.gatewayEndpoint(exchange, path);
        break;
      case "path":
        if (request.isServiceWorkerScript) {
          exchange.reject("service_worker_forbidden");
          break;
        }
        exchange.publicUrl = `${pathFormBase(exchange, host)}/projects/${address.ref}`;
        withProject(exchange, address.ref, address.path, admitted);
        break;
      case "host":
        ownOrigin(exchange);
        withProject(exchange, address.ref, path, admitted);
        break;
      case "custom":
        withSnapshot(
          exchange,
          configs.peekByHost(address.host),
          () => configs.getByHost(address.host),
          (snapshot) => {
            if (snapshot === null) {
              follow(exchange, address.fallback, path, host, admitted);
            } else {
              ownOrigin(exchange);
              conclude(exchange, snapshot, path, admitted);
            }
          },
          // Whoever watches a gateway may call it by any name, and must not take it for dead with the control plane.
          PROBES.has(path) ? () => follow(exchange, address.fallback, path, host, admitted) : undefined,
        );
    }
  }

  function pathFormBase({ forwarded }: Exchange, host: SeenHost): string {
    return host.believed ? `${forwarded.proto}://${forwarded.host}` : options.publicUrl;
  }

  function withProject(exchange: Exchange, ref: ProjectRef, path: string, admitted: Admitted): void {
    const cached = configs.peek(ref);
    if (cached !== undefined) conclude(exchange, cached, path, admitted);
    else
      withSnapshot(
        exchange,
        cached,
        () => configs.get(ref),
        (snapshot) => conclude(exchange, snapshot, path, admitted),
      );
  }

  function withSnapshot(
    exchange: Exchange,
    cached: GatewaySnapshot | null | undefined,
    load: () => Promise<GatewaySnapshot | null>,
    proceed: (snapshot: GatewaySnapshot | null) => void,
    whenUnknown?: () => void,
  ): void {
    if (cached !== undefined) {
      proceed(cached);
      return;
    }
    load().then(
      (snapshot) => {
        if (!exchange.settled) guard(exchange, () => proceed(snapshot));
      },
      (error: unknown) => {
        if (whenUnknown) {
          if (!exchange.settled) guard(exchange, whenUnknown);
          return;
        }
        options.logger.warn(
          { err: error, requestId: exchange.requestId },
          "a project's configuration cannot be loaded",
        );
        exchange.reject("config_unavailable", ["retry-after", "1"]);
      },
    );
  }

  function conclude(exchange: Exchange, snapshot: GatewaySnapshot | null, path: string, admitted: Admitted): void {
    const tenant = snapshot === null ? null : tenants.of(snapshot);
    exchange.tenant = tenant;
    if (exchange.request.isPreflight) {
      answerPreflight(exchange);
      return;
    }
    const route = matchRoute(path);
    if (route.kind === "proxy") exchange.route = route;
    const verdict = judge(exchange.request, tenant, route, now());
    if (verdict.kind === "reject") exchange.reject(verdict.code, verdict.headers);
    else {
      exchange.key = verdict.key;
      admitted(exchange, verdict.tenant, verdict.route, verdict.credentials);
    }
  }

  const forward: Admitted = (exchange, tenant, route, credentials) => {
    if (route.socket) {
      exchange.reject("upgrade_required");
    } else if (!limitBody(exchange, tenant, route)) {
      exchange.reject("body_too_large");
    } else {
      const waitSeconds = tenant.breakers.admit(route.service, now());
      if (waitSeconds > 0) {
        exchange.reject("upstream_unavailable", ["retry-after", String(waitSeconds)]);
        return;
      }
      exchange.enter(tenant);
      options.upstreamOf(tenant, route.service).send(exchange, credentials);
    }
  };

  /** A fault of ours, or an impossible snapshot, costs this request and no other. */
  function guard(exchange: Exchange, pass: () => void): void {
    try {
      pass();
    } catch (error) {
      options.logger.error({ err: error, requestId: exchange.requestId }, "a request could not be handled");
      exchange.reject("internal_error");
    }
  }

  return {
    run: (exchange) => guard(exchange, () => start(exchange, forward)),
    runUpgrade: (exchange, admitted) => guard(exchange, () => start(exchange, admitted)),
  };
}

type Verdict =
  | { readonly kind: "reject"; readonly code: GatewayErrorCode; readonly headers?: readonly string[] }
  | {
      readonly kind: "admit";
      readonly tenant: Tenant;
      readonly route: ProxyRoute;
      readonly credentials: Credentials;
      readonly key: ApiKeyEntry | null;
    };

/** State, route, key and limits, in this order: who has no key learns nothing of the project's load. */
function judge(request: ClientRequest, tenant: Tenant | null, route: RouteMatch, nowMs: number): Verdict {
  if (tenant === null) return { kind: "reject", code: "project_not_found" };
  const { snapshot, usage, limits } = tenant;
  if (snapshot.state !== "active") return { kind: "reject", code: `project_${snapshot.state}` };
  if (route.kind === "reject") return route;
  const decision = decideCredentials(snapshot, tenant.keys, route, request);
  if (decision.kind === "reject") return decision;
  if (!usage.admit(limits, route.routeClass, nowMs)) {
    const headers = budgetHeaders(usage.budget(limits, route.routeClass));
    return { kind: "reject", code: "over_request_rate_limit", headers };
  }
  if (usage.requestsInFlight >= limits.concurrentRequests) {
    return { kind: "reject", code: "too_many_concurrent_requests", headers: ["retry-after", "1"] };
  }
  return { kind: "admit", tenant, route, credentials: decision.credentials, key: decision.key };
}

/**
 * A chunked body is counted as it comes. An upload that is too large is left to the storage service to refuse: it knows
 * the limits of buckets besides and the words that its clients read, and gets no more of the body than the project allows.
 * @returns False when the body is announced as larger than the project allows.
 */
function limitBody({ body }: Exchange, { limits }: Tenant, route: ProxyRoute): boolean {
  if (body === null) return true;
  if (route.service === "storage") {
    body.limit(limits.maxUploadBytes);
    return true;
  }
  if ((body.declaredBytes ?? 0) > limits.maxBodyBytes) return false;
  body.limit(limits.maxBodyBytes);
  return true;
}

/** The project has this host for itself. */
function ownOrigin(exchange: Exchange): void {
  exchange.sharedOrigin = false;
  exchange.publicUrl = `${exchange.forwarded.proto}://${exchange.forwarded.host}`;
}

function answerPreflight(exchange: Exchange): void {
  const { origin, preflightHeaders: requestedHeaders } = exchange.request;
  const cors = (exchange.tenant?.cors ?? OPEN_CORS).preflightHeaders({ origin, requestedHeaders });
  exchange.answer(204, "204 No Content", ["x-request-id", exchange.requestId, ...cors], null);
}

function budgetHeaders({ limit, remaining, retryAfterSeconds }: Budget): readonly string[] {
  const seconds = String(retryAfterSeconds);
  const budget = ["x-ratelimit-limit", String(limit), "x-ratelimit-remaining", String(remaining)];
  return [...budget, "x-ratelimit-reset", seconds, "retry-after", seconds];
}
