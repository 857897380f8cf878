/** Prometheus metrics of a gateway. Labels are bounded: service and status class, never a project or a path. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Exchange } from "./exchange.ts";

const SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export interface GatewayMetrics {
  readonly registry: Registry;
  observe(exchange: Exchange, durationMs: number): void;
  /** Read when the metrics are asked for. */
  watch(gauges: { readonly requestsInFlight: () => number; readonly sockets: () => number }): void;
}

export function createGatewayMetrics(registry: Registry = new Registry()): GatewayMetrics {
  const requests = new Counter({
    name: "supalove_gateway_requests_total",
    help: "Requests answered, by service and class of status; 499 counts clients that went away.",
    labelNames: ["service", "status_class"],
    registers: [registry],
  });
  const errors = new Counter({
    name: "supalove_gateway_errors_total",
    help: "Requests that the gateway refused itself, by the code of its error.",
    labelNames: ["code"],
    registers: [registry],
  });
  const durations = new Histogram({
    name: "supalove_gateway_request_duration_seconds",
    help: "From the request's head to the response's last byte.",
    labelNames: ["service"],
    buckets: SECONDS_BUCKETS,
    registers: [registry],
  });
  const bytes = new Counter({
    name: "supalove_gateway_response_bytes_total",
    help: "Bytes of response bodies sent to clients.",
    labelNames: ["service"],
    registers: [registry],
  });
  /** Resolving labels costs more than counting: it is done once for each pair. */
  const resolved = new Map<string, Resolved>();

  function resolve(service: string, statusClass: string): Resolved {
    const labels = {
      requests: requests.labels(service, statusClass),
      duration: durations.labels(service),
      bytes: bytes.labels(service),
    };
    resolved.set(`${service}${statusClass}`, labels);
    return labels;
  }

  return {
    registry,
    observe(exchange, durationMs) {
      const service = exchange.route?.service ?? "none";
      const statusClass = STATUS_CLASSES[Math.floor((exchange.status || 499) / 100)] ?? "5xx";
      const labels = resolved.get(`${service}${statusClass}`) ?? resolve(service, statusClass);
      labels.requests.inc();
      labels.duration.observe(durationMs / 1000);
      labels.bytes.inc(exchange.channel.bodyBytes);
      if (exchange.errorCode) errors.labels(exchange.errorCode).inc();
    },
    watch({ requestsInFlight, sockets }) {
      gauge("supalove_gateway_requests_in_flight", "Requests without a whole response.", requestsInFlight);
      gauge("supalove_gateway_sockets", "Open WebSockets.", sockets);
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

const STATUS_CLASSES = ["", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

interface Resolved {
  readonly requests: { inc(): void };
  readonly duration: { observe(seconds: number): void };
  readonly bytes: { inc(count: number): void };
}
