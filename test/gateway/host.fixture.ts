/** A process of its own that serves an echo over HTTP; prints its port, stops on SIGTERM. */
import { Registry } from "prom-client";
import { HeldBytes } from "../../data-plane/held-bytes.ts";
import { createHttpHost } from "../../data-plane/http-host.ts";
import { echo, localServices, SILENT } from "./support.ts";

const host = createHttpHost({
  services: localServices({
    rest: async (request) => {
      if (request.path === "/slow") await new Promise((resolve) => setTimeout(resolve, 500));
      if (request.path === "/throws") throw new Error("password=secret");
      return echo(request, {} as never);
    },
    storage: async (request) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request.body?.stream() ?? []) chunks.push(chunk);
      async function* body() {
        yield* chunks;
      }
      return { status: 200, headers: [["content-type", "application/octet-stream"]], body: body() };
    },
  }),
  heldBytes: new HeldBytes(100_000_000),
  serviceToken: process.argv[2] ?? "",
  isReady: () => true,
  registry: new Registry(),
  logger: SILENT,
});
const { port } = await host.listen(0, "127.0.0.1");
console.log(port);
process.on("SIGTERM", () => void host.drain().then(() => host.close()));
