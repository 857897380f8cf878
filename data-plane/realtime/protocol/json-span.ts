/** Where a value stands in a JSON text that is known to be valid, so that it can be passed on as it was written. */

/** The text of the fifth element of `[join_ref, ref, topic, event, payload]`. */
export function payloadOfArray(text: string): string {
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  for (let element = 0; element < 4; element += 1) {
    at = skipSpace(text, skipValue(text, at));
    at = skipSpace(text, at + 1); // the comma
  }
  return text.slice(at, skipValue(text, at));
}

/** The text of the member `payload`; the last one counts, as for JSON.parse. */
export function payloadOfObject(text: string): string {
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  let found = "null";
  while (text.charCodeAt(at) === 34 /* " */) {
    const nameEnd = skipString(text, at);
    const name = text.slice(at, nameEnd);
    at = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, at);
    if (name === '"payload"' || (name.includes("\\") && JSON.parse(name) === "payload")) found = text.slice(at, end);
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === 44 /* , */) at = skipSpace(text, at + 1);
  }
  return found;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return at;
    at += 1;
  }
}

function skipString(text: string, from: number): number {
  let at = from;
  for (;;) {
    at = text.indexOf('"', at + 1);
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === 92 /* \ */) backslashes += 1;
    if (backslashes % 2 === 0) return at + 1;
  }
}

function skipValue(text: string, from: number): number {
  let at = from;
  let depth = 0;
  do {
    const code = text.charCodeAt(at);
    if (code === 34) at = skipString(text, at);
    else {
      if (code === 123 || code === 91) depth += 1;
      else if (code === 125 || code === 93) depth -= 1;
      else if (depth === 0) return skipLiteral(text, at);
      at += 1;
    }
  } while (depth > 0);
  return at;
}

/** Numbers, true, false and null. */
function skipLiteral(text: string, from: number): number {
  let at = from;
  while (at < text.length && !",]} \n\r\t".includes(text.charAt(at))) at += 1;
  return at;
}
