/** GETs in a loop on keep-alive connections, without any retry: every one that is not answered with 200 counts. */
import { Agent, get } from "node:http";

export function countFailures(url: string, key: string, connections: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const reasons = new Map<string, number>();
  let answered = 0;
  let failed = 0;
  let running = true;

  function ask(): Promise<void> {
    return new Promise((resolve) => {
      const fail = (reason: string) => {
        failed += 1;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
        resolve();
      };
      get(url, { agent, headers: { apikey: key } }, (response) => {
        response.on("data", () => {});
        response.on("error", (error) => fail(String(error)));
        response.on("end", () => {
          if (response.statusCode !== 200) {
            fail(`status ${response.statusCode}`);
            return;
          }
          answered += 1;
          resolve();
        });
      }).on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    });
  }

  const loops = Array.from({ length: connections }, async () => {
    while (running) await ask();
  });
  return {
    async stop(): Promise<{ answered: number; failed: number; reasons: ReadonlyMap<string, number> }> {
      running = false;
      await Promise.all(loops);
      agent.destroy();
      return { answered, failed, reasons };
    },
  };
}
