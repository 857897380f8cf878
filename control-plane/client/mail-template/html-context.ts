/** Where in an HTML text a value stands, and how it has to be escaped there. */

export type HtmlContext =
  /** Not in HTML at all. */
  | { readonly kind: "plain" }
  | { readonly kind: "text" }
  /** Within an attribute's value; `quote` is empty when it has none. */
  | { readonly kind: "attribute"; readonly quote: "" | '"' | "'" }
  /** In the value of an attribute that is a URL: at its beginning, in its path, or behind `?` or `#`. */
  | { readonly kind: "url"; readonly part: "start" | "path" | "query" }
  /** Where no value may stand: in a tag's own text, in a script or a style. */
  | { readonly kind: "forbidden"; readonly place: string };

const URL_ATTRIBUTES: ReadonlySet<string> = new Set(["href", "src", "action", "background", "cite", "poster"]);
const RAW_ELEMENTS = ["script", "style", "textarea", "title"] as const;

/** Follows an HTML text piece by piece. */
export class HtmlScanner {
  #state: "text" | "tag" | "value" | "comment" | "raw" = "text";
  #element = "";
  #attribute = "";
  #quote: "" | '"' | "'" = "";
  #value = "";

  get context(): HtmlContext {
    switch (this.#state) {
      case "text":
        return { kind: "text" };
      case "value": {
        if (this.#attribute.startsWith("on") || this.#attribute === "style")
          return { kind: "forbidden", place: `the attribute ${this.#attribute}` };
        if (!URL_ATTRIBUTES.has(this.#attribute)) return { kind: "attribute", quote: this.#quote };
        if (this.#quote === "") return { kind: "forbidden", place: "a URL without quotes" };
        const part = this.#value === "" ? "start" : /[?#]/.test(this.#value) ? "query" : "path";
        return { kind: "url", part };
      }
      case "raw":
        return { kind: "forbidden", place: `<${this.#element}>` };
      default:
        return { kind: "forbidden", place: this.#state === "comment" ? "a comment" : "a tag" };
    }
  }

  /** Goes on over a piece of the text, in time proportional to its length. */
  read(text: string): void {
    let at = 0;
    while (at < text.length) at = this.#step(text, at);
  }

  /** A value stands here: it is no longer the beginning of an attribute. */
  passValue(): void {
    if (this.#state === "value") this.#value += "x";
  }

  #step(text: string, at: number): number {
    switch (this.#state) {
      case "text":
        return this.#readText(text, at);
      case "comment":
        return this.#until(text, at, "-->", "text");
      case "raw": {
        const close = new RegExp(`</${this.#element}`, "gi");
        close.lastIndex = at;
        const end = close.exec(text)?.index;
        if (end === undefined) return text.length;
        this.#state = "tag";
        this.#element = "";
        return end + 2;
      }
      case "tag":
        return this.#readTag(text, at);
      case "value":
        return this.#readValue(text, at);
    }
  }

  #readText(text: string, at: number): number {
    const open = text.indexOf("<", at);
    if (open < 0) return text.length;
    if (text.startsWith("<!--", open)) {
      this.#state = "comment";
      return open + 4;
    }
    const name = /^[a-z][a-z0-9]*/i.exec(text.slice(open + 1, open + 40))?.[0].toLowerCase();
    if (name === undefined && text[open + 1] !== "/" && text[open + 1] !== "!") return open + 1;
    this.#element = name ?? "";
    this.#state = "tag";
    return open + 1 + (name?.length ?? 0);
  }

  #until(text: string, at: number, mark: string, next: "text"): number {
    const end = text.indexOf(mark, at);
    if (end < 0) return text.length;
    this.#state = next;
    return end + mark.length;
  }

  #readTag(text: string, at: number): number {
    const character = text[at];
    if (character === ">") {
      this.#state = (RAW_ELEMENTS as readonly string[]).includes(this.#element) ? "raw" : "text";
      this.#attribute = "";
      return at + 1;
    }
    const name = /[^\s"'<>/=]/.test(character ?? "")
      ? /^[^\s"'<>/=]{1,100}/.exec(text.slice(at, at + 100))?.[0]
      : undefined;
    if (name !== undefined) {
      this.#attribute = name.toLowerCase();
      return at + name.length;
    }
    if (character === "=") {
      const quote = text[at + 1];
      this.#quote = quote === '"' || quote === "'" ? quote : "";
      this.#value = "";
      this.#state = "value";
      return at + 1 + this.#quote.length;
    }
    return at + 1;
  }

  #readValue(text: string, at: number): number {
    let end = at;
    const isEnd = (character: string) => (this.#quote === "" ? /[\s>]/.test(character) : character === this.#quote);
    while (end < text.length && !isEnd(text[end] as string)) end += 1;
    // What matters of a value is whether it has begun, and whether its query has.
    const piece = text.slice(at, end);
    if (piece !== "") this.#value = /[?#]/.test(this.#value + piece) ? "?" : "x";
    if (end === text.length) return end;
    this.#state = "tag";
    return this.#quote === "" ? end : end + 1;
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
  "=": "&#61;",
};

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");

/** Pure: the value as it may stand there. */
export function escapeFor(context: HtmlContext, value: string): string {
  switch (context.kind) {
    case "plain":
      return value;
    case "text":
      return escapeHtml(value);
    case "attribute":
      return context.quote === ""
        ? value.replace(/[&<>"'`=\s]/g, (character) => ENTITIES[character] ?? `&#${character.codePointAt(0)};`)
        : escapeHtml(value);
    case "url":
      if (context.part === "query") return encodeURIComponent(value.toWellFormed());
      if (context.part === "start" && /^\s*(?:javascript|data|vbscript|file)\s*:/i.test(value)) return "#";
      return escapeHtml(encodeURI(value.toWellFormed()).replaceAll("%25", "%"));
    case "forbidden":
      return "";
  }
}
