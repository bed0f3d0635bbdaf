/** What an application loads. */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import type { Measurement } from "../bench.ts";
import { budget } from "../report.ts";

const BUDGET = 16 * 1024;
const PARTS: Readonly<Record<string, readonly string[]>> = {
  "manager, cookie and memory store": [
    `export { createSessionManager } from "symbolon";`,
    `export { memoryStore } from "symbolon/stores/memory";`,
  ],
  "the same, and the Express binding": [
    `export { createSessionManager } from "symbolon";`,
    `export { memoryStore } from "symbolon/stores/memory";`,
    `export { expressSession, sessionOf } from "symbolon/frameworks/express";`,
  ],
};

export const size: Measurement = {
  name: "size",
  what: "bytes that an application loads",

  async run() {
    const sizes = await Promise.all(
      Object.entries(PARTS).map(async ([name, lines]) => {
        const code = await bundle(lines);
        return [name, code.length, gzipSync(code, { level: 9 }).length] as const;
      }),
    );
    return {
      about: "Bundled as an application's bundler does: minified, ESM, for Node 20.",
      tables: [{ title: "Bundles", columns: ["what", "minified", "gzip"], rows: sizes }],
      budgets: [budget("bytes of the core bundle, gzip", BUDGET, sizes[0]?.[2] ?? Number.NaN)],
    };
  },
};

async function bundle(lines: readonly string[]): Promise<Buffer> {
  const resolveDir = fileURLToPath(new URL("../..", import.meta.url));
  const result = await build({
    stdin: { contents: lines.join("\n"), resolveDir },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    target: "node20",
    write: false,
  });
  return Buffer.from(result.outputFiles[0]?.contents ?? []);
}
