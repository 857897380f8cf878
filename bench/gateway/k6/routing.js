// Latency of one target at a fixed rate: GETs through routing and key check, each answer checked.
// Environment: TARGET (URL), KEY, BYTES (size of the body), RATE (requests a second), DURATION.
import { check } from "k6";
import http from "k6/http";

export const options = {
  discardResponseBodies: false,
  scenarios: {
    routing: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE || 1000),
      timeUnit: "1s",
      duration: __ENV.DURATION || "10s",
      preAllocatedVUs: 100,
    },
  },
  thresholds: { checks: ["rate==1"] },
  summaryTrendStats: ["med", "p(99)", "max"],
};

const headers = { apikey: __ENV.KEY, authorization: `Bearer ${__ENV.KEY}` };

export default function () {
  const response = http.get(__ENV.TARGET, { headers });
  check(response, {
    "status is 200": ({ status }) => status === 200,
    "body is whole": ({ body }) => body.length === Number(__ENV.BYTES),
  });
}

export function handleSummary({ metrics }) {
  const { values } = metrics.http_req_duration;
  const failed = metrics.checks ? metrics.checks.values.fails : 1;
  const dropped = metrics.dropped_iterations ? metrics.dropped_iterations.values.count : 0;
  return { stdout: JSON.stringify({ p50: values.med, p99: values["p(99)"], failed, dropped }) };
}
