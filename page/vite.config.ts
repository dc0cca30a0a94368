import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

const HERE = import.meta.dirname;
const BUILT = join(HERE, "../src/lowerbound/doors/server/page");

/** Lists the files that the built page is made from, sorted by their names. */
function sources(folder: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name === "node_modules" || entry.name.startsWith(".")) continue;
    if (entry.isDirectory()) found.push(...sources(path));
    else found.push(path);
  }
  return found;
}

/** Writes the digest of the sources beside the built files, so that a test finds a source that was
 * changed without a build. */
function recordSources(): Plugin {
  return {
    name: "record-sources",
    closeBundle() {
      const names = sources(HERE).map((path) => relative(HERE, path).split(sep).join("/"));
      const digest = createHash("sha256");
      for (const name of names.sort()) {
        digest.update(`${name}\0`);
        digest.update(readFileSync(join(HERE, name)));
      }
      writeFileSync(join(BUILT, "sources.sha256"), `${digest.digest("hex")}\n`);
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [svelte(), recordSources()],
  build: {
    outDir: BUILT,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "page.js",
        assetFileNames: "page.[ext]",
        codeSplitting: false,
      },
    },
  },
});
