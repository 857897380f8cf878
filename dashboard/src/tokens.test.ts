import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");
/** Light and dark value of each colour. */
const COLOURS = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
    ([, name = "", light = "", dark = ""]) => [name, [light, dark] as const],
  ),
);
COLOURS.set("on-fill", ["#ffffff", "#ffffff"]);

/** WCAG 2.2, relative luminance and contrast ratio. */
function contrast(one: string, other: string): number {
  const luminance = (hex: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const channel = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [a, b] = [luminance(one), luminance(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

const ratios = (text: string, ground: string) => {
  const [one, other] = [COLOURS.get(text), COLOURS.get(ground)];
  if (!one || !other) throw new Error(`no colour ${text} or ${ground}`);
  return [contrast(one[0], other[0]), contrast(one[1], other[1])] as const;
};

const SURFACES = ["canvas", "surface", "sunken", "hover"];
const TEXTS = ["text", "text-2", "text-3", "accent", "success", "warning", "danger", "info"];

test.each(TEXTS.flatMap((text) => SURFACES.map((surface) => [text, surface] as const)))(
  "%s can be read on %s in both themes",
  (text, surface) => {
    const [light, dark] = ratios(text, surface);
    expect(light).toBeGreaterThanOrEqual(4.5);
    expect(dark).toBeGreaterThanOrEqual(4.5);
  },
);

test.each([
  ["accent", "soft-accent"],
  ["success", "soft-success"],
  ["warning", "soft-warning"],
  ["danger", "soft-danger"],
  ["info", "soft-info"],
  ["on-fill", "accent-fill"],
  ["on-fill", "accent-fill-hover"],
  ["on-fill", "danger-fill"],
  ["on-fill", "danger-fill-hover"],
  ["code-keyword", "surface"],
  ["code-string", "surface"],
  ["code-number", "surface"],
  ["code-name", "surface"],
  ["code-comment", "surface"],
])("%s can be read on %s in both themes", (text, ground) => {
  const [light, dark] = ratios(text, ground);
  expect(light).toBeGreaterThanOrEqual(4.5);
  expect(dark).toBeGreaterThanOrEqual(4.5);
});

test.each(SURFACES)("the border of a control is seen on %s", (surface) => {
  const [light, dark] = ratios("control", surface);
  expect(light).toBeGreaterThanOrEqual(3);
  expect(dark).toBeGreaterThanOrEqual(3);
});

test("no style names a colour of its own", () => {
  const files = globSync("**/*.css", { cwd: new URL(".", import.meta.url) }).filter((file) => file !== "tokens.css");
  expect(files.length).toBeGreaterThan(5);
  const strange = files.filter((file) =>
    /#[0-9a-f]{3,8}\b/i.test(readFileSync(new URL(file, import.meta.url), "utf8")),
  );
  expect(strange).toEqual([]);
});
