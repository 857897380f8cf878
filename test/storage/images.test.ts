/** Images on request, by the URLs that storage-js makes. */
import { randomBytes } from "node:crypto";
import { deflateSync, gzipSync } from "node:zlib";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createStorageWorld, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

let world: StorageWorld;
let project: StorageProject;
const bucket = "images";

beforeAll(async () => {
  world = await createStorageWorld(inject("clusterUrl"));
  project = await world.createProject();
  await project.client().storage.createBucket(bucket, { public: true });
  const noise = { width: 400, height: 300, channels: 3 as const };
  const raw = randomBytes(400 * 300 * 3);
  const jpeg = await sharp(raw, { raw: noise }).jpeg().toBuffer();
  await project.client().storage.from(bucket).upload("a.jpg", jpeg, { contentType: "image/jpeg", cacheControl: "5" });
});
afterAll(() => world.close());

const files = () => project.client().storage.from(bucket);
const sizeOf = async (response: Response) => {
  const { width, height, format } = await sharp(Buffer.from(await response.arrayBuffer())).metadata();
  return [width, height, format];
};
const render = (name: string, query: string, headers: Record<string, string> = {}) =>
  project.request(`GET /render/image/public/${bucket}/${name}?${query}`, { headers, key: null });

describe("an image", () => {
  test.each([
    ["width=200&height=200", [200, 200, "jpeg"], "height:200,width:200,resizing_type:fill,quality:80"],
    ["width=200&height=200&resize=contain", [200, 150, "jpeg"], "height:200,width:200,resizing_type:fit,quality:80"],
    [
      "width=50&height=200&resize=fill&quality=60",
      [50, 200, "jpeg"],
      "height:200,width:50,resizing_type:force,quality:60",
    ],
    ["width=100", [100, 75, "jpeg"], "width:100,resizing_type:fill,quality:80"],
    ["width=100&format=webp", [100, 75, "webp"], "width:100,resizing_type:fill,quality:80,format:webp"],
    ["width=100&format=avif", [100, 75, "heif"], "width:100,resizing_type:fill,quality:80,format:avif"],
    ["width=9999", [400, 300, "jpeg"], "width:2500,resizing_type:fill,quality:80"],
  ])("with ?%s", async (query, expected, text) => {
    const response = await render("a.jpg", query);
    expect([response.status, response.headers.get("x-transformations")]).toEqual([200, text]);
    expect(response.headers.get("cache-control")).toBe("max-age=5");
    expect(await sizeOf(response)).toEqual(expected);
  });

  test("is webp for who accepts it and asks for nothing else", async () => {
    const accepting = { accept: "image/webp,*/*" };
    expect((await render("a.jpg", "width=90", accepting)).headers.get("content-type")).toBe("image/webp");
    expect((await render("a.jpg", "width=90&format=origin", accepting)).headers.get("content-type")).toBe("image/jpeg");
    expect((await render("a.jpg", "width=90")).headers.get("vary")).toContain("Accept");
  });

  test("has an entity tag for each variant", async () => {
    const first = await render("a.jpg", "width=80");
    const etag = first.headers.get("etag") ?? "";
    expect((await render("a.jpg", "width=80", { "if-none-match": etag })).status).toBe(304);
    expect((await render("a.jpg", "width=81", { "if-none-match": etag })).status).toBe(200);
  });

  test("comes by download, by public and by signed URL of storage-js", async () => {
    const transform = { width: 200, height: 200, quality: 60 };
    const { data } = await files().download("a.jpg", { transform });
    expect([data?.type, (data?.size ?? 0) > 0]).toEqual(["image/jpeg", true]);
    const signed = await files().createSignedUrl("a.jpg", 60, { transform });
    const response = await fetch(signed.data?.signedUrl ?? "");
    expect(response.headers.get("x-transformations")).toBe("height:200,width:200,resizing_type:fill,quality:60");
    expect(await sizeOf(response)).toEqual([200, 200, "jpeg"]);
    expect((await fetch(files().getPublicUrl("a.jpg", { transform }).data.publicUrl)).status).toBe(200);
  });
});

describe("refused are", () => {
  const upload = (name: string, bytes: Buffer, contentType: string) => files().upload(name, bytes, { contentType });

  /** A PNG of one colour that says to be so large: a few kilobytes that unfold to gigabytes. */
  function hugePng(side: number): Buffer {
    const chunk = (type: string, data: Buffer) => {
      const body = Buffer.concat([Buffer.from(type), data]);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(data.length);
      const crc = Buffer.alloc(4);
      crc.writeUInt32BE(crc32(body));
      return Buffer.concat([length, body, crc]);
    };
    const header = Buffer.alloc(13);
    header.writeUInt32BE(side, 0);
    header.writeUInt32BE(side, 4);
    header.set([8, 0, 0, 0, 0], 8);
    const rows = deflateSync(Buffer.alloc(1_000_000));
    return Buffer.concat([
      Buffer.from("89504e470d0a1a0a", "hex"),
      chunk("IHDR", header),
      chunk("IDAT", rows),
      chunk("IEND", Buffer.alloc(0)),
    ]);
  }

  test.each([
    ["text", Buffer.from("no image at all"), "image/png"],
    ["a cut image", Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"), "image/png"],
    ["more pixels than may be", hugePng(60_000), "image/png"],
    ["an SVG that refers to a file", svg('<image href="file:///etc/passwd" width="9" height="9"/>'), "image/svg+xml"],
    [
      "an SVG that refers to a host",
      svg('<image xlink:href="http://169.254.169.254/x" width="9" height="9"/>'),
      "image/svg+xml",
    ],
    [
      "an SVG with a style from elsewhere",
      svg('<rect fill="url(http://127.0.0.1/x#y)" width="9" height="9"/>'),
      "image/svg+xml",
    ],
    [
      "an SVG with entities",
      Buffer.from(`<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>${svg("<text>&b;</text>")}`),
      "image/svg+xml",
    ],
    ["a compressed SVG", gzipSync(svg('<rect width="9" height="9"/>')), "image/svg+xml"],
  ])("%s", async (name, bytes, contentType) => {
    await upload(name, bytes, contentType);
    const response = await render(encodeURIComponent(name), "width=50");
    expect(response.status).toBe(400);
    expect((await response.json()).message).toMatch(
      /^The source image is (?:invalid or unsupported|too large) for rendering$/,
    );
  });

  test("a plain SVG is an image like others", async () => {
    await upload("plain.svg", svg('<rect width="90" height="90" fill="red"/>'), "image/svg+xml");
    expect((await render("plain.svg", "width=50")).headers.get("content-type")).toBe("image/png");
  });

  test.each(["width=x", "quality=10", "resize=zoom", "format=bmp", "gravity=up"])("?%s", async (query) => {
    expect((await render("a.jpg", query)).status).toBe(400);
  });

  test("everything where the feature is off, and the signed URL is one of the object then", async () => {
    project.configure({ imageTransformationEnabled: false });
    const response = await render("a.jpg", "width=50");
    expect([response.status, (await response.json()).code]).toEqual([403, "FeatureNotEnabled"]);
    const { data } = await files().createSignedUrl("a.jpg", 60, { transform: { width: 50 } });
    expect(data?.signedUrl).toContain("/object/sign/");
    project.configure({ imageTransformationEnabled: true });
  });

  test("more at a time than a project's share", async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => render("a.jpg", `width=${100 + index}&format=avif`)),
    );
    const statuses = new Set(answers.map(({ status }) => status));
    expect([...statuses].sort()).toEqual([200, 429]);
  });
});

function svg(content: string): Buffer {
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="90" height="90">${content}</svg>`,
  );
}

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
