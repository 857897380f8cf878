import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

const reading = (selection: string) => ({ rule: members("developer"), document: onProject(selection) });

const changing = (mutation: string, settings: string) => ({
  rule: members("admin"),
  document: ({ ref }: { readonly ref: string }) =>
    `mutation { ${mutation}(ref: "${ref}", settings: ${settings}) { ref } }`,
});

export const authorization: AuthorizationTable = {
  "Project.restSettings": reading("restSettings { schemas maxRows }"),
  "Project.authSettings": reading("authSettings { siteUrl }"),
  "Project.storageSettings": reading("storageSettings { fileSizeLimitBytes }"),
  "Project.realtimeSettings": reading("realtimeSettings { maxConcurrentUsers privateOnly }"),
  "Project.limits": reading("limits { requestsPerSecond }"),
  "Project.gatewaySettings": reading("gatewaySettings { corsOrigins customHosts }"),
  "Project.settings": reading("settings { group name type value default choices }"),
  "Mutation.updateRestSettings": changing("updateRestSettings", "{maxRows: 5}"),
  "Mutation.updateAuthSettings": changing("updateAuthSettings", "{disableSignup: true}"),
  "Mutation.updateStorageSettings": changing("updateStorageSettings", "{fileSizeLimitBytes: 5}"),
  "Mutation.updateRealtimeSettings": changing("updateRealtimeSettings", "{privateOnly: true}"),
  "Mutation.updateLimits": changing("updateLimits", "{sockets: 5}"),
  "Mutation.updateGatewaySettings": changing("updateGatewaySettings", "{requireApiKey: false}"),
};

export const reachedBy: ReachedBy = {
  RestSettings: "Project.restSettings",
  AuthSettings: "Project.authSettings",
  StorageSettings: "Project.storageSettings",
  RealtimeSettings: "Project.realtimeSettings",
  ProjectLimits: "Project.limits",
  GatewaySettings: "Project.gatewaySettings",
  ProjectSetting: "Project.settings",
};
