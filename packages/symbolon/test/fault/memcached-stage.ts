/** What tests of the memcached store share: records, and a way to the server that can be disturbed. */
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import Memcached from "memcached";
import type { RecordChange, StoreCall, StoredRecord } from "symbolon";
import { type MemcachedStore, memcachedStore } from "symbolon/stores/memcached";
import { onTestFinished } from "vitest";
import { settings } from "../targets/memcached.mjs";

const HOUR = 3_600_000;

export function callNow(signal: AbortSignal = new AbortController().signal): StoreCall {
  return { now: Date.now(), signal };
}

/** A call that is given up after so many milliseconds. */
export function callFor(ms: number): StoreCall {
  return callNow(AbortSignal.timeout(ms));
}

export function newRecord(fields: Partial<StoredRecord> = {}): StoredRecord {
  const now = Date.now();
  return {
    space: "space",
    route: randomInt(2 ** 24),
    lookup: randomBytes(32).toString("base64url"),
    owner: null,
    tenant: null,
    createdAt: now,
    touchedAt: now,
    deadline: now + HOUR,
    version: 1,
    envelope: randomBytes(300),
    data: randomBytes(300),
    ...fields,
  };
}

export function newChange(fields: Partial<RecordChange> = {}): RecordChange {
  const now = Date.now();
  return { touchedAt: now, deadline: now + 2 * HOUR, envelope: randomBytes(300), ...fields };
}

/** A store for one test, with a client of its own. */
export function openStore(port: number, more: Memcached.options = {}): MemcachedStore {
  const client = new Memcached(`127.0.0.1:${port}`, { ...settings, ...more });
  onTestFinished(() => client.end());
  return memcachedStore(client);
}

/** A way to a server: `disturb` may change a reply, or break the connection in its place by null. */
export interface Way {
  readonly port: number;
  disturb: ((reply: string) => string | null) | null;
}

/** Opens a way to the server on a port. */
export async function openWay(to: number): Promise<Way> {
  const sockets = new Set<{ destroy(): unknown }>();
  const proxy = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        near.destroy();
        far.destroy();
      });
    }
    near.on("data", (chunk) => far.write(chunk));
    far.on("data", (chunk) => {
      const reply = way.disturb === null ? chunk : way.disturb(chunk.toString());
      if (reply === null) near.destroy();
      else near.write(reply);
    });
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  onTestFinished(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  const way: Way = { port: (proxy.address() as AddressInfo).port, disturb: null };
  return way;
}
