import { expect, test } from "vitest";
import { z } from "zod";
import { BodyTooLarge, type ServiceRequest } from "../../service.ts";
import { flag, metadata, readBody, readOptionalBody, text } from "./body.ts";

const schema = z.object({ email: text, data: metadata, create_user: flag });

function request(raw: string | null): ServiceRequest {
  const bytes = Buffer.from(raw ?? "");
  const body =
    raw === null
      ? null
      : {
          declaredBytes: bytes.length,
          async read(maxBytes: number) {
            if (bytes.length > maxBytes) throw new BodyTooLarge(maxBytes);
            return bytes;
          },
          async *stream() {
            yield bytes;
          },
        };
  return {
    method: "POST",
    path: "/signup",
    query: "",
    headers: {},
    body,
    publicUrl: "http://localhost",
    publicPath: "/auth/v1",
    clientAddress: "127.0.0.1",
    requestId: "r1",
    signal: new AbortController().signal,
  };
}

test("unknown keys are ignored and null counts as absent", async () => {
  expect(await readBody(request('{"email":null,"data":null,"options":{}}'), schema)).toEqual({
    email: "",
    data: undefined,
    create_user: false,
  });
});

test.each([null, "", "  ", "{", '{"email":5}', "[]", '{"data":"x"}', '{"email":"a\\u0000b"}'])(
  "%j is bad_json",
  async (raw) => {
    await expect(readBody(request(raw), schema)).rejects.toMatchObject({
      code: "bad_json",
      message: expect.stringMatching(/^Could not parse request body as JSON: /),
    });
  },
);

test("half a surrogate pair is replaced, because PostgreSQL's jsonb refuses it", async () => {
  const read = await readBody(request('{"data":{"name":"\\ud83d"}}'), schema);
  expect(read.data).toEqual({ name: "\ufffd" });
});

test("more than 1 MiB is refused with its own code", async () => {
  const raw = JSON.stringify({ email: "x".repeat(1_048_577) });
  await expect(readBody(request(raw), schema)).rejects.toMatchObject({
    code: "request_entity_too_large",
    status: 413,
    message: "Request body too large (max 1048576 bytes)",
  });
});

test("a body may be left out where the endpoint says so", async () => {
  expect((await readOptionalBody(request(null), schema)).create_user).toBe(false);
});

test("a body nested without end is refused before it is parsed, brackets in texts are none", {
  timeout: 2_000,
}, async () => {
  for (let count = 0; count < 20; count += 1) {
    await expect(readBody(request("[".repeat(1_000_000)), schema)).rejects.toThrow("exceeded max depth");
  }
  const email = `${'[{\\"'.repeat(10_000)}`;
  expect(await readBody(request(`{"email":"${email}"}`), schema)).toMatchObject({ email: JSON.parse(`"${email}"`) });
});
