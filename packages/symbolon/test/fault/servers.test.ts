/** The servers of the tests themselves: a test that kills one relies on what is left of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import mysql from "mysql2/promise";
import { Client } from "pg";
import {
  parseGroupUrl,
  startMariadb,
  startMemcached,
  startPostgres,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  startServers,
} from "symbolon-servers";
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { needsServer } from "../support/servers.ts";

const MAIN = fileURLToPath(new URL("../../../../servers/dist/main.js", import.meta.url));
const PATIENCE = { timeout: 20_000, interval: 20 };

const systemFolder = tmpdir();
/** Holds whatever the servers of one test leave. */
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(systemFolder, "symbolon-test-"));
  // As the system's own: some servers are another user, who has to get through, and may remove what is theirs.
  chmodSync(folder, 0o1777);
  vi.stubEnv("TMPDIR", folder);
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

async function expectNothingLeft(): Promise<void> {
  await vi.waitFor(() => {
    expect(processesIn(folder)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  }, PATIENCE);
}

/** Every server works in its folder, and what watches it does too. */
function processesIn(place: string): string[] {
  return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && workingFolder(pid).startsWith(place));
}

function workingFolder(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.destroy(new Error("connected")));
    socket.once("error", ({ message }) => resolve(message === "connected"));
  });
}

function redisClient(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => null });
  // The connections of a killed server break; the calls say so too.
  client.on("error", () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

async function postgresClient(url: string): Promise<Client> {
  const client = new Client(url);
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function mariadbClient(url: string): Promise<mysql.Connection> {
  const client = await mysql.createConnection(url);
  client.on("error", () => {});
  onTestFinished(() => client.destroy());
  return client;
}

function portsIn(url: string): number[] {
  return parseGroupUrl(url).hosts.map(({ port }) => port);
}

/** Whether a promise is still open after a while in which it would otherwise have been settled. */
async function isStillOpen(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => false), delay(200).then(() => true)]);
}

const SINGLE = [
  { name: "redis", start: startRedis },
  { name: "memcached", start: startMemcached },
  { name: "postgres", start: startPostgres },
  { name: "mariadb", start: startMariadb },
] as const;

for (const { name, start } of SINGLE) {
  needsServer(name, () => {
    it(`${name}: keeps its port through a crash and a restart, and leaves no folder and no process`, async () => {
      const server = await start();
      expect(server.url).toContain(`127.0.0.1:${server.port}`);
      expect(processesIn(folder)).not.toEqual([]);
      expect(await isListening(server.port)).toBe(true);
      await server.kill();
      expect(await isListening(server.port)).toBe(false);
      await server.restart();
      expect(await isListening(server.port)).toBe(true);
      await server.restart();
      expect(await isListening(server.port)).toBe(true);
      await server.stop();
      expect(await isListening(server.port)).toBe(false);
      await expectNothingLeft();
    });
  });
}

needsServer("redis", () => {
  it("redis: a persistent one keeps its keys through a crash, another one loses them", async () => {
    for (const persistent of [true, false]) {
      const server = await startRedis({ persistent });
      await redisClient(server.url).set("key", "value");
      await server.kill();
      await server.restart();
      expect(await redisClient(server.url).get("key")).toBe(persistent ? "value" : null);
      await server.stop();
    }
  });

  it("redis: a paused one answers nothing until it is resumed", async () => {
    const server = await startRedis();
    const client = redisClient(server.url);
    await client.ping();
    await server.pause();
    const answer = client.ping();
    expect(await isStillOpen(answer)).toBe(true);
    server.resume();
    expect(await answer).toBe("PONG");
    await server.stop();
  });

  it("redis: is shut down in order before a restart, and when it is paused too", async () => {
    const server = await startRedis({ settings: { save: "3600 1" } });
    for (const meanwhile of ["running", "paused"]) {
      await redisClient(server.url).set("key", meanwhile);
      if (meanwhile === "paused") await server.pause();
      await server.restart();
      // It writes its snapshot as the last thing it does.
      expect(await redisClient(server.url).get("key")).toBe(meanwhile);
    }
    await server.pause();
    await server.stop();
    await expectNothingLeft();
  });

  it("redis: one that draws a port in use draws again", async () => {
    const first = await startRedis();
    const random = vi.spyOn(Math, "random").mockReturnValueOnce((first.port - 17_000 + 0.5) / 14_999);
    const second = await startRedis();
    expect(random.mock.calls.length).toBeGreaterThan(1);
    expect(second.port).not.toBe(first.port);
    await Promise.all([first.stop(), second.stop()]);
  });

  it("redis: one that does not start says why, and leaves nothing", async () => {
    await expect(startRedis({ settings: { maxmemory: "much" } })).rejects.toThrow(/redis did not start.*maxmemory/s);
    await expectNothingLeft();
  });
});

