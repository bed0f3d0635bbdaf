import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const EXAMPLES = fileURLToPath(new URL("../../../../examples/", import.meta.url));

/** A line that each example prints when it shows what it is about. */
const SHOWN: Readonly<Record<string, string>> = {
  "audit-log": "The token is in the log: false",
  cached: "1000 requests: 0 calls of the store",
  devices: "Chrome on Windows in 203.0.114.0/24, 2 min ago",
  express: "GET /: 0 cookies for a visitor who stores nothing",
  fetch: "Hello Ada",
  "key-rotation": "With both keys, the old session lives.",
  limits: "After twenty more at once: 2 live, 21 gave way",
  login: "GET /account: 200 user-1, editor",
  mirrored: "Brought up to date: 1 copied. Now it lives.",
  "node-http": "Visit 2",
  "one-time-token": "POST: 410 This link is no longer good",
  "own-store": "And it works: the session of ada.",
  schema: 'Upgraded: {"cart":{"tea":2,"cup":1},"currency":"EUR"}',
  "sealed-cookie": "A copy, after logout: anonymous, because of: logout",
  "second-factor": "account: 200 ada, cart: tea",
  sqlite: "After 100 increments from two sides: n is 101",
  stamp: 'Laptop: 401 {"status":401,"title":"Please log in again","code":"stamp-changed"}',
};

test.each(Object.entries(SHOWN))("The example '%s' runs to its end and shows what it is about", async (name, line) => {
  const { PATH } = process.env;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(EXAMPLES, "dist", `${name}.js`)], {
    env: { PATH },
    timeout: 20_000,
  });
  expect(stdout.split("\n")).toContain(line);
  expect(stderr.replaceAll(/^.*(?:SymbolonWarning: development|--trace-warnings).*\n/gm, "")).toBe("");
});

test("Every example is run here", () => {
  const files = readdirSync(EXAMPLES).filter((file) => file.endsWith(".ts"));
  expect(files.map((file) => file.slice(0, -3)).toSorted()).toEqual(Object.keys(SHOWN).toSorted());
});
