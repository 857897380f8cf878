import { expect, test } from "vitest";
import { AuthError } from "../errors.ts";
import { errorRedirect, messageRedirect, withFragment, withQuery } from "./redirect-answers.ts";

test("a fragment replaces the one there was; names are sorted", () => {
  expect(withFragment("http://a.b/c?d=e#old", { z: "1", a: "x y" })).toBe("http://a.b/c?d=e#a=x+y&z=1");
});

test("a query keeps other parameters untouched and replaces its own", () => {
  expect(withQuery("http://a.b/c?sb_flow_id=%2F1&code=old#frag", { code: "new" })).toBe(
    "http://a.b/c?sb_flow_id=%2F1&code=new#frag",
  );
  expect(withQuery("com.app://done", { code: "1" })).toBe("com.app://done?code=1");
});

test("a failure is told in the fragment, and in the query too for PKCE", () => {
  const error = new AuthError("otp_expired", "Email link is invalid or has expired");
  const fields = "error=access_denied&error_code=otp_expired&error_description=Email+link+is+invalid+or+has+expired";
  expect(errorRedirect("http://a.b", error, false)).toBe(`http://a.b#${fields}&sb=`);
  expect(errorRedirect("http://a.b", error, true)).toBe(`http://a.b?${fields}#${fields}&sb=`);
  expect(messageRedirect("http://a.b", "Hi", false)).toBe("http://a.b#message=Hi&sb=");
});

test("what a caller sends cannot leave its field", () => {
  const error = new AuthError("validation_failed", "x&error=none#y\r\nSet-Cookie: a=b");
  expect(errorRedirect("http://a.b", error, false)).not.toMatch(/[\r\n]|error=none/);
});
