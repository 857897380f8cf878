/** The plain proxy that many would write first: node:http in front, undici behind. Arguments: upstream origin, port. */
import { createServer } from "node:http";
import { Pool } from "undici";

const [origin = "", port = "0"] = process.argv.slice(2);
const pool = new Pool(origin, { connections: 128 });

createServer((request, response) => {
  const path = (request.url ?? "/").replace(/^\/projects\/[a-z]{20}\/rest\/v1/, "");
  const headers = { ...request.headers };
  delete headers.connection;
  pool
    .request({ path, method: "GET", headers })
    .then(({ statusCode, headers: received, body }) => {
      const { connection: _dropped, "keep-alive": _dropped2, ...passed } = received;
      response.writeHead(statusCode, passed as Record<string, string>);
      body.pipe(response);
    })
    .catch(() => response.destroy());
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));
