import { expect, test } from "vitest";
import { redactQuery } from "./access-log.ts";

test.each([
  ["select=id&apikey=sb_secret_x&id=eq.1", "select=id&apikey=redacted&id=eq.1"],
  ["%61piKey=sb_secret_x", "%61piKey=redacted"],
  [
    "token=a&access_token=b&refresh_token=c&code=d",
    "token=redacted&access_token=redacted&refresh_token=redacted&code=redacted",
  ],
  ["X-Amz-Signature=abc&X-Amz-Date=1", "X-Amz-Signature=redacted&X-Amz-Date=1"],
  ["%E0%A4%A=secret", "%E0%A4%A=redacted"],
  ["flag&select=*", "flag&select=*"],
  ["", ""],
])("%s is logged as %s", (query, logged) => {
  expect(redactQuery(query)).toBe(logged);
});
