/** What the gateway keeps of a project besides its snapshot: keys by hash, budgets, breakers. */
import { LRUCache } from "lru-cache";
import {
  type GatewaySnapshot,
  type ProjectLimits,
  type ProjectRef,
  SERVICES,
  type ServiceName,
  type Upstream as UpstreamPlace,
} from "../../control-plane/client/config-snapshot.ts";
import { DEFAULT_MAXIMA, type Maxima, withinMaxima } from "../../control-plane/client/maxima.ts";
import { CorsPolicy, OPEN_CORS } from "../cors.ts";
import { Breaker } from "../upstreams/breaker.ts";
import { KeyRing } from "./api-key.ts";
import { ProjectUsage, shareOf } from "./limits.ts";

/** A project as this gateway sees it, derived from one snapshot. */
export interface Tenant {
  readonly snapshot: GatewaySnapshot;
  readonly keys: KeyRing;
  readonly cors: CorsPolicy;
  /** This process's share of the snapshot's, none above the installation's maxima. */
  readonly limits: ProjectLimits;
  /** Carried over from snapshot to snapshot. */
  readonly usage: ProjectUsage;
  readonly breakers: Breakers;
}

/** One breaker an upstream, made when it first fails: of a thousand projects few ever need one. */
export class Breakers {
  #byService: Map<ServiceName, Breaker> | null = null;

  /** @returns 0 when a request may pass, else the seconds after which to come again. */
  admit(service: ServiceName, nowMs: number): number {
    return this.#byService?.get(service)?.admit(nowMs) ?? 0;
  }

  success(service: ServiceName): void {
    this.#byService?.get(service)?.success();
  }

  failure(service: ServiceName, nowMs: number): void {
    this.#byService ??= new Map();
    let breaker = this.#byService.get(service);
    if (!breaker) {
      breaker = new Breaker();
      this.#byService.set(service, breaker);
    }
    breaker.failure(nowMs);
  }

  /** For a new snapshot: the same breakers, but for services that are somewhere else now. */
  carriedOver(before: Upstreams, after: Upstreams): Breakers {
    const moved = SERVICES.filter((service) => !isSamePlace(before[service], after[service]));
    if (moved.length === 0) return this;
    const next = new Breakers();
    if (this.#byService) {
      next.#byService = new Map(this.#byService);
      for (const service of moved) next.#byService.delete(service);
    }
    return next;
  }
}

type Upstreams = GatewaySnapshot["upstreams"];

function isSamePlace(left: UpstreamPlace, right: UpstreamPlace): boolean {
  if (left.kind === "local" || right.kind === "local") return left.kind === right.kind;
  return left.origin === right.origin;
}

export class Tenants {
  readonly #byRef: LRUCache<ProjectRef, Tenant>;
  readonly #maxima: Maxima;
  readonly #processes: number;

  /**
   * @param capacity Projects remembered; one that is forgotten starts with fresh budgets.
   * @param maxima No project gets more, whatever its snapshot says.
   * @param processes How many processes count requests of the same projects.
   */
  constructor(capacity: number, maxima: Maxima = DEFAULT_MAXIMA, processes = 1) {
    this.#maxima = maxima;
    this.#processes = processes;
    this.#byRef = new LRUCache({ max: capacity });
  }

  /** The tenant of exactly this snapshot. */
  of(snapshot: GatewaySnapshot): Tenant {
    const known = this.#byRef.get(snapshot.projectRef);
    if (known?.snapshot === snapshot) return known;
    const tenant: Tenant = {
      snapshot,
      keys: new KeyRing(snapshot.apiKeys),
      cors: snapshot.corsOrigins.includes("*") ? OPEN_CORS : new CorsPolicy(snapshot.corsOrigins),
      limits: shareOf(withinMaxima(snapshot.limits, this.#maxima), this.#processes),
      usage: known?.usage ?? new ProjectUsage(),
      breakers: known?.breakers.carriedOver(known.snapshot.upstreams, snapshot.upstreams) ?? new Breakers(),
    };
    this.#byRef.set(snapshot.projectRef, tenant);
    return tenant;
  }
}
