/** Answers that travel in a URL: in its fragment, in its query, or in both. Names are sorted, values form-encoded. */
import type { AuthError } from "../errors.ts";

type Fields = Readonly<Record<string, string>>;

const encode = (fields: Fields): string => {
  const parameters = new URLSearchParams(fields);
  parameters.sort();
  return parameters.toString();
};

/** Replaces the fragment. */
export function withFragment(target: string, fields: Fields): string {
  const [base] = target.split("#");
  return `${base}#${encode(fields)}`;
}

/** Adds to the query, replacing parameters of the same names; others and the fragment stay as they are. */
export function withQuery(target: string, fields: Fields): string {
  const [, base = "", query, fragment = ""] = /^([^?#]*)(?:\?([^#]*))?(#.*)?$/s.exec(target) ?? [];
  const kept = (query ?? "").split("&").filter((pair) => pair && !(decodedName(pair) in fields));
  return `${base}?${[...kept, encode(fields)].join("&")}${fragment}`;
}

function decodedName(pair: string): string {
  return [...new URLSearchParams(pair).keys()][0] ?? "";
}

/** OAuth's names for statuses. */
const ERROR_NAMES: Readonly<Record<number, string>> = {
  400: "invalid_request",
  401: "unauthorized_client",
  403: "access_denied",
  500: "server_error",
  503: "temporarily_unavailable",
};

export function errorRedirect(target: string, error: AuthError, isPkce: boolean): string {
  return both(target, isPkce, errorFields(error));
}

export function errorFields({ status, code, message }: AuthError): Fields {
  const name = ERROR_NAMES[status];
  return { ...(name ? { error: name } : {}), error_code: code, error_description: message };
}

export function messageRedirect(target: string, message: string, isPkce: boolean): string {
  return both(target, isPkce, { message });
}

/** A client of the PKCE flow reads the query, one of the implicit flow the fragment; `sb` marks it as ours. */
function both(target: string, isPkce: boolean, fields: Fields): string {
  return withFragment(isPkce ? withQuery(target, fields) : target, { ...fields, sb: "" });
}
