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

/** What production asks for. */
function production() {
  return {
    NODE_ENV: "production",
    SYMBOLON_KEY: generateKey(),
    SYMBOLON_TRUST_PROXY: "127.0.0.1",
    SYMBOLON_ORIGIN: "https://app.example",
  };
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

  test.each(["0", "101", "two"])("when SYMBOLON_DEVICES is %j", async (devices) => {
    await expectRefusal({ SYMBOLON_DEVICES: devices }, /SYMBOLON_DEVICES is .* write a number from 1 to 100/);
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
    await expectRefusal(env, /set SYMBOLON_KEY .* SYMBOLON_TRUST_PROXY .* and SYMBOLON_ORIGIN/);
    expect(existsSync(path)).toBe(false);
  });

  test("when NODE_ENV is production and the proxy's address is none", async () => {
    const env = { ...production(), SYMBOLON_TRUST_PROXY: "my-proxy" };
    await expectRefusal(env, /trustProxy: "my-proxy" is neither an address nor a network/);
  });

  test.each(["https://app.example/", "http://app.example", "app.example", "https://APP.example"])(
    "when NODE_ENV is production and SYMBOLON_ORIGIN is %j",
    async (origin) => {
      await expectRefusal({ ...production(), SYMBOLON_ORIGIN: origin }, /SYMBOLON_ORIGIN is .* write scheme and host/);
    },
  );
});

describe("The example application", () => {
  test("keeps its folder, its key, its database and its log from other users", async () => {
    const path = newPath();
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: path });
    await app.stop();
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(join(path, "key")).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, "sessions.db")).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, "audit.ndjson")).mode & 0o777).toBe(0o600);
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
    const path = newPath();
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: path, ...production() });
    const direct = await fetch(app.url);
    const proxied = await fetch(app.url, { headers: { "X-Forwarded-Proto": "https" } });
    await app.stop();
    expect(direct.headers.getSetCookie()).toEqual([]);
    expect(proxied.headers.getSetCookie()).toEqual([expect.stringMatching(/^__Host-sid=.*; Secure/)]);
    expect(existsSync(join(path, "key"))).toBe(false);
  });

  test("in production, takes forms from its own address only", async () => {
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: newPath(), ...production() });
    const sendNote = (origin: string) =>
      fetch(`${app.url}/notes`, {
        method: "POST",
        redirect: "manual",
        headers: { "X-Forwarded-Proto": "https", Origin: origin },
        body: new URLSearchParams({ note: "hello" }),
      });
    const statuses = [await sendNote("https://app.example"), await sendNote(app.url), await sendNote("null")];
    await app.stop();
    expect(statuses.map(({ status }) => status)).toEqual([303, 403, 403]);
  });

  test("on a developer's machine, sends visitors of another name to the address whose forms it takes", async () => {
    const app = await startApp({ PORT: "0", SYMBOLON_DATA: newPath() });
    const answer = await fetch(app.url.replace("127.0.0.1", "localhost"), { redirect: "manual" });
    await app.stop();
    expect(answer.status).toBe(303);
    expect(answer.headers.get("location")).toBe(`${app.url}/`);
    expect(answer.headers.getSetCookie()).toEqual([]);
  });
});
