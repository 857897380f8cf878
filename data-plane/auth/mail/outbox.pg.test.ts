import { createServer, type Server } from "node:net";
import { pino } from "pino";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { DEFAULT_MAXIMA } from "../../../control-plane/client/maxima.ts";
import { type AuthWorld, createAuthWorld, type TestProject } from "../../../test/harness/auth-world.ts";
import { createProjectDatabases } from "../../database/project-databases.ts";
import { createAuthService } from "../service.ts";

interface Received {
  readonly to: string[];
  readonly text: string;
  readonly user: string | undefined;
}

const MAXIMA = { ...DEFAULT_MAXIMA, allowedTargets: ["127.0.0.0/8"] };

let world: AuthWorld;
let smtp: SMTPServer;
let port: number;
let received: Received[];
/** What the server says to the next mails. */
let answers: (Error | null)[];

beforeAll(async () => {
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onData(stream, session, done) {
      let text = "";
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      stream.on("end", () => {
        const fault = answers.shift() ?? null;
        if (!fault)
          received.push({
            to: session.envelope.rcptTo.map(({ address }) => address),
            text,
            user: session.user as string | undefined,
          });
        done(fault);
      });
    },
  });
  await new Promise<void>((listening) => smtp.listen(0, "127.0.0.1", listening));
  port = (smtp.server.address() as { port: number }).port;
  world = await createAuthWorld(inject("clusterUrl"), { capturesMails: false, maxima: MAXIMA });
});
afterAll(async () => {
  await world?.close();
  await new Promise<void>((closed) => smtp.close(closed));
});
beforeEach(() => {
  received = [];
  answers = [];
});

const server = (changes: object = {}) => ({
  mailerAutoconfirm: false,
  smtpHost: "127.0.0.1",
  smtpPort: port,
  smtpAdminEmail: "auth@shop.example",
  smtpSenderName: 'Shop "one", <b>',
  ...changes,
});

/** A further auth service over the same databases. */
function anotherProcess() {
  const databases = createProjectDatabases({ maxConnections: 5 });
  const logger = pino({ level: "silent" });
  const service = createAuthService({ databases, now: () => new Date(), logger, maxima: MAXIMA });
  return {
    look: ({ snapshot }: TestProject) =>
      service.handle(
        {
          method: "GET",
          path: "/settings",
          query: "",
          headers: {},
          body: null,
          publicUrl: snapshot.publicUrl,
          publicPath: "",
          clientAddress: "203.0.113.7",
          requestId: "test",
          signal: new AbortController().signal,
        },
        snapshot,
      ),
    async close() {
      await service.close();
      await databases.close();
    },
  };
}

interface Row {
  readonly state: string;
  readonly html: string | null;
  readonly attempts: number;
  readonly answer: string | null;
  readonly recipient: string;
}

async function outbox({ db }: TestProject): Promise<Row[]> {
  const { rows } = await db.query<Row>("select * from supalove.mails order by created_at");
  return rows;
}

const signUp = (project: TestProject, email: string) =>
  project.call("POST /signup", { body: { email, password: "correct horse battery" } });

