/** Mails on the first evening: without a mail server the links are kept, read by the command line, and work. */
import { createClient } from "@supabase/supabase-js";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createGraphqlClient, type GraphqlClient } from "../../compose/cli/graphql-client.ts";
import { findLocalInstance, findOwnerToken } from "../../compose/local-instance.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const dataDir = temporaryDataDir();
let stack: Stack;
let project: CreatedProject;
let api: GraphqlClient;

beforeAll(async () => {
  stack = await startStack(dataDir, { SUPALOVE_ALLOWED_TARGETS: "127.0.0.0/8" });
  project = await createProject(dataDir, "mails");
  api = createGraphqlClient(findLocalInstance(dataDir)?.controlPlaneUrl ?? "", findOwnerToken(dataDir) ?? "");
  await setAuth({ mailerAutoconfirm: false, siteUrl: "https://app.example", smtpMaxFrequencySeconds: 0 });
});
afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
});

async function setAuth(settings: object): Promise<void> {
  await api.request(
    "mutation ($ref: ID!, $settings: AuthSettingsInput!) { updateAuthSettings(ref: $ref, settings: $settings) { ref } }",
    { ref: project.ref, settings },
  );
}

const connect = () => createClient(project.url, project.anonKey, { auth: { persistSession: false } });

interface ListedMail {
  readonly kind: string;
  readonly recipient: string;
  readonly links: readonly string[];
  readonly state: string;
  readonly subject: string;
}

async function mailsTo(address: string): Promise<readonly ListedMail[]> {
  const { stdout, code, stderr } = await supalove(dataDir, ["mails", project.ref, "--to", address, "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as ListedMail[];
}

/** Follows the mail's link as a browser does, and answers where it leads. */
async function follow(link: string | undefined): Promise<URL> {
  const response = await fetch(link ?? "", { redirect: "manual" });
  expect(response.status).toBe(303);
  return new URL(response.headers.get("location") ?? "");
}

test("a sign-up is confirmed by the link that the command line shows, once", async () => {
  const supabase = connect();
  const credentials = { email: "ada@example.com", password: "correct horse battery" };
  expect((await supabase.auth.signUp(credentials)).error).toBeNull();
  expect((await supabase.auth.signInWithPassword(credentials)).error?.code).toBe("email_not_confirmed");
  const [mail] = await mailsTo("ada@example.com");
  expect(mail).toMatchObject({ kind: "confirmation", state: "CAUGHT" });
  expect(mail?.links[0]).toMatch(new RegExp(`^${project.url}/auth/v1/verify\\?token=`));
  const target = await follow(mail?.links[0]);
  expect(target.origin).toBe("https://app.example");
  expect(target.hash).toContain("access_token=");
  expect((await follow(mail?.links[0])).hash).toContain("error_code=otp_expired");
  expect((await supabase.auth.signInWithPassword(credentials)).error).toBeNull();
});

test("links of recovery, magic links and invitations sign in", async () => {
  const supabase = connect();
  const admin = createClient(project.url, project.serviceRoleKey, { auth: { persistSession: false } });
  expect((await supabase.auth.resetPasswordForEmail("ada@example.com")).error).toBeNull();
  expect((await admin.auth.admin.inviteUserByEmail("guest@example.com")).error).toBeNull();
  expect((await supabase.auth.signInWithOtp({ email: "new@example.com" })).error).toBeNull();
  for (const [address, kind] of [
    ["ada@example.com", "recovery"],
    ["guest@example.com", "invite"],
    ["new@example.com", "confirmation"],
  ] as const) {
    const [mail] = await mailsTo(address);
    expect(mail?.kind).toBe(kind);
    expect((await follow(mail?.links[0])).hash).toContain("access_token=");
  }
});

test("with a mail server and texts of one's own the mail arrives, its password is sealed, and a test mail tells what was said", async () => {
  const received: { user: string | undefined; text: string }[] = [];
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS", "AUTH"],
    onData(stream, session, done) {
      let text = "";
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      stream.on("end", () => {
        received.push({ user: session.user as string | undefined, text });
        done();
      });
    },
  });
  await new Promise<void>((listening) => smtp.listen(0, "127.0.0.1", listening));
  try {
    const { port } = smtp.server.address() as { port: number };
    await setAuth({
      smtpHost: "127.0.0.1",
      smtpPort: port,
      smtpAdminEmail: "auth@shop.example",
      mailerSubjectsRecovery: "A new password for {{ .Email }}",
      mailerTemplatesRecoveryContent: '<a href="{{ .SiteURL }}/reset?hash={{ .TokenHash }}">Reset</a>',
    });
    await expect(setAuth({ mailerTemplatesRecoveryContent: "{{ if .Email }}" })).rejects.toThrow(/no \{\{ end \}\}/);
    const tested = await supalove(dataDir, ["mails", project.ref, "--test", "op@example.com"]);
    expect([tested.code, tested.stdout]).toEqual([0, expect.stringContaining("250")]);
    expect((await connect().auth.resetPasswordForEmail("ada@example.com")).error).toBeNull();
    await vi.waitFor(() => expect(received).toHaveLength(2), 10_000);
    expect(received[1]?.text).toContain("Subject: A new password for ada@example.com");
    expect(received[1]?.text).toMatch(/https:\/\/app\.example\/reset\?hash/);
    await vi.waitFor(async () =>
      expect((await mailsTo("ada@example.com"))[0]).toMatchObject({ state: "SENT", links: [] }),
    );
    await api.request('mutation ($ref: ID!) { setSmtpPassword(ref: $ref, password: "a secret") { ref } }', {
      ref: project.ref,
    });
    const { project: shown } = await api.request<{ project: { secrets: { name: string }[] } }>(
      "query ($ref: ID!) { project(ref: $ref) { secrets { name } } }",
      { ref: project.ref },
    );
    expect(shown.secrets.map(({ name }) => name)).not.toContain("SMTP_PASSWORD");
    expect(stack.output()).not.toContain("new@example.com");
  } finally {
    await new Promise<void>((closed) => smtp.close(closed));
  }
});
