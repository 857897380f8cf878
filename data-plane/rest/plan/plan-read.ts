/** From the parsed query to a {@link ReadNode}: embeds find their relationships, filters and order their places. */
import { RestError, restError } from "../error.ts";
import type {
  EmbedPath,
  Field,
  Filter,
  LogicTree,
  OrderTerm,
  PageParameters,
  QueryParameters,
  SelectedEmbed,
  SelectedField,
  SelectItem,
} from "../request/query-types.ts";
import type { Relation, Representation, SchemaCache } from "../schema-cache/types.ts";
import { findRelationship } from "./find-relationship.ts";
import {
  type FieldItem,
  isToOne,
  type PlannedCondition,
  type PlannedEmbed,
  type PlannedField,
  type PlannedItem,
  type PlannedOrder,
  type ReadNode,
} from "./read-plan.ts";

export interface ReadPlanOptions {
  readonly cache: SchemaCache;
  readonly schema: string;
  readonly maxRows: number | null;
  readonly aggregatesEnabled: boolean;
  readonly urlUseLegacyTargetNames: boolean;
}

export interface ReadPlan {
  readonly root: ReadNode;
  /** Targets that were addressed by name although they have an alias, with that alias. */
  readonly legacyNames: readonly { readonly target: string; readonly alias: string }[];
}

/** A node while its filters, order and pages are being collected. */
interface Draft {
  readonly relation: Relation | null;
  /** What messages call the node. */
  readonly name: string;
  readonly items: readonly SelectItem[];
  readonly embeds: Map<SelectedEmbed, EmbedDraft>;
  readonly filters: Filter[];
  readonly logic: LogicTree[];
  order: readonly OrderTerm[];
  page: PageParameters;
}

interface EmbedDraft {
  readonly selected: SelectedEmbed;
  readonly relationship: PlannedEmbed["relationship"];
  readonly draft: Draft;
}

const NO_PAGE: PageParameters = { limit: null, offset: null };

/**
 * @param root What the rows are of; `filters: false` when those at the top apply to something else (a write).
 * @throws {RestError} PGRST108, 118, 120, 123, 127, 200, 201
 */
export function planRead(
  query: QueryParameters,
  root: { readonly relation: Relation | null; readonly name: string; readonly filters: boolean },
  options: ReadPlanOptions,
): ReadPlan {
  const planner = new ReadPlanner(options);
  return planner.plan(query, root);
}

/** The conditions at the top of a query, for a write: it has no embeds, so every name in them is a column. */
export function planWriteConditions(
  query: QueryParameters,
  relation: Relation,
  options: ReadPlanOptions,
): readonly PlannedCondition[] {
  return new ReadPlanner(options).writeConditions(query, relation);
}

class ReadPlanner {
  readonly #options: ReadPlanOptions;
  readonly #legacyNames = new Map<string, string>();

  constructor(options: ReadPlanOptions) {
    this.#options = options;
  }

