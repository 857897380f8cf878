/** A stranger who guesses, from as many addresses as he likes: what can be guessed is limited by what it opens. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type AuthWorld, createAuthWorld, PASSWORD, type TestProject } from "../../../test/harness/auth-world.ts";
import { totpCode, totpStep } from "../mfa/totp.ts";

let world: AuthWorld;
let project: TestProject;
let calls = 0;

beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject({ rateLimitsEnabled: true, rateLimitEmailSent: 10_000 });
});
afterAll(() => world.close());

/** Each time from an address of its own. */
const call = (target: string, body: unknown, bearer?: string) => {
  calls += 1;
  const clientAddress = `10.${(calls >> 16) & 255}.${(calls >> 8) & 255}.${calls & 255}`;
  return project.call(target, { body, ...(bearer ? { bearer } : {}), clientAddress });
};
const lastMail = () => project.mails.at(-1)?.variables ?? { Token: "", TokenHash: "" };

test("who knows the code of a mail does not know its link: no hash of address and code opens anything", async () => {
  const { email } = await project.signUp();
  await call("POST /recover", { email });
  const { Token: code, TokenHash: hash } = lastMail();
  expect(Buffer.from(hash ?? "", "hex").length).toBe(32);
  for (const algorithm of ["sha224", "sha256", "sha1", "md5"]) {
    const token_hash = createHash(algorithm)
      .update(email + code)
      .digest("hex");
    expect((await call("POST /verify", { type: "recovery", token_hash })).body.code).toBe("otp_expired");
  }
  expect((await call("POST /verify", { type: "recovery", token_hash: hash })).status).toBe(200);
});

test("codes for one mailbox are guessed ten times, from any number of addresses", async () => {
  const { email } = await project.signUp();
  await call("POST /recover", { email });
  const wrong = String((Number(lastMail().Token) + 1) % 1_000_000).padStart(6, "0");
  const guesses = await Promise.all(
    Array.from({ length: 60 }, () => call("POST /verify", { type: "recovery", email, token: wrong })),
  );
  expect(guesses.filter(({ status }) => status !== 429)).toHaveLength(10);
  expect((await call("POST /verify", { type: "recovery", email, token: lastMail().Token })).status).toBe(429);
});

test("TOTP codes of one factor are guessed five times a minute, from any number of addresses", async () => {
  const { accessToken: bearer } = await project.signUp();
  const factor = (await call("POST /factors", { factor_type: "totp", friendly_name: "a" }, bearer)).body;
  const address = { clientAddress: "192.0.2.1" };
  const challenge = await project.call(`POST /factors/${factor.id}/challenge`, { body: {}, bearer, ...address });
  const guess = (code: string) =>
    call(`POST /factors/${factor.id}/verify`, { challenge_id: challenge.body.id, code }, bearer);
  const right = totpCode(factor.totp.secret, totpStep(world.now()));
  const wrong = right === "000000" ? "000001" : "000000";
  const guesses = await Promise.all(Array.from({ length: 40 }, () => guess(wrong)));
  expect(guesses.filter(({ status }) => status !== 429)).toHaveLength(5);
  expect((await guess(right)).body.code).toBe("over_request_rate_limit");
});

test("passwords of one account are limited too, and a right one in time is none of the guesses", async () => {
  const { email } = await project.signUp();
  const signIn = (password: string) => call("POST /token?grant_type=password", { email, password });
  expect((await signIn(PASSWORD)).status).toBe(200);
  const attempts = await Promise.all(Array.from({ length: 110 }, () => signIn("wrong")));
  expect(attempts.filter(({ body }) => body.code === "over_request_rate_limit").length).toBeGreaterThanOrEqual(10);
  expect((await signIn(PASSWORD)).status).toBe(429);
});

test("a host with a whole /64 of IPv6 is one client", async () => {
  const from = (index: number) =>
    project.call("POST /verify", {
      body: { type: "recovery", token_hash: "no such token" },
      clientAddress: `2001:db8:1:2:${index.toString(16)}::1`,
    });
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => from(index)));
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
  const other = await project.call("POST /verify", {
    body: { type: "recovery", token_hash: "no such token" },
    clientAddress: "2001:db8:1:3::1",
  });
  expect(other.status).toBe(403);
});

test.each([
  ["/recover", {}],
  ["/otp", {}],
  ["/magiclink", {}],
  ["/resend", { type: "signup" }],
  ["/resend", { type: "email_change" }],
])(
  "%s %j answers the same for an address that is known and one that is not, however often it is asked",
  async (path, extra) => {
    const quiet = await world.createProject({
      mailerAutoconfirm: false,
      rateLimitsEnabled: true,
      rateLimitEmailSent: 3,
    });
    // Mails are counted by the hour, which must not end in between.
    world.advance(3_600 - (Math.floor(world.now().getTime() / 1_000) % 3_600));
    const ask = async (email: string) => {
      const { status, body } = await quiet.call(`POST ${path}`, { body: { email, ...extra } });
      return [status, body];
    };
    await quiet.call("POST /signup", { body: { email: "known@example.com", password: PASSWORD } });
    await quiet.call("POST /verify", {
      body: { type: "signup", email: "known@example.com", token: quiet.mails.at(-1)?.variables.Token },
    });
    world.advance(120);
    for (let round = 0; round < 3; round++) {
      const [known, unknown] = [await ask("known@example.com"), await ask(`unknown${path.slice(1)}@example.com`)];
      expect(known).toEqual(unknown);
      world.advance(round === 1 ? 61 : 0);
    }
  },
);
