/** For tests: GraphQL over HTTP as a script or a browser would speak it. */
import type { ErrorCode } from "../errors.ts";

export interface GraphqlFailure {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>> & { readonly code?: ErrorCode };
}

export interface GraphqlAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: what a document selects is not known here
  readonly data: any;
  readonly errors: readonly GraphqlFailure[];
}

export class GraphqlClient {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param url Base URL of a control plane. @param credential A bearer token of any kind, or headers. */
  constructor(url: string, credential?: string | Readonly<Record<string, string>>) {
    this.#url = `${url}/graphql`;
    this.#headers = typeof credential === "string" ? { authorization: `Bearer ${credential}` } : (credential ?? {});
  }

  async request(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<GraphqlAnswer> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json", ...this.#headers },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors = [] } = (await response.json()) as Partial<Pick<GraphqlAnswer, "data" | "errors">>;
    return { status: response.status, headers: response.headers, data, errors };
  }

  /** The data. @throws with every message when there are errors. */
  // biome-ignore lint/suspicious/noExplicitAny: what a document selects is not known here
  async data(query: string, variables?: Readonly<Record<string, unknown>>): Promise<any> {
    const { data, errors } = await this.request(query, variables);
    if (errors.length > 0) throw new Error(errors.map(({ message }) => message).join("\n"));
    return data;
  }

  /** The code of the first error; null when all went well. */
  async code(query: string, variables?: Readonly<Record<string, unknown>>): Promise<ErrorCode | "unknown" | null> {
    const { errors } = await this.request(query, variables);
    return errors[0] ? (errors[0].extensions?.code ?? "unknown") : null;
  }

  /** Yields each result of a subscription; ends with it. Leave the loop, or abort, to end it from this side. */
  async *subscribe(
    query: string,
    variables: Readonly<Record<string, unknown>> = {},
    signal?: AbortSignal,
  ): AsyncGenerator<Pick<GraphqlAnswer, "data" | "errors">> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream", ...this.#headers },
      body: JSON.stringify({ query, variables }),
      ...(signal ? { signal } : {}),
    });
    let buffer = "";
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      buffer += chunk;
      const events = buffer.split("\n\n");
      buffer = events.pop() ?? "";
      for (const event of events) {
        const data = /^data: ?(.*)$/m.exec(event)?.[1];
        if (!data) continue;
        const { data: value, errors = [] } = JSON.parse(data) as Partial<GraphqlAnswer>;
        yield { data: value, errors };
      }
    }
  }
}
