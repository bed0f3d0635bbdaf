import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ServerUrls } from "symbolon-servers";
import { describe, expect, test } from "vitest";
import { needsServer, serverUrls } from "../support/servers.ts";

const EXAMPLES = fileURLToPath(new URL("../../../../examples/", import.meta.url));

/** A line that each example prints when it shows what it is about. */
const SHOWN: Readonly<Record<string, string>> = {
  "api-tokens": "Revoked: ada, again: null",
  "audit-log": "The token is in the log: false",
  cached: "1000 requests: 0 calls of the store",
  devices: "Chrome on Windows in 203.0.114.0/24, 2 min ago",
  express: "GET /: 0 cookies for a visitor who stores nothing",
  fastify: "GET /account: For ada",
  fetch: "Hello Ada",
  file: "After 100 increments from two sides: n is 101",
  hono: "Hello Ada",
  jwt: "20 calls went through, and there were 2 refreshes in all",
  "jwt-single": "A token that was logged out: ended; active: 0",
  koa: "Visit 2",
  "key-rotation": "With both keys, the old session lives.",
  limits: "After twenty more at once: 2 live, 21 gave way",
  locks: "Three clicks: 200, 402, 402",
  login: "GET /account: 200 user-1, editor",
  memcached: "After the logout: gone",
  mirrored: "Brought up to date: 1 copied. Now it lives.",
  mysql: "Of ten logins at once: 2 succeeded",
  "node-http": "Visit 2",
  "one-time-token": "POST: 410 This link is no longer good",
  "own-store": "And it works: the session of ada.",
  postgres: "After ten logins at once: 3 live",
  redis: "Ended: 3. The other process finds none.",
  schema: 'Upgraded: {"cart":{"tea":2,"cup":1},"currency":"EUR"}',
  "sealed-cookie": "A copy, after logout: anonymous, because of: logout",
  "second-factor": "account: 200 ada, cart: tea",
  sqlite: "After 100 increments from two sides: n is 101",
  stamp: 'Laptop: 401 {"status":401,"title":"Please log in again","code":"stamp-changed"}',
};

/** What needs a server, and which. */
const SERVERS: Readonly<Record<string, keyof ServerUrls>> = {
  memcached: "memcached",
  mysql: "mariadb",
  postgres: "postgres",
  redis: "redis",
};

/** Where the servers are, as the examples look for them. */
const URLS = {
  SYMBOLON_MARIADB_URL: serverUrls.mariadb,
  SYMBOLON_MEMCACHED_URL: serverUrls.memcached,
  SYMBOLON_POSTGRES_URL: serverUrls.postgres,
  SYMBOLON_REDIS_URL: serverUrls.redis,
};

async function runExample(name: string, line: string): Promise<void> {
  const { PATH } = process.env;
  const urls = Object.fromEntries(Object.entries(URLS).filter(([, url]) => url !== null));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(EXAMPLES, "dist", `${name}.js`)], {
    env: { PATH, ...urls },
    timeout: 20_000,
  });
  expect(stdout.split("\n")).toContain(line);
  expect(stderr.replaceAll(/^.*(?:SymbolonWarning: development|--trace-warnings).*\n/gm, "")).toBe("");
}

describe.each(Object.entries(SHOWN))("The example '%s'", (name, line) => {
  const register = (): void => test("runs to its end and shows what it is about", () => runExample(name, line));
  const server = SERVERS[name];
  if (server === undefined) register();
  else needsServer(server, register);
});

test("Every example is run here", () => {
  const files = readdirSync(EXAMPLES).filter((file) => file.endsWith(".ts"));
  expect(files.map((file) => file.slice(0, -3)).toSorted()).toEqual(Object.keys(SHOWN).toSorted());
});
