import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { parseVariables, secret } from "./environment-variables.ts";

const folder = mkdtempSync(join(tmpdir(), "supalove-variables-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SCHEMA = z.object({
  TOKEN: secret(z.string({ error: "is needed" }).min(8, { error: "is too short" })),
  NAME: z.string().default("nobody"),
});

test("a secret may lie in a file, whose one newline at the end does not belong to it", () => {
  expect(parseVariables(SCHEMA, { TOKEN_FILE: file("plain", "hunter22") }).TOKEN).toBe("hunter22");
  expect(parseVariables(SCHEMA, { TOKEN_FILE: file("newline", "hunter22\n") }).TOKEN).toBe("hunter22");
  expect(parseVariables(SCHEMA, { TOKEN_FILE: file("windows", "hunter22\r\n") }).TOKEN).toBe("hunter22");
  expect(parseVariables(SCHEMA, { TOKEN_FILE: file("two", "hunter22\n\n") }).TOKEN).toBe("hunter22\n");
});

test("an empty variable beside the file counts as unset, and so does an empty path", () => {
  expect(parseVariables(SCHEMA, { TOKEN: "", TOKEN_FILE: file("alone", "hunter22") }).TOKEN).toBe("hunter22");
  expect(parseVariables(SCHEMA, { TOKEN: "hunter22", TOKEN_FILE: "" }).TOKEN).toBe("hunter22");
});

test.each([
  ["both set", { TOKEN: "hunter22" }, "TOKEN_FILE: TOKEN is set too; give one of them"],
  [
    "no such file",
    { TOKEN_FILE: join(folder, "absent") },
    `TOKEN_FILE: the file ${join(folder, "absent")} cannot be read (ENOENT)`,
  ],
  ["a folder", { TOKEN_FILE: folder }, `TOKEN_FILE: the file ${folder} cannot be read (EISDIR)`],
  ["an empty file", { TOKEN_FILE: file("empty", "\n") }, `TOKEN_FILE: the file ${join(folder, "empty")} is empty`],
  [
    "a value that does not fit",
    { TOKEN_FILE: file("short", "hunter2") },
    `TOKEN_FILE (${join(folder, "short")}): is too short`,
  ],
])("%s is told with the file's name, once, and never with what is in it", (_case, variables, problem) => {
  const given = "TOKEN" in variables ? { ...variables, TOKEN_FILE: file("second", "hunter22") } : variables;
  expect(() => parseVariables(SCHEMA, given)).toThrow(`The environment cannot be used:\n  ${problem}`);
  expect(() => parseVariables(SCHEMA, given)).not.toThrow(/hunter|is needed/);
});

test("what is no secret is not read from files", () => {
  const variables = { TOKEN: "hunter22", NAME_FILE: file("name", "somebody") };
  expect(parseVariables(SCHEMA, variables).NAME).toBe("nobody");
});

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
