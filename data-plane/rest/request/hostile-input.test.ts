/** What a stranger may send: every parser answers with a value or with an error of the client's, and in linear time. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RestError } from "../error.ts";
import { parseCsv } from "./csv.ts";
import { arrayLiteralOfList, parseLogic, parseOperation } from "./filter.ts";
import { contentTypeOf, parseAccept } from "./media-type.ts";
import { parseOrder } from "./order.ts";
import { parsePage } from "./page.ts";
import { parsePayload } from "./payload.ts";
import { checkHandling, parsePreferences } from "./preferences.ts";
import { parseQueryParameters } from "./query-parameters.ts";
import type { SelectedField } from "./query-types.ts";
import { parseColumns, parseSelect } from "./select.ts";
import { decodeComponent, type QueryShape, shapeOfQuery } from "./shape.ts";
import { actionOf, chooseSchema, parseTarget } from "./target.ts";

const CONTENT_TYPES = ["application/json", "text/csv", "application/x-www-form-urlencoded", "text/plain", "a/b", ""];

/** Each takes any text at all. */
const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  select: parseSelect,
  columns: parseColumns,
  order: parseOrder,
  filter: (text) => parseOperation(text, null),
  "logic tree": (text) => parseLogic("and", text),
  "query string": (text) => parseQueryParameters(shapeOfQuery(text, false).pairs),
  "query string of a call": (text) => parseQueryParameters(shapeOfQuery(text, true).pairs),
  page: (text) => parsePage(shapeOfQuery(`limit=${text}&offset=${text}`, false), text),
  range: (text) => parsePage(shapeOfQuery("", false), text),
  prefer: (text) => checkHandling(parsePreferences(text)),
  "strict prefer": (text) => checkHandling(parsePreferences(`handling=strict,${text}`)),
  accept: (text) => parseAccept(text).map(contentTypeOf),
  path: (text) => actionOf("GET", parseTarget(text)),
  method: (text) => actionOf(text, { kind: "routine", name: "f" }),
  profile: (text) => chooseSchema("GET", { "accept-profile": text }, ["public"]),
  "content type": (text) => parsePayload(Buffer.alloc(0), { contentType: text, hasColumns: false, forRoutine: false }),
  ...Object.fromEntries(
    CONTENT_TYPES.flatMap((contentType) =>
      [true, false].map((forRoutine) => [
        `body of ${contentType || "no type"}${forRoutine ? " for a function" : ""}`,
        (text: string) => parsePayload(Buffer.from(text), { contentType, hasColumns: false, forRoutine }),
      ]),
    ),
  ),
};

/** Runs a parser; what it refuses must be the client's fault and can be told as JSON. */
function attempt<T>(parse: () => T): { readonly value: T } | null {
  try {
    return { value: parse() };
  } catch (failure) {
    expect(failure).toBeInstanceOf(RestError);
    const { status, code, message, details, hint } = failure as RestError;
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(() => JSON.stringify({ code, message, details, hint })).not.toThrow();
    return null;
  }
}

const WORDS =
  'select= order= and=( or=( not. not.and=( limit= offset= a. id, * ... :: : ! !inner ( ) () , . -> ->> - -1 0 99 " \\ { } [ ] count() .sum() eq. in. in.( is. is.null fts( fts(en). plfts. like(any). isdistinct. asc .desc .nullslast & = + % %22 %00 %ff ; | / // rpc/ application/vnd.pgrst.plan ;for=" ;q= handling=strict max-affected= null true 1e9 \r \n \t \0 \ud800 😀 é __proto__ constructor'.split(
    " ",
  );

/** Rather like the grammars, so that much of it gets far into them. */
const grammarLike = fc
  .array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...WORDS) }, { weight: 1, arbitrary: fc.string() }), {
    maxLength: 24,
  })
  .map((parts) => parts.join(""));
