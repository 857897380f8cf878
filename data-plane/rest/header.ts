/** Headers that SQL may set (response.headers, RAISE SQLSTATE 'PGRST'): whatever could break framing is refused. */

/** RFC 9110 section 5.6.2 and 5.5: a token, and visible characters with inner blanks. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[^\0-\x08\x0a-\x1f\x7f]*$/;

/** These belong to the connection or to the host that writes the body; SQL must not speak for them. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** True for a header that can be written as it is. */
export function isHeader(name: string, value: string): boolean {
  return NAME.test(name) && VALUE.test(value);
}

/** True for a header that SQL may not set: it is left out silently. */
export function isFramingHeader(name: string): boolean {
  return FRAMING.has(name.toLowerCase());
}
