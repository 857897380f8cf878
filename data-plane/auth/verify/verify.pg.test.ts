import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import {
  type AuthWorld,
  claimsOf,
  createAuthWorld,
  PASSWORD,
  type TestProject,
} from "../../../test/harness/auth-world.ts";

let world: AuthWorld;
let project: TestProject;
let counter = 0;
let email: string;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject({
    mailerAutoconfirm: false,
    phoneEnabled: true,
    uriAllowList: ["https://app.example.com/**"],
    smtpMaxFrequencySeconds: 1,
  });
});
afterAll(() => world.close());
beforeEach(() => {
  counter += 1;
  email = `link-${counter}@example.com`;
});

const post = (target: string, body: unknown, bearer?: string) =>
  project.call(`POST ${target}`, { body, ...(bearer ? { bearer } : {}) });
const lastMail = () => {
  const mail = project.mails.at(-1);
  if (!mail) throw new Error("no mail was sent");
  return mail;
};
const open = (link: string) => {
  const url = new URL(link);
  return project.call(`GET /verify${url.search}`);
};
const fragmentOf = (location = "") => Object.fromEntries(new URLSearchParams(location.split("#")[1] ?? ""));
const signUp = (extra: object = {}) => post("/signup", { email, password: PASSWORD, ...extra });
const confirmed = async () => {
  await signUp();
  const answer = await post("/verify", { type: "signup", email, token: lastMail().variables.Token });
  world.advance(2);
  return answer.body as { access_token: string; refresh_token: string; user: { id: string } };
};
const expired = { code: "otp_expired", message: "Token has expired or is invalid" };

describe("confirming a sign-up", () => {
  test("the code confirms the address and signs in, once", async () => {
    await signUp();
    const { Token: token } = lastMail().variables;
    const { status, body } = await post("/verify", { type: "signup", email: email.toUpperCase(), token });
    expect(status).toBe(200);
    expect(body.user).toMatchObject({
      email_confirmed_at: expect.any(String),
      user_metadata: { email_verified: true },
    });
    expect(body.user.identities[0].identity_data.email_verified).toBe(true);
    expect(claimsOf(body.access_token).amr).toMatchObject([{ method: "otp" }]);
    const again = await post("/verify", { type: "signup", email, token });
    expect([again.status, again.body]).toEqual([403, expired]);
  });

  test("two at the same moment get one session between them", async () => {
    await signUp();
    const { Token: token } = lastMail().variables;
    const answers = await Promise.all([1, 2, 3].map(() => post("/verify", { type: "email", email, token })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 403, 403]);
  });

  test("the link redirects with tokens in the fragment, names sorted", async () => {
    await signUp();
    const { status, headers } = await open(lastMail().variables.ConfirmationURL);
    expect(status).toBe(303);
    const { location = "" } = headers;
    expect(location.startsWith("http://localhost:3000#access_token=")).toBe(true);
    const fields = fragmentOf(location);
    expect(Object.keys(fields)).toEqual([
      "access_token",
      "expires_at",
      "expires_in",
      "refresh_token",
      "sb",
      "token_type",
      "type",
    ]);
    expect(fields.type).toBe("signup");
    expect((await project.call("GET /user", { bearer: fields.access_token ?? "" })).body.email).toBe(email);
  });

  test("the hash of the link works by POST, with its type alone", async () => {
    await signUp();
    const { TokenHash: token_hash } = lastMail().variables;
    expect((await post("/verify", { type: "signup", token_hash, email })).body.message).toBe(
      "Only the token_hash and type should be provided",
    );
    expect((await post("/verify", { type: "signup", token_hash })).status).toBe(200);
    const again = await post("/verify", { type: "signup", token_hash });
    expect(again.body).toEqual({ code: "otp_expired", message: "Email link is invalid or has expired" });
  });

  test("after its time neither form works", async () => {
    await signUp();
    const { Token: token, ConfirmationURL } = lastMail().variables;
    world.advance(3601);
    expect((await post("/verify", { type: "signup", email, token })).body).toEqual(expired);
    const { headers } = await open(ConfirmationURL);
    expect(fragmentOf(headers.location)).toEqual({
      error: "access_denied",
      error_code: "otp_expired",
      error_description: "Email link is invalid or has expired",
      sb: "",
    });
  });

  test("a link is not consumed by HEAD, as scanners send it", async () => {
    await signUp();
    const { ConfirmationURL } = lastMail().variables;
    expect((await project.call(`HEAD /verify${new URL(ConfirmationURL).search}`)).status).toBe(405);
    expect((await open(ConfirmationURL)).headers.location).toContain("access_token");
  });

  test("a code for one purpose is worth nothing for another, nor for another address", async () => {
    await signUp();
    const { Token: token } = lastMail().variables;
    for (const type of ["recovery", "magiclink", "email_change"]) {
      expect((await post("/verify", { type, email, token })).body).toEqual(expired);
    }
    expect((await post("/verify", { type: "signup", email: "nobody@example.com", token })).body).toEqual(expired);
    expect((await post("/verify", { type: "signup", email, token })).status).toBe(200);
  });

  test("a banned user is not let in", async () => {
    await signUp();
    await project.db.query("update auth.users set banned_until = now() + interval '9 days' where email = $1", [email]);
    const answer = await post("/verify", { type: "signup", email, token: lastMail().variables.Token });
    expect([answer.status, answer.body.code]).toEqual([403, "user_banned"]);
  });
});

