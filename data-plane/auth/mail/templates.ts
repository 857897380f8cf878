/** The built-in texts. A value can carry markup of a user's making, so each is escaped. */
import type { MailKind, MailVariables } from "./mailer.ts";

interface Template {
  readonly subject: string;
  readonly heading: string;
  readonly text: (values: MailVariables) => string;
  /** Label of the link; null: the code alone. */
  readonly action: string | null;
}

const TEMPLATES: Readonly<Record<MailKind, Template>> = {
  confirmation: {
    subject: "Confirm your e-mail address",
    heading: "Welcome",
    text: () => "Please confirm this address to finish signing up.",
    action: "Confirm address",
  },
  invite: {
    subject: "You are invited",
    heading: "You are invited",
    text: ({ SiteURL }) => `You are invited to create an account at ${escapeHtml(SiteURL)}.`,
    action: "Accept the invitation",
  },
  recovery: {
    subject: "Reset your password",
    heading: "Reset your password",
    text: () => "Somebody, hopefully you, asked to reset the password of this account.",
    action: "Choose a new password",
  },
  magic_link: {
    subject: "Your sign-in link",
    heading: "Sign in",
    text: () => "Follow the link to sign in.",
    action: "Sign in",
  },
  email_change: {
    subject: "Confirm your new e-mail address",
    heading: "Change of address",
    text: ({ Email, NewEmail }) =>
      `Please confirm the change from ${escapeHtml(Email)} to ${escapeHtml(NewEmail ?? "")}.`,
    action: "Confirm the change",
  },
  reauthentication: {
    subject: "Your confirmation code",
    heading: "Confirm that it is you",
    text: () => "Enter this code to go on.",
    action: null,
  },
};

export function renderMail(kind: MailKind, values: MailVariables): { subject: string; html: string } {
  const { subject, heading, text, action } = TEMPLATES[kind];
  const link = action ? `<p><a href="${escapeHtml(values.ConfirmationURL)}">${action}</a></p>` : "";
  const code = values.Token
    ? `<p>${action ? "Or enter the code" : "Code"}: <strong>${escapeHtml(values.Token)}</strong></p>`
    : "";
  return { subject, html: `<h2>${heading}</h2><p>${text(values)}</p>${link}${code}` };
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
