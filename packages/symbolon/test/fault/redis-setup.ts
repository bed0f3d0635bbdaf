/** What the tests of Redis have in common: records, calls, and servers of their own. */
import { randomBytes, randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { RecordChange, StoreCall, StoredRecord } from "symbolon";
import { Redis } from "ioredis";
import { type RedisSettings, type Server, startRedis } from "symbolon-servers";
import { onTestFinished } from "vitest";
import * as target from "../targets/redis.mjs";
import type { RedisVariant, RedisWhere } from "../targets/redis.mjs";

export const HOUR = 3_600_000;

/** A call at the machine's time, that nobody stops waiting for unless told. */
export function call(signal: AbortSignal = new AbortController().signal): StoreCall {
  return { now: Date.now(), signal };
}

/** A record of a user of its own that lives for an hour. */
export function newRecord(fields: Partial<StoredRecord> = {}): StoredRecord & { readonly owner: string } {
  const now = Date.now();
  return {
    space: digest(8),
    route: randomInt(2 ** 24),
    lookup: digest(32),
    tenant: null,
    createdAt: now,
    touchedAt: now,
    deadline: now + HOUR,
    version: 1,
    envelope: randomBytes(300),
    data: null,
    ...fields,
    owner: fields.owner ?? digest(16),
  };
}

/** A change that leaves the data alone. */
export function newChange(): RecordChange {
  return { touchedAt: Date.now(), deadline: Date.now() + HOUR, envelope: randomBytes(300) };
}

function digest(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}

/** A server for one test. */
export async function ownServer(settings: RedisSettings = {}, persistent = false): Promise<Server> {
  const server = await startRedis({ settings, persistent });
  onTestFinished(() => server.stop());
  return server;
}

/** A client for the test's own questions. */
export function adminOf({ port }: { readonly port: number }): Redis {
  const admin = new Redis(port);
  admin.on("error", () => undefined);
  onTestFinished(() => admin.disconnect());
  return admin;
}

/** A store on an empty storage of a server, for one test. */
export async function openOn(
  url: string,
  client: RedisVariant["client"] = "ioredis",
  options: RedisWhere["options"] = {},
) {
  const server = url.startsWith("redis+sentinel") ? "sentinel" : url.startsWith("redis+cluster") ? "cluster" : "redis";
  const where = target.prepare({ name: "", client, server }, url);
  return reopen({ ...where, options: { ...where.options, ...options } });
}

/** One more handle on the same storage. */
export async function reopen(where: RedisWhere) {
  const handle = await target.open(where);
  onTestFinished(() => handle.close() as Promise<void>);
  return { ...handle, where };
}

/** Waits until it is so, for 15 s at most. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await sleep(20);
  }
}

/** The answer once the store works again. */
export async function untilAnswered<T>(work: () => Promise<T>): Promise<T> {
  let answer: { readonly value: T } | null = null;
  await until("the store answers", async () => {
    try {
      answer = { value: await work() };
    } catch {
      return false;
    }
    return true;
  });
  return answer!.value;
}
