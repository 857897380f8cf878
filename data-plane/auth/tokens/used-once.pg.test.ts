/** Whatever is good once is good for one of any number who present it at the same moment. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import {
  type Answer,
  type AuthWorld,
  createAuthWorld,
  PASSWORD,
  type TestProject,
} from "../../../test/harness/auth-world.ts";
import { totpCode, totpStep } from "../mfa/totp.ts";

const AT_ONCE = 20;
let world: AuthWorld;
let project: TestProject;
let counter = 0;
let email: string;

beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject({
    mailerAutoconfirm: false,
    mailerSecureEmailChangeEnabled: false,
    updatePasswordRequireReauthentication: true,
    rateLimitEmailSent: 10_000,
  });
});
afterAll(() => world.close());
beforeEach(() => {
  counter += 1;
  email = `once-${counter}@example.com`;
});

const call = (target: string, body?: unknown, bearer?: string) =>
  project.call(target, {
    ...(body === undefined ? {} : { body }),
    ...(bearer ? { bearer } : {}),
    clientAddress: `198.51.100.${counter}`,
  });
const mail = () => {
  const last = project.mails.at(-1);
  if (!last) throw new Error("no mail was sent");
  return last.variables;
};
const together = (present: (index: number) => Promise<Answer>) =>
  Promise.all(Array.from({ length: AT_ONCE }, (_, index) => present(index)));
const signUp = () => call("POST /signup", { email, password: PASSWORD });
async function confirmed(): Promise<{ access_token: string; refresh_token: string; user: { id: string } }> {
  await signUp();
  const { body } = await call("POST /verify", { type: "signup", email, token: mail().Token });
  world.advance(120);
  return body;
}
const isSession = ({ status, body, headers }: Answer) =>
  (status === 200 && typeof body.access_token === "string") || (headers.location ?? "").includes("access_token=");

describe(`of ${AT_ONCE} at once one is let in by`, () => {
  test("the token of a confirmation's link", async () => {
    await signUp();
    const { TokenHash: token_hash } = mail();
    const answers = await together(() => call("POST /verify", { type: "signup", token_hash }));
    expect(answers.filter(isSession)).toHaveLength(1);
    expect(answers.filter(({ body }) => body.code === "otp_expired")).toHaveLength(AT_ONCE - 1);
  });

  test("the code of a confirmation", async () => {
    await signUp();
    const { Token: token } = mail();
    const answers = await together(() => call("POST /verify", { type: "email", email, token }));
    expect(answers.filter(isSession)).toHaveLength(1);
  });

  test.each(["recovery", "magiclink"])("a link of type %s that is opened, or shown with its code", async (type) => {
    await confirmed();
    await call(`POST /${type === "recovery" ? "recover" : "magiclink"}`, { email });
    const { TokenHash: hash, Token: token } = mail();
    const answers = await together((index) =>
      index % 2 === 0
        ? call(`GET /verify?token=${hash}&type=${type}&redirect_to=x`)
        : call("POST /verify", { type, email, token }),
    );
    expect(answers.filter(isSession)).toHaveLength(1);
  });

  test("an invitation", async () => {
    await project.call("POST /invite", { body: { email }, bearer: project.adminToken });
    const { TokenHash: token_hash } = mail();
    const answers = await together(() => call("POST /verify", { type: "invite", token_hash }));
    expect(answers.filter(isSession)).toHaveLength(1);
  });

  test("the link of an address change", async () => {
    const { access_token } = await confirmed();
    await call("PUT /user", { email: `new-${email}` }, access_token);
    const { TokenHash: token_hash } = mail();
    const answers = await together(() => call("POST /verify", { type: "email_change", token_hash }));
    expect(answers.filter(isSession)).toHaveLength(1);
  });

  test("a PKCE code", async () => {
    await confirmed();
    const verifier = randomBytes(32).toString("base64url");
    const code_challenge = createHash("sha256").update(verifier).digest("base64url");
    await call("POST /recover", { email, code_challenge, code_challenge_method: "s256" });
    const { TokenHash: hash } = mail();
    const opened = await together(() => call(`GET /verify?token=${hash}&type=recovery&redirect_to=x`));
    const codes = opened.flatMap(({ headers }) => /[?&]code=([\w-]+)/.exec(headers.location ?? "")?.[1] ?? []);
    expect(codes).toHaveLength(1);
    const exchanged = await together(() =>
      call("POST /token?grant_type=pkce", { auth_code: codes[0], code_verifier: verifier }),
    );
    expect(exchanged.filter(isSession)).toHaveLength(1);
  });

  test("the answer to a challenge, and a TOTP code in challenges of its own", async () => {
    const { access_token } = await confirmed();
    const factor = (await call("POST /factors", { factor_type: "totp", friendly_name: "a" }, access_token)).body;
    const challenge = async () => (await call(`POST /factors/${factor.id}/challenge`, {}, access_token)).body.id;
    const code = totpCode(factor.totp.secret, totpStep(world.now()));
    const [first, second, third] = [await challenge(), await challenge(), await challenge()];
    const answers = await together((index) =>
      call(
        `POST /factors/${factor.id}/verify`,
        { challenge_id: [first, second, third][index % 3], code },
        access_token,
      ),
    );
    expect(answers.filter(isSession)).toHaveLength(1);
  });

  test("a stored refresh token, of which no second use is forgiven", async () => {
    const { refresh_token } = await confirmed();
    const answers = await together(() => call("POST /token?grant_type=refresh_token", { refresh_token }));
    const successors = new Set(answers.filter(isSession).map(({ body }) => body.refresh_token));
    expect(successors.size).toBe(1); // within the reuse interval all are given the same successor
    world.advance(3600);
    expect((await call("POST /token?grant_type=refresh_token", { refresh_token: [...successors][0] })).status).toBe(
      200,
    );
  });
});

test("a nonce is good for one change of the password", async () => {
  const { user } = await confirmed();
  await project.db.query("update auth.sessions set created_at = now() - interval '2 days' where user_id = $1", [
    user.id,
  ]);
  const { body } = await call("POST /token?grant_type=password", { email, password: PASSWORD });
  await project.db.query("update auth.sessions set created_at = now() - interval '2 days' where user_id = $1", [
    user.id,
  ]);
  await call("GET /reauthenticate", undefined, body.access_token);
  const { Token: nonce } = mail();
  const answers = await Promise.all(
    Array.from({ length: 5 }, (_, index) =>
      call("PUT /user", { password: `another password ${index}`, nonce }, body.access_token),
    ),
  );
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
});
