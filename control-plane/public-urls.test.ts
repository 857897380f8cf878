import { expect, test } from "vitest";
import { createPublicUrls } from "./public-urls.ts";

test("a project is reached by path and by host, and by the control plane where that reaches the gateway", () => {
  const urls = createPublicUrls("https://api.example.com/base/", "projects.example.com", "http://gateway:8083");
  expect(urls.projectUrl("abc")).toBe("https://api.example.com/base/projects/abc");
  expect(urls.hostUrl("abc")).toBe("https://abc.projects.example.com");
  expect(urls.internalProjectUrl("abc")).toBe("http://gateway:8083/projects/abc");
  expect(createPublicUrls("http://localhost:8083", "localhost").internalProjectUrl("abc")).toBe(
    "http://localhost:8083/projects/abc",
  );
});
