// Many WebSockets through the gateway: each is opened, sends a message, must get it back, and stays for a while.
// Environment: TARGET (ws URL with the key), SOCKETS, HOLD (seconds).
import { check } from "k6";
import { Counter } from "k6/metrics";
import { WebSocket } from "k6/websockets";

const echoed = new Counter("echoed");
const perUser = 50;
const users = Math.ceil(Number(__ENV.SOCKETS || 1000) / perUser);

export const options = {
  scenarios: { sockets: { executor: "per-vu-iterations", vus: users, iterations: 1, maxDuration: "5m" } },
  thresholds: { checks: ["rate==1"] },
};

export default function () {
  for (let index = 0; index < perUser; index += 1) {
    const socket = new WebSocket(__ENV.TARGET);
    const text = `hello-${__VU}-${index}`;
    socket.onopen = () => {
      socket.send(text);
      setTimeout(() => socket.close(), Number(__ENV.HOLD || 10) * 1000);
    };
    socket.onmessage = ({ data }) => {
      check(data, { "the echo is mine": (received) => received === text });
      echoed.add(1);
    };
    socket.onerror = (event) => check(event, { "no error": () => false });
  }
}

export function handleSummary({ metrics }) {
  const failed = metrics.checks ? metrics.checks.values.fails : 1;
  return { stdout: JSON.stringify({ echoed: metrics.echoed ? metrics.echoed.values.count : 0, failed }) };
}
