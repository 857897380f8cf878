/**
 * The bindings of a project's channels: judged by what is published, kept where a change finds them, and told what has
 * become of them. A tenant chooses how many there are and how often what they are judged by changes, so whatever goes
 * over all of them goes in slices.
 */
import { DatabaseError } from "../../database/database.ts";
import { isServiceRoleName } from "../../rest/config.ts";
import { Slices } from "../../work/slices.ts";
import type { Channel } from "../channel.ts";
import type { RealtimeProject } from "../project.ts";
import type { RequestedBinding } from "../protocol/join-config.ts";
import { type BindingSpec, describeBinding, parseBinding } from "./binding.ts";
import { BindingIndex } from "./binding-index.ts";
import { type Catalogue, type RoleFacts, readRoles, type Table } from "./catalogue.ts";
import { FilterError } from "./filter.ts";
import { compileFilters, type Entry, type MatchIndex } from "./match-index.ts";
import { checkFilter } from "./visibility.ts";

export interface Subscription {
  readonly channel: Channel;
  readonly bindings: readonly { readonly id: number; readonly spec: BindingSpec }[];
  /** Where it is found, once it is active. */
  entries: readonly IndexedEntry[];
  state: "waiting" | "checking" | "active" | "refused";
  /** What it was told last, so that an outage is told once. */
  lastError: string | null;
}

interface IndexedEntry {
  readonly index: MatchIndex;
  readonly entry: Entry;
}

/** Of a project. */
const MAX_BINDINGS = 100_000;
/** Of a project: a binding for all tables that has a filter stands at each of them. */
const MAX_ENTRIES = 200_000;
const TOO_MANY = "Too many subscriptions to database changes of this project";
const ROLES_AT_ONCE = 1_000;

export class Subscriptions {
  readonly index: BindingIndex;
  readonly #project: RealtimeProject;
  readonly #byChannel = new Map<Channel, Subscription>();
  readonly #waiting = new Set<Subscription>();
  #roles = new Map<string, RoleFacts>();
  #catalogue: Catalogue | null = null;
  #bindings = 0;
  #entries = 0;

  constructor(project: RealtimeProject) {
    this.#project = project;
    this.index = new BindingIndex(project.ref);
  }

  get size(): number {
    return this.#byChannel.size;
  }

  /** What they are judged by; null before the first reading. */
  get catalogue(): Catalogue | null {
    return this.#catalogue;
  }

