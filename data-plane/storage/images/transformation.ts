/** What is to be done to an image, as a URL or a signed token says it. Pure. */
import { storageError } from "../errors.ts";
import { Fields } from "../http/json-body.ts";

export const MAX_SIDE = 2500;
const GRAVITIES = ["no", "so", "ea", "we", "noea", "nowe", "soea", "sowe", "ce", "sm", "fp"] as const;

export interface Transformation {
  /** In pixels; undefined leaves it to the other side. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly resize: "cover" | "contain" | "fill";
  readonly quality: number;
  /** Undefined: the best that the client accepts. `origin` keeps the source's. */
  readonly format: "origin" | "avif" | "webp" | undefined;
  readonly gravity: (typeof GRAVITIES)[number] | undefined;
  /** Focus point, each from 0 to 1. */
  readonly focus: { readonly x: number; readonly y: number } | undefined;
}

/** @throws {StorageError} */
export function parseTransformation(fields: Fields): Transformation {
  const side = (name: string) => {
    const value = fields.optionalInteger(name, { min: 0 });
    return value === undefined || value === 0 ? undefined : Math.min(value, MAX_SIDE);
  };
  const gravity = fields.choice("gravity", GRAVITIES);
  return {
    width: side("width"),
    height: side("height"),
    resize: fields.choice("resize", ["cover", "contain", "fill"]) ?? "cover",
    quality: fields.optionalInteger("quality", { min: 20, max: 100 }) ?? 80,
    format: fields.choice("format", ["origin", "avif", "webp"]),
    gravity,
    focus: gravity === "fp" ? { x: fraction(fields, "x_offset"), y: fraction(fields, "y_offset") } : undefined,
  };
}

function fraction(fields: Fields, name: string): number {
  const value = Number(fields.optionalText(name) ?? Number.NaN);
  if (!(value >= 0 && value <= 1))
    throw storageError("invalidRequest", `querystring/${name} must be a number from 0 to 1`);
  return value;
}

const RESIZING = { cover: "fill", contain: "fit", fill: "force" } as const;

/** As the original writes it into tokens and the header X-Transformations. */
export function transformationText({ width, height, resize, quality, format, gravity }: Transformation): string {
  return [
    ...(height === undefined ? [] : [`height:${height}`]),
    ...(width === undefined ? [] : [`width:${width}`]),
    `resizing_type:${RESIZING[resize]}`,
    `quality:${quality}`,
    ...(format === undefined ? [] : [`format:${format}`]),
    ...(gravity === undefined ? [] : [`gravity:${gravity}`]),
  ].join(",");
}

/** The reverse, for what a token holds. @throws {StorageError} */
export function parseTransformationText(text: string, format: string | null): Transformation {
  const values: Record<string, string> = {};
  for (const part of text.split(",")) {
    const colon = part.indexOf(":");
    if (colon > 0) values[part.slice(0, colon)] = part.slice(colon + 1);
  }
  const resize = Object.entries(RESIZING).find(([, name]) => name === values.resizing_type)?.[0];
  const { resizing_type: _, ...rest } = values;
  return parseTransformation(new Fields({ ...rest, ...(resize ? { resize } : {}), ...(format ? { format } : {}) }));
}
