/**
 * The order in which a request is judged: route → snapshot → state → key → limits → upstream. Nothing waits when the
 * project is cached, and the first step that refuses answers.
 */
import type { GatewaySnapshot, ProjectRef, ServiceName } from "../../control-plane/client/config-snapshot.ts";
import { headerList } from "../../data-plane/http/header-list.ts";
import type { GatewayConfigs } from "../configs.ts";
import { OPEN_CORS } from "../cors.ts";
import type { GatewayErrorCode } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { Logger } from "../logger.ts";
import type { Upstream } from "../upstreams/upstream.ts";
import { type Address, classifyHost, type GatewayHosts, type HostKind, locate, parseHost } from "./address.ts";
import type { AdmittedRequest, PublicOrigin } from "./admitted.ts";
import { decideCredentials } from "./api-key.ts";
import type { Budget } from "./limits.ts";
import { matchRoute, normalizePath, type RouteMatch } from "./route.ts";
import type { Tenant, Tenants } from "./tenants.ts";

export interface AdmissionOptions {
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

/** What becomes of a request that passed everything but the choice of its upstream. */
export type OnAdmitted = (admitted: AdmittedRequest) => void;

export interface AdmissionControl {
  /** Judges a plain request and sends it on. */
  run(exchange: Exchange): void;
  /** Judges the opening of a WebSocket; `onAdmitted` goes on from there. */
  runUpgrade(exchange: Exchange, onAdmitted: OnAdmitted): void;
}

export function createAdmissionControl(options: AdmissionOptions): AdmissionControl {
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

  function start(exchange: Exchange, onAdmitted: OnAdmitted): void {
    const { request } = exchange;
    const path = normalizePath(request.path);
    const host = lookAtHost(exchange.forwarded.host);
    if (request.fault) exchange.reject(request.fault);
    else if (path === null) exchange.reject("invalid_request_target");
    else if (host === null) exchange.reject("invalid_header");
    else follow(exchange, locate(host.kind, host.name, path), path, host, onAdmitted);
  }

  function follow(exchange: Exchange, address: Address, path: string, host: SeenHost, onAdmitted: OnAdmitted): void {
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
        withProject(exchange, address.ref, address.path, sharedOrigin(exchange, host, address.ref), onAdmitted);
        break;
      case "host":
        withProject(exchange, address.ref, path, ownOrigin(exchange), onAdmitted);
        break;
      case "custom":
        withSnapshot(
          exchange,
          configs.peekByHost(address.host),
          () => configs.getByHost(address.host),
          (snapshot) => {
            if (snapshot === null) follow(exchange, address.fallback, path, host, onAdmitted);
            else conclude(exchange, snapshot, path, ownOrigin(exchange), onAdmitted);
          },
          // Whoever watches a gateway may call it by any name, and must not take it for dead with the control plane.
          PROBES.has(path) ? () => follow(exchange, address.fallback, path, host, onAdmitted) : undefined,
        );
    }
  }

  function sharedOrigin({ forwarded }: Exchange, host: SeenHost, ref: ProjectRef): PublicOrigin {
    const base = host.believed ? `${forwarded.proto}://${forwarded.host}` : options.publicUrl;
    return { url: `${base}/projects/${ref}`, isShared: true };
  }

