/**
 * Serves the dashboard: hashed files that never change, and one page for every other address, whose script decides what
 * is shown. All policies of the page are made here; see `contentSecurityPolicy`.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join } from "node:path";

export interface DashboardPages {
  /** Answers GET and HEAD of the dashboard's files and pages; false when the request is for something else. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

export type DashboardBuild =
  | { readonly kind: "ready"; readonly folder: string }
  | { readonly kind: "building" | "failed" };

export interface DashboardPagesOptions {
  /** The build's folder; looked at with each request. */
  readonly build: () => DashboardBuild;
  /** Where browsers reach the gateway: `http://localhost:8083`. */
  readonly publicGatewayUrl: string;
  /** Projects are also reached as `<ref>.<base domain>`. */
  readonly baseDomain: string;
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};
const NONCE_PLACE = "__CSP_NONCE__";

interface Build {
  readonly folder: string;
  readonly page: string;
  /** Paths of the files that are served, from `/`; nothing else below the folder is ever read. */
  readonly files: ReadonlySet<string>;
}

export function createDashboardPages(options: DashboardPagesOptions): DashboardPages {
  let read: Build | null = null;

  function currentBuild(): Build | "building" | "failed" {
    const build = options.build();
    if (build.kind !== "ready") return build.kind;
    if (read?.folder !== build.folder) read = readBuild(build.folder);
    return read;
  }

  return {
    async handle(request, response) {
      if (request.method !== "GET" && request.method !== "HEAD") return false;
      const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
      const current = currentBuild();
      if (typeof current === "object" && current.files.has(path)) {
        await sendFile(current, path, request, response);
        return true;
      }
      if (path.startsWith("/assets/") || !/\btext\/html\b/.test(request.headers.accept ?? "")) return false;
      const nonce = randomBytes(16).toString("base64");
      sendPage(
        request,
        response,
        typeof current === "object" ? current.page.replaceAll(NONCE_PLACE, nonce) : UNBUILT_PAGES[current],
        contentSecurityPolicy(nonce, options),
      );
      return true;
    },
  };
}

function readBuild(folder: string): Build {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const files = names.filter((name) => extname(name) in TYPES).map((name) => `/${name}`);
  return { folder, page: readFileSync(join(folder, "index.html"), "utf8"), files: new Set(files) };
}

async function sendFile(build: Build, path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const type = TYPES[extname(path)] ?? "application/octet-stream";
  const accepted = String(request.headers["accept-encoding"] ?? "");
  const encoding = type.startsWith("font/")
    ? null
    : /\bbr\b/.test(accepted)
      ? "br"
      : /\bgzip\b/.test(accepted)
        ? "gzip"
        : null;
  const suffix = encoding === "br" ? ".br" : encoding === "gzip" ? ".gz" : "";
  const bytes = await readFile(join(build.folder, path + suffix));
  response.writeHead(200, {
    "content-type": type,
    "content-length": bytes.length,
    // What is not below /assets has a name that stays while its content changes.
    "cache-control": path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
    vary: "Accept-Encoding",
    ...(encoding ? { "content-encoding": encoding } : {}),
    ...SECURITY_HEADERS,
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

function sendPage(request: IncomingMessage, response: ServerResponse, page: string, policy: string): void {
  response.writeHead(200, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": policy,
    ...SECURITY_HEADERS,
  });
  response.end(request.method === "HEAD" ? undefined : page);
}

const SECURITY_HEADERS = {
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "x-content-type-options": "nosniff",
} as const;

/**
 * Nothing from elsewhere but the projects' gateway, no inline script, no HTML from strings. The nonce is for the style
 * elements that the component library and the editor add.
 */
function contentSecurityPolicy(nonce: string, { publicGatewayUrl, baseDomain }: DashboardPagesOptions): string {
  const gateway = new URL(publicGatewayUrl);
  const hosts = `*.${baseDomain}${gateway.port ? `:${gateway.port}` : ""}`;
  const secure = gateway.protocol === "https:";
  const connect = [gateway.origin, `${gateway.protocol}//${hosts}`, `${secure ? "wss" : "ws"}://${gateway.host}`];
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "font-src 'self'",
    `img-src 'self' blob: ${gateway.origin}`,
    `connect-src 'self' ${connect.join(" ")} ${secure ? "wss" : "ws"}://${hosts}`,
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; ");
}

const unbuiltPage = (head: string, title: string, text: string) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${head}<title>Supalove</title>
<h1>${title}</h1>
<p>${text}</p>
</html>
`;

const UNBUILT_PAGES = {
  building: unbuiltPage(
    '<meta http-equiv="refresh" content="1">\n',
    "The dashboard is being built",
    "This takes a few seconds after an update and happens once. The page opens by itself. The API answers already.",
  ),
  failed: unbuiltPage(
    "",
    "The dashboard could not be built",
    "The log of the control plane says why. The API answers.",
  ),
} as const;
