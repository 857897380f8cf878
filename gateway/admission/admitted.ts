/** A request that may go to its service, with everything that was found out while it was judged. */
import type { ApiKeyEntry } from "../../control-plane/client/config-snapshot.ts";
import type { Exchange } from "../exchange.ts";
import type { Credentials } from "./api-key.ts";
import type { ProxyRoute } from "./route.ts";
import type { Tenant } from "./tenants.ts";

/** Where the client reached the project. */
export interface PublicOrigin {
  /** Base URL of the project as the client used it, without a trailing slash. */
  readonly url: string;
  /** The project shares its host, and with it its origin in browsers, with others: it is under `/projects/<ref>`. */
  readonly isShared: boolean;
}

export interface AdmittedRequest {
  readonly exchange: Exchange;
  readonly tenant: Tenant;
  readonly route: ProxyRoute;
  readonly origin: PublicOrigin;
  /** As services understand them. */
  readonly credentials: Credentials;
  /** The API key that the client showed, when it is one of the project's. */
  readonly key: ApiKeyEntry | null;
}
