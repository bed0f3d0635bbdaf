import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import { PACKAGE } from "./workspace.ts";

/** DESIGN 9: what a server with memory sessions in a cookie loads. */
const BUDGET = 16 * 1024;

/**
 * Where it stands. Login, limits, stamps, pins, flash messages, CSRF tokens, rotation and locks are methods and options of one Session and
 * one manager, so no bundler can leave out what an application does not call: docs/decisions/0010. Nothing may be added
 * unnoticed, so this is the size of the day, rounded up to the next half KB.
 */
const LINE = 29.5 * 1024;

/** Bundles source files of the package as an application's bundler would. */
async function bundle(lines: readonly string[]): Promise<string> {
  const result = await build({
    stdin: { contents: lines.join("\n"), resolveDir: fileURLToPath(new URL("src/", PACKAGE)), loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    target: "node20",
    write: false,
  });
  return result.outputFiles[0]?.text ?? "";
}

const MANAGER = `export { createSessionManager } from "./index.ts";`;
const MEMORY = `export { memoryStore } from "./stores/memory.ts";`;
const COOKIE = `export { cookieWriter, readCookie } from "./http/cookie.ts";`;
const EXPRESS = `export { expressSession, sessionOf } from "./frameworks/express.ts";`;

describe("the core bundle", () => {
  it("of manager, cookie and memory store grows no further, and says by how much it misses its budget", async () => {
    const [core, served] = await Promise.all([bundle([MANAGER, COOKIE, MEMORY]), bundle([MANAGER, MEMORY, EXPRESS])]);
    const over = sizeOf(core) - BUDGET;
    const verdict = over > 0 ? `missed by ${over}` : `met with ${-over} to spare`;
    console.log(
      `core bundle: ${sizeOf(core)} bytes gzip (${core.length} minified), budget ${BUDGET} ${verdict}; with a binding ${sizeOf(served)}`,
    );
    expect(sizeOf(core)).toBeLessThanOrEqual(LINE);
  });

  it("reaches nothing that it does not need, also with a binding", async () => {
    const code = await bundle([MANAGER, MEMORY, EXPRESS]);
    for (const name of ["sqlite", "node:assert", "jose", "bowser", "mirrored", "ManualClock", "__require"]) {
      expect(code).not.toContain(name);
    }
    const imported = [...code.matchAll(/from"([^"]+)"/g)].map(([, name = ""]) => name);
    expect([...new Set(imported)].toSorted()).toEqual(["node:crypto", "node:net"]);
  });

  it("is left out by those who import the errors only", async () => {
    const code = await bundle([`export { isSymbolonError, StoreUnavailableError } from "./index.ts";`]);
    expect(code).not.toContain("import");
    expect(sizeOf(code)).toBeLessThan(1024);
  });
});

function sizeOf(code: string): number {
  return gzipSync(code, { level: 9 }).length;
}
