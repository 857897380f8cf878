import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";
import { insertS3AccessKey } from "./s3-access-key-table.ts";

export const authorization: AuthorizationTable = {
  "Project.s3AccessKeys": { rule: members("developer"), document: onProject("s3AccessKeys { accessKeyId }") },
  "Mutation.createS3AccessKey": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { createS3AccessKey(ref: "${ref}", description: "x") { secretAccessKey } }`,
  },
  "Mutation.revokeS3AccessKey": {
    rule: members("admin"),
    document: async ({ database, services, ref }) => {
      const { key } = await insertS3AccessKey(database, services.vault, ref, "to be revoked");
      return `mutation { revokeS3AccessKey(ref: "${ref}", accessKeyId: "${key.accessKeyId}") { accessKeyId } }`;
    },
  },
};

export const reachedBy: ReachedBy = {
  S3AccessKey: "Project.s3AccessKeys",
  CreateS3AccessKeyPayload: "Mutation.createS3AccessKey",
};
