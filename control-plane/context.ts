/** What a resolver works with: the process's parts, and who asks. One a request; a subscription keeps its own. */
import type { PasswordHashing } from "./accounts/password-hashing.ts";
import type { SignInLimits } from "./accounts/sign-in-limits.ts";
import type { ClusterConnections } from "./clusters/cluster-connections.ts";
import type { ClusterStatusReader } from "./clusters/cluster-status.ts";
import type { ConfigSnapshots } from "./config-snapshots/config-snapshots.ts";
import type { HostChecks } from "./custom-hosts/host-checks.ts";
import type { Database } from "./database.ts";
import type { Events } from "./events.ts";
import type { HealthChecks } from "./health/health-checks.ts";
import type { Logger } from "./logger.ts";
import type { SettingsPolicy } from "./projects/settings.ts";
import type { LoginResets } from "./provisioning/login-resets.ts";
import type { Provisioner } from "./provisioning/provisioner.ts";
import type { PublicUrls } from "./public-urls.ts";
import type { Vault } from "./secrets/vault.ts";
import type { RunPlaces } from "./sql-editor/run-places.ts";
import type { UsageMeasuring } from "./usage/usage-measuring.ts";
import type { Viewer } from "./viewer.ts";

/** The parts that all requests of an instance share. */
export interface Services {
  readonly database: Database;
  /**
   * A few connections for gateways and services alone: whatever people do with the others, config snapshots are served.
   */
  readonly configDatabase: Database;
  readonly events: Events;
  readonly vault: Vault;
  readonly configSnapshots: ConfigSnapshots;
  /** What projects may set, and the defaults. */
  readonly settingsPolicy: SettingsPolicy;
  readonly provisioner: Provisioner;
  readonly loginResets: LoginResets;
  readonly hostChecks: HostChecks;
  readonly clusters: ClusterConnections;
  readonly clusterStatus: ClusterStatusReader;
  readonly publicUrls: PublicUrls;
  readonly healthChecks: HealthChecks;
  readonly usageMeasuring: UsageMeasuring;
  readonly sqlRuns: RunPlaces;
  /** Places of the table pages: a script that runs long does not keep them waiting. */
  readonly dataSessions: RunPlaces;
  readonly passwords: PasswordHashing;
  readonly signInLimits: SignInLimits;
  readonly settings: InstanceSettings;
  /** Milliseconds since the epoch: the one clock, so that tests can turn it. */
  readonly now: () => number;
}

/** What the operator has chosen for the whole installation. */
export interface InstanceSettings {
  readonly version: string;
  /** Whether anybody may make an account; otherwise only the first one and people with an invitation. */
  readonly openSignUp: boolean;
  /** Most organizations that one account may own; the owner of the installation any number. */
  readonly maxOrganizationsPerAccount: number;
  /** Most projects that one organization may have. */
  readonly maxProjectsPerOrganization: number;
  /** Session cookies carry `Secure`: when the dashboard is reached by https. */
  readonly secureCookies: boolean;
}

export interface GraphqlContext extends Services {
  readonly viewer: Viewer | null;
  /** As far as proxies are trusted; for the audit log. */
  readonly clientAddress: string;
  /** What limits by address go by: the address, of IPv6 its /64. */
  readonly addressBlock: string;
  readonly requestId: string;
  /** Carries the request id. */
  readonly logger: Logger;
  readonly request: Request;
  /** Adds a Set-Cookie header to the response. */
  readonly setCookie: (header: string) => void;
}
