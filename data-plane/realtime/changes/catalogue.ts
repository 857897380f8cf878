/** What the database's catalogue says about the tables whose changes are published. */
import type { ProjectDatabase, StatementResult } from "../../database/database.ts";
import { Slices } from "../../work/slices.ts";
import { builtInConversion, type Conversion } from "./json-value.ts";

export const PUBLICATION = "supabase_realtime";

export interface Column {
  readonly name: string;
  readonly number: number;
  /** `pg_type.typname` of its own type: `int4`, `_text`, the name of an enum or domain. */
  readonly typeName: string;
  /** `pg_type.typname` beneath all domains. */
  readonly baseTypeName: string;
  /** As SQL names its type, quoted where needed. */
  readonly sqlType: string;
  /** Of the column when it is not the database's own, as SQL names it. */
  readonly collation: string | null;
  readonly isGenerated: boolean;
  readonly conversion: Conversion;
}

export interface Table {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** As SQL names it. */
  readonly sqlName: string;
  readonly hasRowSecurity: boolean;
  /** By attribute number. */
  readonly columns: readonly Column[];
  readonly columnsByName: ReadonlyMap<string, Column>;
  /** Empty: there is no primary key. */
  readonly primaryKey: readonly Column[];
}

export class Catalogue {
  /** Equal as long as nothing has changed that is read here. */
  readonly fingerprint: string;
  /** By oid. */
  readonly tables: ReadonlyMap<number, Table>;
  readonly #bySchema = new Map<string, Map<string, Table>>();

  constructor(fingerprint: string, tables: readonly Table[]) {
    this.fingerprint = fingerprint;
    this.tables = new Map(tables.map((table) => [table.oid, table]));
    for (const table of tables) {
      const ofSchema = this.#bySchema.get(table.schema);
      if (ofSchema) ofSchema.set(table.name, table);
      else this.#bySchema.set(table.schema, new Map([[table.name, table]]));
    }
  }

  /** `*` stands for every schema, and for every table. */
  *named(schema: string, name: string): Generator<Table> {
    for (const ofSchema of schema === "*" ? this.#bySchema.values() : [this.#bySchema.get(schema)]) {
      if (name === "*") yield* ofSchema?.values() ?? [];
      else {
        const table = ofSchema?.get(name);
        if (table) yield table;
      }
    }
  }
}

/** Of one role. */
export interface RoleFacts {
  readonly exists: boolean;
  readonly bypassesRowSecurity: boolean;
}

/** Tables beyond so many columns are as if they were not published: a catalogue lies in memory. */
const MAX_COLUMNS = 50_000;

const PUBLISHED = `published as (
    select c.oid, c.xmin::text as version, n.nspname, c.relname, c.relrowsecurity, c.relnatts
    from pg_publication_tables p
      join pg_namespace n on n.nspname = p.schemaname
      join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
    where p.pubname = '${PUBLICATION}' and n.nspname not in ('realtime')
  )`;

const READ_FINGERPRINT = {
  text: `/* readChangesFingerprint */ with ${PUBLISHED}
    select coalesce((select oid::text || ' ' || xmin::text from pg_publication where pubname = '${PUBLICATION}'), ''),
      coalesce((select md5(string_agg(format('%s %s %s', oid, version, relrowsecurity), ',' order by oid)) from published), '')`,
  values: [],
  prepare: true,
};

const READ_TABLES = {
  text: `/* readChangesTables */ with ${PUBLISHED},
    counted as (select *, sum(relnatts) over (order by oid) as columns from published)
    select p.oid::text, p.nspname, p.relname, format('%I.%I', p.nspname, p.relname), p.relrowsecurity,
      (select json_agg(json_build_array(a.attname, a.attnum, a.atttypid::text, format_type(a.atttypid, null),
          a.attgenerated <> '', case when a.attcollation not in (0, 100) then a.attcollation::regcollation::text end) order by a.attnum)
        from pg_attribute a where a.attrelid = p.oid and a.attnum > 0 and not a.attisdropped),
      coalesce((select array_to_json(i.indkey::int2[]) from pg_index i where i.indrelid = p.oid and i.indisprimary), '[]')
    from counted p where p.columns <= ${MAX_COLUMNS} order by p.oid`,
  values: [],
  prepare: true,
};

const READ_TYPES = {
  text: `/* readChangesTypes */ with recursive ${PUBLISHED},
    wanted (oid) as (
      select distinct a.atttypid from published p join pg_attribute a on a.attrelid = p.oid
      where a.attnum > 0 and not a.attisdropped
      union
      select case when t.typtype = 'd' then t.typbasetype else t.typelem end
      from wanted w join pg_type t on t.oid = w.oid
      where t.typtype = 'd' or (t.typcategory = 'A' and t.typelem <> 0)
    )
    select t.oid::text, t.typname, t.typtype, t.typbasetype::text, case when t.typcategory = 'A' then t.typelem end::text, t.typdelim,
      exists (select from pg_cast where castsource = t.oid and casttarget in ('json'::regtype, 'jsonb'::regtype) and castfunc <> 0)
    from wanted w join pg_type t on t.oid = w.oid`,
  values: [],
  prepare: true,
};

const SETTINGS = {
  text: `/* readChanges */ select set_config('statement_timeout', '5s', true), set_config('transaction_read_only', 'on', true)`,
  values: [],
  prepare: true,
};

