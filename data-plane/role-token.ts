/**
 * How a request that came with an opaque key reaches a service: the gateway has put a role token in the key's place,
 * which means nothing by itself, and it becomes a JWT of the key's role here. That one lives for minutes, is made in
 * this process and never leaves it: {@link ServiceRequest.roleToken} tells services what to keep from their tenants.
 */
import { createHmac } from "node:crypto";
import type { ApiKeyRole, ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";
import type { ServiceRequest } from "./service.ts";

const LIFETIME_SECONDS = 300;
/** A token is handed out for this long, so that whoever got one last can still use it for as long again. */
const RENEW_AFTER_MS = 120_000;

interface Minted {
  readonly token: string;
  readonly mintedAt: number;
}

type MintedOfRoles = Partial<Record<ApiKeyRole, Minted>>;

const ROLES: readonly ApiKeyRole[] = ["anon", "service_role"];

export class RoleTokenReader {
  readonly #now: () => number;
  /** By snapshot: what an older one of the project has signed is not used any more. */
  readonly #minted = new WeakMap<ServiceSnapshot, MintedOfRoles>();

  /** @param now Milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The request as a service is to see it; the same one when it came with another credential or with none. */
  read<R extends Pick<ServiceRequest, "headers" | "query" | "signal">>(request: R, snapshot: ServiceSnapshot): R {
    const { apikey = "", authorization = "" } = request.headers;
    for (const role of ROLES) {
      const said = snapshot.roleTokens[role];
      if (said === "" || (apikey !== said && bare(authorization) !== said)) continue;
      return this.#translate(request, said, this.#tokenOf(snapshot, role));
    }
    return request;
  }

  #translate<R extends Pick<ServiceRequest, "headers" | "query" | "signal">>(
    request: R,
    said: string,
    token: string,
  ): R {
    const headers: Record<string, string> = Object.assign(Object.create(null), request.headers);
    if (headers.apikey === said) headers.apikey = token;
    // Where the gateway puts the key of a WebSocket's handshake.
    if (headers["x-api-key"] === said) headers["x-api-key"] = token;
    if (bare(headers.authorization ?? "") === said) headers.authorization = `Bearer ${token}`;
    const query = request.query.replace(said, token);
    return {
      ...request,
      headers,
      query,
      roleToken: token,
      get signal() {
        return request.signal;
      },
    };
  }

  #tokenOf(snapshot: ServiceSnapshot, role: ApiKeyRole): string {
    let minted = this.#minted.get(snapshot);
    if (!minted) {
      minted = {};
      this.#minted.set(snapshot, minted);
    }
    const now = this.#now();
    const known = minted[role];
    if (known && now >= known.mintedAt && now - known.mintedAt < RENEW_AFTER_MS) return known.token;
    const token = mint(snapshot, role, Math.floor(now / 1000));
    minted[role] = { token, mintedAt: now };
    return token;
  }
}

/** As the gateway writes it, and not a character otherwise. */
function bare(authorization: string): string {
  return authorization.startsWith("Bearer ") ? authorization.slice(7) : authorization;
}

function mint({ projectRef, jwt }: ServiceSnapshot, role: ApiKeyRole, issuedAt: number): string {
  const claims = { iss: "supabase", ref: projectRef, role, iat: issuedAt, exp: issuedAt + LIFETIME_SECONDS };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", jwt.secret).update(signed).digest("base64url")}`;
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
