/** How somebody proves that a host is his: a DNS record that only whoever runs the domain can make. */
import type { CheckedClaim, CustomHostRow } from "./custom-host-table.ts";

/** As `dns.promises.Resolver` of Node. */
export interface HostResolver {
  /** @throws with code ENOTFOUND or ENODATA when there is none. */
  resolveTxt(name: string): Promise<string[][]>;
  resolveCname(name: string): Promise<string[]>;
}

export type Proof =
  | { readonly kind: "proven" }
  | { readonly kind: "absent" }
  /** The name servers gave no usable answer. */
  | { readonly kind: "unknown"; readonly reason: string };

/** A record that is a proof; one of them is enough. */
export interface ProofRecord {
  readonly type: "TXT" | "CNAME";
  readonly name: string;
  readonly value: string;
}

/** @param target Host of the project under the base domain: `<ref>.<base domain>`. */
export function proofRecords({ host, token }: Pick<CustomHostRow, "host" | "token">, target: string): ProofRecord[] {
  return [
    { type: "CNAME", name: host, value: target },
    { type: "TXT", name: `_supalove.${host}`, value: `supalove-verification=${token}` },
  ];
}

/** Looks for each of the records. Never throws. */
export async function findProof(resolver: HostResolver, records: readonly ProofRecord[]): Promise<Proof> {
  const proofs = await Promise.all(records.map((record) => lookUp(resolver, record)));
  const proven = proofs.find(({ kind }) => kind === "proven");
  const unknown = proofs.find(({ kind }) => kind === "unknown");
  return proven ?? unknown ?? { kind: "absent" };
}

async function lookUp(resolver: HostResolver, { type, name, value }: ProofRecord): Promise<Proof> {
  try {
    const found =
      type === "TXT"
        ? (await resolver.resolveTxt(name)).map((parts) => parts.join(""))
        : (await resolver.resolveCname(name)).map((target) => target.toLowerCase().replace(/\.$/, ""));
    return { kind: found.includes(value) ? "proven" : "absent" };
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code ?? "no answer");
    return code === "ENOTFOUND" || code === "ENODATA"
      ? { kind: "absent" }
      : { kind: "unknown", reason: `the name servers gave no answer (${code})` };
  }
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long a verified host goes on without its record: for changes of DNS, and for mistakes in it. */
export const GRACE_MS = 3 * DAY;
/** A claim that nobody proves is not looked at any longer; see `verifyCustomHost`. */
const LOOK_FOR_MS = 7 * DAY;

/** What a check means for a claim, and when the next one is due. Pure. @param nowMs milliseconds since the epoch. */
export function judge(claim: CustomHostRow, proof: Proof, nowMs: number): CheckedClaim {
  const { verifiedAt } = claim;
  if (proof.kind === "proven") {
    const since = verifiedAt ?? new Date(nowMs);
    return { verifiedAt: since, failingSince: null, lastError: null, nextCheckInMs: DAY };
  }
  const lastError = proof.kind === "unknown" ? proof.reason : "neither of the records is there";
  if (verifiedAt === null) {
    const nextCheckInMs = untilNextLook(nowMs - claim.createdAt.getTime());
    return { verifiedAt, failingSince: null, lastError, nextCheckInMs };
  }
  // Silent name servers are no proof that a host was given up.
  if (proof.kind === "unknown") {
    return { verifiedAt, failingSince: claim.failingSince, lastError, nextCheckInMs: HOUR };
  }
  const failingSince = claim.failingSince ?? new Date(nowMs);
  const isLost = nowMs - failingSince.getTime() >= GRACE_MS;
  return {
    verifiedAt: isLost ? null : verifiedAt,
    failingSince: isLost ? null : failingSince,
    lastError,
    nextCheckInMs: HOUR,
  };
}

/** Often while somebody sits before it, then less and less. */
function untilNextLook(ageMs: number): number | null {
  if (ageMs < 10 * MINUTE) return 15 * SECOND;
  if (ageMs < 2 * HOUR) return 2 * MINUTE;
  return ageMs < LOOK_FOR_MS ? HOUR : null;
}
