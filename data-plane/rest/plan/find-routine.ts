/** Which of the functions of a name a call means. */
import { type RestError, restError } from "../error.ts";
import type { Routine, SchemaCache } from "../schema-cache/types.ts";
import { fuzzyMatches } from "./fuzzy.ts";

/** How the arguments of a call come. */
export type CallForm =
  /** Query string (GET), form or CSV: names with values. */
  | { readonly kind: "named" }
  /** POST with JSON: keys, or else the whole body as the one unnamed parameter. */
  | { readonly kind: "json" }
  /** POST with a raw body, which can only be the one unnamed parameter. */
  | { readonly kind: "raw"; readonly type: "text" | "xml" | "bytea" };

export interface ChosenRoutine {
  readonly routine: Routine;
  /** The body is the function's one unnamed parameter. */
  readonly takesBody: boolean;
}

/** @throws {RestError} PGRST202, PGRST203 */
export function findRoutine(
  cache: SchemaCache,
  schema: string,
  name: string,
  argumentNames: readonly string[],
  form: CallForm,
): ChosenRoutine {
  const candidates = cache.findRoutines(schema, name);
  const names = new Set(argumentNames);
  const matching = candidates.filter((routine) => takesArguments(routine, names, form));
  const takingBody = candidates.filter((routine) => !matching.includes(routine) && takesWholeBody(routine, form));
  const chosen = matching.length > 0 ? matching : takingBody;
  const [routine] = chosen;
  if (routine === undefined) throw notFound(cache, schema, name, [...names].sort(), form, candidates);
  if (chosen.length > 1) throw ambiguous(chosen);
  return { routine, takesBody: matching.length === 0 || (form.kind === "json" && names.has("")) };
}

/** A function's one unnamed parameter has the argument name `""`, and its value is the whole body. */
function takesArguments(routine: Routine, names: ReadonlySet<string>, form: CallForm): boolean {
  const { parameters } = routine;
  if (parameters.length === 0) return names.size === 0 && form.kind !== "raw";
  if (parameters.length === 1 && parameters[0]?.name === "" && form.kind === "raw") return false;
  const known = new Set(parameters.map((parameter) => parameter.name));
  return (
    [...names].every((name) => known.has(name)) &&
    parameters.every((parameter) => !parameter.required || names.has(parameter.name))
  );
}

function takesWholeBody({ parameters }: Routine, form: CallForm): boolean {
  const [parameter] = parameters;
  if (parameters.length !== 1 || parameter?.name !== "") return false;
  if (form.kind === "json") return parameter.type === "json" || parameter.type === "jsonb";
  return form.kind === "raw" && parameter.type === form.type;
}

function notFound(
  cache: SchemaCache,
  schema: string,
  name: string,
  names: readonly string[],
  form: CallForm,
  candidates: readonly Routine[],
): RestError {
  const qualified = `${schema}.${name}`;
  if (form.kind === "raw") {
    return restError("PGRST202", {
      message: `Could not find the function ${qualified} in the schema cache`,
      details: `Searched for the function ${qualified} with a single unnamed ${form.type} parameter, but no matches were found in the schema cache.`,
    });
  }
  const list = names.join(", ");
  const called = names.length === 0 ? `${qualified} without parameters` : `${qualified}(${list})`;
  const parameters = names.length === 0 ? "without parameters" : `with parameter${names.length > 1 ? "s" : ""} ${list}`;
  const orBody = form.kind === "json" ? " or with a single unnamed json/jsonb parameter" : "";
  return restError("PGRST202", {
    message: `Could not find the function ${called} in the schema cache`,
    details: `Searched for the function ${qualified} ${parameters}${orBody}, but no matches were found in the schema cache.`,
    hint: suggestion(cache, schema, name, list, candidates),
  });
}

/** A name less similar than this would tell of functions that the caller has nothing to do with. */
const MIN_NAME_SCORE = 0.75;

/** Another function when the name is unknown, other parameters when it is known. */
function suggestion(
  cache: SchemaCache,
  schema: string,
  name: string,
  argumentList: string,
  candidates: readonly Routine[],
): string | null {
  const [match] =
    candidates.length === 0
      ? fuzzyMatches(cache.routineNamesOf(schema), name).filter(({ score }) => score >= MIN_NAME_SCORE)
      : fuzzyMatches(candidates.map(parameterList), `(${argumentList})`);
  if (!match) return null;
  return `Perhaps you meant to call the function ${schema}.${candidates.length === 0 ? "" : name}${match.text}`;
}

function parameterList({ parameters }: Routine): string {
  return `(${parameters
    .map((parameter) => parameter.name)
    .sort()
    .join(", ")})`;
}

function ambiguous(candidates: readonly Routine[]): RestError {
  const signatures = candidates.toSorted(compareRoutines).map(({ schema, name, parameters }) => {
    const list = parameters.map((parameter) => `${parameter.name} => ${parameter.type}`).join(", ");
    return `${schema}.${name}(${list})`;
  });
  return restError("PGRST203", {
    message: `Could not choose the best candidate function between: ${signatures.join(", ")}`,
    hint: "Try renaming the parameters or the function itself in the database so function overloading can be resolved",
  });
}

/** Fewest parameters first, then by their names and types. */
function compareRoutines(left: Routine, right: Routine): number {
  const text = ({ parameters }: Routine) => parameters.map(({ name, type }) => `${name}\0${type}`).join("\0");
  return left.parameters.length - right.parameters.length || (text(left) < text(right) ? -1 : 1);
}
