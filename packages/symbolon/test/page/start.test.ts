import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKey } from "symbolon";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AppEnvironment, endShellOf, freePort, runApp, startApp } from "./app-process.ts";

let root: string;
let folders = 0;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "symbolon-start-"));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A path nothing is at yet. */
function newPath(): string {
  return join(root, `data-${folders++}`);
}

function newFolder(mode: number): string {
  const path = newPath();
  mkdirSync(path);
  chmodSync(path, mode);
  return path;
}

async function expectRefusal(env: AppEnvironment, reason: RegExp): Promise<void> {
  const { code, stdout, stderr } = await runApp({ PORT: "0", SYMBOLON_DATA: newPath(), ...env });
  // Node 22 says of node:sqlite that it is experimental.
  const own = stderr.replaceAll(/^.*(?:ExperimentalWarning|--trace-warnings).*\n/gm, "");
  expect(own).toMatch(reason);
  expect(own).toMatch(/^Cannot start: [^\n]+\n$/);
  expect(stdout).toBe("");
  expect(code).toBe(1);
}

const isRoot = process.getuid?.() === 0;

describe("The example application refuses to start with one line and exit code 1", () => {
  test("when the port is in use", async () => {
    const other = createServer().listen(await freePort(), "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    try {
      await expectRefusal({ PORT: String(port) }, new RegExp(`Port ${port} is in use .* PORT=3001`));
    } finally {
      other.close();
    }
  });

  test.each(["abc", "70000", "-1", "3000 ", "1e3"])("when PORT is %j", async (port) => {
    await expectRefusal({ PORT: port }, /PORT is .* write a number from 0 to 65535/);
  });

  test("when the data folder is a file", async () => {
    const path = newPath();
    writeFileSync(path, "");
    await expectRefusal({ SYMBOLON_DATA: path }, /data folder .* is not a folder\. Set SYMBOLON_DATA/);
  });

  test("when the data folder would lie below a file", async () => {
    const path = newPath();
    writeFileSync(path, "");
    await expectRefusal({ SYMBOLON_DATA: join(path, "data") }, /data folder .* cannot be used: .* Set SYMBOLON_DATA/);
  });

  test.skipIf(isRoot)("when the data folder is read-only (not tried as root, who writes anywhere)", async () => {
    await expectRefusal({ SYMBOLON_DATA: newFolder(0o500) }, /data folder .* cannot be used: .* Set SYMBOLON_DATA/);
  });

  test("when other users can write to the data folder", async () => {
    await expectRefusal({ SYMBOLON_DATA: newFolder(0o770) }, /Other users can write to .* chmod 700/);
  });

  test.each(["", "not a key", "A".repeat(42), `${generateKey()}\n${generateKey()}`])(
    "when the key file holds %j",
    async (content) => {
      const path = newFolder(0o700);
      writeFileSync(join(path, "key"), content, { mode: 0o600 });
      await expectRefusal({ SYMBOLON_DATA: path }, /key file .* is damaged: restore it/);
      expect(readFileSync(join(path, "key"), "utf8")).toBe(content);
    },
  );

  test("when the key file is a folder", async () => {
    const path = newFolder(0o700);
    mkdirSync(join(path, "key"), { mode: 0o700 });
    await expectRefusal({ SYMBOLON_DATA: path }, /key file .* cannot be used/);
  });

  test("when other users can read the key file", async () => {
    const path = newFolder(0o700);
    writeFileSync(join(path, "key"), generateKey());
    chmodSync(join(path, "key"), 0o640);
    await expectRefusal({ SYMBOLON_DATA: path }, /Other users can read the key file .* chmod 600/);
  });

  test("when the database is none", async () => {
    const path = newFolder(0o700);
    writeFileSync(join(path, "sessions.db"), "this is text, not a database".repeat(10));
    await expectRefusal({ SYMBOLON_DATA: path }, /database .* cannot be opened: file is not a database/);
  });

  test("when SYMBOLON_KEY is no key, without showing it", async () => {
    await expectRefusal({ SYMBOLON_KEY: "secret-but-short" }, /^(?!.*secret-but-short).*SYMBOLON_KEY is refused/);
  });

  test("when NODE_ENV is production and nothing else is set", async () => {
    const path = newPath();
    const env = { NODE_ENV: "production", SYMBOLON_DATA: path };
    await expectRefusal(env, /set SYMBOLON_KEY .* and SYMBOLON_TRUST_PROXY/);
    expect(existsSync(path)).toBe(false);
  });

  test("when NODE_ENV is production and the proxy's address is none", async () => {
    const env = { NODE_ENV: "production", SYMBOLON_KEY: generateKey(), SYMBOLON_TRUST_PROXY: "my-proxy" };
    await expectRefusal(env, /trustProxy: "my-proxy" is neither an address nor a network/);
  });
});

describe("The example application", () => {
  test("keeps its folder, its key and its database from other users", async () => {
    const path = newPath();
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: path });
    await app.stop();
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(join(path, "key")).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, "sessions.db")).mode & 0o777).toBe(0o600);
  });

  test("makes its key once and keeps it", async () => {
    const path = newPath();
    const keys: string[] = [];
    for (let round = 0; round < 2; round++) {
      const app = await startApp({ PORT: "0", SYMBOLON_DATA: path });
      await app.stop();
      keys.push(readFileSync(join(path, "key"), "utf8"));
    }
    expect(keys[0]).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
    expect(keys[1]).toBe(keys[0]);
  });

  test("settles on one key when it is started twice at once in a new folder", async () => {
    const path = newPath();
    const env = { PORT: "0", SYMBOLON_DATA: path };
    const apps = await Promise.all([startApp(env), startApp(env), startApp(env)]);
    const [first] = apps;
    const answer = await fetch(first.url);
    const cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    for (const app of apps) {
      const page = await (await fetch(app.url, { headers: { cookie } })).text();
      expect(page).not.toContain("is over");
    }
    await Promise.all(apps.map((app) => app.stop()));
  });

  test.each(["SIGTERM", "SIGINT"] as const)("ends with exit code 0 on %s", async (signal) => {
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: newPath() });
    await (await fetch(app.url)).text();
    const { code, stdout } = await app.stop(signal);
    expect(stdout).toMatch(/stopping\nStopped\.\n$/);
    expect(code).toBe(0);
  });

  test.skipIf(process.platform === "win32")("ends with the shell that npm started it in (POSIX only)", async () => {
    const stdout = await endShellOf({ PORT: "0", SYMBOLON_DATA: newPath() });
    expect(stdout).toMatch(/npm has ended: stopping\nStopped\.\n$/);
  });

  test("tells where its store is, its address, and how to stop it", async () => {
    const path = newPath();
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: path });
    const { stdout } = await app.stop();
    expect(stdout).toContain(join(path, "sessions.db"));
    expect(stdout).toContain(app.url);
    expect(stdout).toContain("Ctrl+C");
  });

  test("in production, begins sessions only behind a proxy that ends https, in a Secure cookie", async () => {
    const key = { SYMBOLON_KEY: generateKey(), SYMBOLON_TRUST_PROXY: "127.0.0.1" };
    const path = newPath();
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: path, NODE_ENV: "production", ...key });
    const direct = await fetch(app.url);
    const proxied = await fetch(app.url, { headers: { "X-Forwarded-Proto": "https" } });
    await app.stop();
    expect(direct.headers.getSetCookie()).toEqual([]);
    expect(proxied.headers.getSetCookie()).toEqual([expect.stringMatching(/^__Host-sid=.*; Secure/)]);
    expect(existsSync(join(path, "key"))).toBe(false);
  });
});
