/** The command line's side of the GraphQL API: queries over fetch, failures as sentences. */

import type { Environment } from "../environment.ts";
import { findLocalInstance, findOwnerToken, type LocalInstance } from "../local-instance.ts";
import type { OperationText } from "./generated/operations.ts";
import { CommandError } from "./output.ts";

export interface GraphqlClient {
  /**
   * @param operation one of operations/*.graphql, or any other text, whose answer is then what the caller says it is.
   * @throws {CommandError} what the API answered, or why it could not be reached.
   */
  request<Data, Variables = Readonly<Record<string, unknown>>>(
    operation: OperationText<Data, Variables> | string,
    variables?: NoInfer<Variables>,
  ): Promise<Data>;
}

interface GraphqlAnswer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

export function createGraphqlClient(controlPlaneUrl: string, token: string): GraphqlClient {
  return {
    async request<Data>(document: string, variables: unknown = {}) {
      const response = await fetch(`${controlPlaneUrl}/graphql`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
        body: JSON.stringify({ query: document, variables }),
      }).catch((cause: unknown) => {
        throw new CommandError(`The control plane at ${controlPlaneUrl} cannot be reached. Is it running?`, { cause });
      });
      const answer = (await response.json().catch(() => ({}))) as GraphqlAnswer<Data>;
      if (answer.errors?.length) {
        const codes = answer.errors.flatMap(({ extensions }) => extensions?.code ?? []);
        throw new CommandError(answer.errors.map(({ message }) => message).join("\n"), { codes });
      }
      if (!answer.data) throw new CommandError(`The control plane answered ${response.status} without data.`);
      return answer.data;
    },
  };
}

/**
 * SUPALOVE_URL with SUPALOVE_TOKEN when given, otherwise the stack of the data folder with its owner's token.
 * @throws {CommandError} when neither is there.
 */
export function connectToControlPlane(environment: Environment): GraphqlClient {
  if (environment.controlPlaneUrl) {
    if (!environment.token)
      throw new CommandError("SUPALOVE_URL needs SUPALOVE_TOKEN, a personal access token (sbp_…).");
    return createGraphqlClient(environment.controlPlaneUrl, environment.token);
  }
  const { controlPlaneUrl } = getLocalInstance(environment);
  const token = environment.token ?? findOwnerToken(environment.dataDir);
  if (!token) throw new CommandError(`There is no owner's token in ${environment.dataDir}: set SUPALOVE_TOKEN.`);
  return createGraphqlClient(controlPlaneUrl, token);
}

/** @throws {CommandError} when no stack runs on the data folder. */
export function getLocalInstance({ dataDir }: Environment): LocalInstance {
  const instance = findLocalInstance(dataDir);
  if (instance) return instance;
  throw new CommandError(
    `No stack is running on ${dataDir}. Start it with "npm start", or set SUPALOVE_URL and SUPALOVE_TOKEN.`,
  );
}