  function withProject(
    exchange: Exchange,
    ref: ProjectRef,
    path: string,
    origin: PublicOrigin,
    onAdmitted: OnAdmitted,
  ): void {
    const cached = configs.peek(ref);
    if (cached !== undefined) conclude(exchange, cached, path, origin, onAdmitted);
    else
      withSnapshot(
        exchange,
        cached,
        () => configs.get(ref),
        (snapshot) => conclude(exchange, snapshot, path, origin, onAdmitted),
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

  function conclude(
    exchange: Exchange,
    snapshot: GatewaySnapshot | null,
    path: string,
    origin: PublicOrigin,
    onAdmitted: OnAdmitted,
  ): void {
    const tenant = snapshot === null ? null : tenants.of(snapshot);
    const route = matchRoute(path);
    exchange.subject = {
      projectRef: tenant?.snapshot.projectRef,
      service: route.kind === "proxy" && !exchange.request.isPreflight ? route.service : undefined,
      cors: tenant?.cors ?? OPEN_CORS,
    };
    if (exchange.request.isPreflight) {
      answerPreflight(exchange);
      return;
    }
    const verdict = judge(exchange, tenant, route, origin, now());
    if (verdict.kind === "reject") exchange.reject(verdict.code, verdict.headers);
    else onAdmitted(verdict.admitted);
  }

  const forward: OnAdmitted = (admitted) => {
    const { exchange, tenant, route } = admitted;
    if (route.socket) {
      exchange.reject("upgrade_required");
    } else if (!limitBody(admitted)) {
      exchange.reject("body_too_large");
    } else {
      const waitSeconds = tenant.breakers.admit(route.service, now());
      if (waitSeconds > 0) {
        exchange.reject("upstream_unavailable", ["retry-after", String(waitSeconds)]);
        return;
      }
      exchange.enter(tenant.usage);
      options.upstreamOf(tenant, route.service).send(admitted);
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
    runUpgrade: (exchange, onAdmitted) => guard(exchange, () => start(exchange, onAdmitted)),
  };
}

type Verdict =
  | { readonly kind: "reject"; readonly code: GatewayErrorCode; readonly headers?: readonly string[] }
  | { readonly kind: "admit"; readonly admitted: AdmittedRequest };

/** State, route, key and limits, in this order: who has no key learns nothing of the project's load. */
function judge(
  exchange: Exchange,
  tenant: Tenant | null,
  route: RouteMatch,
  origin: PublicOrigin,
  nowMs: number,
): Verdict {
  if (tenant === null) return { kind: "reject", code: "project_not_found" };
  const { snapshot, usage, limits } = tenant;
  if (snapshot.state !== "active") return { kind: "reject", code: `project_${snapshot.state}` };
  if (route.kind === "reject") return route;
  const decision = decideCredentials(snapshot, tenant.keys, route, exchange.request);
  if (decision.kind === "reject") return decision;
  if (!usage.admit(limits, route.routeClass, nowMs)) {
    const headers = budgetHeaders(usage.budget(limits, route.routeClass));
    return { kind: "reject", code: "over_request_rate_limit", headers };
  }
  if (usage.requestsInFlight >= limits.concurrentRequests) {
    return { kind: "reject", code: "too_many_concurrent_requests", headers: ["retry-after", "1"] };
  }
  const { credentials, key } = decision;
  return { kind: "admit", admitted: { exchange, tenant, route, origin, credentials, key } };
}

/**
 * A chunked body is counted as it comes. An upload that is too large is left to the storage service to refuse: it knows
 * the limits of buckets besides and the words that its clients read, and gets no more of the body than the project allows.
 * @returns False when the body is announced as larger than the project allows.
 */
function limitBody({ exchange, tenant, route }: AdmittedRequest): boolean {
  const { body } = exchange;
  const { limits } = tenant;
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
function ownOrigin({ forwarded }: Exchange): PublicOrigin {
  return { url: `${forwarded.proto}://${forwarded.host}`, isShared: false };
}

function answerPreflight(exchange: Exchange): void {
  const { origin, preflightHeaders: requestedHeaders } = exchange.request;
  const cors = exchange.subject.cors.preflightHeaders({ origin, requestedHeaders });
  exchange.answer(204, "204 No Content", headerList(["x-request-id", exchange.requestId, ...cors]), null);
}

function budgetHeaders({ limit, remaining, retryAfterSeconds }: Budget): readonly string[] {
  const seconds = String(retryAfterSeconds);
  const budget = ["x-ratelimit-limit", String(limit), "x-ratelimit-remaining", String(remaining)];
  return [...budget, "x-ratelimit-reset", seconds, "retry-after", seconds];
}
