import { describe, expect, test } from "vitest";
import type { CustomHostRow } from "./custom-host-table.ts";
import { findProof, GRACE_MS, type HostResolver, judge, proofRecords } from "./host-proof.ts";

const CREATED = Date.UTC(2026, 0, 1);
const claim = (override: Partial<CustomHostRow> = {}): CustomHostRow => ({
  host: "api.example.com",
  projectRef: "a".repeat(20),
  token: "token-of-the-claim",
  createdAt: new Date(CREATED),
  verifiedAt: null,
  failingSince: null,
  checkedAt: null,
  lastError: null,
  ...override,
});
const verified = (override: Partial<CustomHostRow> = {}) => claim({ verifiedAt: new Date(CREATED), ...override });

const fails = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));
const resolver = (override: Partial<HostResolver>): HostResolver => ({
  resolveTxt: fails("ENODATA"),
  resolveCname: fails("ENODATA"),
  ...override,
});
const records = proofRecords(claim(), "ref.projects.example.net");

describe("a proof", () => {
  test.each<[string, Partial<HostResolver>, string]>([
    ["the CNAME of the project's host", { resolveCname: async () => ["Ref.Projects.example.net."] }, "proven"],
    [
      "the TXT record, in pieces and beside others",
      { resolveTxt: async () => [["v=spf1"], ["supalove-verification=", "token-of-the-claim"]] },
      "proven",
    ],
    [
      "one of them, when the other cannot be asked",
      { resolveTxt: fails("ETIMEOUT"), resolveCname: async () => ["ref.projects.example.net"] },
      "proven",
    ],
    ["no CNAME of another project", { resolveCname: async () => ["other.projects.example.net"] }, "absent"],
    [
      "no TXT of another claim",
      { resolveTxt: async () => [["supalove-verification=another"], ["token-of-the-claim"]] },
      "absent",
    ],
    ["no record at all", { resolveTxt: fails("ENOTFOUND") }, "absent"],
    ["unknown, when name servers are silent", { resolveTxt: fails("ETIMEOUT") }, "unknown"],
  ])("is %s", async (_what, answers, kind) => {
    expect((await findProof(resolver(answers), records)).kind).toBe(kind);
  });
});

describe("a check", () => {
  const later = (ms: number) => CREATED + ms;

  test("verifies a claim", () => {
    expect(judge(claim(), { kind: "proven" }, later(5))).toMatchObject({
      verifiedAt: new Date(later(5)),
      lastError: null,
    });
  });

  test("of a new claim comes again soon, of an old one seldom, of a forgotten one not by itself", () => {
    const absent = { kind: "absent" } as const;
    const waits = [0, 3_600_000, 86_400_000, 8 * 86_400_000].map(
      (ms) => judge(claim(), absent, later(ms)).nextCheckInMs,
    );
    expect(waits).toEqual([15_000, 120_000, 3_600_000, null]);
  });

  test("without the record leaves a verified host for the days of grace, and no longer", () => {
    const failing = judge(verified(), { kind: "absent" }, later(10));
    expect(failing).toMatchObject({ verifiedAt: new Date(CREATED), failingSince: new Date(later(10)) });
    const still = verified({ failingSince: new Date(later(10)) });
    expect(judge(still, { kind: "absent" }, later(10 + GRACE_MS - 1)).verifiedAt).not.toBeNull();
    expect(judge(still, { kind: "absent" }, later(10 + GRACE_MS)).verifiedAt).toBeNull();
    expect(judge(still, { kind: "proven" }, later(GRACE_MS * 2)).failingSince).toBeNull();
  });

  test("that name servers do not answer takes no host away, however long", () => {
    const unknown = { kind: "unknown", reason: "silent" } as const;
    expect(judge(verified(), unknown, later(GRACE_MS * 10))).toMatchObject({
      verifiedAt: new Date(CREATED),
      failingSince: null,
    });
  });
});
