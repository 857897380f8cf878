/** `npm run reference:print` */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { printReference, REFERENCE_PATH } from "./reference.ts";

writeFileSync(resolve(import.meta.dirname, "..", REFERENCE_PATH), printReference());
