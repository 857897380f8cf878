import { expect, test } from "vitest";
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import type { Exchange } from "../exchange.ts";
import type { OpenSocket } from "../websocket/open-socket.ts";
import { TrafficMeter } from "./traffic-meter.ts";

const REF = "abcdefghijklmnopqrst" as ProjectRef;
const MINUTE_MS = 60_000;

/** What the meter reads of an exchange. */
function exchange(changes: { service?: string; ref?: ProjectRef | undefined; status?: number } = {}): Exchange {
  const { service = "rest", status = 200 } = changes;
  const projectRef = "ref" in changes ? changes.ref : REF;
  return {
    subject: { projectRef, service },
    status,
    body: { receivedBytes: 10 },
    channel: { bodyBytes: 100 },
  } as unknown as Exchange;
}

function openSocket(traffic: { framesIn: number; framesOut: number; bytesIn: number; bytesOut: number }): OpenSocket {
  return { admission: { tenant: { snapshot: { projectRef: REF } } }, traffic } as unknown as OpenSocket;
}

function meterAt(sockets = new Set<OpenSocket>()) {
  const clock = { ms: 100 * MINUTE_MS };
  const openSockets = () => (sockets.size > 0 ? [[REF, sockets] as const] : []);
  return { clock, sockets, meter: new TrafficMeter({ now: () => clock.ms, openSockets }) };
}

test("requests are counted by service and class of status", () => {
  const { meter } = meterAt();
  meter.observe(exchange(), 4);
  meter.observe(exchange({ status: 503 }), 4);
  meter.observe(exchange({ service: "auth", status: 401 }), 4);
  const entries = meter.take();
  expect(entries.map(({ service, statuses }) => [service, statuses])).toEqual([
    ["rest", [0, 1, 0, 0, 1]],
    ["auth", [0, 0, 0, 1, 0]],
  ]);
  expect(entries[0]).toMatchObject({ ref: REF, minute: 100, bytesIn: 20, bytesOut: 200 });
});

test("a client that went away counts as a 4xx, and what belongs to no project is not counted", () => {
  const { meter } = meterAt();
  meter.observe(exchange({ status: 0 }), 4);
  meter.observe(exchange({ ref: undefined }), 4);
  expect(meter.take().map(({ statuses }) => statuses)).toEqual([[0, 0, 0, 1, 0]]);
});

test("a minute that ends is kept apart from the next one, and each count is given once", () => {
  const { meter, clock } = meterAt();
  meter.observe(exchange(), 4);
  clock.ms += MINUTE_MS;
  meter.observe(exchange(), 4);
  expect(meter.take().map(({ minute }) => minute)).toEqual([100, 101]);
  expect(meter.take()).toEqual([]);
});

test("an open socket's frames are counted while it is open, and the rest when it closes", () => {
  const traffic = { framesIn: 3, framesOut: 4, bytesIn: 30, bytesOut: 40 };
  const socket = openSocket(traffic);
  const { meter, sockets } = meterAt(new Set([socket]));
  expect(meter.take()).toMatchObject([{ service: "realtime", sockets: 1, messages: 7, bytesIn: 30, bytesOut: 40 }]);
  traffic.framesIn = 5;
  meter.observeSocket(socket);
  sockets.clear();
  expect(meter.take()).toMatchObject([{ messages: 2, bytesIn: 0 }]);
  expect(meter.take()).toEqual([]);
});
