/** Counts each project's traffic by minute and service. Only projects that exist are counted, so the map is bounded. */
import type { ProjectRef, ServiceName } from "../../control-plane/client/config-snapshot.ts";
import {
  DURATION_BUCKETS,
  durationBucket,
  STATUS_CLASSES,
  type TrafficEntry,
} from "../../control-plane/client/traffic.ts";
import type { Exchange } from "../exchange.ts";
import type { OpenSocket } from "../websocket/open-socket.ts";

const MINUTE_MS = 60_000;

interface Tally {
  readonly statuses: number[];
  readonly durations: number[];
  bytesIn: number;
  bytesOut: number;
  sockets: number;
  messages: number;
}

type Tallies = Partial<Record<ServiceName, Tally>>;

/** What of a socket has been counted. */
interface Counted {
  messages: number;
  bytesIn: number;
  bytesOut: number;
}

export interface TrafficMeterOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The sockets that are open, by project. */
  readonly openSockets: () => Iterable<readonly [ProjectRef, ReadonlySet<OpenSocket>]>;
}

export class TrafficMeter {
  readonly #options: TrafficMeterOptions;
  readonly #counted = new WeakMap<OpenSocket, Counted>();
  #minute: number;
  #tallies = new Map<ProjectRef, Tallies>();
  #finished: TrafficEntry[] = [];

  constructor(options: TrafficMeterOptions) {
    this.#options = options;
    this.#minute = this.#currentMinute();
  }

  /** Of a request that is over. */
  observe({ subject, status, body, channel }: Exchange, durationMs: number): void {
    const { projectRef, service } = subject;
    if (projectRef === undefined || service === undefined) return;
    const tally = this.#tallyOf(projectRef, service);
    const statusClass = Math.min(Math.max(Math.floor((status || 499) / 100), 1), STATUS_CLASSES.length) - 1;
    tally.statuses[statusClass] = (tally.statuses[statusClass] as number) + 1;
    tally.bytesIn += body?.receivedBytes ?? 0;
    tally.bytesOut += channel.bodyBytes;
    // The opening of a WebSocket lasts as long as its handshake, which says nothing of how requests are answered.
    if (status === 101) return;
    const bucket = durationBucket(durationMs);
    tally.durations[bucket] = (tally.durations[bucket] as number) + 1;
  }

  /** Of a WebSocket that is over: what it carried since it was last looked at. */
  observeSocket(socket: OpenSocket): void {
    this.#addTraffic(socket.admission.tenant.snapshot.projectRef, socket);
  }

  /** What has been counted since the last call, that of the minute which goes on included. */
  take(): TrafficEntry[] {
    for (const [ref, sockets] of this.#options.openSockets()) {
      const tally = this.#tallyOf(ref, "realtime");
      tally.sockets = Math.max(tally.sockets, sockets.size);
      for (const socket of sockets) this.#addTraffic(ref, socket);
    }
    this.#finishMinute();
    const entries = this.#finished;
    this.#finished = [];
    return entries;
  }

  #addTraffic(ref: ProjectRef, socket: OpenSocket): void {
    const { framesIn, framesOut, bytesIn, bytesOut } = socket.traffic;
    const tally = this.#tallyOf(ref, "realtime");
    const before = this.#counted.get(socket);
    const messages = framesIn + framesOut;
    tally.messages += messages - (before?.messages ?? 0);
    tally.bytesIn += bytesIn - (before?.bytesIn ?? 0);
    tally.bytesOut += bytesOut - (before?.bytesOut ?? 0);
    if (before) Object.assign(before, { messages, bytesIn, bytesOut });
    else this.#counted.set(socket, { messages, bytesIn, bytesOut });
  }

  #tallyOf(ref: ProjectRef, service: ServiceName): Tally {
    if (this.#currentMinute() !== this.#minute) this.#finishMinute();
    let tallies = this.#tallies.get(ref);
    if (!tallies) {
      tallies = {};
      this.#tallies.set(ref, tallies);
    }
    tallies[service] ??= {
      statuses: new Array<number>(STATUS_CLASSES.length).fill(0),
      durations: new Array<number>(DURATION_BUCKETS).fill(0),
      bytesIn: 0,
      bytesOut: 0,
      sockets: 0,
      messages: 0,
    };
    return tallies[service];
  }

  #finishMinute(): void {
    for (const [ref, tallies] of this.#tallies) {
      for (const [service, tally] of Object.entries(tallies)) {
        this.#finished.push({ ref, service: service as ServiceName, minute: this.#minute, ...tally });
      }
    }
    this.#tallies = new Map();
    this.#minute = this.#currentMinute();
  }

  #currentMinute(): number {
    return Math.floor(this.#options.now() / MINUTE_MS);
  }
}
