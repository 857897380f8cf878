/**
 * A project's settings: the defaults, changed by what the project stores. `projects.settings` holds only what differs,
 * so that a better default reaches every project that never chose otherwise.
 */
import type {
  AuthSettings,
  ProjectLimits,
  RealtimeSettings,
  RestSettings,
  StorageSettings,
} from "../client/config-snapshot.ts";
import { DEFAULT_MAXIMA, type Maxima, withinMaxima } from "../client/maxima.ts";
import { InvalidInput } from "../errors.ts";
import {
  AUTH_FIELDS,
  GATEWAY_FIELDS,
  type GatewaySettings,
  limitFields,
  REALTIME_FIELDS,
  restFields,
  storageFields,
} from "./settings-catalogue.ts";
import { changeSchemaOf, defaultsOf, type Fields } from "./settings-field.ts";

export interface ProjectSettings {
  readonly rest: RestSettings;
  readonly auth: AuthSettings;
  readonly storage: StorageSettings;
  readonly realtime: RealtimeSettings;
  readonly limits: ProjectLimits;
  readonly gateway: GatewaySettings;
}

export type SettingsGroup = keyof ProjectSettings;

/** As `projects.settings` stores it. Custom hosts are not in it: they have a table of their own. */
export type StoredSettings = Readonly<Record<string, unknown>>;

export interface SettingsPolicy {
  /** The most that this installation gives a project; the defaults never lie above. */
  readonly maxima: Maxima;
  readonly fields: Readonly<Record<SettingsGroup, Fields>>;
  readonly defaults: ProjectSettings;
}

export function createSettingsPolicy(maxima: Maxima = DEFAULT_MAXIMA): SettingsPolicy {
  const rest = restFields(maxima);
  const storage = storageFields(maxima);
  const limits = limitFields(maxima);
  return {
    maxima,
    fields: {
      rest,
      auth: AUTH_FIELDS,
      storage,
      realtime: REALTIME_FIELDS,
      limits,
      gateway: GATEWAY_FIELDS,
    },
    defaults: {
      rest: defaultsOf(rest),
      auth: defaultsOf(AUTH_FIELDS),
      storage: defaultsOf(storage),
      realtime: defaultsOf(REALTIME_FIELDS),
      limits: defaultsOf(limits),
      gateway: defaultsOf(GATEWAY_FIELDS),
    },
  };
}

/**
 * What holds for a project. Only known settings are taken from what is stored (an older or newer version may have left
 * others); their values were checked when they were written.
 */
export function effectiveSettings(
  policy: SettingsPolicy,
  stored: StoredSettings,
  customHosts: readonly string[],
): ProjectSettings {
  const { defaults } = policy;
  // The installation's maxima may have been lowered since a project chose its limits.
  const limits = withinMaxima(overlay(defaults.limits, stored.limits), policy.maxima);
  const storage = overlay(defaults.storage, stored.storage);
  return {
    rest: overlay(defaults.rest, stored.rest),
    auth: overlay(defaults.auth, stored.auth),
    storage: { ...storage, fileSizeLimitBytes: Math.min(storage.fileSizeLimitBytes, limits.maxUploadBytes) },
    realtime: overlay(defaults.realtime, stored.realtime),
    limits,
    gateway: { ...overlay(defaults.gateway, stored.gateway), customHosts },
  };
}

export interface SettingsChange {
  /** For `projects.settings`. */
  readonly stored: StoredSettings;
  readonly effective: ProjectSettings;
  /** Names of the settings whose value is now another one; nothing is to be done when empty. */
  readonly changed: readonly string[];
}

/**
 * Applies a change to one group. A setting left out (undefined) stays; null means null where the setting may be null,
 * and the default elsewhere. Pure.
 * @throws {InvalidInput} naming the field as `settings.<name>`.
 */
export function changeSettings(
  policy: SettingsPolicy,
  current: { readonly stored: StoredSettings; readonly customHosts: readonly string[] },
  group: SettingsGroup,
  change: Readonly<Record<string, unknown>>,
): SettingsChange {
  const fields = policy.fields[group];
  const before = effectiveSettings(policy, current.stored, current.customHosts);
  const after = { ...before, [group]: { ...before[group], ...validateChange(fields, change) } };
  checkTogether(after, group);
  const values = asRecord(after[group]);
  const previous = asRecord(before[group]);
  return {
    stored: { ...current.stored, [group]: differences(fields, values) },
    effective: after,
    changed: Object.keys(fields).filter((name) => !isSame(values[name], previous[name])),
  };
}

function validateChange(fields: Fields, change: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const given = Object.entries(change).filter(([, value]) => value !== undefined);
  const values = given.map(([name, value]) => {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    return [name, value === null && field && !field.nullable ? field.default : value] as const;
  });
  const result = changeSchemaOf(fields).safeParse(Object.fromEntries(values));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : (issue?.path ?? []);
  throw new InvalidInput(["settings", ...path].join("."), issue?.message ?? "is not valid");
}

/** What no setting can tell alone; only what the changed group has a part in, so that others stay changeable. */
function checkTogether({ storage, limits, gateway }: ProjectSettings, group: SettingsGroup): void {
  const uploadsFit = storage.fileSizeLimitBytes <= limits.maxUploadBytes;
  if (group === "limits" && !uploadsFit)
    throw new InvalidInput("settings.maxUploadBytes", "must be at least the storage setting fileSizeLimitBytes");
  if (group === "storage" && !uploadsFit)
    throw new InvalidInput("settings.fileSizeLimitBytes", "must be at most the limit maxUploadBytes");
  if (group === "gateway" && gateway.corsOrigins.length > 1 && gateway.corsOrigins.includes("*"))
    throw new InvalidInput("settings.corsOrigins", "must be either * alone or a list of origins");
}

/** The groups as they are for the code here, which walks over their fields. */
function asRecord(settings: object): Readonly<Record<string, unknown>> {
  return settings as Readonly<Record<string, unknown>>;
}

function differences(fields: Fields, values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const names = Object.keys(fields).filter((name) => name !== "customHosts");
  return Object.fromEntries(
    names.filter((name) => !isSame(values[name], fields[name]?.default)).map((name) => [name, values[name]]),
  );
}

function overlay<T extends object>(defaults: T, stored: unknown): T {
  if (typeof stored !== "object" || stored === null) return defaults;
  const known = Object.entries(stored).filter(([name]) => Object.hasOwn(defaults, name));
  return known.length === 0 ? defaults : { ...defaults, ...Object.fromEntries(known) };
}

/** Settings are texts, numbers, flags, null, and lists or maps of texts; the order of a map's keys says nothing. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a, sortedKeys) === JSON.stringify(b, sortedKeys);
}

function sortedKeys(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
