import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_JWT_CHARACTERS, readJwt, tokensIn } from "./jwt.ts";

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const SIGNATURE = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index)).toString("base64url");
const TOKEN = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ role: "anon" })}.${SIGNATURE}`;

function faultOf(text: string): string | null {
  const reading = readJwt(text);
  return reading.kind === "fault" ? reading.fault : null;
}

test("a token is read into header, claims, what was signed and the signature", () => {
  const reading = readJwt(TOKEN);
  expect(reading).toMatchObject({
    kind: "token",
    token: { header: { alg: "HS256", typ: "JWT" }, claims: { role: "anon" }, payload: '{"role":"anon"}' },
  });
});

test.each([
  ["+ for -", TOKEN.replace("-", "+")],
  ["/ for _", TOKEN.replace("_", "/")],
  ["padding", `${TOKEN}=`],
  ["a per cent sign within", `${TOKEN.slice(0, -3)}%${TOKEN.slice(-3)}`],
  ["a per cent escape", `${TOKEN.slice(0, -1)}%${TOKEN.charCodeAt(TOKEN.length - 1).toString(16)}`],
  ["a blank within", `${TOKEN.slice(0, -3)} ${TOKEN.slice(-3)}`],
  ["a line break behind", `${TOKEN}\n`],
  ["a NUL within", `${TOKEN.slice(0, -3)}\0${TOKEN.slice(-3)}`],
  ["unused bits that are set", TOKEN.slice(0, -1) + String.fromCharCode(TOKEN.charCodeAt(TOKEN.length - 1) + 1)],
  ["a character of no meaning", `${TOKEN}!`],
])("no other spelling of a token is a token: %s", (_what, text) => {
  expect(text).not.toBe(TOKEN);
  expect(faultOf(text)).toBe("encoding");
});

test("whatever is put into a token or taken out of it, what is still read as the same token is the same text", () => {
  const edit = fc.tuple(fc.nat(TOKEN.length), fc.nat(2), fc.string({ maxLength: 3, unit: "binary" }));
  const original = readJwt(TOKEN);
  fc.assert(
    fc.property(edit, ([at, removed, inserted]) => {
      const text = TOKEN.slice(0, at) + inserted + TOKEN.slice(at + removed);
      const reading = readJwt(text);
      if (reading.kind === "fault" || original.kind === "fault" || text === TOKEN) return;
      const same =
        reading.token.signed === original.token.signed && reading.token.signature.equals(original.token.signature);
      expect(same).toBe(false);
    }),
    { numRuns: 5000 },
  );
});

test.each([
  ["two parts", "a.b", "parts"],
  ["five parts, of an encrypted token", "a.b.c.d.e", "parts"],
  ["nothing", "", "parts"],
  ["a header that is no object", `${encode("x")}.${encode({})}.`, "header"],
  ["a header that is no JSON", `AAAA.${encode({})}.`, "header"],
  [
    "a header of bytes that are no UTF-8",
    `${Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url")}.${encode({})}.`,
    "header",
  ],
  ["claims that are a list", `${encode({ alg: "HS256" })}.${encode([])}.`, "claims"],
  ["claims that are null", `${encode({ alg: "HS256" })}.${encode(null)}.`, "claims"],
  ["an extension that must be understood", `${encode({ alg: "HS256", crit: ["x"], x: 1 })}.${encode({})}.`, "critical"],
  ["a payload that is not encoded", `${encode({ alg: "HS256", b64: false })}.${encode({})}.`, "critical"],
  ["too much", `${TOKEN}${"A".repeat(MAX_JWT_CHARACTERS)}`, "too_long"],
])("%s is no token", (_what, text, expected) => {
  expect(faultOf(text)).toBe(expected);
});

test.each([
  `Bearer ${TOKEN}`,
  `bearer\t ${TOKEN}  `,
  TOKEN,
  `\u00a0${TOKEN}\u00a0`,
  `Bearer x, Bearer ${TOKEN}`,
  `Basic;${TOKEN};`,
])("the token in %j is found, however it is wrapped", (value) => {
  expect(tokensIn(value)).toContain(TOKEN);
});
