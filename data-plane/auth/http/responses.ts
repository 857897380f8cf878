/** The few kinds of answers the auth service gives. */
import type { ServiceResponse } from "../../service.ts";

type Header = readonly [name: string, value: string];

/** 200 with a JSON body unless another status is given. */
export function json(body: unknown, options: { status?: number; headers?: readonly Header[] } = {}): ServiceResponse {
  return {
    status: options.status ?? 200,
    headers: [["Content-Type", "application/json"], ...(options.headers ?? [])],
    body: JSON.stringify(body),
  };
}

export const noContent: ServiceResponse = { status: 204, headers: [], body: null };

/** 303: the browser follows with GET. Line breaks cannot get into the header. */
export function seeOther(location: string): ServiceResponse {
  return { status: 303, headers: [["Location", location.replace(/[\r\n]/g, "")]], body: null };
}

export const notFound: ServiceResponse = {
  status: 404,
  headers: [["Content-Type", "text/plain; charset=utf-8"]],
  body: "404 page not found\n",
};

/** @param methods Those that the path has; RFC 9110 asks for them. */
export const methodNotAllowed = (methods: readonly string[]): ServiceResponse => ({
  status: 405,
  headers: [["Allow", methods.join(", ")]],
  body: null,
});
