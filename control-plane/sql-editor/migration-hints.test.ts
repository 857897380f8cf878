import { expect, test } from "vitest";
import { findMigrationHint } from "./migration-hints.ts";

test.each([
  ["42501", "permission denied to alter role", "REST settings"],
  ["42501", "permission denied to create role", "anon, authenticated, service_role"],
  ["42501", "permission denied to drop role", "anon, authenticated, service_role"],
  ["42501", 'permission denied to create event trigger "et"', "dedicated project"],
  ["42501", "permission denied for table pg_db_role_setting", "--format=plain"],
  ["42501", "must be superuser to create FOR ALL TABLES publication", "List the tables"],
  ["42501", 'permission denied to create extension "dblink"', "dedicated project"],
  ["0A000", 'extension "vector" is not available', "npx supalove extension add vector"],
  ["42704", 'type "vector" does not exist', "create extension vector"],
  ["42704", 'type "extensions.vector" does not exist', "create extension vector"],
])("%s %s is explained", (sqlState, message, part) => {
  expect(findMigrationHint(sqlState, message)).toContain(part);
});

test.each([
  ["42501", "permission denied for table notes"],
  ["42704", 'type "mood" does not exist'],
  ["42601", "permission denied to create role"],
])("%s %s is left as it is", (sqlState, message) => {
  expect(findMigrationHint(sqlState, message)).toBeNull();
});
