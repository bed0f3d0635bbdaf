/** The browser of the page tests: Debian's chromium, or the one that CHROMIUM_PATH names. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium } from "playwright-core";

/** Where a browser is, or why there is none. */
export type ChromiumSearch = { readonly path: string } | { readonly missing: string };

const DEBIAN_PATH = "/usr/bin/chromium";

/**
 * Finds a browser; on Debian, root installs it where it is missing.
 *
 * @throws {Error} when there is none and `CI` is `true`: there the page tests may not be skipped.
 */
export async function findChromium(): Promise<ChromiumSearch> {
  const path = process.env["CHROMIUM_PATH"] ?? DEBIAN_PATH;
  if (existsSync(path)) return { path };
  const missing = path === DEBIAN_PATH ? await installChromium() : `CHROMIUM_PATH names no file: ${path}`;
  if (missing === null) return { path };
  if (process.env["CI"] === "true") throw new Error(`The page tests need a browser, and CI is true: ${missing}.`);
  return { missing };
}

const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts the browser, without the connections it makes of its own accord. */
export function launchChromium(path: string): Promise<Browser> {
  return chromium.launch({ executablePath: path, args: QUIET });
}

/** Starts the browser with a profile that is kept in this folder. Closing the profile ends the browser. */
export function launchProfile(path: string, folder: string, options: BrowserContextOptions): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, { executablePath: path, args: QUIET, ...options });
}

/** Answers why it could not be installed, or null. */
async function installChromium(): Promise<string | null> {
  if (!isDebian()) return "there is no /usr/bin/chromium, and this is not Debian; set CHROMIUM_PATH";
  if (process.getuid?.() !== 0) return "there is no /usr/bin/chromium, and only root can install it";
  for (const task of [["update"], ["install", "-y", "--no-install-recommends", "chromium"]]) {
    console.log(`The page tests need chromium: apt-get ${task.join(" ")}`);
    try {
      await promisify(execFile)("apt-get", ["-q", ...task], {
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
        maxBuffer: 64 * 1024 * 1024,
      });
    } catch (error) {
      return `apt-get ${task[0]} failed: ${String(error).trim().split("\n").at(-1)}`;
    }
  }
  return existsSync(DEBIAN_PATH) ? null : "apt-get installed no /usr/bin/chromium";
}

function isDebian(): boolean {
  const file = "/etc/os-release";
  return existsSync(file) && /^ID=debian$/m.test(readFileSync(file, "utf8"));
}
