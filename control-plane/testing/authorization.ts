/**
 * What the authorization test is made of: who asks, a rule for each field of the schema, and the outcome that the rule
 * means. A feature's rows stand in `<feature>.authorization.ts` beside it: it exports `authorization` (a row for each
 * field) and, when it has object types, `reachedBy`.
 */

import type { Services } from "../context.ts";
import type { Database } from "../database.ts";
import type { ErrorCode } from "../errors.ts";
import { ROLES, type Role } from "../permissions.ts";
import type { TestAccount } from "./test-control-plane.ts";

export const ACTORS = ["anonymous", "service", "stranger", ...ROLES, "instance-owner"] as const;
/** `stranger` is a member of another organization; a role is that of a member of the world's organization. */
export type Actor = (typeof ACTORS)[number];

export type Rule =
  /** Needs no credential. */
  | { readonly who: "anybody" }
  /** Any account; with `session` only by a browser session, not by an access token. */
  | { readonly who: "accounts"; readonly session?: true }
  /** Members with at least this role, and the instance owner. */
  | { readonly who: "members"; readonly least: Role }
  | { readonly who: "instance-owner"; readonly session?: true }
  /** Service tokens only. */
  | { readonly who: "services" };

/** `allowed` is any answer but the other three: a PROJECT_BUSY has passed authorization. */
export type Outcome = "allowed" | Extract<ErrorCode, "UNAUTHENTICATED" | "FORBIDDEN" | "NOT_FOUND">;

/** An organization with a running project and one account of each role, fresh for every allowed request. */
export interface World {
  readonly organizationId: string;
  readonly ref: string;
  readonly accounts: Readonly<Record<Exclude<Actor, "anonymous" | "service">, TestAccount>>;
  /** The password of every account. */
  readonly password: string;
  /** A cluster that is registered. */
  readonly clusterId: string;
  readonly database: Database;
  readonly services: Services;
}

export interface Row {
  readonly rule: Rule;
  /** A document that asks for the field with arguments that are valid in this world, as this actor would send it. */
  readonly document: (world: World, actor: Actor) => string | Promise<string>;
}

/** By `Type.field`. */
export type AuthorizationTable = Readonly<Record<string, Row>>;

/**
 * Object types that hang on guarded fields only, each with one of those: `{ Operation: "Project.operations" }`.
 * Such a type's own fields need no rows; one that is in no table fails the test.
 */
export type ReachedBy = Readonly<Record<string, string>>;

/** Pure: what an actor is to be answered. */
export function expectedOutcome(rule: Rule, actor: Actor): Outcome {
  if (rule.who === "anybody") return "allowed";
  if (actor === "anonymous") return "UNAUTHENTICATED";
  if (actor === "service") return rule.who === "services" ? "allowed" : "FORBIDDEN";
  switch (rule.who) {
    case "services":
      return "FORBIDDEN";
    case "accounts":
      return "allowed";
    case "instance-owner":
      return actor === "instance-owner" ? "allowed" : "FORBIDDEN";
    case "members":
      if (actor === "instance-owner") return "allowed";
      if (actor === "stranger") return "NOT_FOUND";
      return ROLES.indexOf(actor) >= ROLES.indexOf(rule.least) ? "allowed" : "FORBIDDEN";
  }
}

/** Shorthands for rows. */
export const members = (least: Role): Rule => ({ who: "members", least });

/** A selection on the world's project: `onProject("secrets { name }")`. */
export function onProject(selection: string): Row["document"] {
  return ({ ref }) => `{ project(ref: "${ref}") { ${selection} } }`;
}

export function onOrganization(selection: string): Row["document"] {
  return ({ organizationId }) => `{ organization(id: "${organizationId}") { ${selection} } }`;
}
