/** Stands for a realtime server: takes every WebSocket and sends back what it gets. Argument: port. */
import { App } from "../../data-plane/http/uws.ts";

const port = Number(process.argv[2]);
App()
  .ws("/*", { idleTimeout: 120, message: (socket, message, isBinary) => void socket.send(message, isBinary) })
  .any("/*", (response) => void response.end("ok"))
  .listen("127.0.0.1", port, (listening) => console.log(listening ? "listening" : "failed"));
