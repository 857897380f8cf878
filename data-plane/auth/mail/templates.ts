/** The texts of mails: the project's own where it has set some, else ours. */
import type { MailTextName, MailTexts } from "../../../control-plane/client/config-snapshot.ts";
import {
  type MailTemplate,
  parseMailTemplate,
  renderMailTemplate,
  TemplateError,
} from "../../../control-plane/client/mail-template/mail-template.ts";
import type { MailKind, MailVariables } from "./mailer.ts";

interface Texts {
  readonly subject: string;
  readonly content: string;
}

const page = (heading: string, text: string, action: string) => `<h2>${heading}</h2>
<p>${text}</p>
<p><a href="{{ .ConfirmationURL }}">${action}</a></p>
<p>Or enter the code: <strong>{{ .Token }}</strong></p>`;

const BUILT_IN: Readonly<Record<MailKind, Texts>> = {
  confirmation: {
    subject: "Confirm your e-mail address",
    content: page("Welcome", "Please confirm this address to finish signing up.", "Confirm address"),
  },
  invite: {
    subject: "You are invited",
    content: page(
      "You are invited",
      "You are invited to create an account at {{ .SiteURL }}.",
      "Accept the invitation",
    ),
  },
  recovery: {
    subject: "Reset your password",
    content: page(
      "Reset your password",
      "Somebody, hopefully you, asked to reset the password of this account.",
      "Choose a new password",
    ),
  },
  magic_link: {
    subject: "Your sign-in link",
    content: page("Sign in", "Follow the link to sign in.", "Sign in"),
  },
  email_change: {
    subject: "Confirm your new e-mail address",
    content: page(
      "Change of address",
      "Please confirm the change from {{ .Email }} to {{ .NewEmail }}.",
      "Confirm the change",
    ),
  },
  reauthentication: {
    subject: "Your confirmation code",
    content: `<h2>Confirm that it is you</h2>
<p>Enter this code to go on.</p>
<p>Code: <strong>{{ .Token }}</strong></p>`,
  },
};

const NAMES: Readonly<Record<MailKind, MailTextName>> = {
  confirmation: "Confirmation",
  invite: "Invite",
  recovery: "Recovery",
  magic_link: "MagicLink",
  email_change: "EmailChange",
  reauthentication: "Reauthentication",
};

const MAX_SUBJECT_LENGTH = 500;

export function renderMail(
  kind: MailKind,
  values: MailVariables,
  settings: MailTexts,
): { readonly subject: string; readonly html: string } {
  const name = NAMES[kind];
  const builtIn = BUILT_IN[kind];
  const subject = render(settings[`mailerSubjects${name}`] || builtIn.subject, builtIn.subject, values, false);
  return {
    // A line break would begin another header.
    subject: subject.replace(/[\r\n]+/g, " ").slice(0, MAX_SUBJECT_LENGTH),
    html: render(settings[`mailerTemplates${name}Content`] || builtIn.content, builtIn.content, values, true),
  };
}

/** A template was looked at when it was set; one that cannot be rendered with these values gives way to ours. */
function render(text: string, builtIn: string, values: MailVariables, isHtml: boolean): string {
  const fields = values as unknown as Readonly<Record<string, unknown>>;
  try {
    return renderMailTemplate(parsed(text, isHtml), fields);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return renderMailTemplate(parsed(builtIn, isHtml), fields);
  }
}

function parsed(text: string, isHtml: boolean): MailTemplate {
  return parseMailTemplate(text, { isHtml });
}
