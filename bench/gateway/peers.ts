/** What is measured against each other: every peer does the same for the same upstream, on a core of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { processTree } from "../../test/harness/process-memory.ts";
import { findProgram } from "../programs.ts";
import { freePort } from "./free-port.ts";
import { keyOf, refOf, type UnderTestSettings } from "./under-test.ts";

/** The peer under test has one core, upstream and load generator share the other. */
export const PEER_CORE = 0;
export const LOAD_CORE = 1;

export interface Running {
  readonly name: string;
  readonly port: number;
  /** Processes whose CPU time counts. */
  readonly pids: () => readonly number[];
  /** Asks for a line on standard output, by a signal. */
  tell(signal: NodeJS.Signals): Promise<string>;
  stop(): Promise<void>;
}

/** A command that starts pinned to a core, where the machine allows that. */
export function pinned(core: number, command: string, args: readonly string[]): [string, readonly string[]] {
  const taskset = findProgram("taskset");
  return taskset ? [taskset, ["-c", String(core), command, ...args]] : [command, args];
}

async function start(
  name: string,
  core: number,
  command: string,
  args: readonly string[],
  port: number,
  saysWhenReady = false,
): Promise<Running> {
  const [program, allArgs] = pinned(core, command, args);
  const child = spawn(program, allArgs, { stdio: ["ignore", "pipe", "inherit"] });
  // A port that is shared is reachable before this process listens on it.
  if (saysWhenReady) await once(child.stdout, "data");
  else await reachable(child, name, port);
  child.stdout.resume();
  return {
    name,
    port,
    pids: () => (child.pid === undefined ? [] : processTree(child.pid)),
    async tell(signal) {
      child.kill(signal);
      return String((await once(child.stdout, "data"))[0]);
    },
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      clearTimeout(timer);
    },
  };
}

async function reachable(child: ChildProcess, name: string, port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${name} does not listen on ${port}`);
}

export const BODY_BYTES = { "200 B": 200, "10 KB": 10_000, "1 MB": 1_000_000 } as const;
export type BodySize = keyof typeof BODY_BYTES;
export const bodyPath = (size: BodySize): string => `/body-${BODY_BYTES[size]}.json`;

/** Serves fixed bodies: far cheaper than any of the peers. */
export async function startUpstream(folder: string): Promise<Running> {
  const port = await freePort();
  const root = join(folder, "bodies");
  mkdirSync(root, { recursive: true });
  for (const bytes of Object.values(BODY_BYTES)) {
    writeFileSync(join(root, `body-${bytes}.json`), JSON.stringify("x".repeat(bytes - 2)));
  }
  const server = `server { listen 127.0.0.1:${port}; root ${root}; open_file_cache max=10; default_type application/json;
    types {} add_header content-range "0-0/*"; add_header x-a "a"; location / {} }`;
  return startNginx("upstream", folder, LOAD_CORE, port, server);
}

async function startNginx(name: string, folder: string, core: number, port: number, server: string): Promise<Running> {
  const nginx = findProgram("nginx");
  if (nginx === null) throw new Error("nginx is not installed");
  const prefix = join(folder, name.replaceAll(/\W+/g, "-"));
  mkdirSync(prefix, { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${join(prefix, kind)};`,
  );
  const config = `worker_processes 1; daemon off; user root; error_log stderr crit; pid ${join(prefix, "pid")};
    events { worker_connections 8192; }
    http { access_log off; proxy_max_temp_file_size 0; proxy_buffers 16 64k; keepalive_requests 100000000; keepalive_timeout 75s; sendfile on; tcp_nodelay on;
      ${temporary.join(" ")} ${server} }`;
  const file = join(prefix, "nginx.conf");
  writeFileSync(file, config);
  return start(name, core, nginx, ["-c", file, "-p", prefix], port);
}

