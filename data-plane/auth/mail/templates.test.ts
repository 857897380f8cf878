import { expect, test } from "vitest";
import { renderMail } from "./templates.ts";

const values = {
  SiteURL: "https://example.com",
  ConfirmationURL: "https://example.com/verify?token=abc&type=signup",
  Email: "a@b.c",
  Token: "123456",
  TokenHash: "abc",
  RedirectTo: "",
  Data: {},
};

test("a mail carries its link and its code", () => {
  const { html } = renderMail("confirmation", values);
  expect(html).toContain('href="https://example.com/verify?token=abc&amp;type=signup"');
  expect(html).toContain("123456");
});

test("a nonce has no link", () => {
  expect(renderMail("reauthentication", { ...values, ConfirmationURL: "" }).html).not.toContain("href");
});

test("values cannot bring markup in", () => {
  const { html } = renderMail("email_change", { ...values, NewEmail: '"><img src=x>@b.c' });
  expect(html).not.toContain("<img");
});