describe("a project with a mail server", () => {
  test("sends what it has queued, and keeps no link of it", async () => {
    const project = await world.createProject(server());
    expect((await signUp(project, "ada@example.com")).status).toBe(200);
    await vi.waitFor(() => expect(received).toHaveLength(1));
    const [mail] = received;
    expect(mail?.to).toEqual(["ada@example.com"]);
    expect(mail?.text).toMatch(/^From: "Shop .*<auth@shop\.example>/m);
    expect(mail?.text).toMatch(/Subject: Confirm your e-mail address/);
    const link = /href=3D"([^"]*)"/.exec(mail?.text.replace(/=\r?\n/g, "") ?? "")?.[1]?.replaceAll("=3D", "=");
    expect(link).toContain("/auth/v1/verify?token=");
    await vi.waitFor(async () =>
      expect(await outbox(project)).toMatchObject([{ state: "sent", html: null, attempts: 1 }]),
    );
  });

  test("uses its own texts", async () => {
    const texts = {
      mailerSubjectsConfirmation: "Welcome {{ .Data.name }}",
      mailerTemplatesConfirmationContent: "<p>{{ .Data.name }}: {{ .Token }}</p>",
    };
    const project = await world.createProject(server(texts));
    const body = { email: "eve@example.com", password: "correct horse battery", data: { name: "<Eve>\r\nBcc: x@y.z" } };
    await project.call("POST /signup", { body });
    await vi.waitFor(() => expect(received).toHaveLength(1));
    expect(received[0]?.to).toEqual(["eve@example.com"]);
    const [head, text] = received[0]?.text.split("\r\n\r\n") ?? [];
    expect(head).toContain("Subject: Welcome <Eve> Bcc: x@y.z");
    expect(head).not.toMatch(/^Bcc:/m);
    expect(text).toContain("&lt;Eve&gt;");
  });

  test("tries again what was deferred, and gives up what was refused", async () => {
    const busy = Object.assign(new Error("come back later"), { responseCode: 451 });
    const unknown = Object.assign(new Error("no such mailbox"), { responseCode: 550 });
    const project = await world.createProject(server());
    answers = [busy];
    await signUp(project, "deferred@example.com");
    await vi.waitFor(async () =>
      expect(await outbox(project)).toMatchObject([
        { state: "waiting", attempts: 1, answer: expect.stringContaining("451") },
      ]),
    );
    await project.db.query("update supalove.mails set due_at = now()");
    answers = [null, unknown];
    await signUp(project, "refused@example.com"); // wakes the outbox
    await vi.waitFor(async () => {
      const rows = await outbox(project);
      expect(rows.map(({ state }) => state).sort()).toEqual(["failed", "sent"]);
    });
    expect((await outbox(project)).every(({ html }) => html === null)).toBe(true);
  });

  test("keeps the mail when the server is away, and the request succeeds", async () => {
    const gone: Server = createServer().listen(0, "127.0.0.1");
    await new Promise((listening) => gone.once("listening", listening));
    const away = (gone.address() as { port: number }).port;
    await new Promise((closed) => gone.close(closed));
    const project = await world.createProject(server({ smtpPort: away }));
    expect((await signUp(project, "ada@example.com")).status).toBe(200);
    await vi.waitFor(async () =>
      expect(await outbox(project)).toMatchObject([
        { state: "waiting", answer: expect.stringContaining("ECONNREFUSED") },
      ]),
    );
  });

  test("keeps nothing of a request that fails", async () => {
    const project = await world.createProject(server());
    await project.db.query(`create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
      create trigger refuse before insert on auth.one_time_tokens for each row execute function refuse()`);
    expect((await signUp(project, "ada@example.com")).status).toBe(500);
    expect(await outbox(project)).toEqual([]);
    expect(received).toEqual([]);
  });

  test("sends a mail once, however many processes look at the outbox", async () => {
    const project = await world.createProject(server({ smtpHost: null }));
    await signUp(project, "once@example.com");
    await project.db.query("update supalove.mails set state = 'waiting'");
    const others = Array.from({ length: 4 }, () => anotherProcess());
    project.configure({ smtpHost: "127.0.0.1" });
    await Promise.all([project.call("GET /settings"), ...others.map((other) => other.look(project))]);
    await vi.waitFor(async () => expect(await outbox(project)).toMatchObject([{ state: "sent" }]));
    expect(received).toHaveLength(1);
    await Promise.all(others.map((other) => other.close()));
  });

  test("does not send again what a process left in the middle", async () => {
    const project = await world.createProject(server({ smtpHost: null }));
    await signUp(project, "torn@example.com");
    await project.db.query("update supalove.mails set state = 'sending', due_at = now() - interval '1 minute'");
    const other = anotherProcess();
    await other.look(project);
    await vi.waitFor(async () => expect(await outbox(project)).toMatchObject([{ state: "failed", html: null }]));
    await other.close();
    expect(received).toEqual([]);
  });

  test("does not send a link that has expired", async () => {
    const project = await world.createProject(server({ smtpHost: null }));
    await signUp(project, "late@example.com");
    await project.db.query("update supalove.mails set state = 'waiting', expires_at = now() - interval '1 second'");
    project.configure({ smtpHost: "127.0.0.1" });
    await signUp(project, "next@example.com");
    await vi.waitFor(() => expect(received.map(({ to }) => to)).toEqual([["next@example.com"]]));
    expect((await outbox(project))[0]).toMatchObject({ state: "failed", html: null });
  });
});

describe("a project without a mail server", () => {
  test("keeps its mails where they can be read", async () => {
    const project = await world.createProject({ mailerAutoconfirm: false });
    await signUp(project, "ada@example.com");
    expect(await outbox(project)).toMatchObject([
      { state: "caught", recipient: "ada@example.com", html: expect.stringContaining("/auth/v1/verify?token=") },
    ]);
    const { rows } = await project.db.query(
      "select has_table_privilege(r, 'supalove.mails', 'select') as may from unnest(array['anon', 'authenticated', 'service_role', 'authenticator']) r",
    );
    expect(rows.every(({ may }) => !may)).toBe(true);
  });
});

describe("a test mail", () => {
  const send = (project: TestProject) =>
    project.call("POST /admin/mail/test", { body: { to: "op@example.com" }, bearer: project.adminToken });

  test("tells what the server said", async () => {
    const project = await world.createProject(server());
    expect(await send(project)).toMatchObject({
      status: 200,
      body: { accepted: true, answer: expect.stringMatching(/^250/) },
    });
    answers = [Object.assign(new Error("spam"), { responseCode: 554 })];
    expect(await send(project)).toMatchObject({
      status: 200,
      body: { accepted: false, answer: expect.stringMatching(/^554/) },
    });
  });

  test("needs an administrator and a mail server", async () => {
    const project = await world.createProject(server({ smtpHost: null }));
    expect((await project.call("POST /admin/mail/test", { body: { to: "a@b.cc" } })).status).toBe(401);
    expect((await send(project)).status).toBe(400);
  });

  test("reaches no address of the installation's own network", async () => {
    const own = await createAuthWorld(inject("clusterUrl"), { capturesMails: false });
    const project = await own.createProject(server());
    expect(await send(project)).toMatchObject({
      status: 200,
      body: { accepted: false, answer: "127.0.0.1 is not an address on the public Internet" },
    });
    await own.close();
    expect(received).toEqual([]);
  });

  test("does not send a password over a connection without TLS", async () => {
    const project = await world.createProject(server({ smtpUser: "shop" }));
    const { body } = await send(project);
    expect(body).toMatchObject({ accepted: false });
    expect(received).toEqual([]);
  });
});