export async function readFingerprint(database: ProjectDatabase): Promise<string> {
  const [, result] = await database.pipeline([SETTINGS, READ_FINGERPRINT]);
  return fingerprintOf(result);
}

export async function readCatalogue(database: ProjectDatabase): Promise<Catalogue> {
  const [, fingerprint, tables, types] = await database.pipeline([SETTINGS, READ_FINGERPRINT, READ_TABLES, READ_TYPES]);
  const known = new TypeTable(types);
  const slices = new Slices(database.projectRef);
  const read = await slices.map(tables?.rows ?? [], (row) => readTable(row, known));
  return new Catalogue(fingerprintOf(fingerprint), read);
}

/** Which columns of a table a role may read; asked for many pairs at once. */
export async function readReadableColumns(
  database: ProjectDatabase,
  pairs: readonly { readonly table: number; readonly role: string }[],
): Promise<readonly ReadonlySet<number>[]> {
  const [, result] = await database.pipeline([
    SETTINGS,
    {
      text: `/* readReadableColumns */ select coalesce(json_agg(a.attnum) filter (where
              to_regrole(quote_ident(pair.role)) is not null
              and has_column_privilege(pair.role, a.attrelid, a.attnum, 'select')), '[]')
          from unnest($1::oid[], $2::text[]) with ordinality as pair (relation, role, position)
            left join pg_attribute a on a.attrelid = pair.relation and a.attnum > 0 and not a.attisdropped
          group by pair.position order by pair.position`,
      values: [`{${pairs.map(({ table }) => table)}}`, arrayLiteral(pairs.map(({ role }) => role))],
      prepare: true,
    },
  ]);
  return pairs.map((_pair, index) => new Set(JSON.parse(result?.rows[index]?.[0] ?? "[]") as number[]));
}

/** Of those that exist. */
export async function readRoles(database: ProjectDatabase, roles: readonly string[]): Promise<Map<string, RoleFacts>> {
  const [, result] = await database.pipeline([
    SETTINGS,
    {
      text: "/* readRoles */ select rolname, rolbypassrls or rolsuper from pg_roles where rolname = any($1)",
      values: [arrayLiteral(roles)],
      prepare: true,
    },
  ]);
  const rows = result?.rows ?? [];
  return new Map(rows.map(([role, bypasses]) => [role ?? "", { exists: true, bypassesRowSecurity: bypasses === "t" }]));
}

/** A text array in PostgreSQL's own notation. */
export function arrayLiteral(values: readonly (string | null)[]): string {
  const quoted = values.map((value) => (value === null ? "NULL" : `"${value.replace(/[\\"]/g, "\\$&")}"`));
  return `{${quoted.join(",")}}`;
}

function fingerprintOf(result: StatementResult | undefined): string {
  return result?.rows[0]?.join("/") ?? "";
}

function readTable(row: readonly (string | null)[], types: TypeTable): Table {
  const [oid, schema = "", name = "", sqlName, rowSecurity, columnsJson, keyJson] = row;
  const columns = (JSON.parse(columnsJson ?? "[]") as [string, number, string, string, boolean, string | null][]).map(
    ([columnName, number, typeOid, sqlType, isGenerated, collation]): Column => ({
      name: columnName,
      number,
      typeName: types.nameOf(typeOid),
      baseTypeName: types.baseNameOf(typeOid),
      sqlType,
      collation,
      isGenerated,
      conversion: types.conversionOf(typeOid),
    }),
  );
  const key = JSON.parse(keyJson ?? "[]") as number[];
  return {
    oid: Number(oid),
    schema: schema ?? "",
    name: name ?? "",
    sqlName: sqlName ?? "",
    hasRowSecurity: rowSecurity === "t",
    columns,
    columnsByName: new Map(columns.map((column) => [column.name, column])),
    primaryKey: key.flatMap((number) => columns.find((column) => column.number === number) ?? []),
  };
}

interface TypeFacts {
  readonly name: string;
  readonly kind: string;
  readonly base: string;
  readonly element: string | null;
  readonly delimiter: string;
  readonly hasJsonCast: boolean;
}

class TypeTable {
  readonly #byOid: ReadonlyMap<string, TypeFacts>;

  constructor(result: StatementResult | undefined) {
    this.#byOid = new Map(
      (result?.rows ?? []).map(([oid, name, kind, base, element, delimiter, cast]) => [
        oid ?? "",
        {
          name: name ?? "",
          kind: kind ?? "",
          base: base ?? "",
          element: element ?? null,
          delimiter: delimiter ?? ",",
          hasJsonCast: cast === "t",
        },
      ]),
    );
  }

  nameOf(oid: string): string {
    return this.#byOid.get(oid)?.name ?? "";
  }

  baseNameOf(oid: string): string {
    return this.#baseOf(oid)?.name ?? "";
  }

  conversionOf(oid: string): Conversion {
    const type = this.#baseOf(oid);
    if (!type) return { kind: "string" };
    if (type.element !== null) {
      const element = this.conversionOf(type.element);
      return element.kind === "sql" ? element : { kind: "array", element, delimiter: type.delimiter };
    }
    if (type.kind === "c" || type.hasJsonCast) return { kind: "sql" };
    return builtInConversion(type.name);
  }

  #baseOf(oid: string): TypeFacts | undefined {
    let type = this.#byOid.get(oid);
    for (let depth = 0; type?.kind === "d" && depth < 50; depth += 1) type = this.#byOid.get(type.base);
    return type;
  }
}