const anyText = fc.oneof(grammarLike, fc.string({ unit: "binary", maxLength: 200 }), fc.string());

describe("any text is read or refused as the client's fault by the parser of", () => {
  test.each(Object.entries(PARSERS))("%s", (_, parse) => {
    fc.assert(
      fc.property(anyText, (text) => {
        attempt(() => parse(text));
      }),
      { numRuns: 400 },
    );
  });

  test.each(CONTENT_TYPES)("any bytes as %s", (contentType) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), fc.boolean(), (bytes, hasColumns, forRoutine) => {
        attempt(() => parsePayload(Buffer.from(bytes), { contentType, hasColumns, forRoutine }));
      }),
    );
  });
});

/** Repeated: what makes backtracking or looking back again and again expensive. */
const PATTERNS = [
  ...` a " \\ , . ( ) - > : ! * & = + % ; / { } [ ] \r \n 1 é 😀 |`.split(" "),
  ...'a(;(a;)(;a,;,,;a.;a-;->a;->>;->1;a:;::;a::b;...;!a;"a;"";"\\;"\\";,"\\;\\,";(";,"a",;in.(;not.'.split(";"),
  ...'and(;or (;not.and(;a.eq.1,;{,;{a;&a=eq.1;&a.limit=1;&a.offset=;&or=(;%f;%ff;%zz; ,;a=b,;\r\n;""";a,\n'.split(";"),
  ...'; |;q=|;q=1|;q=1 |,;q=.|;for="|","|[[|[{|{"a":|[{},|{"a":1,|\\u00|-1.|1e|[1,'.split("|"),
];
const LENGTH = 100_000;

describe("no long text takes more than linear time in the parser of", () => {
  test.each(Object.entries(PARSERS))(
    "%s",
    (_, parse) => {
      for (const pattern of PATTERNS.filter((text) => text !== "")) {
        const text = pattern.repeat(LENGTH / pattern.length);
        attempt(() => parse(text));
        attempt(() => parse(`in.("${text}`));
      }
    },
    20_000, // linear: a second at most; quadratic: a minute for one pattern alone
  );
});

describe("a value arrives as it was sent:", () => {
  const text = fc.string({ unit: "grapheme" });

  test("in a filter, whatever it holds", () => {
    fc.assert(
      fc.property(text, (value) => {
        const { slots, key } = shapeOfQuery(`id=eq.${encodeURIComponent(value)}`, false);
        expect(slots).toEqual([value]);
        expect(key).toBe("id=eq.\0");
      }),
    );
  });

  test("in a list, when quoted", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1 }), (elements) => {
        const list = `(${elements.map(quoted).join(",")})`;
        expect(elementsOf(arrayLiteralOfList(list))).toEqual(elements);
      }),
    );
  });

  test("in a logic tree, when quoted", () => {
    fc.assert(
      fc.property(text, text, (first, second) => {
        const value = `(a.eq.${quoted(first)},b.in.(${quoted(second)}))`;
        const tree = parseLogic("or", value);
        const operation = { kind: "simple", operator: "eq", value: { kind: "text", text: first } };
        expect(tree).toMatchObject({ members: [{ operation }, { operation: { kind: "in" } }] });
        const list = tree.kind === "group" && tree.members[1]?.kind === "filter" ? tree.members[1].operation : null;
        const source = list?.kind === "in" && list.value.kind === "text" ? list.value.text : "";
        expect(elementsOf(arrayLiteralOfList(source))).toEqual([second]);
      }),
    );
  });

  test("as a name, when quoted", () => {
    fc.assert(
      fc.property(text, text, (name, alias) => {
        const [item] = parseSelect(`${quoted(alias)}:${quoted(name)}`) as [SelectedField];
        expect(item).toMatchObject({ alias, field: { name } });
        expect(parseColumns(quoted(name))).toEqual([name]);
        expect(parseOrder(`${quoted(name)}.desc`)).toMatchObject([{ field: { name }, direction: "desc" }]);
      }),
    );
  });

  test("as a field of CSV", () => {
    fc.assert(
      fc.property(fc.array(fc.array(text, { minLength: 2, maxLength: 2 }), { minLength: 1 }), (rows) => {
        const field = (value: string) => `"${value.replaceAll('"', '""')}"`;
        expect(parseCsv(rows.map((row) => row.map(field).join(",")).join("\r\n"))).toEqual(rows);
      }),
    );
  });

  test("as part of a query", () => {
    fc.assert(fc.property(text, (value) => decodeComponent(encodeURIComponent(value)) === value));
  });
});