needsServer("postgres", () => {
  it("postgres: keeps a row through a crash, which breaks connections", async () => {
    for (const durable of [true, false]) {
      const server = await startPostgres({ durable });
      const client = await postgresClient(server.url);
      await client.query("CREATE TABLE kept AS SELECT 1 AS row");
      const asleep = client.query("SELECT pg_sleep(60)").then(
        () => "answered",
        () => "broken",
      );
      await server.kill();
      expect(await asleep).toBe("broken");
      await server.restart();
      const { rows } = await (await postgresClient(server.url)).query("SELECT row FROM kept");
      expect(rows).toEqual([{ row: 1 }]);
      await server.stop();
    }
  });

  it("postgres: tells its clients that it is shut down, and does not wait for them", async () => {
    const server = await startPostgres();
    const client = await postgresClient(server.url);
    const asleep = client.query("SELECT pg_sleep(60)").catch((error: { code: string }) => error.code);
    // Admin shutdown, in the table of PostgreSQL's error codes.
    await Promise.all([server.restart(), expect(asleep).resolves.toBe("57P01")]);
    await server.stop();
  });

  it("postgres: a paused one answers nothing on open connections until it is resumed", async () => {
    const server = await startPostgres();
    const client = await postgresClient(server.url);
    await server.pause();
    const answer = client.query("SELECT 1 AS one");
    expect(await isStillOpen(answer)).toBe(true);
    server.resume();
    expect((await answer).rows).toEqual([{ one: 1 }]);
    await server.stop();
  });
});

needsServer("mariadb", () => {
  it("mariadb: a durable one keeps a row through a crash", async () => {
    const server = await startMariadb({ durable: true });
    const client = await mariadbClient(server.url);
    await client.query("CREATE TABLE kept (text VARCHAR(20))");
    await client.query("INSERT INTO kept VALUES ('κλειδί 🔑')");
    await server.kill();
    await server.restart();
    const [rows] = await (await mariadbClient(server.url)).query("SELECT text FROM kept");
    expect(rows).toEqual([{ text: "κλειδί 🔑" }]);
    await server.stop();
  });

  it("mariadb: has a folder of its own for temporary files, in which no other server clears up", async () => {
    const server = await startMariadb();
    const [rows] = await (await mariadbClient(server.url)).query("SELECT @@tmpdir AS tmpdir");
    expect(rows).toEqual([{ tmpdir: expect.stringContaining(join(folder, "symbolon-mariadb-")) }]);
    await server.stop();
  });
});

needsServer("sentinel", () => {
  it("sentinel: names another master once the first one is gone", async () => {
    const group = await startRedisSentinel();
    expect(portsIn(group.url)).toEqual(group.sentinels.map(({ port }) => port));
    expect(parseGroupUrl(group.url).name).toBe(group.masterName);
    const first = await group.master();
    const keyed = await redisClient(first.url).set("key", "value");
    expect(keyed).toBe("OK");
    // The master waits for its replicas, so that the next one has the key.
    expect(await redisClient(first.url).wait(2, 20_000)).toBe(2);
    await first.kill();
    await vi.waitFor(async () => expect((await group.master()).port).not.toBe(first.port), PATIENCE);
    const next = await group.master();
    await vi.waitFor(async () => expect(await redisClient(next.url).role()).toContain("master"), PATIENCE);
    expect(await redisClient(next.url).get("key")).toBe("value");
    await group.stop();
    await expectNothingLeft();
  });
});

