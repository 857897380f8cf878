/** From PostgreSQL's text format to JSON, without losing digits. */
import pg from "pg";

const { builtins } = pg.types;
const NUMBERS: ReadonlySet<number> = new Set([
  builtins.INT2,
  builtins.INT4,
  builtins.OID,
  builtins.FLOAT4,
  builtins.FLOAT8,
]);

/**
 * Booleans, numbers that JavaScript holds exactly, and json/jsonb become JSON values; everything else (bigint, numeric,
 * dates, arrays …) stays the text that psql would show. Never throws: it is called for each row within a handler of the
 * connection, where an error would end the process.
 */
export function jsonOfText(text: string, typeOid: number): unknown {
  if (typeOid === builtins.BOOL) return text === "t";
  if (NUMBERS.has(typeOid)) {
    const number = Number(text);
    return Number.isFinite(number) ? number : text; // NaN and Infinity are no JSON
  }
  return typeOid === builtins.JSON || typeOid === builtins.JSONB ? parseOrText(text) : text;
}

/** A script can have json sent in the binary format (a binary cursor) or in an encoding that is not UTF-8. */
function parseOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