test("a list that the filter's parser takes can be made an array of, and no other", () => {
  fc.assert(
    fc.property(anyText, (list) => {
      const taken = attempt(() => parseOperation(`in.${list}`, 0)) !== null;
      const made = (() => {
        try {
          return arrayLiteralOfList(list);
        } catch {
          return null;
        }
      })();
      expect(made !== null).toBe(taken);
      if (made !== null) expect(() => elementsOf(made)).not.toThrow();
    }),
  );
});

test("queries of one shape are parsed alike: a statement compiled for one is right for the other", () => {
  const item = fc.constantFrom(
    ..."a=eq.1 a=eq.2 a=not.eq.1 a=eq a=1 a=in.(1,2) a=in.(3) a=is.null a=is.true a=fts(de).x a=fts.x a=eq. a=eq.%00 a=eq.%26b=eq.1 b=eq.1 a.b=eq.1 offset=1 offset=2 limit=1 a.offset=1 a.limit=2 select=a select=b order=a or=(a.eq.1) or=(a.eq.2) %61=eq.1 a= =eq.1 a".split(
      " ",
    ),
  );
  const query = fc.array(item, { maxLength: 3 }).map((items) => items.join("&"));
  fc.assert(
    fc.property(query, query, fc.boolean(), (left, right, takesArguments) => {
      const shapes = [left, right].map((text) => shapeOfQuery(text, takesArguments)) as [QueryShape, QueryShape];
      fc.pre(shapes[0].key === shapes[1].key);
      const parsed = shapes.map((shape) => attempt(() => parseQueryParameters(shape.pairs)));
      expect(parsed[0]).toEqual(parsed[1]);
      expect(shapes[0].slots).toHaveLength(shapes[1].slots.length);
    }),
    { numRuns: 2000, examples: [["a=eq.1", "a=eq.2", false]] },
  );
});

test("a page never reaches outside of what its limit, its offset or its Range header allow", () => {
  const bound = fc.nat({ max: 20 });
  fc.assert(
    fc.property(fc.option(bound), bound, bound, fc.option(bound), (limit, offset, first, last) => {
      const query = `${limit === null ? "" : `limit=${limit}&`}offset=${offset}`;
      const page = attempt(() => parsePage(shapeOfQuery(query, false), `${first}-${last ?? ""}`))?.value;
      if (page === undefined || page.limit === 0) return;
      expect(page.offset).toBeGreaterThanOrEqual(Math.max(offset, first));
      const end = page.limit === null ? Number.POSITIVE_INFINITY : page.offset + page.limit;
      expect(end).toBeLessThanOrEqual(limit === null ? Number.POSITIVE_INFINITY : offset + limit);
      expect(end).toBeLessThanOrEqual(last === null ? Number.POSITIVE_INFINITY : last + 1);
    }),
  );
});

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Reads an array literal as PostgreSQL does, as far as these are written: every element in quotes. */
function elementsOf(literal: string): readonly string[] {
  if (literal === "{}") return [];
  expect(literal).toMatch(/^\{"(?:[^"\\]|\\.)*"(?:,"(?:[^"\\]|\\.)*")*\}$/s);
  return [...literal.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map(([, element = ""]) => element.replace(/\\(.)/gs, "$1"));
}
