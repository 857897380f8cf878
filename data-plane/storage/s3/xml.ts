/** XML of the S3 protocol: small documents out, smaller ones in. */
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { StorageError } from "../errors.ts";

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";

export type XmlValue = string | number | boolean | null | undefined | XmlElements | readonly XmlValue[];
/** A list makes an element for each member; undefined and null make none. */
export interface XmlElements {
  readonly [name: string]: XmlValue;
}

/** A document of one root. @param namespaced An error has no namespace: clients look for its bare names. */
export function xmlDocument(root: string, elements: XmlElements, namespaced = true): string {
  const attribute = namespaced ? ` xmlns="${NAMESPACE}"` : "";
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${attribute}>${render(elements)}</${root}>`;
}

function render(elements: XmlElements): string {
  let text = "";
  for (const [name, value] of Object.entries(elements)) {
    for (const item of Array.isArray(value) ? (value as readonly XmlValue[]) : [value]) {
      if (item === undefined || item === null) continue;
      const content = typeof item === "object" ? render(item as XmlElements) : escapeXml(String(item));
      text += `<${name}>${content}</${name}>`;
    }
  }
  return text;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\r": "&#13;",
};

export function escapeXml(text: string): string {
  return text
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "")
    .replace(/[&<>"\r]/g, (char) => ESCAPES[char] ?? char);
}

const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  // Those that XML itself has, by name and by number; a document that declares more is refused before.
  processEntities: true,
  htmlEntities: true,
  isArray: (name) => name === "Object" || name === "Part",
});

type Parsed = Readonly<Record<string, unknown>>;

/** @returns The content of the root. @throws {StorageError} MalformedXML */
export function parseXml(text: string, root: string): Parsed {
  const isDeclared = /<!(?:DOCTYPE|ENTITY)/i.test(text);
  if (isDeclared || XMLValidator.validate(text) !== true) throw malformed();
  const document = parser.parse(text) as Parsed;
  const roots = Object.keys(document).filter((name) => !name.startsWith("?") && name !== "#text");
  if (roots.length !== 1 || roots[0] !== root) throw malformed();
  const content = document[root];
  return typeof content === "object" && content !== null ? (content as Parsed) : {};
}

export function malformed(): StorageError {
  return new StorageError("malformedXml");
}