  plan(
    query: QueryParameters,
    root: { readonly relation: Relation | null; readonly name: string; readonly filters: boolean },
  ): ReadPlan {
    if (!this.#options.aggregatesEnabled && usesAggregates(query.select)) throw restError("PGRST123");
    const draft = this.#draft(root.relation, root.name, query.select);
    for (const { path, value } of query.filters) {
      if (root.filters || path.length > 0) this.#at(draft, path).filters.push(value);
    }
    for (const { path, value } of query.logic) {
      if (root.filters || path.length > 0) this.#at(draft, path).logic.push(value);
    }
    for (const { path, value } of query.order) this.#at(draft, path).order = value;
    for (const { path, value } of query.pages) this.#at(draft, path).page = value;
    return {
      root: this.#node(draft, false),
      legacyNames: [...this.#legacyNames].map(([target, alias]) => ({ target, alias })),
    };
  }

  writeConditions(query: QueryParameters, relation: Relation): readonly PlannedCondition[] {
    const draft = this.#draft(relation, relation.name, []);
    return [...query.filters, ...query.logic]
      .filter(({ path }) => path.length === 0)
      .map(({ value }) => this.#condition(draft, value, new Map()));
  }

  #draft(relation: Relation | null, name: string, items: readonly SelectItem[]): Draft {
    const embeds = new Map<SelectedEmbed, EmbedDraft>();
    const names = new Set<string>();
    for (const item of items) {
      if (item.kind !== "embed") continue;
      const embedName = item.alias ?? item.target;
      if (names.has(embedName)) throw duplicateEmbed(name, embedName);
      names.add(embedName);
      const relationship = findRelationship(this.#options.cache, this.#options.schema, relation, name, item);
      const { target } = relationship;
      embeds.set(item, { selected: item, relationship, draft: this.#draft(target, target.name, item.items) });
    }
    return { relation, name, items, embeds, filters: [], logic: [], order: [], page: NO_PAGE };
  }

  /** @throws {RestError} PGRST108 when the request has no such embed. */
  #at(draft: Draft, path: EmbedPath): Draft {
    let current = draft;
    for (const name of path) current = this.#embedNamed(current, name).draft;
    return current;
  }

  #embedNamed(draft: Draft, name: string): EmbedDraft {
    const found = this.#findEmbed(draft, name);
    if (found) return found;
    const message = `'${name}' is not an embedded resource in this request`;
    const aliased = [...draft.embeds.values()].find(({ selected }) => selected.target === name)?.selected.alias;
    if (aliased) {
      throw restError("PGRST108", {
        message,
        details: "Target names are not allowed in filters if they have an alias",
        hint: `Change '${name}' to '${aliased}' in filters, orders or limits.`,
      });
    }
    throw restError("PGRST108", {
      message,
      hint: `Verify that '${name}' is included in the 'select' query parameter.`,
    });
  }

  /** An alias goes before the target's name; where both are allowed the latter is noted to be warned of. */
  #findEmbed(draft: Draft, name: string): EmbedDraft | undefined {
    const embeds = [...draft.embeds.values()];
    const exact = embeds.find(({ selected }) => (selected.alias ?? selected.target) === name);
    if (exact || !this.#options.urlUseLegacyTargetNames) return exact;
    const legacy = embeds.find(({ selected }) => selected.target === name);
    if (legacy?.selected.alias) this.#legacyNames.set(name, legacy.selected.alias);
    return legacy;
  }

  #node(draft: Draft, isSpread: boolean): ReadNode {
    const embeds = new Map<SelectedEmbed, PlannedEmbed>();
    for (const [selected, embed] of draft.embeds) embeds.set(selected, this.#embed(embed));
    const items = draft.items.map((item) => this.#item(draft, item, embeds));
    const conditions = [...draft.filters, ...draft.logic].map((tree) => this.#condition(draft, tree, embeds));
    return {
      relation: draft.relation,
      items,
      embeds: [...embeds.values()],
      conditions,
      order: draft.order.map((term) => this.#orderTerm(draft, term, embeds)),
      page: draft.page,
      maxRows: this.#options.maxRows,
      grouped: !isSpread && hasAggregates(items),
    };
  }

  #embed({ selected, relationship, draft }: EmbedDraft): PlannedEmbed {
    const toOne = isToOne(relationship);
    const node = this.#node(draft, selected.spread && toOne);
    if (selected.spread && !toOne && hasAggregates(node.items)) {
      throw restError("PGRST127", {
        details: "Aggregates are not implemented for one-to-many or many-to-many spreads.",
      });
    }
    return {
      name: selected.alias ?? selected.target,
      relationship,
      toOne,
      inner: selected.join === "inner",
      spread: selected.spread,
      node: toOne ? { ...node, maxRows: null } : node,
    };
  }

  #item(draft: Draft, item: SelectItem, embeds: ReadonlyMap<SelectedEmbed, PlannedEmbed>): PlannedItem {
    if (item.kind === "embed") {
      const embed = embeds.get(item) as PlannedEmbed;
      return item.spread ? { kind: "spread", embed } : { kind: "embed", embed, key: embed.name };
    }
    if (item.aggregate) {
      return {
        kind: "aggregate",
        field: item.field === null ? null : this.#field(draft, item.field),
        fieldCast: item.cast,
        function: item.aggregate.function,
        cast: item.aggregate.cast,
        key: item.alias ?? item.aggregate.function,
      };
    }
    const asked = item.field as Field;
    if (asked.name === "*") return this.#star(draft);
    return this.#fieldItem(draft, asked, item.alias ?? defaultKey(item), item.cast);
  }

  #star(draft: Draft): PlannedItem {
    const names = [...(draft.relation?.columns.keys() ?? [])];
    const columns = names.map((name) => this.#fieldItem(draft, { name, jsonPath: [] }, name, null));
    return { kind: "star", columns, asRow: columns.every((column) => column.format === null) };
  }

  #fieldItem(draft: Draft, asked: Field, key: string, cast: string | null): FieldItem {
    const field = this.#field(draft, asked);
    const format = field.jsonPath.length === 0 ? (field.representation?.toJson ?? null) : null;
    return { kind: "field", field, key, cast, format };
  }

  #field(draft: Draft, { name, jsonPath }: Field): PlannedField {
    const column = draft.relation?.columns.get(name) ?? null;
    const isJson = column?.baseType === "json" || column?.baseType === "jsonb";
    const representation: Representation | null =
      column?.domain == null ? null : this.#options.cache.findRepresentation(column.domain);
    return {
      name,
      jsonPath,
      pathNeedsJsonb: !isJson,
      isTextVector: jsonPath.length > 0 ? false : column === null ? null : column.baseType === "tsvector",
      representation,
    };
  }

  #condition(draft: Draft, tree: LogicTree, embeds: ReadonlyMap<SelectedEmbed, PlannedEmbed>): PlannedCondition {
    if (tree.kind === "group") {
      return { ...tree, members: tree.members.map((member) => this.#condition(draft, member, embeds)) };
    }
    const { field, operation, negated } = tree;
    const embed = draft.relation?.columns.has(field.name) ? undefined : this.#findEmbed(draft, field.name);
    if (embed === undefined || field.jsonPath.length > 0) {
      return { kind: "filter", field: this.#field(draft, field), negated, operation };
    }
    if (operation.kind !== "is" || (operation.value !== "null" && operation.value !== "not_null")) {
      throw restError("PGRST120", {
        message: `Bad operator on the '${field.name}' embedded resource`,
        details: "Only is null or not is null filters are allowed on embedded resources",
      });
    }
    return {
      kind: "embedNull",
      embed: embeds.get(embed.selected) as PlannedEmbed,
      negated: negated !== (operation.value === "not_null"),
    };
  }

  #orderTerm(draft: Draft, term: OrderTerm, embeds: ReadonlyMap<SelectedEmbed, PlannedEmbed>): PlannedOrder {
    const { direction, nulls, relation } = term;
    if (relation === null) return { direction, nulls, embed: null, field: this.#field(draft, term.field) };
    const found = this.#embedNamed(draft, relation);
    const embed = embeds.get(found.selected) as PlannedEmbed;
    if (!embed.toOne) {
      throw restError("PGRST118", {
        message: `A related order on '${relation}' is not possible`,
        details: `'${draft.name}' and '${relation}' do not form a many-to-one or one-to-one relationship`,
      });
    }
    return { direction, nulls, embed, field: this.#field(found.draft, term.field) };
  }
}

/** One object cannot have two members of a name; the original meets the server's error for two tables of one alias. */
function duplicateEmbed(parent: string, name: string): RestError {
  return new RestError({
    status: 400,
    code: "42712",
    message: `table name "${parent}_${name}_1" specified more than once`,
    hint: `Give the embeds of '${name}' different aliases.`,
  });
}

/** The last key of a path; a path of numbers only is named as its column. */
function defaultKey(item: SelectedField): string {
  const { name, jsonPath } = item.field as Field;
  const last = jsonPath.findLast((step) => step.kind === "key");
  return last?.kind === "key" ? last.key : name;
}

function usesAggregates(items: readonly SelectItem[]): boolean {
  return items.some((item) => (item.kind === "embed" ? usesAggregates(item.items) : item.aggregate !== null));
}

/** Of the node itself, those of to-one spreads included, as they are computed here. */
function hasAggregates(items: readonly PlannedItem[]): boolean {
  return items.some((item) => {
    if (item.kind === "aggregate") return true;
    return item.kind === "spread" && item.embed.toOne && hasAggregates(item.embed.node.items);
  });
}
