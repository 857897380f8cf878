/** Prometheus metrics of a gateway. Labels are bounded: service and status class, never a project or a path. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Exchange } from "./exchange.ts";
import type { OpenSocket } from "./websocket/open-socket.ts";

const SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const STATUS_CLASSES = ["", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

export interface GatewayMetrics {
  readonly registry: Registry;
  observe(exchange: Exchange, durationMs: number): void;
  /** Of a WebSocket that is over. */
  observeSocket(socket: OpenSocket): void;
  /** Read when the metrics are asked for. */
  watch(gauges: {
    readonly requestsInFlight: () => number;
    readonly sockets: () => number;
    readonly upstreamConnections: () => number;
  }): void;
}

/** What a request adds to: plain numbers, because labels cost more than the rest of counting. */
interface Tally {
  readonly byStatusClass: Float64Array;
  /** One more than there are buckets: the last counts what was slower than all. */
  readonly byDuration: Float64Array;
  seconds: number;
  bytes: number;
}

export function createGatewayMetrics(registry: Registry = new Registry()): GatewayMetrics {
  const tallies = new Map<string, Tally>();
  const errors = new Counter({
    name: "supalove_gateway_errors_total",
    help: "Requests that the gateway refused itself, by the code of its error.",
    labelNames: ["code"],
    registers: [registry],
  });
  new Counter({
    name: "supalove_gateway_requests_total",
    help: "Requests answered, by service and class of status; 499 counts clients that went away.",
    labelNames: ["service", "status_class"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [service, { byStatusClass }] of tallies) {
        byStatusClass.forEach((count, index) => {
          if (count > 0) this.inc({ service, status_class: STATUS_CLASSES[index] ?? "" }, count);
        });
      }
    },
  });
  new Counter({
    name: "supalove_gateway_response_bytes_total",
    help: "Bytes of response bodies sent to clients.",
    labelNames: ["service"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [service, { bytes }] of tallies) this.inc({ service }, bytes);
    },
  });
  registry.registerMetric(new DurationHistogram(tallies));
  const sockets = new Counter({
    name: "supalove_gateway_sockets_closed_total",
    help: "WebSockets that are over, by where they were served.",
    labelNames: ["kind"],
    registers: [registry],
  });
  const frames = new Counter({
    name: "supalove_gateway_socket_frames_total",
    help: "Frames of WebSockets that are over: in from clients, out to clients.",
    labelNames: ["direction"],
    registers: [registry],
  });

  function tallyOf(service: string): Tally {
    let tally = tallies.get(service);
    if (!tally) {
      tally = {
        byStatusClass: new Float64Array(STATUS_CLASSES.length),
        byDuration: new Float64Array(SECONDS_BUCKETS.length + 1),
        seconds: 0,
        bytes: 0,
      };
      tallies.set(service, tally);
    }
    return tally;
  }

  return {
    registry,
    observe(exchange, durationMs) {
      const tally = tallyOf(exchange.subject.service ?? "none");
      const statusClass = Math.floor((exchange.status || 499) / 100);
      tally.byStatusClass[statusClass] = (tally.byStatusClass[statusClass] ?? 0) + 1;
      const seconds = durationMs / 1000;
      let bucket = 0;
      while (bucket < SECONDS_BUCKETS.length && seconds > (SECONDS_BUCKETS[bucket] as number)) bucket += 1;
      tally.byDuration[bucket] = (tally.byDuration[bucket] ?? 0) + 1;
      tally.seconds += seconds;
      tally.bytes += exchange.channel.bodyBytes;
      if (exchange.errorCode) errors.inc({ code: exchange.errorCode });
    },
    observeSocket({ kind, traffic }) {
      sockets.inc({ kind });
      frames.inc({ direction: "in" }, traffic.framesIn);
      frames.inc({ direction: "out" }, traffic.framesOut);
    },
    watch({ requestsInFlight, sockets, upstreamConnections }) {
      gauge("supalove_gateway_requests_in_flight", "Requests without a whole response.", requestsInFlight);
      gauge("supalove_gateway_sockets", "Open WebSockets.", sockets);
      gauge("supalove_gateway_upstream_connections", "Open connections to upstreams.", upstreamConnections);
    },
  };

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  }
}

/** A histogram whose numbers come from the tallies when they are asked for. */
class DurationHistogram extends Histogram<"service"> {
  readonly #tallies: ReadonlyMap<string, Tally>;

  constructor(tallies: ReadonlyMap<string, Tally>) {
    super({
      name: "supalove_gateway_request_duration_seconds",
      help: "From the request's head to the response's last byte.",
      labelNames: ["service"],
      buckets: SECONDS_BUCKETS,
      registers: [],
    });
    this.#tallies = tallies;
  }

  override async get(): Promise<Awaited<ReturnType<Histogram<"service">["get"]>>> {
    const metric = await super.get();
    const name = "supalove_gateway_request_duration_seconds";
    const values: typeof metric.values = [];
    for (const [service, tally] of this.#tallies) {
      let count = 0;
      tally.byDuration.forEach((added, index) => {
        count += added;
        const le = SECONDS_BUCKETS[index] ?? "+Inf";
        const labels = { service, le } as { service: string }; // the types do not know of the bucket's own label
        values.push({ labels, value: count, metricName: `${name}_bucket` });
      });
      values.push({ labels: { service }, value: tally.seconds, metricName: `${name}_sum` });
      values.push({ labels: { service }, value: count, metricName: `${name}_count` });
    }
    return { ...metric, values };
  }
}
