/** Access keys of the S3 endpoint of projects: for tools that speak S3. */
import { parseName } from "../accounts/account-table.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { Conflict, NotFound } from "../errors.ts";
import { requireProject } from "../permissions.ts";
import { changeProjectConfig } from "../projects/locked-project.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { deleteS3AccessKey, insertS3AccessKey, listS3AccessKeys, type S3AccessKeyRow } from "./s3-access-key-table.ts";

/** As the original; every key is in every service's snapshot of the project. */
const MAX_KEYS = 50;

const S3AccessKeyType = builder.objectRef<S3AccessKeyRow>("S3AccessKey").implement({
  description: "Opens the S3 endpoint of a project with the rights of the service role.",
  fields: (t) => ({
    accessKeyId: t.exposeID("accessKeyId"),
    description: t.exposeString("description"),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
  }),
});

interface CreatedKey {
  readonly key: S3AccessKeyRow;
  readonly secretAccessKey: string;
}

const CreateS3AccessKeyPayload = builder.objectRef<CreatedKey>("CreateS3AccessKeyPayload").implement({
  fields: (t) => ({
    accessKey: t.expose("key", { type: S3AccessKeyType }),
    secretAccessKey: t.exposeString("secretAccessKey", { description: "Shown this once." }),
  }),
});

builder.objectField(ProjectType, "s3AccessKeys", (t) =>
  t.field({
    type: [S3AccessKeyType],
    description: "Oldest first. Role DEVELOPER and up.",
    resolve: async ({ ref }, _args, context) => {
      await requireProject(context, ref, "keys.read");
      return listS3AccessKeys(context.database, ref);
    },
  }),
);

builder.mutationFields((t) => ({
  createS3AccessKey: t.field({
    type: CreateS3AccessKeyPayload,
    description: "A further access key of the S3 endpoint, usable at once. Role ADMIN.",
    args: { ref: t.arg.id(), description: t.arg.string({ description: "What it is for: 1 to 100 characters." }) },
    resolve: async (_root, args, context) => {
      const description = parseName("description", args.description);
      let created: CreatedKey | null = null;
      await changeProjectConfig(context, args.ref, "keys.manage", async (tx, { ref, organizationId }) => {
        if ((await listS3AccessKeys(tx, ref)).length >= MAX_KEYS)
          throw new Conflict(`a project has at most ${MAX_KEYS} S3 access keys: revoke one first`);
        created = await insertS3AccessKey(tx, context.vault, ref, description);
        const details = { accessKeyId: created.key.accessKeyId, description };
        await recordAudit(tx, context, { action: "s3_access_key.create", organizationId, projectRef: ref, details });
      });
      return created as unknown as CreatedKey;
    },
  }),
  revokeS3AccessKey: t.field({
    type: S3AccessKeyType,
    description: "Storage refuses the key within 100 ms. It cannot be undone. Role ADMIN.",
    args: { ref: t.arg.id(), accessKeyId: t.arg.id() },
    resolve: async (_root, args, context) => {
      let revoked: S3AccessKeyRow | null = null;
      await changeProjectConfig(context, args.ref, "keys.manage", async (tx, { ref, organizationId }) => {
        revoked = await deleteS3AccessKey(tx, ref, args.accessKeyId);
        if (!revoked) throw new NotFound("S3 access key");
        const details = { accessKeyId: revoked.accessKeyId, description: revoked.description };
        await recordAudit(tx, context, { action: "s3_access_key.revoke", organizationId, projectRef: ref, details });
      });
      return revoked as unknown as S3AccessKeyRow;
    },
  }),
}));
