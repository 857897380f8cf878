/** `supalove first-run`, in the control plane's container: how the owner gets in, as docker-compose.yml has made it. */
import { readFileSync } from "node:fs";
import { CommandError, formatFields, printJson } from "./output.ts";

interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string }[];
}

/** Prints the owner's credentials, with a new access token for the command line. @throws {CommandError} */
export async function printFirstRun(
  variables: NodeJS.ProcessEnv,
  options: { readonly isJson: boolean; readonly withToken: boolean },
): Promise<void> {
  const { SUPALOVE_OWNER_EMAIL: email, SUPALOVE_OWNER_PASSWORD_FILE: file } = variables;
  if (!email || !file) throw new CommandError("SUPALOVE_OWNER_EMAIL and SUPALOVE_OWNER_PASSWORD_FILE are not set.");
  const password = readFileSync(file, "utf8").trim();
  const port = variables.CONTROL_PLANE_PORT || "8000";
  const accessToken = options.withToken ? await createToken(`http://127.0.0.1:${port}`, email, password) : null;
  if (options.isJson) return printJson({ email, password, accessToken });
  console.log(
    formatFields([
      ["Owner's e-mail", email],
      ["Owner's password", password],
      ...(accessToken === null ? [] : ([["Access token", accessToken]] as const)),
    ]),
  );
  console.log("\nThe password is the one of the first start: change it in the dashboard.");
}

async function createToken(url: string, email: string, password: string): Promise<string> {
  const signIn = await post(
    url,
    "mutation ($email: String!, $password: String!) { signIn(email: $email, password: $password) { id } }",
    { email, password },
    "",
  );
  const cookie = signIn.headers
    .getSetCookie()
    .map((line) => line.split(";", 1)[0])
    .join("; ");
  await dataOf(signIn);
  const created = await post(url, 'mutation { createAccessToken(name: "command line") { token } }', {}, cookie);
  return (await dataOf<{ createAccessToken: { token: string } }>(created)).createAccessToken.token;
}

function post(url: string, query: string, variables: object, cookie: string): Promise<Response> {
  const headers = { "content-type": "application/json", "x-supalove-client": "cli", ...(cookie && { cookie }) };
  return fetch(`${url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
}

async function dataOf<Data>(response: Response): Promise<Data> {
  const { data, errors } = (await response.json()) as Answer<Data>;
  if (data) return data;
  const reason = errors?.map(({ message }) => message).join("\n") ?? `status ${response.status}`;
  throw new CommandError(
    `${reason}\nThe owner's password has been changed since the first start? Make a token in the dashboard.`,
  );
}
