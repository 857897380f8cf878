/** The quiet neighbour, on an event loop of his own: what he measures is not the attacker's work. */
import { Agent, request } from "node:http";
import { parentPort, workerData } from "node:worker_threads";
import pg from "pg";
import type { NeighbourNotes, NeighbourSetup, Sample } from "./neighbour.ts";

const { url, anonKey, databaseUrl, expected, controlPlaneUrl, token, ref } = workerData as NeighbourSetup;
const EVERY_MS = 50;
const PROBE_EVERY_MS = 1_000;
const PATIENCE_MS = 10_000;

const agent = new Agent({ keepAlive: true, maxSockets: 20 });
let notes: NeighbourNotes = { rest: [], logins: [], changes: [] };

/** Sends a request a tick, whether the last one has been answered or not, as independent users do. */
function read(): void {
  const startedAt = performance.now();
  const into = notes.rest;
  const finish = (fault: string | null) => {
    into.push({ ms: performance.now() - startedAt, fault });
  };
  const asked = request(`${url}/rest/v1/quiet?id=eq.1&select=text`, { agent, headers: { apikey: anonKey } });
  asked.setTimeout(PATIENCE_MS, () => asked.destroy(new Error("no answer")));
  asked.once("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  asked.once("response", (response) => {
    let body = "";
    response.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    response.once("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    response.once("end", () => {
      if (response.statusCode !== 200) finish(String(response.statusCode));
      else finish(body === expected ? null : "another's answer");
    });
  });
  asked.end();
}

async function probe(into: Sample[], act: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  const fault = await act().then(
    () => null,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );
  into.push({ ms: performance.now() - startedAt, fault });
}

async function logIn(): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: PATIENCE_MS });
  client.on("error", () => {});
  try {
    await client.connect();
  } finally {
    await client.end().catch(() => {});
  }
}

async function change(): Promise<void> {
  const response = await fetch(`${controlPlaneUrl}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({
      query: "mutation ($ref: ID!, $name: String!) { renameProject(ref: $ref, name: $name) { ref } }",
      variables: { ref, name: `quiet ${Date.now()}` },
    }),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const { errors } = (await response.json()) as { errors?: { message: string }[] };
  if (errors?.[0]) throw new Error(errors[0].message);
}

let timers: NodeJS.Timeout[] = [];
let probing = 0;
parentPort?.on("message", async (message: "start" | "stop") => {
  if (message === "start") {
    notes = { rest: [], logins: [], changes: [] };
    const { logins, changes } = notes;
    const probeBoth = async () => {
      probing += 1;
      await Promise.all([probe(logins, logIn), probe(changes, change)]);
      probing -= 1;
    };
    timers = [setInterval(read, EVERY_MS), setInterval(() => probing < 3 && void probeBoth(), PROBE_EVERY_MS)];
  } else {
    for (const timer of timers) clearInterval(timer);
    // What has been asked is part of what he met, however long it takes.
    const sent = performance.now();
    while (probing > 0 && performance.now() - sent < PATIENCE_MS) await new Promise((resume) => setTimeout(resume, 20));
    await new Promise((resume) => setTimeout(resume, 100));
    parentPort?.postMessage(notes);
  }
});
parentPort?.postMessage("there");
