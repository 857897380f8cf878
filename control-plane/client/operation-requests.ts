/** GraphQL operations to the control plane over HTTP, with the service token of a gateway or service. */
import type { OperationText } from "./generated/operations.ts";

/** The control plane could not be asked, or refused; the message never holds the token. */
export class ConfigUnavailable extends Error {}

export interface ControlPlaneAccess {
  /** Such as `http://localhost:8000`. */
  readonly controlPlaneUrl: string;
  /** A service token `sbsvc_…` of the audience. */
  readonly token: string;
}

export type PostOperation = <Data, Variables>(
  operation: OperationText<Data, Variables>,
  variables: Variables,
  accept: string,
  signal: AbortSignal,
) => Promise<Response>;

/** @returns A function that resolves with a response of status 2xx. @throws {ConfigUnavailable} */
export function createOperationRequests({ controlPlaneUrl, token }: ControlPlaneAccess): PostOperation {
  const endpoint = new URL("graphql", `${controlPlaneUrl.replace(/\/+$/, "")}/`);
  return async (operation, variables, accept, signal) => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", accept, authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: operation, variables }),
      redirect: "error", // the token goes to this one place
      signal,
    }).catch((cause: unknown) => {
      throw new ConfigUnavailable(`the control plane at ${endpoint.origin} does not answer`, { cause });
    });
    if (response.ok) return response;
    throw new ConfigUnavailable(`the control plane refused: ${response.status} ${await refusalOf(response)}`);
  };
}

interface GraphqlResult {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string }[];
}

/**
 * The answer's data.
 * @param _operation gives the type of its answer.
 * @throws {ConfigUnavailable} when it is an error.
 */
export function dataOf<Data, Variables>(_operation: OperationText<Data, Variables>, result: unknown): Data {
  const { data, errors } = result as GraphqlResult;
  if (errors?.[0] || !data)
    throw new ConfigUnavailable(`the control plane refused: ${errors?.[0]?.message ?? "no data"}`);
  return data as Data;
}

/** What a refusal says, as far as it can be read. */
export async function refusalOf(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  try {
    return (JSON.parse(text) as GraphqlResult).errors?.[0]?.message ?? "";
  } catch {
    return text.slice(0, 200);
  }
}

/** For a body that is not to be read. @throws {ConfigUnavailable} always. */
export function unreadable(cause: unknown): never {
  throw new ConfigUnavailable("the control plane's answer broke off", { cause });
}