describe("asking wrongly", () => {
  test.each([
    [{}, 400, "Verify requires a verification type"],
    [{ type: "signup" }, 400, "Verify requires either a token or a token hash"],
    [{ type: "signup", token: "1", token_hash: "2" }, 400, "Verify requires either a token or a token hash"],
    [{ type: "signup", token: "1" }, 400, "Only an email address or phone number should be provided on verify"],
    [{ type: "signup", token: "1", email: "x" }, 422, "Invalid email format"],
    [{ type: "sms", token: "1", phone: "abc" }, 400, "Invalid phone number format (E.164 required)"],
    [{ type: "sms", token: "123456", phone: "491700000" }, 403, "Token has expired or is invalid"],
    [{ type: "phone_change", token: "123456", phone: "491700000" }, 403, "Token has expired or is invalid"],
  ])("%j is %i %s", async (body, status, message) => {
    const answer = await post("/verify", body);
    expect([answer.status, answer.body.message]).toEqual([status, message]);
  });

  test("a link without token or type is told so as JSON, one with a NUL is no failure of the server", async () => {
    expect((await project.call("GET /verify?token=x")).status).toBe(400);
    expect((await project.call("GET /verify?type=signup")).status).toBe(400);
    const nul = await project.call("GET /verify?type=signup&token=%00");
    expect(fragmentOf(nul.headers.location).error_code).toBe("validation_failed");
  });

  test("a redirect that is not allowed falls back to the site, in the mail and at the link", async () => {
    await project.call("POST /signup?redirect_to=https://evil.com/x", { body: { email, password: PASSWORD } });
    const { ConfirmationURL, TokenHash } = lastMail().variables;
    expect(new URL(ConfirmationURL).searchParams.get("redirect_to")).toBe("http://localhost:3000");
    const { headers } = await project.call(`GET /verify?token=${TokenHash}&type=signup&redirect_to=https://evil.com`);
    expect(headers.location).toMatch(/^http:\/\/localhost:3000#/);
  });

  test("an allowed redirect is kept with its query", async () => {
    const target = encodeURIComponent("https://app.example.com/done?sb_flow_id=a&x=1");
    await project.call(`POST /signup?redirect_to=${target}`, { body: { email, password: PASSWORD } });
    const { headers } = await open(lastMail().variables.ConfirmationURL);
    expect(headers.location).toMatch(/^https:\/\/app\.example\.com\/done\?sb_flow_id=a&x=1#access_token=/);
  });
});

describe("recovering and signing in by mail", () => {
  test("an unknown address gets the same answer and no mail", async () => {
    const before = project.mails.length;
    const answers = await Promise.all([
      post("/recover", { email }),
      post("/resend", { type: "signup", email }),
      post("/resend", { type: "sms", phone: "491700000" }),
    ]);
    for (const { status, body } of answers) expect([status, body]).toEqual([200, {}]);
    expect(project.mails).toHaveLength(before);
  });

  test("a recovery signs in, and too many requests are told to wait", async () => {
    await confirmed();
    expect((await post("/recover", { email })).body).toEqual({});
    const { kind, variables } = lastMail();
    expect([kind, new URL(variables.ConfirmationURL).searchParams.get("type")]).toEqual(["recovery", "recovery"]);
    expect((await post("/recover", { email })).body.code).toBe("over_email_send_rate_limit");
    const { status, body } = await post("/verify", { type: "recovery", email, token: variables.Token });
    expect([status, body.user.email]).toEqual([200, email]);
  });

  test("a link for a new address makes a user who has yet to confirm", async () => {
    expect((await post("/otp", { email, data: { name: "Ann" } })).body).toEqual({});
    expect(lastMail().kind).toBe("confirmation");
    const { body } = await post("/verify", { type: "email", email, token: lastMail().variables.Token });
    expect(body.user).toMatchObject({ email, user_metadata: { name: "Ann", email_verified: true } });
  });

  test("for a known address it is a sign-in", async () => {
    const { user } = await confirmed();
    await post("/magiclink", { email });
    expect(lastMail().kind).toBe("magic_link");
    const { body } = await post("/verify", { type: "magiclink", email, token: lastMail().variables.Token });
    expect(body.user.id).toBe(user.id);
  });

  test("with autoconfirm a new address gets a link, and no session is made for nobody", async () => {
    const open = await world.createProject({ mailerAutoconfirm: true });
    await open.call("POST /otp", { body: { email } });
    expect(open.mails.at(-1)?.kind).toBe("magic_link");
    expect((await open.db.query("select from auth.sessions")).rowCount).toBe(0);
    const token = open.mails.at(-1)?.variables.Token;
    expect((await open.call("POST /verify", { body: { type: "email", email, token } })).status).toBe(200);
  });

  test.each([
    ["/otp", { email: "nobody@example.com", create_user: false }, 422, "otp_disabled"],
    ["/otp", {}, 400, "validation_failed"],
    ["/otp", { email: "a@b.c", phone: "491" }, 400, "validation_failed"],
    ["/otp", { email: "a@b.c", channel: "sms" }, 400, "validation_failed"],
    ["/otp", { phone: "491700000" }, 422, "sms_send_failed"],
    ["/otp", { phone: "491700000", create_user: false }, 422, "otp_disabled"],
    ["/recover", {}, 400, "validation_failed"],
    ["/resend", { type: "x" }, 400, "validation_failed"],
  ])("%s %j is %i %s", async (target, body, status, code) => {
    const answer = await post(target, body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test("a password change voids a link that was mailed before", async () => {
    const { access_token } = await confirmed();
    await post("/recover", { email });
    const { Token: token } = lastMail().variables;
    await project.call("PUT /user", { bearer: access_token, body: { password: "a better battery" } });
    expect((await post("/verify", { type: "recovery", email, token })).body).toEqual(expired);
  });
});

describe("with PKCE", () => {
  const verifier = "ab".repeat(56);
  const pkce = {
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "s256",
  };
  const exchange = (code: string | null, code_verifier = verifier) =>
    post("/token?grant_type=pkce", { auth_code: code, code_verifier });

  test.each([
    ["signup", "email/signup", () => signUp(pkce)],
    [
      "recovery",
      "recovery",
      async () => {
        await confirmed();
        return post("/recover", { email, ...pkce });
      },
    ],
    [
      "magiclink",
      "magiclink",
      async () => {
        await confirmed();
        return post("/otp", { email, ...pkce });
      },
    ],
  ])("a %s link gives a code in the query, the code a session, once", async (_type, method, request) => {
    expect((await request()).status).toBe(200);
    const { ConfirmationURL, TokenHash, Token } = lastMail().variables;
    expect(TokenHash).toMatch(/^pkce_/);
    world.advance(600); // opened long after it was asked for
    const { headers } = await open(ConfirmationURL);
    const code = new URL(headers.location ?? "").searchParams.get("code");
    const { status, body } = await exchange(code);
    expect(status).toBe(200);
    expect(claimsOf(body.access_token).amr).toMatchObject([{ method }]);
    expect((await exchange(code)).body.code).toBe("flow_state_not_found");
    expect((await post("/verify", { type: "email", email, token: Token })).body).toEqual(expired);
  });

  test("an error is told in query and fragment", async () => {
    const { headers } = await project.call("GET /verify?token=pkce_gone&type=signup");
    const url = new URL(headers.location ?? "");
    expect(url.searchParams.get("error_code")).toBe("otp_expired");
    expect(fragmentOf(url.hash).error_code).toBe("otp_expired");
  });

  test.each([
    [{ code_challenge: "short", code_challenge_method: "s256" }],
    [{ code_challenge: "x".repeat(43), code_challenge_method: "md5" }],
    [{ code_challenge: `${"x".repeat(42)}!`, code_challenge_method: "plain" }],
    [{ code_challenge_method: "s256" }],
  ])("%j is refused", async (parameters) => {
    expect((await post("/recover", { email, ...parameters })).body.code).toBe("validation_failed");
  });
});

describe("changing the address", () => {
  const request = async () => {
    const session = await confirmed();
    await project.call("PUT /user", { bearer: session.access_token, body: { email: `new-${email}` } });
    const [toNew, toCurrent] = project.mails.slice(-2);
    if (toNew?.to !== `new-${email}` || toCurrent?.to !== email) throw new Error("two mails were expected");
    return { session, toNew: toNew.variables, toCurrent: toCurrent.variables };
  };

  test.each(["new first", "current first"])("takes both mailboxes, %s", async (order) => {
    const { session, toNew, toCurrent } = await request();
    const steps = [
      { address: `new-${email}`, token: toNew.Token },
      { address: email, token: toCurrent.Token },
    ];
    if (order === "current first") steps.reverse();
    const verify = (step = steps[0]) =>
      post("/verify", { type: "email_change", email: step?.address, token: step?.token });
    const half = await verify();
    expect([half.status, half.body]).toEqual([
      200,
      {
        msg: "Confirmation link accepted. Please proceed to confirm link sent to the other email",
        code: "200",
      },
    ]);
    expect((await verify()).body).toEqual(expired); // one mailbox cannot answer for both
    const whole = await verify(steps[1]);
    expect(whole.body.user).toMatchObject({ id: session.user.id, email: `new-${email}` });
    expect(whole.body.user.new_email).toBeUndefined();
    expect(whole.body.user.identities[0].identity_data).toMatchObject({ email: `new-${email}`, email_verified: true });
    expect((await project.call("GET /user", { bearer: session.access_token })).status).toBe(200);
  });

  test("by links, the first redirects with a message", async () => {
    const { toNew, toCurrent } = await request();
    const first = await open(toCurrent.ConfirmationURL);
    expect(fragmentOf(first.headers.location).message).toMatch(/^Confirmation link accepted/);
    expect(fragmentOf((await open(toNew.ConfirmationURL)).headers.location).type).toBe("email_change");
  });

  test("the code of one mailbox does not count for the other", async () => {
    const { toNew } = await request();
    expect((await post("/verify", { type: "email_change", email, token: toNew.Token })).body).toEqual(expired);
  });

  test("an address that was taken meanwhile is refused with 422", async () => {
    const { toNew, toCurrent } = await request();
    await post("/admin/users", { email: `new-${email}` }, project.adminToken);
    await post("/verify", { type: "email_change", email, token: toCurrent.Token });
    const { status, body } = await post("/verify", { type: "email_change", email: `new-${email}`, token: toNew.Token });
    expect([status, body.code]).toEqual([422, "email_exists"]);
  });

  test("resend sends both anew", async () => {
    await request();
    world.advance(2);
    const before = project.mails.length;
    expect((await post("/resend", { type: "email_change", email })).body).toEqual({});
    expect(project.mails).toHaveLength(before + 2);
  });
});

describe("an administrator", () => {
  test("invites: the invited accepts by link and has a password nobody knows", async () => {
    const invited = await post("/invite", { email, data: { team: "a" } }, project.adminToken);
    expect(invited.body).toMatchObject({ email, invited_at: expect.any(String), user_metadata: { team: "a" } });
    expect(lastMail().kind).toBe("invite");
    const { headers } = await open(lastMail().variables.ConfirmationURL);
    expect(fragmentOf(headers.location).type).toBe("invite");
    const { rows } = await project.db.query("select encrypted_password from auth.users where email = $1", [email]);
    expect(rows[0].encrypted_password).toMatch(/^\$2b\$10\$/);
    expect((await post("/invite", { email }, project.adminToken)).body.code).toBe("email_exists");
  });

  test("what an invited user is given does not show to a stranger who signs up with the address", async () => {
    await post("/invite", { email, data: { salary: 5 } }, project.adminToken);
    world.advance(2);
    const { body } = await signUp();
    expect([body.user_metadata, body.identities]).toEqual([{}, []]);
  });

  test.each([
    ["signup", { password: PASSWORD, data: { a: 1 } }],
    ["invite", { data: { a: 1 } }],
    ["magiclink", {}],
  ])("generates a %s link that works and mails nothing", async (type, extra) => {
    const before = project.mails.length;
    const { status, body } = await post(
      "/admin/generate_link",
      { type, email, redirect_to: "https://app.example.com/x", ...extra },
      project.adminToken,
    );
    expect(status).toBe(200);
    expect(project.mails).toHaveLength(before);
    expect(body).toMatchObject({
      email,
      redirect_to: "https://app.example.com/x",
      user_metadata: "data" in extra ? { a: 1 } : {},
    });
    expect(body.action_link).toContain(`?token=${body.hashed_token}&type=`);
    const { headers } = await open(body.action_link);
    expect(headers.location).toMatch(/^https:\/\/app\.example\.com\/x#access_token=/);
  });

  test("generates the two links of a change of address, with the right hash each", async () => {
    await confirmed();
    const generate = (type: string) =>
      post("/admin/generate_link", { type, email, new_email: `new-${email}` }, project.adminToken);
    const follow = (hash: string) => post("/verify", { type: "email_change", token_hash: hash });
    const current = await generate("email_change_current");
    expect(current.body.new_email).toBe(`new-${email}`);
    expect(current.body.action_link).toContain("type=email_change&");
    const other = await generate("email_change_new"); // the first link stays valid beside it
    expect((await follow(current.body.hashed_token)).body.code).toBe("200");
    expect((await follow(other.body.hashed_token)).body.user.email).toBe(`new-${email}`);
  });

  test("a link for another new address takes the place of both", async () => {
    await confirmed();
    const generate = (type: string, newEmail: string) =>
      post("/admin/generate_link", { type, email, new_email: newEmail }, project.adminToken);
    const stale = await generate("email_change_current", `first-${email}`);
    await generate("email_change_new", `second-${email}`);
    const answer = await post("/verify", { type: "email_change", token_hash: stale.body.hashed_token });
    expect([answer.status, answer.body.code]).toEqual([403, "otp_expired"]);
  });

  test.each([
    [{ type: "recovery" }, 404, "user_not_found"],
    [{ type: "signup" }, 400, "validation_failed"],
    [{ type: "other" }, 400, "validation_failed"],
    [{ type: "email_change_new", new_email: "x@y.z" }, 404, "user_not_found"],
  ])("generating %j is %i %s", async (body, status, code) => {
    const answer = await post("/admin/generate_link", { email, ...body }, project.adminToken);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test("only an administrator generates links and invites", async () => {
    const { access_token } = await confirmed();
    for (const target of ["/invite", "/admin/generate_link"]) {
      expect((await post(target, { type: "recovery", email }, access_token)).body.code).toBe("not_admin");
    }
  });
});
