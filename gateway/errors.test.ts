import { expect, test } from "vitest";
import { renderError } from "./errors.ts";

const body = (...args: Parameters<typeof renderError>) => JSON.parse(renderError(...args).body);

test("each client library finds the fields that it reads", () => {
  expect(body("over_request_rate_limit", "auth")).toMatchObject({
    code: 429,
    error_code: "over_request_rate_limit",
    msg: "Request rate limit of the project reached",
  });
  expect(body("body_too_large", "storage")).toMatchObject({ statusCode: "413", error: "Payload too large" });
  expect(body("upstream_timeout", "rest")).toMatchObject({ code: "upstream_timeout", details: null, hint: null });
  expect(body("project_not_found", null)).toEqual({ code: "project_not_found", message: "Project not found" });
});

test("a status line carries the standard reason phrase, which clients compare", () => {
  expect(renderError("upstream_timeout", null).statusLine).toBe("504 Gateway Timeout");
});
