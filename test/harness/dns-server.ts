/** A real name server on a free UDP port of this machine, with the records that a test puts into it. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import dns2 from "dns2";

export interface TestDns {
  /** Address with its port, as `SUPALOVE_DNS_SERVERS` takes it. */
  readonly address: string;
  setTxt(name: string, ...values: string[]): void;
  setCname(name: string, target: string): void;
  /** The name has no records any more. */
  remove(name: string): void;
  close(): Promise<void>;
}

export async function startDnsServer(): Promise<TestDns> {
  const { Packet } = dns2;
  const txt = new Map<string, string[]>();
  const cname = new Map<string, string>();
  const server = dns2.createUDPServer((request, send) => {
    const response = Packet.createResponseFromRequest(request);
    const [question] = request.questions;
    const name = question?.name.toLowerCase() ?? "";
    const base = { name, class: Packet.CLASS.IN, ttl: 1 };
    if (question?.type === Packet.TYPE.TXT) {
      for (const data of txt.get(name) ?? []) response.answers.push({ ...base, type: Packet.TYPE.TXT, data } as never);
    }
    const domain = cname.get(name);
    if (question?.type === Packet.TYPE.CNAME && domain !== undefined) {
      response.answers.push({ ...base, type: Packet.TYPE.CNAME, domain } as never);
    }
    if (!txt.has(name) && domain === undefined) response.header.rcode = 3; // NXDOMAIN
    send(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    setTxt: (name, ...values) => void txt.set(name.toLowerCase(), values),
    setCname: (name, target) => void cname.set(name.toLowerCase(), target),
    remove(name) {
      txt.delete(name.toLowerCase());
      cname.delete(name.toLowerCase());
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}
