import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Project.sentMails": { rule: members("admin"), document: onProject("sentMails { id }") },
  "Project.mailPreview": {
    rule: members("developer"),
    document: onProject('mailPreview(subject: "x", content: "x") { html }'),
  },
  "Mutation.setSmtpPassword": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { setSmtpPassword(ref: "${ref}", password: "x") { ref } }`,
  },
  "Mutation.sendTestMail": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { sendTestMail(ref: "${ref}", to: "a@example.com") { isAccepted } }`,
  },
};

export const reachedBy: ReachedBy = {
  SentMail: "Project.sentMails",
  MailPreview: "Project.mailPreview",
  TestMail: "Mutation.sendTestMail",
};
