/** Custom hosts of a project: what is to be set in DNS, and whether it was found. They are claimed by `updateGatewaySettings`. */
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { touchProject } from "../config-snapshots/touch.ts";
import { NotFound } from "../errors.ts";
import { requireInstanceOwner, requireProject } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { type CustomHostRow, deleteHolder, findClaim, findHolder, listClaims } from "./custom-host-table.ts";
import { GRACE_MS, type ProofRecord } from "./host-proof.ts";

const CustomHostState = builder.enumType("CustomHostState", {
  values: {
    PENDING: { value: "pending", description: "No proof was found yet: the host does not lead to the project." },
    VERIFIED: { value: "verified", description: "The host leads to the project." },
    FAILING: {
      value: "failing",
      description: "The host still leads to the project, but its record is gone; see `routedUntil`.",
    },
  } as const,
});

const DnsRecordType = builder.objectRef<ProofRecord>("DnsRecord").implement({
  fields: (t) => ({
    type: t.exposeString("type", { description: "`TXT` or `CNAME`." }),
    name: t.exposeString("name", { description: "Full name, without a dot at its end." }),
    value: t.exposeString("value"),
  }),
});

const CustomHostType = builder.objectRef<CustomHostRow>("CustomHost").implement({
  description: "A host name of somebody's own, claimed by the gateway setting `customHosts`.",
  fields: (t) => ({
    host: t.exposeString("host"),
    state: t.field({
      type: CustomHostState,
      resolve: ({ verifiedAt, failingSince }) => {
        if (verifiedAt === null) return "pending";
        return failingSince === null ? "verified" : "failing";
      },
    }),
    records: t.field({
      type: [DnsRecordType],
      description:
        "One of them has to be in the DNS, and to stay there: the CNAME, which also brings the requests here, or the TXT where the host has records of its own.",
      resolve: (claim, _args, { hostChecks }) => hostChecks.recordsOf(claim),
    }),
    verifiedAt: t.expose("verifiedAt", { type: "DateTime", nullable: true }),
    checkedAt: t.expose("checkedAt", {
      type: "DateTime",
      nullable: true,
      description: "When the records were last looked for.",
    }),
    lastError: t.exposeString("lastError", { nullable: true, description: "Why the last check found no proof." }),
    routedUntil: t.field({
      type: "DateTime",
      nullable: true,
      description: "When a FAILING host stops leading to the project, unless its record comes back.",
      resolve: ({ failingSince }) => failingSince && new Date(failingSince.getTime() + GRACE_MS),
    }),
  }),
});

builder.objectField(ProjectType, "customHosts", (t) =>
  t.field({
    type: [CustomHostType],
    description: "By name. Role DEVELOPER and up.",
    resolve: async ({ ref }, _args, context) => {
      await requireProject(context, ref, "settings.read");
      return listClaims(context.database, ref);
    },
  }),
);

builder.mutationFields((t) => ({
  verifyCustomHost: t.field({
    type: CustomHostType,
    complexity: 200,
    description:
      "Looks for the host's records now; new claims are also looked at by themselves, every 15 seconds at first. Role ADMIN.",
    args: { ref: t.arg.id(), host: t.arg.string() },
    resolve: async (_root, { ref, host }, context) => {
      await requireProject(context, ref, "settings.update");
      const claim = await findClaim(context.database, ref, host);
      const checked = claim && (await context.hostChecks.check(claim));
      if (!checked) throw new NotFound("custom host");
      return checked;
    },
  }),
  releaseCustomHost: t.field({
    type: "String",
    description:
      "Takes a custom host from the project that has it; whoever claims it then needs a proof. For the owner of the installation.",
    args: { host: t.arg.string() },
    resolve: async (_root, { host }, context) => {
      requireInstanceOwner(context);
      const holder = await findHolder(context.database, host);
      if (!holder) throw new NotFound("custom host");
      await context.database.transaction(async (tx) => {
        const { projectRef } = holder;
        await tx.query("/* releaseCustomHost */ select from projects where ref = $1 for no key update", [projectRef]);
        if ((await deleteHolder(tx, host)) !== projectRef) throw new NotFound("custom host");
        await recordAudit(tx, context, { action: "custom_host.release", projectRef, details: { host } });
        await touchProject(tx, projectRef);
      });
      return host;
    },
  }),
}));
