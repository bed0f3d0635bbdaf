/** What calls cost in round trips, as the documents say. */
import { createPool } from "mysql2/promise";
import { Pool } from "pg";
import { mysqlStore } from "symbolon/stores/mysql";
import { postgresStore } from "symbolon/stores/postgres";
import { describe, expect, onTestFinished, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import type { Where } from "../support/targets.ts";
import { callWithin, kinds, newOwner, newRecord, NOW, type ServedStore, storageWith } from "./sql-setup.ts";

interface Counted {
  readonly store: ServedStore;
  /** How often the server is asked by the work. */
  readonly tripsOf: (work: () => unknown) => Promise<number>;
}

const OPEN = { postgres: openPostgres, mysql: openMysql } as const;

/** Counts the calls of some methods of an object. */
function counting<T extends object>(object: T, names: readonly string[], count: () => void): T {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (names.includes(String(name))) count();
        return Reflect.apply(value, target, args);
      };
    },
  });
}

function countedStore(make: (count: () => void) => ServedStore): Counted {
  let trips = 0;
  const store = make(() => void trips++);
  const tripsOf = async (work: () => unknown): Promise<number> => {
    const before = trips;
    await work();
    return trips - before;
  };
  return { store, tripsOf };
}

function openPostgres({ url, options }: Where): Counted {
  const pool = new Pool({ connectionString: String(url) });
  onTestFinished(() => pool.end());
  return countedStore((count) => {
    const connect = async () => counting(await pool.connect(), ["query"], count);
    return postgresStore({ connect }, options as object);
  });
}

function openMysql({ url, options }: Where): Counted {
  const pool = createPool(String(url));
  onTestFinished(() => pool.end());
  return countedStore((count) => {
    const getConnection = async () => counting(await pool.getConnection(), ["query", "execute"], count);
    return mysqlStore({ getConnection }, options as object);
  });
}

const COSTS = {
  postgres: {
    delete: 1,
    deleteByOwner: 1,
    admitWithRoom: 3,
    admitAtLimit: 8,
    prune: 2,
    acquire: 1,
    acquireHeld: 2,
    updateUnderLock: 1,
    conflictUnderLock: 1,
  },
  mysql: {
    delete: 2,
    deleteByOwner: 5,
    admitWithRoom: 5,
    admitAtLimit: 11,
    prune: 5,
    acquire: 2,
    acquireHeld: 2,
    updateUnderLock: 6,
    conflictUnderLock: 5,
  },
} as const;

describe.each(kinds.filter(({ name }) => !name.includes("postgres.js")))("$name", (kind) => {
  needsServer(kind.server, (url) => {
    test("asks the server as often as the documents say", async () => {
      const { where } = await storageWith(kind, url);
      const { store, tripsOf } = OPEN[kind.kind](where);
      const costs = COSTS[kind.kind];
      const owner = newOwner();
      const rules = { perOwner: 2, total: null, onLimit: "evict-oldest", replacing: null } as const;
      const [first, second, third] = [newRecord(owner), newRecord({ ...owner, createdAt: NOW + 1 }), newRecord(owner)];
      const ending = { reason: "logout", at: NOW };
      const lock = { space: "space", route: 7, lock: "lock" };

      expect(await tripsOf(() => store.create(first, callWithin()))).toBe(1);
      expect(await tripsOf(() => store.read(first, callWithin()))).toBe(1);
      expect(await tripsOf(() => store.update(first, 1, first, callWithin()))).toBe(1);
      expect(await tripsOf(() => store.update(first, 1, first, callWithin()))).toBe(2);
      expect(await tripsOf(() => store.admit(second, rules, callWithin()))).toBe(costs.admitWithRoom);
      expect(await tripsOf(() => store.admit(third, rules, callWithin()))).toBe(costs.admitAtLimit);
      expect(await tripsOf(() => store.countByOwner(owner, callWithin()))).toBe(1);
      expect(await tripsOf(() => store.listByOwner(owner, { cursor: null, limit: 9 }, callWithin()))).toBe(1);
      expect(await tripsOf(() => store.delete(second, ending, callWithin()))).toBe(costs.delete);
      expect(await tripsOf(() => store.deleteByOwner(owner, [], ending, callWithin()))).toBe(costs.deleteByOwner);
      expect(await tripsOf(() => store.acquireLock(lock, "ann", 9000, callWithin()))).toBe(costs.acquire);
      expect(await tripsOf(() => store.acquireLock(lock, "bob", 9000, callWithin()))).toBe(costs.acquireHeld);
      expect(await tripsOf(() => store.renewLock(lock, "ann", 9000, callWithin()))).toBe(1);
      const locked = newRecord({});
      await store.create(locked, callWithin());
      const writeAs = (holder: string) =>
        tripsOf(() => store.updateUnderLock(locked, 1, locked, { lock: lock.lock, holder }, callWithin()));
      expect(await writeAs("ann")).toBe(costs.updateUnderLock);
      expect(await writeAs("ann")).toBe(costs.conflictUnderLock);
      expect(await writeAs("bob")).toBe(costs.conflictUnderLock);
      expect(await tripsOf(() => store.releaseLock(lock, "ann", callWithin()))).toBe(1);
      expect(await tripsOf(() => store.prune(0, 10, callWithin()))).toBe(costs.prune);
      expect(await store.countByOwner(owner, callWithin())).toBe(0);
    });
  });
});
