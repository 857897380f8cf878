/** `npm run schema:print`: writes schema.graphql, which is committed so that a change of the API shows in a diff. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { printedSchema } from "./schema.ts";

writeFileSync(join(import.meta.dirname, "schema.graphql"), printedSchema());
