/** What of a service's answer reaches the client under the origin that all projects share, and on hosts of their own. */
import { request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { ANON_JWT, REF, snapshot } from "../../gateway/snapshot.fixture.ts";
import { startRawUpstream } from "./raw-upstream.ts";
import { localServices, MemoryConfigs, type RunningGateway, startGateway } from "./support.ts";

type Headers = readonly (readonly [name: string, value: string])[];
interface Answer {
  readonly status: number;
  /** Names and values in turn, as sent. */
  readonly headers: readonly string[];
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A gateway whose service is a call, or a server behind a socket, and says these headers. */
const GATEWAYS = {
  async local(headers: Headers): Promise<RunningGateway> {
    const configs = new MemoryConfigs(snapshot({ customHosts: ["api.example.com"] }));
    const rest = () => ({ status: 200, headers, body: "content" });
    const gateway = await startGateway({ configs, localServices: localServices({ rest }) });
    cleanups.push(() => gateway.gateway.close());
    return gateway;
  },
  async http(headers: Headers): Promise<RunningGateway> {
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const upstream = await startRawUpstream((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 7\r\n\r\ncontent`, "latin1");
    });
    const http = { kind: "http", origin: upstream.origin } as const;
    const upstreams = { rest: http, auth: http, storage: http, realtime: http };
    const configs = new MemoryConfigs(snapshot({ upstreams, customHosts: ["api.example.com"] }));
    const gateway = await startGateway({ configs });
    cleanups.push(
      () => gateway.gateway.close(),
      () => upstream.close(),
    );
    return gateway;
  },
};

function ask(port: number, host: string, path: string, extra: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request({ port, host: "127.0.0.1", path, headers: { host, apikey: ANON_JWT, ...extra } }, (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.rawHeaders }));
    })
      .on("error", reject)
      .end();
  });
}

const onSharedOrigin = ({ port }: RunningGateway, extra?: Readonly<Record<string, string>>) =>
  ask(port, `127.0.0.1:${port}`, `/projects/${REF}/rest/v1/rpc/page`, extra);
const onOwnHosts = ({ port }: RunningGateway, extra?: Readonly<Record<string, string>>) =>
  Promise.all(
    [`${REF}.localhost:${port}`, "api.example.com"].map((host) => ask(port, host, "/rest/v1/rpc/page", extra)),
  );

function valuesOf({ headers }: Answer, name: string): string[] {
  return headers.filter((_part, index) => index % 2 === 1 && headers[index - 1]?.toLowerCase() === name);
}

const HARMFUL_FOR_THE_ORIGIN: Headers = [
  ["Service-Worker-Allowed", "/"],
  ["Clear-Site-Data", '"*"'],
  ["Strict-Transport-Security", "max-age=31536000"],
  ["NEL", '{"report_to":"x","max_age":1000}'],
  ["Report-To", '{"group":"x","max_age":1000,"endpoints":[{"url":"https://evil.example"}]}'],
  ["Reporting-Endpoints", 'x="https://evil.example"'],
  ["Alt-Svc", 'h2="evil.example:443"'],
  ["Refresh", "0; url=https://evil.example"],
  ["Set-Cookie", "session=1"],
  ["Origin-Agent-Cluster", "?1"],
  ["Document-Policy", "unsized-media=?0"],
  ["Permissions-Policy", "camera=*"],
  ["Speculation-Rules", '"/rules.json"'],
  ["Accept-CH", "Sec-CH-UA-Model"],
  ["Use-As-Dictionary", 'match="/projects/*"'],
  ["Set-Login", "logged-out"],
  ["Sec-Session-Registration", '(ES256);path="/x"'],
  ["Public-Key-Pins", 'pin-sha256="x"; max-age=1000'],
  ["Attribution-Reporting-Register-Source", "{}"],
  ["Link", "</projects/x>; rel=preload; as=script"],
  ["Link", '</a>; rel="next"; title=", <b>; rel=x", </b>; REL = "prefetch"'],
  ["WWW-Authenticate", 'Basic realm="Sign in"'],
  ["WWW-Authenticate", 'Bearer realm="x", Basic realm="y"'],
  ["strict_transport_security", "max-age=31536000"],
];

const ORDERS_TO_PROXIES: Headers = [
  ["X-Accel-Redirect", "/etc/passwd"],
  ["X-Accel-Limit-Rate", "1"],
  ["x_accel_redirect", "/etc/passwd"],
  ["X-Sendfile", "/etc/passwd"],
  ["X-LIGHTTPD-send-file", "/etc/passwd"],
  ["X-Reproxy-URL", "http://169.254.169.254/"],
  ["X-Envoy-Immediate-Health-Check-Fail", "1"],
  ["Surrogate-Control", 'content="ESI/1.0"'],
];

describe.each(["local", "http"] as const)("an answer of a %s service", (kind) => {
  test.each(HARMFUL_FOR_THE_ORIGIN)(
    "%s: %s is the project's own affair, and only on its own hosts",
    async (...header) => {
      const gateway = await GATEWAYS[kind]([header, ["x-of-the-function", "1"]]);
      const shared = await onSharedOrigin(gateway);
      const [name] = header;
      expect(valuesOf(shared, name.toLowerCase())).toEqual([]);
      expect(valuesOf(shared, "x-of-the-function")).toEqual(["1"]);
      for (const own of await onOwnHosts(gateway)) expect(valuesOf(own, name.toLowerCase())).toEqual([header[1]]);
    },
  );

  test.each(ORDERS_TO_PROXIES)("%s: %s reaches no proxy from any host", async (...header) => {
    const gateway = await GATEWAYS[kind]([header, ["x-of-the-function", "1"]]);
    for (const answer of [await onSharedOrigin(gateway), ...(await onOwnHosts(gateway))]) {
      expect(valuesOf(answer, header[0].toLowerCase())).toEqual([]);
      expect(valuesOf(answer, "x-of-the-function")).toEqual(["1"]);
    }
  });

  test.each([
    ["text/html"],
    ["TEXT/HTML; charset=utf-8"],
    ["application/xhtml+xml"],
    ["image/svg+xml"],
    ["text/xml"],
    ["application/xml"],
    ["application/rss+xml"],
    ["multipart/x-mixed-replace; boundary=x"],
    ["message/rfc822"],
    ["multipart/related"],
    ["application/x-shockwave-flash"],
    ["application/json, text/html"],
    ["application/json;,text/html"],
    ["text/plain; x=, text/html"],
    ["*/*"],
    ["json"],
    [""],
    [" text/html"],
    ["application/unknown"],
  ])("of type %j is confined as a document on the shared origin only", async (type) => {
    const gateway = await GATEWAYS[kind]([["Content-Type", type]]);
    const shared = await onSharedOrigin(gateway);
    expect(valuesOf(shared, "content-security-policy")).toEqual(["sandbox"]);
    expect(valuesOf(shared, "x-content-type-options")).toEqual(["nosniff"]);
    for (const own of await onOwnHosts(gateway)) {
      expect(valuesOf(own, "content-security-policy")).toEqual([]);
      expect(valuesOf(own, "x-content-type-options")).toEqual([]);
    }
  });

  test("with two types, or none, is confined", async () => {
    const two = await GATEWAYS[kind]([
      ["Content-Type", "application/json"],
      ["Content-Type", "text/html"],
    ]);
    expect(valuesOf(await onSharedOrigin(two), "content-security-policy")).toEqual(["sandbox"]);
    expect(valuesOf(await onSharedOrigin(await GATEWAYS[kind]([])), "content-security-policy")).toEqual(["sandbox"]);
  });

  test.each([
    ["application/json"],
    ["application/json; charset=utf-8"],
    ["application/vnd.pgrst.object+json; charset=utf-8"],
    ["text/csv; charset=utf-8"],
    ["text/plain"],
    ["image/png"],
    ["application/octet-stream"],
    ["application/pdf"],
  ])("of type %j is no document: it is only not to be taken for one", async (type) => {
    const shared = await onSharedOrigin(await GATEWAYS[kind]([["Content-Type", type]]));
    expect(valuesOf(shared, "content-security-policy")).toEqual([]);
    expect(valuesOf(shared, "x-content-type-options")).toEqual(["nosniff"]);
  });

  test("keeps its own policy beside the sandbox, and cannot soften nosniff", async () => {
    const gateway = await GATEWAYS[kind]([
      ["Content-Type", "text/html"],
      ["Content-Security-Policy", "sandbox allow-scripts allow-same-origin"],
      ["X-Content-Type-Options", "none"],
    ]);
    const shared = await onSharedOrigin(gateway);
    expect(valuesOf(shared, "content-security-policy")).toEqual(["sandbox allow-scripts allow-same-origin", "sandbox"]);
    expect(valuesOf(shared, "x-content-type-options")).toEqual(["nosniff"]);
  });

  test("keeps what clients of these services read", async () => {
    const headers: Headers = [
      ["Link", '</admin/users?page=2>; rel="next", </admin/users?page=9>; rel="last"'],
      ["WWW-Authenticate", 'Bearer error="invalid_token", error_description="JWT expired"'],
      ["Content-Range", "0-0/5"],
      ["Location", "/notes?id=eq.1"],
      ["x-amz-request-id", "1"],
    ];
    const shared = await onSharedOrigin(await GATEWAYS[kind](headers));
    for (const [name, value] of headers) expect(valuesOf(shared, name.toLowerCase())).toEqual([value]);
  });

  test("is no service worker's script on the shared origin", async () => {
    const gateway = await GATEWAYS[kind]([["Content-Type", "text/javascript"]]);
    expect((await onSharedOrigin(gateway, { "service-worker": "script" })).status).toBe(403);
    for (const own of await onOwnHosts(gateway, { "service-worker": "script" })) expect(own.status).toBe(200);
  });

  test("sets cookies on a host of the project's own, but not for the domain above", async () => {
    const gateway = await GATEWAYS[kind]([["Set-Cookie", "a=1; Domain=example.com"]]);
    for (const own of await onOwnHosts(gateway)) expect(valuesOf(own, "set-cookie")).toEqual([]);
  });
});
