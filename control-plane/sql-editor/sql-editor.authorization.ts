import { randomUUID } from "node:crypto";
import { type AuthorizationTable, members, type ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Mutation.runSql": {
    rule: members("developer"),
    document: ({ ref }) => `mutation { runSql(input: {ref: "${ref}", sql: "select 1"}) { durationMs } }`,
  },
  "Mutation.cancelSql": {
    rule: members("developer"),
    document: ({ ref }) => `mutation { cancelSql(ref: "${ref}", executionId: "${randomUUID()}") }`,
  },
};

export const reachedBy: ReachedBy = {
  SqlResult: "Mutation.runSql",
  SqlStatementResult: "Mutation.runSql",
  SqlColumn: "Mutation.runSql",
};
