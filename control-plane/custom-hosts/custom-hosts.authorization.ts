import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Project.customHosts": {
    rule: members("developer"),
    document: onProject(
      "customHosts { host state records { type name value } verifiedAt checkedAt lastError routedUntil }",
    ),
  },
  "Mutation.verifyCustomHost": {
    rule: members("admin"),
    document: async ({ ref, database }) => {
      await database.query(
        "insert into custom_hosts (host, project_ref) values ('host.invalid', $1) on conflict do nothing",
        [ref],
      );
      return `mutation { verifyCustomHost(ref: "${ref}", host: "host.invalid") { host } }`;
    },
  },
  "Mutation.releaseCustomHost": {
    rule: { who: "instance-owner" },
    document: async ({ ref, database }) => {
      await database.query("delete from custom_hosts where host = 'held.invalid'");
      await database.query(
        "insert into custom_hosts (host, project_ref, verified_at) values ('held.invalid', $1, now())",
        [ref],
      );
      return 'mutation { releaseCustomHost(host: "held.invalid") }';
    },
  },
};

export const reachedBy: ReachedBy = {
  CustomHost: "Project.customHosts",
  DnsRecord: "Project.customHosts",
};
