/** Settings of a project as typed fields and inputs, both made from the catalogue. */

import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import { claimCustomHosts, listCustomHosts } from "../custom-hosts/custom-host-table.ts";
import { requireProject } from "../permissions.ts";
import { changeProjectConfig } from "./locked-project.ts";
import { ProjectType } from "./project.graphql.ts";
import { storeSettings } from "./project-row.ts";
import { changeSettings, createSettingsPolicy, effectiveSettings, type SettingsGroup } from "./settings.ts";
import type { Field, Fields } from "./settings-field.ts";

/** Types and descriptions are the same whatever the installation's maxima are. */
const CATALOGUE = createSettingsPolicy().fields;

const GROUPS = {
  rest: {
    name: "RestSettings",
    field: "restSettings",
    mutation: "updateRestSettings",
    description: "How the REST service serves the project; named after PostgREST's configuration.",
  },
  auth: {
    name: "AuthSettings",
    field: "authSettings",
    mutation: "updateAuthSettings",
    description: "How users of the project sign up and in; named after GoTrue's configuration.",
  },
  storage: {
    name: "StorageSettings",
    field: "storageSettings",
    mutation: "updateStorageSettings",
    description: "What the storage service takes.",
  },
  realtime: {
    name: "RealtimeSettings",
    field: "realtimeSettings",
    mutation: "updateRealtimeSettings",
    description: "What clients of the realtime service may do; named after the limits of Supabase Realtime.",
  },
  limits: {
    name: "ProjectLimits",
    field: "limits",
    mutation: "updateLimits",
    description: "What one project may use of the shared processes.",
  },
  gateway: {
    name: "GatewaySettings",
    field: "gatewaySettings",
    mutation: "updateGatewaySettings",
    description: "How the gateway lets requests in.",
  },
} as const satisfies Record<SettingsGroup, { name: string; field: string; mutation: string; description: string }>;

for (const [group, names] of Object.entries(GROUPS) as [SettingsGroup, (typeof GROUPS)[SettingsGroup]][]) {
  const fields = CATALOGUE[group];
  const types = typesOf(names.name, fields);

  const SettingsType = builder.objectRef<Readonly<Record<string, unknown>>>(names.name).implement({
    description: names.description,
    fields: (t) =>
      Object.fromEntries(
        Object.entries(fields).map(([name, { nullable, description }]) => [
          name,
          // The type is one of a few that a field cannot know of; its values are what the catalogue's rule let in.
          t.field({ type: types(name) as "JSON", nullable, description, resolve: (settings) => settings[name] }),
        ]),
      ),
  });

  const SettingsInput = builder.inputType(`${names.name}Input`, {
    description:
      "What is left out stays as it is. Null is null where the setting may be null, and the default elsewhere.",
    fields: (t) =>
      Object.fromEntries(
        Object.entries(fields).map(([name, { description }]) => [
          name,
          t.field({ type: types(name) as "JSON", required: false, description }),
        ]),
      ),
  });

  builder.objectField(ProjectType, names.field, (t) =>
    t.field({
      type: SettingsType,
      description: "Role DEVELOPER and up.",
      resolve: async ({ ref }, _args, context) => {
        const { settings } = await requireProject(context, ref, "settings.read");
        const customHosts = await listCustomHosts(context.database, ref);
        return { ...effectiveSettings(context.settingsPolicy, settings, customHosts)[group] };
      },
    }),
  );

  builder.mutationField(names.mutation, (t) =>
    t.field({
      type: ProjectType,
      description: "Takes effect within 100 ms, without a restart. Role ADMIN. INVALID_INPUT names the setting.",
      args: { ref: t.arg.id(), settings: t.arg({ type: SettingsInput }) },
      resolve: (_root, { ref, settings }, context) =>
        updateSettings(context, ref, group, settings as Readonly<Record<string, unknown>>),
    }),
  );
}

async function updateSettings(
  context: GraphqlContext,
  ref: string,
  group: SettingsGroup,
  change: Readonly<Record<string, unknown>>,
) {
  return changeProjectConfig(context, ref, "settings.update", async (tx, project) => {
    const customHosts = await listCustomHosts(tx, ref);
    const current = { stored: project.settings, customHosts };
    const { stored, effective, changed } = changeSettings(context.settingsPolicy, current, group, change);
    if (changed.includes("customHosts"))
      await claimCustomHosts(tx, context.publicUrls, ref, effective.gateway.customHosts);
    await storeSettings(tx, ref, stored);
    const values: Readonly<Record<string, unknown>> = { ...effective[group] };
    const details = { group, settings: Object.fromEntries(changed.map((name) => [name, auditable(values[name])])) };
    const { organizationId } = project;
    await recordAudit(tx, context, { action: "settings.update", organizationId, projectRef: ref, details });
  });
}

/** People put passwords into app settings: of a map only the names are noted. */
function auditable(value: unknown): unknown {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : value;
}

/** GraphQL's type of each setting; a setting with choices gets an enum of its own. */
function typesOf(groupName: string, fields: Fields): (name: string) => unknown {
  const types = new Map(
    Object.entries(fields).map(([name, field]) => [name, graphqlType(`${groupName}${capitalized(name)}`, field)]),
  );
  return (name) => types.get(name);
}

function graphqlType(enumName: string, { type, choices = [] }: Field<unknown>) {
  switch (type) {
    case "Enum":
      return builder.enumType(enumName, {
        values: Object.fromEntries(
          choices.map((value) => [value.replaceAll("-", "_").toUpperCase(), { value, description: value }]),
        ),
      });
    case "[String]":
      return ["String"];
    default:
      return type;
  }
}

function capitalized(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
