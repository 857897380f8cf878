import { describe, expect, test } from "vitest";
import { isTransient, ProvisioningFailure, reasonFor, StepFailed } from "./failure.ts";

const withCode = (code: string, message = "secret detail of host db-7") => Object.assign(new Error(message), { code });

test.each([
  [withCode("ECONNREFUSED"), true],
  [new AggregateError([withCode("ECONNREFUSED"), withCode("ECONNREFUSED")]), true],
  [withCode("57P03"), true],
  [withCode("08006"), true],
  [withCode("55006"), true],
  [new Error("Connection terminated unexpectedly"), true],
  [withCode("XX000", "tuple concurrently updated"), true],
  [withCode("XX000", "cache lookup failed"), false],
  [withCode("42501"), false],
  [withCode("42P04"), false],
  [new ProvisioningFailure("no room"), false],
  ["not an error", false],
])("%s is transient: %s", (error, expected) => {
  expect(isTransient(error)).toBe(expected);
});

describe("reasonFor", () => {
  test("shows the words that were written to be shown", () => {
    expect(reasonFor(new StepFailed("place", new ProvisioningFailure("No cluster has room.")))).toBe(
      "No cluster has room.",
    );
  });
  test("says that the cluster was away", () => {
    expect(reasonFor(new StepFailed("roles", withCode("ECONNREFUSED")))).toMatch(/could not be reached/);
  });
  test("repeats nothing of another error", () => {
    const reason = reasonFor(new StepFailed("roles", withCode("42601", "syntax error at PASSWORD 'hunter2'")));
    expect(reason).toBe('The step "roles" failed. The cause is in the control plane\'s log.');
  });
});
