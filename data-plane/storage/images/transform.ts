/** Resizing and converting with libvips. Runs in a worker thread; whatever an image does, it ends within bounds. */
import sharp, { type Sharp } from "sharp";
import type { Transformation } from "./transformation.ts";

export interface ImageInput {
  readonly bytes: Uint8Array;
  readonly transformation: Transformation;
  /** The client's Accept header: webp where it is accepted and no format is asked for. */
  readonly acceptsWebp: boolean;
}

export type ImageOutput =
  | { readonly bytes: Buffer; readonly contentType: string }
  | { readonly refusal: "invalid" | "too_large" | "too_slow" };

const MAX_PIXELS = 50_000_000;
const MAX_SECONDS = 8;

// Only readers of formats that are served, and of memory: none that opens files or other programs.
sharp.block({ operation: ["VipsForeignLoad"] });
sharp.unblock({
  operation: [
    ...[
      "VipsForeignLoadJpegBuffer",
      "VipsForeignLoadPngBuffer",
      "VipsForeignLoadWebpBuffer",
      "VipsForeignLoadHeifBuffer",
    ],
    ...["VipsForeignLoadNsgifBuffer", "VipsForeignLoadTiffBuffer", "VipsForeignLoadSvgBuffer"],
  ],
});
sharp.cache(false);
sharp.concurrency(1);

export async function transform({ bytes, transformation, acceptsWebp }: ImageInput): Promise<ImageOutput> {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isDangerous(source)) return { refusal: "invalid" };
  try {
    const image = sharp(source, { limitInputPixels: MAX_PIXELS, failOn: "error", sequentialRead: true });
    const { format, width = 0, height = 0 } = await image.metadata();
    if (width * height > MAX_PIXELS) return { refusal: "too_large" };
    const target = targetFormat(transformation, format, acceptsWebp);
    const resized = resize(image.timeout({ seconds: MAX_SECONDS }).rotate(), transformation);
    const output = await encode(resized, target, transformation.quality).toBuffer();
    return { bytes: owned(output), contentType: `image/${target}` };
  } catch (error) {
    const { message } = error as Error;
    if (/timeout/i.test(message)) return { refusal: "too_slow" };
    return { refusal: /pixel limit|exceeds/i.test(message) ? "too_large" : "invalid" };
  }
}

/** The library's memory cannot be handed over to another thread. */
function owned(bytes: Buffer): Buffer {
  return Buffer.from(new Uint8Array(bytes).buffer);
}

type Target = "jpeg" | "png" | "webp" | "avif" | "gif";

function targetFormat({ format }: Transformation, source: string | undefined, acceptsWebp: boolean): Target {
  if (format === "avif" || format === "webp") return format;
  if (format === undefined && acceptsWebp) return "webp";
  if (source === "png" || source === "webp" || source === "gif") return source;
  if (source === "heif") return "avif";
  return source === "svg" ? "png" : "jpeg";
}

const POSITIONS = {
  ...{ no: "north", so: "south", ea: "east", we: "west", ce: "centre", fp: "centre", sm: "attention" },
  ...{ noea: "northeast", nowe: "northwest", soea: "southeast", sowe: "southwest" },
} as const;

function resize(image: Sharp, { width, height, resize: kind, gravity, focus }: Transformation): Sharp {
  if (width === undefined && height === undefined) return image;
  const fit = kind === "contain" ? "inside" : kind === "fill" ? "fill" : "cover";
  const position = focus ? nearest(focus) : gravity ? POSITIONS[gravity] : "centre";
  return image.resize({
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...{ fit, position, withoutEnlargement: kind !== "fill" },
  });
}

/** The ninth of the image in which the focus point lies. */
function nearest({ x, y }: { readonly x: number; readonly y: number }): string {
  const vertical = y < 1 / 3 ? "north" : y > 2 / 3 ? "south" : "";
  const horizontal = x < 1 / 3 ? "west" : x > 2 / 3 ? "east" : "";
  return `${vertical}${horizontal}` || "centre";
}

function encode(image: Sharp, target: Target, quality: number): Sharp {
  switch (target) {
    case "jpeg":
      return image.flatten({ background: "white" }).jpeg({ quality });
    case "png":
      return image.png({ compressionLevel: 6 });
    case "webp":
      return image.webp({ quality });
    case "avif":
      return image.avif({ quality, effort: 2 });
    case "gif":
      return image.gif();
  }
}

/** Compressed SVG unfolds without bound, and an SVG that refers to anything outside of itself would make us fetch it. */
function isDangerous(source: Buffer): boolean {
  if (source[0] === 0x1f && source[1] === 0x8b) return true;
  if (!looksLikeXml(source)) return false;
  const text = source.toString("utf8").replaceAll("\0", "");
  if (/<!DOCTYPE[^>]*\[|<!ENTITY|<\?xml-stylesheet|@import|<script|<foreignObject|<xi:include/i.test(text)) return true;
  const references = text.matchAll(/(?:href|src)\s*=\s*["']?\s*([^"'\s>]*)|url\(\s*["']?\s*([^"')]*)/gi);
  for (const [, attribute, url] of references) {
    const target = attribute ?? url ?? "";
    if (target !== "" && !target.startsWith("#") && !/^data:image\/(?:png|jpeg|webp|gif);base64,/i.test(target))
      return true;
  }
  return false;
}

function looksLikeXml(source: Buffer): boolean {
  const start = source.toString("latin1", 0, 1024).replaceAll("\0", "");
  return /^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<|<svg[\s>]/i.test(start);
}
