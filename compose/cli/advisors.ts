/** `supalove advisors`: what is often wrong in a project's database, and how it is mended. */
import { AdvisoriesDocument, type AdvisoriesQuery } from "./generated/operations.ts";
import type { GraphqlClient } from "./graphql-client.ts";
import { printJson, visible } from "./output.ts";

export interface AdvisorsOptions {
  /** Those to live with too. */
  readonly all?: boolean;
  readonly json?: boolean;
}

type Advisory = AdvisoriesQuery["project"]["advisories"][number];

/** @returns Whether something of level error was found that nobody has decided to live with. */
export async function showAdvisories(
  api: GraphqlClient,
  ref: string,
  { all, json }: AdvisorsOptions,
): Promise<boolean> {
  const { project } = await api.request(AdvisoriesDocument, { ref });
  const shown = project.advisories.filter(({ ignored }) => all || !ignored);
  if (json) printJson(shown);
  else if (shown.length === 0) console.log("Nothing was found.");
  else
    console.log(
      [...Map.groupBy(shown, ({ name }) => name).values()].map((advisories) => describe(advisories)).join("\n\n"),
    );
  return shown.some(({ level, ignored }) => level === "ERROR" && !ignored);
}

function describe(advisories: readonly Advisory[]): string {
  const [{ level, name, title, why } = {} as Advisory] = advisories;
  const lines = advisories.flatMap(({ object, fix, ignored }) => [
    `  ${visible(object)}${ignored ? ` (ignored: ${visible(ignored.reason)})` : ""}`,
    ...(fix ? [`      ${visible(fix)}`] : []),
  ]);
  return [`${level}  ${title}  [${name}]`, `  ${why}`, ...lines].join("\n");
}
