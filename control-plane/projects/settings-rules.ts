/** Rules for the texts in settings. They end up in search paths, redirects and host tables of shared processes. */

import { isIP } from "node:net";
import { z } from "zod";
import { parseMailTemplate } from "../client/mail-template/mail-template.ts";
import { InvalidRoleClaimKey, roleSelector } from "../client/role-claim/role-claim.ts";

const CONTROL_OR_SPACE = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029]/;
/** Schemes that run or read something when a browser is sent there. */
const REFUSED_SCHEMES = new Set(["javascript", "data", "vbscript", "file", "blob", "about", "view-source"]);
/** PostgreSQL cuts longer names short, so two of them could mean the same schema. */
const MAX_IDENTIFIER_BYTES = 63;

export const schemaName = z
  .string()
  .min(1, "must not be empty")
  .refine((name) => Buffer.byteLength(name) <= MAX_IDENTIFIER_BYTES, "must be at most 63 bytes long")
  .refine((name) => !/[\u0000-\u001f\u007f,]/.test(name), "must not contain control characters or commas")
  .refine((name) => name.trim() === name, "must not begin or end with a space");

/** As PostgREST at its start: the catalogs would give away other projects' names, and are writable through views. */
export const exposedSchemaName = schemaName.refine((name) => !/^(pg_|information_schema$)/i.test(name), {
  error: ({ input }) => `db-schemas does not allow schema: '${String(input)}'`,
});

export const functionName = z
  .string()
  .max(127, "must be at most 127 characters long")
  .regex(/^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?$/, "must be a function's name, with its schema or without: schema.name");

/** Settings that a function may carry into the transaction; not those that decide who the request is. */
export const hoistedSettingName = z
  .string()
  .max(127, "must be at most 127 characters long")
  .regex(/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/, "must be the name of a PostgreSQL setting, in lower case")
  .refine(
    (name) => !/^(role|session_authorization|search_path|is_superuser)$|^(request|response)\./.test(name),
    "decides who a request acts as and cannot be hoisted",
  );

export const roleClaimKey = z
  .string()
  .max(200, "must be at most 200 characters long")
  .refine(isRoleClaimKey, "must be a JSON path such as $.role");

function isRoleClaimKey(text: string): boolean {
  try {
    roleSelector(text);
    return true;
  } catch (error) {
    if (error instanceof InvalidRoleClaimKey) return false;
    throw error;
  }
}

export const appSettings = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, "must be a name of letters, digits and _"),
    z
      .string()
      .max(4096, "must be at most 4096 characters long")
      .refine((value) => !value.includes("\0"), "must not contain NUL"),
  )
  .refine((settings) => Object.keys(settings).length <= 50, "must have at most 50 entries");

/** Where browsers and apps may be sent: `https://app.example.com`, `com.example.app://login`. */
export const siteUrl = z
  .string()
  .max(2048, "must be at most 2048 characters long")
  .refine((value) => !CONTROL_OR_SPACE.test(value), "must not contain spaces or control characters")
  .refine((value) => isHarmlessUrl(value), "must be an absolute URL such as https://example.com, without a user name");

function isHarmlessUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname, username, password } = new URL(value);
  if (REFUSED_SCHEMES.has(protocol.slice(0, -1))) return false;
  return (
    value.includes("://") && username === "" && password === "" && (hostname !== "" || !/^https?:$/.test(protocol))
  );
}

/** A glob over whole URLs (`*`, `**`, `?`, `[a-z]`, `{a,b}`) whose scheme is literal. */
export const redirectGlob = z
  .string()
  .max(512, "must be at most 512 characters long")
  .refine((value) => !CONTROL_OR_SPACE.test(value), "must not contain spaces or control characters")
  .refine((value) => {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\/./i.exec(value)?.[1];
    return scheme !== undefined && !REFUSED_SCHEMES.has(scheme.toLowerCase());
  }, "must be a URL pattern with a literal scheme, such as https://*.example.com/**");

export const corsOrigin = z
  .string()
  .max(300, "must be at most 300 characters long")
  .refine(
    (value) => value === "*" || (/^https?:\/\//.test(value) && URL.canParse(value) && new URL(value).origin === value),
    "must be * or an origin such as https://example.com: scheme, host and port only",
  );

const HOST_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const HOST = new RegExp(`^(${HOST_LABEL}\\.)+${HOST_LABEL}$`);

/** A full host name in lower case, punycode where needed; never an address and never a name of this machine. */
export const customHost = z
  .string()
  .max(253, "must be at most 253 characters long")
  .regex(HOST, "must be a full host name in lower case, without a port: api.example.com")
  .refine((host) => isIP(host) === 0 && !/(^|\.)\d+$/.test(host), "must be a name and not an address")
  .refine((host) => !/\.(localhost|local|internal|invalid|arpa|onion)$/.test(host), "must be a name of the public DNS");

/** As a bucket's `allowed_mime_types` has them. */
export const mediaTypePattern = z
  .string()
  .max(255, "must be at most 255 characters long")
  .regex(
    /^[\w!#$&^.+-]+\/(?:[\w!#$&^.+-]+(?:;charset=[\w-]+)?|\*)$/,
    "must be a media type, such as image/png or image/*",
  );

/** A host name or an address; whether it may be reached is decided when it is. */
export const hostName = z
  .string()
  .max(253, "must be at most 253 characters long")
  .refine(
    (name) =>
      isIP(name) > 0 || /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i.test(name),
    "must be a host name or an address, without a port",
  );

export const mailAddress = z
  .string()
  .max(255, "must be at most 255 characters long")
  .regex(/^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+$/, "must be one e-mail address");

/** One line without control characters. */
export function shortText(max: number): z.ZodType<string> {
  return z
    .string()
    .min(1, "must not be empty")
    .max(max, `must be at most ${max} characters long`)
    .refine((text) => !/[\u0000-\u001f\u007f]/.test(text), "must be one line without control characters");
}

/** A template that can be read; what is wrong with it is told in words. */
export function mailTemplate(isHtml: boolean, max: number): z.ZodType<string> {
  return z
    .string()
    .min(1, "must not be empty")
    .max(max, `must be at most ${max} characters long`)
    .superRefine((text, context) => {
      try {
        parseMailTemplate(text, { isHtml });
      } catch (error) {
        context.addIssue({ code: "custom", message: (error as Error).message });
      }
    });
}
