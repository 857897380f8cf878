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
  const { html } = renderMail("confirmation", values, {});
  expect(html).toContain('href="https://example.com/verify?token=abc&amp;type=signup"');
  expect(html).toContain("123456");
});

test("a nonce has no link", () => {
  expect(renderMail("reauthentication", { ...values, ConfirmationURL: "" }, {}).html).not.toContain("href");
});

test("values cannot bring markup in", () => {
  const { html } = renderMail("email_change", { ...values, NewEmail: '"><img src=x>@b.c' }, {});
  expect(html).not.toContain("<img");
});

test("a project's own texts come first, and its subject is one line", () => {
  const settings = {
    mailerSubjectsRecovery: "Hello {{ .Data.name }}",
    mailerTemplatesRecoveryContent: '<a href="{{ .ConfirmationURL }}">{{ .Data.name }}</a>',
  };
  const mail = renderMail("recovery", { ...values, Data: { name: "Ada\r\nBcc: x" } }, settings);
  expect(mail.subject).toBe("Hello Ada Bcc: x");
  expect(mail.html).toMatch(/^<a href="https:.*">Ada\r\nBcc: x<\/a>$/);
});

test("texts that cannot be rendered with a user's values give way to ours", () => {
  const settings = {
    mailerTemplatesRecoveryContent: "{{ range .Data.list }}{{ range $.Data.list }}x{{ end }}{{ end }}",
  };
  const list = Array.from({ length: 2_000 }, (_, index) => index);
  expect(renderMail("recovery", { ...values, Data: { list } }, settings).html).toContain("Reset your password");
});
