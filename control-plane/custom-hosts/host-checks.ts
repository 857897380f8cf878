/** Looks for the proofs of custom hosts: of new claims until they are found, of verified hosts once a day. */
import { Resolver } from "node:dns/promises";
import { recordAudit } from "../audit/record-audit.ts";
import { touchProject } from "../config-snapshots/touch.ts";
import type { Database } from "../database.ts";
import type { Logger } from "../logger.ts";
import type { PublicUrls } from "../public-urls.ts";
import {
  type CheckedClaim,
  type CustomHostRow,
  findClaim,
  findHolder,
  recordCheck,
  takeDueClaims,
} from "./custom-host-table.ts";
import { findProof, type HostResolver, judge, type ProofRecord, proofRecords } from "./host-proof.ts";

export interface HostChecks {
  start(): void;
  stop(): Promise<void>;
  /** The DNS records of which one proves the claim. */
  recordsOf(claim: Pick<CustomHostRow, "host" | "projectRef" | "token">): ProofRecord[];
  /** Looks now. @returns The claim as it is then; null when it is gone. */
  check(claim: CustomHostRow): Promise<CustomHostRow | null>;
}

export interface HostChecksOptions {
  readonly database: Database;
  readonly publicUrls: PublicUrls;
  readonly resolver: HostResolver;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const UNIQUE_VIOLATION = "23505";
const POLL_MS = 5_000;
const AT_ONCE = 8;
const SYSTEM = { viewer: null, clientAddress: "" } as const;
const TAKEN: Omit<CheckedClaim, "verifiedAt" | "failingSince"> = {
  lastError: "the host leads to another project, whose record is still there",
  nextCheckInMs: 60 * 60 * 1_000,
};

/** @param servers Addresses with or without a port; the machine's own name servers when empty. */
export function createResolver(servers: readonly string[] = []): HostResolver {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  return resolver;
}

export function createHostChecks({ database, publicUrls, resolver, logger, now }: HostChecksOptions): HostChecks {
  let timer: NodeJS.Timeout | undefined;
  let checking: Promise<void> | null = null;
  let isStopping = false;

  function recordsOf(claim: Pick<CustomHostRow, "host" | "projectRef" | "token">): ProofRecord[] {
    return proofRecords(claim, new URL(publicUrls.hostUrl(claim.projectRef)).hostname);
  }

  async function look(claim: CustomHostRow): Promise<CheckedClaim> {
    return judge(claim, await findProof(resolver, recordsOf(claim)), now());
  }

  /** Who has the host now loses it at once when he cannot prove it any more: a domain may have been sold. */
  async function isHeldByAnother(claim: CustomHostRow): Promise<boolean> {
    const holder = await findHolder(database, claim.host);
    if (!holder || holder.projectRef === claim.projectRef) return false;
    const proof = await findProof(resolver, recordsOf(holder));
    if (proof.kind !== "absent") return true;
    const lastError = "another project has proved that the host is its own";
    await record(holder, { verifiedAt: null, failingSince: null, lastError, nextCheckInMs: null });
    return false;
  }

  async function record(claim: CustomHostRow, checked: CheckedClaim): Promise<void> {
    const { host, projectRef } = claim;
    await database.transaction(async (tx) => {
      const changes = (claim.verifiedAt === null) !== (checked.verifiedAt === null);
      if (changes) {
        await tx.query("/* recordHostCheck */ select from projects where ref = $1 for no key update", [projectRef]);
      }
      if (!(await recordCheck(tx, claim, checked)) || !changes) return;
      const action = checked.verifiedAt ? "custom_host.verify" : "custom_host.lose";
      await recordAudit(tx, SYSTEM, { action, projectRef, details: { host } });
      await touchProject(tx, projectRef);
    });
  }

  async function check(claim: CustomHostRow): Promise<CustomHostRow | null> {
    let checked = await look(claim);
    if (claim.verifiedAt === null && checked.verifiedAt !== null && (await isHeldByAnother(claim))) {
      checked = { ...TAKEN, verifiedAt: null, failingSince: null };
    }
    await record(claim, checked).catch((error: { code?: unknown }) => {
      if (error.code !== UNIQUE_VIOLATION) throw error;
      return record(claim, { ...TAKEN, verifiedAt: null, failingSince: null }); // another one was verified at the same time
    });
    return findClaim(database, claim.projectRef, claim.host);
  }

  async function checkDue(): Promise<void> {
    while (!isStopping) {
      const due = await takeDueClaims(database, AT_ONCE);
      if (due.length === 0) return;
      await Promise.all(
        due.map((claim) =>
          check(claim).catch((error) => logger.warn({ err: error, host: claim.host }, "a custom host was not checked")),
        ),
      );
    }
  }

  return {
    start() {
      timer = setInterval(() => {
        checking ??= checkDue()
          .catch((error) => logger.warn({ err: error }, "could not look for custom hosts to check"))
          .finally(() => {
            checking = null;
          });
      }, POLL_MS);
    },
    async stop() {
      isStopping = true;
      clearInterval(timer);
      await checking;
    },
    recordsOf,
    check,
  };
}
