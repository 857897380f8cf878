import { describe, expect, test } from "vitest";
import { parseMailTemplate, renderMailTemplate, TemplateError } from "./mail-template.ts";

const VALUES = {
  SiteURL: "https://app.example",
  ConfirmationURL: "https://api.example/auth/v1/verify?token=ab&type=signup&redirect_to=https://app.example",
  Email: "ada@example.com",
  Token: "123456",
  Data: { name: '<b>"Ada"</b>', tags: ["a", "b"], admin: true, nested: { deep: "x" } },
};

const html = (text: string, values: object = VALUES) =>
  renderMailTemplate(parseMailTemplate(text, { isHtml: true }), values as Record<string, unknown>);
const plain = (text: string) => renderMailTemplate(parseMailTemplate(text, { isHtml: false }), VALUES);

describe("actions", () => {
  test.each([
    ["{{ .Token }}", "123456"],
    ["{{.Data.nested.deep}}", "x"],
    ["[{{ .Missing.key }}]", "[]"],
    ["{{ if .Data.admin }}yes{{ else }}no{{ end }}", "yes"],
    ["{{ if not .Data.admin }}yes{{ else }}no{{ end }}", "no"],
    ['{{ if eq .Email "ada@example.com" }}Ada{{ end }}', "Ada"],
    ['{{ if eq .Token "1" "123456" }}one of{{ end }}', "one of"],
    ['{{ if and .Data.admin (ne .Token "") }}both{{ end }}', "both"],
    ["{{ if or .Missing .Data.admin }}either{{ end }}", "either"],
    ['{{ if eq .Token "1" }}a{{ else if eq .Token "123456" }}b{{ else }}c{{ end }}', "b"],
    ["{{ range .Data.tags }}<{{ . }}>{{ else }}none{{ end }}", "<a><b>"],
    ["{{ range .Data.none }}x{{ else }}none{{ end }}", "none"],
    ["{{ with .Data.nested }}{{ .deep }} {{ $.Token }}{{ end }}", "x 123456"],
    ["a  {{- /* comment */ -}}  b {{- .Token -}} c", "ab123456c"],
    ["{{ len .Data.tags }}", "2"],
  ])("%s", (template, expected) => {
    expect(plain(template)).toBe(expected);
  });

  test.each([
    "{{ .Token",
    "{{ if .Token }}",
    "{{ end }}",
    "{{ exec .Token }}",
    "{{ .Token | html }}",
    "{{ if }}x{{ end }}",
    "{{ (.Token }}",
    '{{ "open }}',
  ])("%s is refused", (template) => {
    expect(() => parseMailTemplate(template, { isHtml: false })).toThrow(TemplateError);
  });
});

describe("values in HTML", () => {
  test.each([
    ["<p>{{ .Data.name }}</p>", "<p>&lt;b&gt;&quot;Ada&quot;&lt;/b&gt;</p>"],
    ['<a title="{{ .Data.name }}">x</a>', '<a title="&lt;b&gt;&quot;Ada&quot;&lt;/b&gt;">x</a>'],
    ["<a title={{ .Data.name }}>x</a>", "<a title=&lt;b&gt;&quot;Ada&quot;&lt;/b&gt;>x</a>"],
    [
      '<a href="{{ .ConfirmationURL }}">x</a>',
      '<a href="https://api.example/auth/v1/verify?token=ab&amp;type=signup&amp;redirect_to=https://app.example">x</a>',
    ],
    [
      '<a href="{{ .SiteURL }}/confirm?next={{ .SiteURL }}&hash={{ .Token }}">x</a>',
      '<a href="https://app.example/confirm?next=https%3A%2F%2Fapp.example&hash=123456">x</a>',
    ],
  ])("%s", (template, expected) => {
    expect(html(template)).toBe(expected);
  });

  test("a link that would run a script leads nowhere", () => {
    expect(html('<a href="{{ .Link }}">x</a>', { Link: " javascript:alert(1)" })).toBe('<a href="#">x</a>');
  });

  test.each([
    "<script>{{ .Token }}</script>",
    "<style>a { color: {{ .Token }} }</style>",
    '<a onclick="{{ .Token }}">x</a>',
    '<a style="{{ .Token }}">x</a>',
    "<a {{ .Token }}>x</a>",
    "<!-- {{ .Token }} -->",
    "<a href={{ .Token }}>x</a>",
  ])("%s is refused: nothing could be escaped there", (template) => {
    expect(() => parseMailTemplate(template, { isHtml: true })).toThrow(/no value may stand/);
  });

  test("names do not reach what every object has", () => {
    expect(html("[{{ .constructor.name }}{{ .Data.__proto__ }}]")).toBe("[]");
  });
});

describe("bounds", () => {
  test("depth", () => {
    const deep = `${"{{ if .Token }}".repeat(30)}${"{{ end }}".repeat(30)}`;
    expect(() => parseMailTemplate(deep, { isHtml: true })).toThrow(/nested/);
  });

  test("length", () => {
    expect(() => parseMailTemplate("x".repeat(70_000), { isHtml: true })).toThrow(/at most/);
  });

  test("what is made of it", () => {
    const values = { Data: { list: Array.from({ length: 1_000 }, () => "x".repeat(1_000)) } };
    expect(() => html("{{ range .Data.list }}{{ . }}{{ end }}", values)).toThrow(/too long/);
    const nested = "{{ range .Data.list }}{{ range $.Data.list }}x{{ end }}{{ end }}";
    expect(() => html(nested, values)).toThrow(/too long/);
  });
});