  /** Those that nobody has judged yet. */
  get waiting(): readonly Subscription[] {
    return [...this.#waiting];
  }

  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  roleFacts(role: string): RoleFacts | undefined {
    return this.#roles.get(role);
  }

  /** @returns Whether it waits to be judged; otherwise the channel has been told why not. */
  add(channel: Channel, requested: readonly RequestedBinding[], ids: readonly number[]): boolean {
    let bindings: Subscription["bindings"];
    try {
      bindings = requested.map((binding, index) => ({ id: ids[index] ?? 0, spec: parseBinding(binding) }));
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
      channel.system("postgres_changes", "error", error.message);
      return false;
    }
    if (this.#bindings + bindings.length > MAX_BINDINGS) {
      channel.system("postgres_changes", "error", TOO_MANY);
      return false;
    }
    this.#bindings += bindings.length;
    const subscription: Subscription = { channel, bindings, entries: [], state: "waiting", lastError: null };
    this.#byChannel.set(channel, subscription);
    this.#waiting.add(subscription);
    return true;
  }

  remove(channel: Channel): void {
    const subscription = this.#byChannel.get(channel);
    if (!subscription) return;
    this.#deactivate(subscription);
    this.#waiting.delete(subscription);
    this.#byChannel.delete(channel);
    this.#bindings -= subscription.bindings.length;
  }

  clear(): void {
    this.#byChannel.clear();
    this.#waiting.clear();
    this.index.clear();
    this.#bindings = 0;
    this.#entries = 0;
  }

  /** Nothing is known of the database any more. */
  forgetCatalogue(): void {
    this.#catalogue = null;
    this.#roles.clear();
  }

  /** There is no stream: who is not refused waits for the next one. */
  suspend(): void {
    this.index.clear();
    this.#entries = 0;
    for (const subscription of this.#byChannel.values()) {
      subscription.entries = [];
      if (subscription.state !== "refused") this.#put(subscription, "waiting");
    }
  }

  /** The claims of the channel have changed. @returns Whether it has to be judged anew. */
  async renew(channel: Channel): Promise<boolean> {
    const subscription = this.#byChannel.get(channel);
    if (!subscription) return false;
    if (subscription.state === "refused") {
      this.#put(subscription, "waiting");
      return true;
    }
    if (subscription.state !== "active") return false;
    // What a channel may see is judged by its token of the moment: nothing is missed while the new one is looked at.
    await this.loadRoles([subscription]);
    if (channel.isClosed || !this.#is(subscription, "active")) return false;
    if (this.#roles.get(channel.token.role)?.exists) {
      channel.system("postgres_changes", "ok", "Subscribed to PostgreSQL");
      return false;
    }
    this.#deactivate(subscription);
    this.#put(subscription, "waiting");
    return true;
  }

  // ---- roles ----------------------------------------------------------------------------------------------------

  /** Of those channels, as far as they are not known. */
  async loadRoles(subscriptions: Iterable<Subscription>): Promise<void> {
    const wanted = await this.#rolesOf(subscriptions, (role) => !this.#roles.has(role));
    for (const [role, facts] of await this.#readRoles(wanted)) this.#roles.set(role, facts);
  }

  /** Of all channels; the old facts hold until the new ones are there. */
  async reloadRoles(): Promise<void> {
    this.#roles = await this.#readRoles(await this.#rolesOf(this.#byChannel.values(), () => true));
  }

  async #rolesOf(subscriptions: Iterable<Subscription>, isWanted: (role: string) => boolean): Promise<Set<string>> {
    const slices = new Slices(this.#project.ref);
    const roles = new Set<string>();
    for (const { channel } of subscriptions) {
      if (isWanted(channel.token.role)) roles.add(channel.token.role);
      if (slices.isDue) await slices.pause();
    }
    return roles;
  }

  async #readRoles(roles: ReadonlySet<string>): Promise<Map<string, RoleFacts>> {
    const facts = new Map<string, RoleFacts>();
    for (const role of roles) facts.set(role, { exists: false, bypassesRowSecurity: false });
    const asked = [...roles].filter((role) => !isServiceRoleName(role));
    for (let index = 0; index < asked.length; index += ROLES_AT_ONCE) {
      const some = asked.slice(index, index + ROLES_AT_ONCE);
      for (const [role, found] of await readRoles(this.#project.database(), some)) facts.set(role, found);
    }
    return facts;
  }

  // ---- judging --------------------------------------------------------------------------------------------------

  /** @param goesOn Asked before each: whether there is still a stream to subscribe to. */
  async judge(subscriptions: readonly Subscription[], goesOn: () => boolean): Promise<void> {
    const slices = new Slices(this.#project.ref);
    for (const subscription of subscriptions) {
      if (slices.isDue) await slices.pause();
      if (!goesOn()) return;
      if (this.#is(subscription, "waiting")) await this.#judgeOne(subscription, slices);
    }
  }

  async #judgeOne(subscription: Subscription, slices: Slices): Promise<void> {
    const catalogue = this.#catalogue;
    this.#put(subscription, "checking");
    try {
      const compiled = await this.#compile(subscription, slices);
      for (const check of compiled?.checks ?? []) await check();
      if (!compiled || !this.#is(subscription, "checking")) return;
      // Another catalogue has been taken over meanwhile: what was found belongs to the old one.
      if (this.#catalogue === catalogue) this.#confirm(subscription, compiled.found);
      else this.#put(subscription, "waiting");
    } catch (error) {
      if (!this.#is(subscription, "checking")) return;
      if (!(error instanceof DatabaseError)) {
        this.#put(subscription, "waiting");
        throw error;
      }
      const spec = subscription.bindings.find(({ spec: { filters } }) => filters.length > 0)?.spec;
      if (spec) this.#refuse(subscription, { spec, exception: `ERROR ${error.code} ${error.message}` });
    }
  }

  /**
   * Whoever was subscribed goes from the old tables to the new ones; the others wait to be judged. Changes must be held
   * back until it is done, so that nothing is missed.
   */
  async takeOver(catalogue: Catalogue): Promise<void> {
    this.#catalogue = catalogue;
    this.index.clear();
    this.#entries = 0;
    const slices = new Slices(this.#project.ref);
    for (const subscription of this.#byChannel.values()) {
      const wasActive = subscription.state === "active";
      subscription.entries = [];
      subscription.lastError = null;
      this.#put(subscription, "waiting");
      if (slices.isDue) await slices.pause();
      if (!wasActive || catalogue.tables.size === 0 || !this.#is(subscription, "waiting")) continue;
      const compiled = await this.#compile(subscription, slices);
      if (compiled && this.#is(subscription, "waiting")) this.#confirm(subscription, compiled.found);
    }
  }

  /** @returns Null when the bindings do not fit what is published: the subscription is refused. */
  async #compile(
    subscription: Subscription,
    slices: Slices,
  ): Promise<{ readonly found: readonly IndexedEntry[]; readonly checks: readonly (() => Promise<void>)[] } | null> {
    const { channel } = subscription;
    const found: IndexedEntry[] = [];
    const checks: (() => Promise<void>)[] = [];
    for (const { id, spec } of subscription.bindings) {
      try {
        const tables = this.#tablesOf(subscription, spec);
        const select = spec.select === null ? "*" : JSON.stringify(spec.select);
        if (spec.table === "*" && spec.filters.length === 0) {
          found.push({ index: this.index.ofSchema(spec.schema), entry: { channel, id, spec, tests: [], select } });
          continue;
        }
        for (const table of tables) {
          if (this.#entries + found.length >= MAX_ENTRIES) {
            this.#put(subscription, "refused");
            this.#tell(subscription, TOO_MANY);
            return null;
          }
          const tests = compileFilters(spec.filters, table);
          if (slices.isDue) await slices.pause();
          if (tests.length < spec.filters.length) {
            if (spec.table === "*") continue; // a filter on a column that this one of many tables does not have
            const missing = spec.filters.find(({ column }) => !table.columnsByName.has(column));
            throw new FilterError(`ERROR P0001 (raise_exception) invalid column for filter ${missing?.column}`);
          }
          for (const compiled of tests) {
            if (compiled.test === null) checks.push(() => checkFilter(this.#project.database(), compiled));
          }
          found.push({ index: this.index.ofTable(table), entry: { channel, id, spec, tests, select } });
        }
      } catch (error) {
        if (!(error instanceof FilterError)) throw error;
        this.#refuse(subscription, { spec, exception: error.message });
        return null;
      }
    }
    return { found, checks };
  }

  /** @throws {FilterError} */
  #tablesOf({ channel }: Subscription, spec: BindingSpec): Iterable<Table> {
    if (!this.#roles.get(channel.token.role)?.exists) {
      throw new FilterError(`ERROR 42704 (undefined_object) role "${channel.token.role}" does not exist`);
    }
    const catalogue = this.#catalogue;
    const first = catalogue?.named(spec.schema, spec.table).next();
    if (!catalogue || !first || first.done) throw new FilterError("");
    const missing = spec.select?.find((name) => !first.value.columnsByName.has(name));
    if (missing !== undefined)
      throw new FilterError(`ERROR P0001 (raise_exception) invalid column for select ${missing}`);
    return catalogue.named(spec.schema, spec.table);
  }

  #confirm(subscription: Subscription, found: readonly IndexedEntry[]): void {
    for (const { index, entry } of found) index.add(entry);
    this.#entries += found.length;
    subscription.entries = found;
    subscription.lastError = null;
    this.#put(subscription, "active");
    subscription.channel.system("postgres_changes", "ok", "Subscribed to PostgreSQL");
  }

  #deactivate(subscription: Subscription): void {
    for (const { index, entry } of subscription.entries) index.remove(entry);
    this.#entries -= subscription.entries.length;
    subscription.entries = [];
  }

  // ---- telling --------------------------------------------------------------------------------------------------

  /** Nothing at all is published. */
  async refuseAll(): Promise<void> {
    const slices = new Slices(this.#project.ref);
    for (const subscription of this.#byChannel.values()) {
      this.#refuse(subscription, null);
      if (slices.isDue) await slices.pause();
    }
  }

  async tellAll(message: string): Promise<void> {
    const slices = new Slices(this.#project.ref);
    for (const subscription of this.#byChannel.values()) {
      if (subscription.state !== "refused") this.#tell(subscription, message);
      if (slices.isDue) await slices.pause();
    }
  }

  /** @param fault Null: nothing at all is published. */
  #refuse(subscription: Subscription, fault: { spec: BindingSpec; exception: string } | null): void {
    this.#put(subscription, "refused");
    const spec = fault?.spec ?? subscription.bindings[0]?.spec;
    if (!spec) return;
    const message =
      fault === null || fault.exception === ""
        ? `Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: ${describeBinding(spec)}`
        : `Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: ${describeBinding(spec)}. Exception: ${fault.exception}`;
    this.#tell(subscription, message);
  }

  #tell(subscription: Subscription, message: string): void {
    if (subscription.lastError === message || subscription.channel.isClosed) return;
    subscription.lastError = message;
    subscription.channel.system("postgres_changes", "error", message);
  }

  #put(subscription: Subscription, state: Subscription["state"]): void {
    subscription.state = state;
    if (state === "waiting" && this.#byChannel.get(subscription.channel) === subscription)
      this.#waiting.add(subscription);
    else this.#waiting.delete(subscription);
  }

  /** Whether it is still there, and in this state. */
  #is(subscription: Subscription, state: Subscription["state"]): boolean {
    return subscription.state === state && this.#byChannel.get(subscription.channel) === subscription;
  }
}