/** Routing by prefix, as little as a reverse proxy can do. */
export async function startPlainNginx(folder: string, upstream: Running): Promise<Running> {
  const port = await freePort();
  const server = `upstream rest { server 127.0.0.1:${upstream.port}; keepalive 256; }
    server { listen 127.0.0.1:${port};
      location ~ "^/projects/[a-z]{20}/rest/v1(?<below>/.*)$" {
        proxy_pass http://rest$below$is_args$args; proxy_http_version 1.1; proxy_set_header Connection ""; } }`;
  return startNginx("nginx", folder, PEER_CORE, port, server);
}

/** The same work as the gateway, as far as nginx can: key per project, rate and concurrency limits, headers. */
export async function startFullNginx(folder: string, upstream: Running, projects: number): Promise<Running> {
  const port = await freePort();
  const keys = Array.from({ length: projects }, (_, index) => `"${refOf(index)}:${keyOf(index)}" anon;`);
  const server = `map_hash_bucket_size 512; map_hash_max_size 65536;
    map "$project:$http_apikey" $api_role { default ""; ${keys.join("\n")} }
    map $uri $project { default ""; "~^/projects/(?<ref>[a-z]{20})/" $ref; }
    limit_req_zone $project zone=requests:10m rate=1000000r/s; limit_conn_zone $project zone=inflight:10m;
    upstream rest { server 127.0.0.1:${upstream.port}; keepalive 256; }
    server { listen 127.0.0.1:${port};
      location ~ "^/projects/[a-z]{20}/rest/v1(?<below>/.*)$" {
        if ($api_role = "") { return 401; }
        limit_req zone=requests burst=1000000 nodelay; limit_conn inflight 1000;
        proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Request-Id $request_id;
        proxy_set_header Cookie ""; proxy_set_header X-Api-Key ""; proxy_set_header Connection "";
        add_header x-request-id $request_id; add_header access-control-allow-origin "*";
        proxy_pass http://rest$below$is_args$args; proxy_http_version 1.1; } }`;
  return startNginx("nginx, same work", folder, PEER_CORE, port, server);
}

export async function startHaproxy(folder: string, upstream: Running): Promise<Running> {
  const haproxy = findProgram("haproxy");
  if (haproxy === null) throw new Error("haproxy is not installed");
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 3s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend gateway
  bind 127.0.0.1:${port}
  http-request replace-path /projects/[a-z]{20}/rest/v1(/.*) \\1
  default_backend rest
backend rest
  server rest 127.0.0.1:${upstream.port}
`,
  );
  return start("haproxy", PEER_CORE, haproxy, ["-f", file, "-db"], port);
}

export async function startUndici(upstream: Running): Promise<Running> {
  const port = await freePort();
  const script = join(import.meta.dirname, "undici-proxy.ts");
  const origin = `http://127.0.0.1:${upstream.port}`;
  return start("undici", PEER_CORE, process.execPath, [script, origin, String(port)], port);
}

export async function startSocketUpstream(): Promise<Running> {
  const port = await freePort();
  const script = join(import.meta.dirname, "socket-upstream.ts");
  return start("socket upstream", LOAD_CORE, process.execPath, [script, String(port)], port);
}

export async function startGateway(
  name: string,
  upstream: Running,
  settings: Partial<UnderTestSettings> = {},
): Promise<Running> {
  const port = settings.port ?? (await freePort());
  const all: UnderTestSettings = {
    origin: `http://127.0.0.1:${upstream.port}`,
    projects: 1_000,
    accessLog: null,
    deadProject: null,
    requestsPerSecond: 1_000_000,
    pipelining: true,
    sharePort: false,
    ...settings,
    port,
  };
  const script = join(import.meta.dirname, "under-test.ts");
  // As `npm run gateway` starts it.
  const args = ["--max-semi-space-size=64", "--expose-gc", script, JSON.stringify(all)];
  return start(name, PEER_CORE, process.execPath, args, port, true);
}
