import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { openPort } from "./listen.ts";
import { boundReceiveBuffer } from "./receive-buffer.ts";
import { App, closeListenSocket, localPort } from "./uws.ts";

/** Sends as fast as it can, from another process. */
const SENDER = `
  const socket = require("node:net").connect(Number(process.argv[1]), "127.0.0.1");
  const piece = Buffer.alloc(1 << 20);
  socket.on("error", () => {});
  socket.write("POST / HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 4294967296\\r\\n\\r\\n");
  const fill = () => { while (socket.write(piece)); };
  socket.on("drain", fill);
  fill();
`;

test.runIf(process.platform === "linux")("a sender that is faster than the reader is stopped by a pause", async () => {
  let isPaused = false;
  let isGone = false;
  let pieces = 0;
  let whilePaused = 0;
  const enough = Promise.withResolvers<void>();
  const app = App().post("/*", (response) => {
    response.onAborted(() => {
      isGone = true;
    });
    response.onData(() => {
      pieces += 1;
      if (isPaused) whilePaused += 1;
      if (pieces > 200) enough.resolve();
      if (isPaused) return;
      isPaused = true;
      response.pause();
      setTimeout(() => {
        if (isGone) return;
        isPaused = false;
        response.resume();
      }, 2);
    });
  });
  const socket = await openPort(app, 0, "127.0.0.1", false);
  const sender = spawn(process.execPath, ["-e", SENDER, String(localPort(socket))], { stdio: "ignore" });
  await enough.promise;
  sender.kill("SIGKILL");
  await once(sender, "close");
  closeListenSocket(socket);
  app.close();
  expect(whilePaused).toBe(0);
});

test("a port on which nobody listens is told", async () => {
  expect(await boundReceiveBuffer(1)).toBe(false);
});