needsServer("cluster", () => {
  it("cluster: has three masters, and again once one of them is gone", async () => {
    const cluster = await startRedisCluster();
    expect(portsIn(cluster.url)).toEqual(cluster.nodes.map(({ port }) => port));
    const [first, ...others] = await cluster.masters();
    expect(others).toHaveLength(2);
    await first?.kill();
    await vi.waitFor(async () => {
      const masters = await cluster.masters();
      expect(masters).toHaveLength(3);
      expect(masters).not.toContain(first);
    }, PATIENCE);
    // Back again, it takes itself for a master until it hears of the new one.
    await first?.restart();
    expect(await cluster.masters()).not.toContain(first);
    await cluster.stop();
    await expectNothingLeft();
  });
});

it("starts nothing for a server that a variable names, nor when SYMBOLON_SERVERS is off", async () => {
  for (const name of ["REDIS", "SENTINEL", "CLUSTER", "POSTGRES", "MARIADB", "MEMCACHED"]) {
    vi.stubEnv(`SYMBOLON_${name}_URL`, "");
  }
  vi.stubEnv("SYMBOLON_SERVERS", "off");
  vi.stubEnv("SYMBOLON_REDIS_URL", "redis://elsewhere:1");
  const { urls, missing } = await startServers();
  const none = { sentinel: null, cluster: null, postgres: null, mariadb: null, memcached: null };
  expect(urls).toEqual({ redis: "redis://elsewhere:1", ...none });
  expect(missing).toHaveLength(5);
  expect(missing).toContain("postgres: SYMBOLON_SERVERS is off; set SYMBOLON_POSTGRES_URL");
});

function isPostgresBeingMade(name: string): boolean {
  return name.startsWith("symbolon-postgres-") && existsSync(join(folder, name, "data"));
}

/** `npm run servers`, without npm, and without the groups, which take longest. */
function startMain(): ChildProcess {
  const elsewhere = { SYMBOLON_SENTINEL_URL: "elsewhere", SYMBOLON_CLUSTER_URL: "elsewhere" };
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env["PATH"], TMPDIR: folder, ...elsewhere },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** What it prints, once all servers answer. */
async function linesOf({ stdout }: ChildProcess): Promise<string[]> {
  const lines: string[] = [];
  if (stdout === null) return lines;
  for await (const line of createInterface({ input: stdout })) {
    if (line.startsWith("#")) break;
    lines.push(line);
  }
  return lines;
}

needsServer("postgres", () => {
  it("npm run servers: prints the variables, and stops in order when it is told to", async () => {
    const main = startMain();
    const lines = await linesOf(main);
    expect(lines).toContainEqual(expect.stringMatching(/^export SYMBOLON_POSTGRES_URL=postgres:\/\/\S+$/));
    const ports = lines.flatMap((line) => line.match(/(?<=127\.0\.0\.1:)\d+/g) ?? []).map(Number);
    expect(await Promise.all(ports.map(isListening))).toEqual(ports.map(() => true));
    main.kill("SIGTERM");
    expect(await once(main, "exit")).toEqual([0, null]);
    await expectNothingLeft();
  });

  it("npm run servers: leaves no server and no folder when it is killed", async () => {
    const main = startMain();
    expect(await linesOf(main)).not.toEqual([]);
    main.kill("SIGKILL");
    await expectNothingLeft();
  });

  it("npm run servers: leaves no server and no folder when it is killed while it starts them", async () => {
    const main = startMain();
    await vi.waitFor(() => expect(readdirSync(folder).some(isPostgresBeingMade)).toBe(true), PATIENCE);
    main.kill("SIGKILL");
    await expectNothingLeft();
  });
});
