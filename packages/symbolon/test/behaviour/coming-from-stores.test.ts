/** What the stores of the five systems do, on real servers. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { Pool } from "pg";
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { manualClock, type ManualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { needsServer } from "../support/servers.ts";
import { storageFor, type Where } from "../support/targets.ts";
import * as file from "../targets/file.mjs";
import * as postgres from "../targets/postgres.mjs";
import * as redis from "../targets/redis.mjs";

const USER = "user-with-a-name";
const SECRET = "a-value-that-nobody-may-read";

interface Processes {
  readonly one: SessionManager;
  readonly two: SessionManager;
  readonly clock: ManualClock;
  readonly where: Where;
}

/** Two processes on one storage, each with a client of its own. */
async function processes(target: Parameters<typeof storageFor>[0], url: string | null): Promise<Processes> {
  const storage = await storageFor(target, target.variants[0]!, url);
  const clock = manualClock();
  const shared = { keys: [generateKey()], clock, pruneEvery: false } as const;
  const one = createSessionManager({ ...shared, store: await storage.open() });
  const two = createSessionManager({ ...shared, store: await storage.open() });
  return { one, two, clock, where: storage.where };
}

/** Begins a session in one process, uses and ends it in the other. */
async function liveThrough({ one, two }: Processes, dump: () => Promise<string>): Promise<void> {
  const { token, id } = await one.create({ userId: USER, roles: ["editor"], data: { secret: SECRET } });
  const session = await two.validate(token);
  expect([session?.userId, session?.roles, session?.data]).toEqual([USER, ["editor"], { secret: SECRET }]);
  await session?.update((data) => void (data["count"] = 1));
  expect((await one.validate(token))?.data["count"]).toBe(1);
  expect((await one.list({ userId: USER })).sessions.map((info) => info.id)).toEqual([id]);
  const kept = await dump();
  expect(kept.length).toBeGreaterThan(300);
  for (const text of [USER, SECRET, "editor", token.slice(3), id]) expect(kept).not.toContain(text);
  expect(await two.revokeAll(USER)).toBe(1);
  expect(await one.validate(token)).toBeNull();
}

function filesUnder(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.map((name) => join(folder, name)).filter((path) => statSync(path).isFile());
}

describe("sessions in Redis", () => {
  needsServer("redis", (url) => {
    it("are shared by processes, under a prefix, and nothing of them is readable there", async () => {
      const all = await processes(redis, url);
      const { prefix } = all.where["options"] as { prefix: string };
      const client = new Redis(url);
      try {
        await liveThrough(all, async () => {
          const names = await client.keys(`${prefix}*`);
          const dumps = await Promise.all(
            names.map(async (name) => (await client.dumpBuffer(name))?.toString("latin1")),
          );
          return [...names, ...dumps].join("\n");
        });
      } finally {
        client.disconnect();
      }
    });
  });
});

describe("sessions in PostgreSQL", () => {
  needsServer("postgres", (url) => {
    it("are shared by processes, and nothing of them is readable there", async () => {
      const all = await processes(postgres, url);
      const { schema } = all.where["options"] as { schema: string };
      const pool = new Pool({ connectionString: url, max: 1 });
      try {
        await liveThrough(all, async () => {
          const { rows } = await pool.query(`SELECT * FROM ${schema}.symbolon_sessions`);
          return rows
            .flatMap((row: object) => Object.values(row) as unknown[])
            .map((value) => (Buffer.isBuffer(value) ? value.toString("latin1") : String(value)))
            .join("\n");
        });
      } finally {
        await pool.end();
      }
    });
  });
});

describe("sessions in files", () => {
  it("are shared by processes, nobody else may read them, and nothing of them is readable", async () => {
    const all = await processes(file, null);
    const root = String(all.where["root"]);
    await liveThrough(all, async () => {
      const files = filesUnder(root);
      for (const path of files) expect(statSync(path).mode & 0o077).toBe(0);
      return files.map((path) => path + readFileSync(path, "latin1")).join("\n");
    });
  });

  it("are cleaned when they have expired, whenever they were read last", async () => {
    const { one, clock, where } = await processes(file, null);
    const expired = await one.create({ userId: USER });
    clock.advance(3_600_000 + 120_000);
    const live = await one.create({ userId: USER });
    for (const path of filesUnder(String(where["root"]))) readFileSync(path);
    expect(await one.prune()).toBe(1);
    expect(await one.inspect(expired.token)).toMatchObject({ reason: "unknown" });
    expect(await one.count({ userId: USER })).toBe(1);
    expect((await one.validate(live.token))?.userId).toBe(USER);
    expect(filesUnder(String(where["root"])).some((path) => path.includes(expired.id))).toBe(false);
  });
});
