/**
 * uWebSockets.js with the two process-wide choices made before its native code loads. Import it from here and nowhere
 * else: the size limit is read once, when the library is loaded.
 */

/** uWebSockets' own default of 4 KB is too little for two JWTs and a long `in.(…)` filter; nginx allows 32 KB. */
process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= String(64 * 1024);

const library = await import("uWebSockets.js");
// Leaves out the header that names the server and its version. The call is missing from the package's types.
(library as unknown as { _cfg(option: "silent"): void })._cfg("silent");

export const App = library.App;
export const SSLApp = library.SSLApp;
export const closeListenSocket = library.us_listen_socket_close;
export const localPort = library.us_socket_local_port as unknown as (socket: ListenSocket) => number;
/** Refuse a port that another process listens on; without it the kernel spreads connections over both. */
export const EXCLUSIVE_PORT: number = (library as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number })
  .LIBUS_LISTEN_EXCLUSIVE_PORT;

export type { HttpRequest, HttpResponse, TemplatedApp, WebSocket } from "uWebSockets.js";
export type ListenSocket = import("uWebSockets.js").us_listen_socket;
