import type { AuthorizationTable, ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Query.clusters": {
    rule: { who: "instance-owner" },
    document: () => "{ clusters { id name projectCount status { problem } projects { edges { node { ref } } } } }",
  },
  // Nothing listens on port 1: whoever is allowed gets as far as the refused connection.
  "Mutation.registerCluster": {
    rule: { who: "instance-owner" },
    document: () =>
      'mutation { registerCluster(input: {name: "x", host: "127.0.0.1", port: 1, adminUser: "x", adminPassword: "x"}) { id } }',
  },
  // The cluster of the table does not exist either: whoever is allowed is told so.
  "Mutation.rotateReplicationPassword": {
    rule: { who: "instance-owner" },
    document: ({ clusterId }) => `mutation { rotateReplicationPassword(id: "${clusterId}") { id } }`,
  },
  "Mutation.updateCluster": {
    rule: { who: "instance-owner" },
    document: ({ clusterId }) => `mutation { updateCluster(id: "${clusterId}", input: {capacity: 500}) { capacity } }`,
  },
};

export const reachedBy: ReachedBy = {
  Cluster: "Query.clusters",
  ClusterStatus: "Query.clusters",
};
