/** A project's settings as data: for forms and scripts that show every setting without knowing their names. */
import { builder } from "../builder.ts";
import { listCustomHosts } from "../custom-hosts/custom-host-table.ts";
import { requireProject } from "../permissions.ts";
import { ProjectType } from "./project.graphql.ts";
import { effectiveSettings, type ProjectSettings, type SettingsGroup, type SettingsPolicy } from "./settings.ts";
import type { Field } from "./settings-field.ts";

interface Setting {
  readonly group: SettingsGroup;
  readonly name: string;
  readonly field: Field<unknown>;
  readonly value: unknown;
  readonly default: unknown;
}

const SettingsGroupEnum = builder.enumType("SettingsGroup", {
  description: "Each has its own mutation: `updateRestSettings`, `updateLimits` and so on.",
  values: {
    REST: { value: "rest" },
    AUTH: { value: "auth" },
    STORAGE: { value: "storage" },
    REALTIME: { value: "realtime" },
    LIMITS: { value: "limits" },
    GATEWAY: { value: "gateway" },
  } as const,
});

const ProjectSettingType = builder.objectRef<Setting>("ProjectSetting").implement({
  description: "One setting as the group's mutation takes it.",
  fields: (t) => ({
    group: t.expose("group", { type: SettingsGroupEnum }),
    name: t.exposeString("name", { description: "Of the field in the group's input." }),
    type: t.string({
      description: "`String`, `Boolean`, `Int`, `Float`, `[String]`, `JSON` or `Enum`.",
      resolve: ({ field }) => field.type,
    }),
    description: t.string({ resolve: ({ field }) => field.description }),
    isNullable: t.boolean({
      description: "Whether null is a value of its own, such as no limit; elsewhere null means the default.",
      resolve: ({ field }) => field.nullable,
    }),
    choices: t.stringList({ description: "Of an Enum; empty elsewhere.", resolve: ({ field }) => choicesOf(field) }),
    value: t.field({
      type: "JSON",
      nullable: true,
      resolve: ({ field, value }) => (field.type === "Enum" ? enumName(String(value)) : value),
    }),
    default: t.field({
      type: "JSON",
      nullable: true,
      resolve: ({ field, default: value }) => (field.type === "Enum" ? enumName(String(value)) : value),
    }),
  }),
});

builder.objectField(ProjectType, "settings", (t) =>
  t.field({
    type: [ProjectSettingType],
    description: "All settings of all groups, with their defaults. Role DEVELOPER and up.",
    resolve: async ({ ref }, _args, context) => {
      const { settings } = await requireProject(context, ref, "settings.read");
      const customHosts = await listCustomHosts(context.database, ref);
      return listSettings(context.settingsPolicy, effectiveSettings(context.settingsPolicy, settings, customHosts));
    },
  }),
);

/** Pure: in the order of the catalogue. */
function listSettings({ fields, defaults }: SettingsPolicy, effective: ProjectSettings): Setting[] {
  return (Object.keys(fields) as SettingsGroup[]).flatMap((group) => {
    const values: Readonly<Record<string, unknown>> = { ...effective[group] };
    const usual: Readonly<Record<string, unknown>> = { ...defaults[group] };
    return Object.entries(fields[group]).map(([name, field]) => ({
      group,
      name,
      field,
      value: values[name],
      default: usual[name],
    }));
  });
}

function choicesOf({ choices = [] }: Field<unknown>): string[] {
  return choices.map(enumName);
}

/** As settings.graphql.ts names the values of its enums. */
function enumName(value: string): string {
  return value.replaceAll("-", "_").toUpperCase();
}
