import { readFileSync } from "node:fs";

const text = readFileSync(new URL("config.graphql", import.meta.url), "utf8");
const [query = "", subscription = ""] = text.split(/(?=^subscription)/m);
export const LOOK_UP_PROJECT_CONFIGS = query;
export const FOLLOW_PROJECT_CONFIGS = subscription;
