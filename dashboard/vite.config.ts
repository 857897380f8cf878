/**
 * How the dashboard is built, and how `npx vite dev dashboard` serves it beside a running stack: everything but GraphQL
 * comes from Vite, which hands `/graphql` on with the Host header as it was, so that the session cookie counts.
 */
import { defineConfig, type Plugin } from "vite";

const controlPlaneUrl = process.env.SUPALOVE_URL ?? "http://localhost:8000";

/** React Aria carries its own words in thirty languages; the dashboard is English, as its pages are. */
const ENGLISH_ONLY: Plugin = {
  name: "english-only",
  enforce: "pre",
  load(id) {
    const language = /\/intl\/.*?\/?([a-z]{2}-[A-Z]{2})\.m?js$/.exec(id.split("?", 1)[0] ?? "")?.[1];
    return language !== undefined && language !== "en-US" ? "export default {};" : null;
  },
};

export default defineConfig({
  root: import.meta.dirname,
  plugins: [ENGLISH_ONLY],
  build: {
    manifest: true, // the test of the bundle's budgets reads which chunks a route loads
    emptyOutDir: true,
    assetsInlineLimit: 0, // data: URLs are not in the page's policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1_000,
  },
  server: { port: 5173, strictPort: true, proxy: { "/graphql": { target: controlPlaneUrl } } },
});
