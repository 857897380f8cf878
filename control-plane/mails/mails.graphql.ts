/** Mails of projects: what was sent or kept, how templates look, whether the mail server works. */
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { parseMailTemplate, renderMailTemplate, TemplateError } from "../client/mail-template/mail-template.ts";
import { InvalidInput } from "../errors.ts";
import { requireProject } from "../permissions.ts";
import { withProjectUsers } from "../project-users/users-session.ts";
import { changeProjectConfig } from "../projects/locked-project.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { linksOf, listMails, type SentMail } from "./mail-table.ts";
import { sendTestMail, type TestMail } from "./test-mail.ts";

const MAX_MAILS = 100;
const MAX_PASSWORD_LENGTH = 1_000;

const MailStateEnum = builder.enumType("MailState", {
  values: {
    WAITING: { value: "waiting", description: "To be sent, perhaps again after the server has deferred it." },
    SENDING: { value: "sending" },
    SENT: { value: "sent", description: "The mail server has taken it." },
    CAUGHT: { value: "caught", description: "The project has no mail server: the mail can be read here." },
    FAILED: { value: "failed", description: "Given up; `answer` says why." },
  } as const,
});

const SentMailType = builder.objectRef<SentMail>("SentMail").implement({
  description: "A mail of the project's auth service. Kept for seven days.",
  fields: (t) => ({
    id: t.exposeID("id"),
    kind: t.exposeString("kind", {
      description: "`confirmation`, `invite`, `recovery`, `magic_link`, `email_change`, `reauthentication`.",
    }),
    recipient: t.exposeString("recipient"),
    subject: t.exposeString("subject"),
    html: t.exposeString("html", {
      nullable: true,
      description: "Null once the mail was sent or given up: the link in it is a credential.",
    }),
    links: t.stringList({
      description: "Addresses that its links lead to.",
      resolve: ({ html }) => linksOf(html ?? ""),
    }),
    state: t.expose("state", { type: MailStateEnum }),
    attempts: t.exposeInt("attempts"),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    finishedAt: t.expose("finishedAt", { type: "DateTime", nullable: true }),
    answer: t.exposeString("answer", { nullable: true, description: "What the mail server said last." }),
  }),
});

const TestMailType = builder.objectRef<TestMail>("TestMail").implement({
  fields: (t) => ({
    isAccepted: t.exposeBoolean("accepted", { description: "The server has taken the mail." }),
    answer: t.exposeString("answer", { description: "What it said." }),
  }),
});

interface MailPreview {
  readonly subject: string;
  readonly html: string;
}

const MailPreviewType = builder.objectRef<MailPreview>("MailPreview").implement({
  description: "A template with made-up values.",
  fields: (t) => ({ subject: t.exposeString("subject"), html: t.exposeString("html") }),
});

builder.objectFields(ProjectType, (t) => ({
  sentMails: t.field({
    type: [SentMailType],
    description: "Newest first. Role ADMIN: the links in them sign in as their receivers.",
    args: {
      first: t.arg.int({ defaultValue: 20, description: `At most ${MAX_MAILS}.` }),
      recipient: t.arg.string({ required: false, description: "Only mails to this address." }),
    },
    complexity: ({ first }) => ({ field: 30, multiplier: Math.min(first ?? 20, MAX_MAILS) / 10 }),
    resolve: async ({ ref }, { first, recipient }, context) => {
      if (first < 1 || first > MAX_MAILS) throw new InvalidInput("first", `is 1 to ${MAX_MAILS}`);
      const mails = await withProjectUsers(context, ref, "mails.read", (session) =>
        listMails(session, first, recipient ?? null),
      );
      return [...mails];
    },
  }),
  mailPreview: t.field({
    type: MailPreviewType,
    description: "How a template of a mail looks, before it is set. Role DEVELOPER and up.",
    args: { subject: t.arg.string(), content: t.arg.string({ description: "HTML." }) },
    complexity: 5,
    resolve: async ({ ref }, { subject, content }, context) => {
      await requireProject(context, ref, "settings.read");
      const values = sampleValues(context.publicUrls.projectUrl(ref));
      return { subject: rendered("subject", subject, values, false), html: rendered("content", content, values, true) };
    },
  }),
}));

function rendered(field: string, text: string, values: Readonly<Record<string, unknown>>, isHtml: boolean): string {
  try {
    return renderMailTemplate(parseMailTemplate(text, { isHtml }), values);
  } catch (error) {
    if (error instanceof TemplateError) throw new InvalidInput(field, error.message);
    throw error;
  }
}

function sampleValues(projectUrl: string): Readonly<Record<string, unknown>> {
  return {
    SiteURL: "https://example.com",
    ConfirmationURL: `${projectUrl}/auth/v1/verify?token=sample&type=signup&redirect_to=https://example.com`,
    Email: "ada@example.com",
    NewEmail: "ada.new@example.com",
    Token: "123456",
    TokenHash: "sample",
    RedirectTo: "https://example.com",
    Data: { name: "Ada" },
  };
}

builder.mutationFields((t) => ({
  setSmtpPassword: t.field({
    type: ProjectType,
    description:
      "Sets the password at the project's mail server, or removes it; it is never shown again. The rest of the mail server's address is in the auth settings. Role ADMIN.",
    args: { ref: t.arg.id(), password: t.arg.string({ required: false, description: "Null: none." }) },
    resolve: (_root, { ref, password }, context) => {
      if (password && (password.length > MAX_PASSWORD_LENGTH || /[\u0000\r\n]/.test(password)))
        throw new InvalidInput("password", `is one line of at most ${MAX_PASSWORD_LENGTH} characters`);
      return changeProjectConfig(context, ref, "mails.manage", async (tx, { organizationId }) => {
        if (password) await context.vault.put(tx, ref, "SMTP_PASSWORD", password, { system: true });
        else await context.vault.delete(tx, ref, "SMTP_PASSWORD");
        const details = { isSet: Boolean(password) };
        await recordAudit(tx, context, { action: "smtp_password.set", organizationId, projectRef: ref, details });
      });
    },
  }),
  sendTestMail: t.field({
    type: TestMailType,
    description: "Sends a mail at once by the project's mail server and says what the server answered. Role ADMIN.",
    args: { ref: t.arg.id(), to: t.arg.string() },
    resolve: async (_root, { ref, to }, context) => {
      const project = await requireProject(context, ref, "mails.manage");
      const { organizationId } = project;
      await recordAudit(context.database, context, { action: "test_mail.send", organizationId, projectRef: ref });
      return sendTestMail(context, ref, to);
    },
  }),
}));
