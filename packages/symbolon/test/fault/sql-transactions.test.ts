import { type AdmissionRules, type LockKey, StoreUnavailableError, type StoredRecord } from "symbolon";
import { describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { playTwo } from "../support/workers.ts";
import {
  callWithin,
  eventually,
  failureOf,
  type Kind,
  kinds,
  newOwner,
  newRecord,
  NOW,
  rivalOn,
  runSql,
  type ServedStore,
  storageWith,
  tableOf,
} from "./sql-setup.ts";

const EVICT: AdmissionRules = { perOwner: 1, total: null, onLimit: "evict-oldest", replacing: null };
const ALL = { cursor: null, limit: 1000 };

/** An admission that is held up midway: it has its owner's lock, and waits for the row of the record to let go. */
async function heldUp(kind: Kind, url: string, max: number) {
  const storage = await storageWith(kind, url, max);
  const store = await storage.open();
  const owner = newOwner();
  const old = newRecord(owner);
  await store.create(old, callWithin());
  const rival = await rivalOn(kind.kind, url);
  const table = tableOf(storage.where);
  await rival.run("BEGIN");
  await rival.run(`SELECT 1 FROM ${table} WHERE lookup = '${old.lookup}' FOR UPDATE`);
  const record = newRecord({ ...owner, createdAt: NOW + 1 });
  const stop = new AbortController();
  const admission = failureOf(async () => store.admit(record, EVICT, { now: NOW, signal: stop.signal }));
  const [waiting] = await eventually(
    () => runSql(kind.kind, url, WAITING[kind.kind](table)),
    ({ length }) => length === 1,
  );
  return { store, owner, old, record, rival, table, stop, admission, connection: Number(waiting!["id"]) };
}

/** Which connection waits for a row of the table. */
const WAITING: Readonly<Record<Kind["kind"], (table: string) => string>> = {
  postgres: (table) =>
    `SELECT pid AS id FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${table}%FOR UPDATE'`,
  mysql: (table) =>
    `SELECT id FROM information_schema.processlist WHERE info LIKE '%${table}%FOR UPDATE' AND id <> connection_id()`,
};

const CUT: Readonly<Record<Kind["kind"], (id: number) => string>> = {
  postgres: (id) => `SELECT pg_terminate_backend(${id})`,
  mysql: (id) => `KILL CONNECTION ${id}`,
};

async function liveOf(store: ServedStore, owner: ReturnType<typeof newOwner>): Promise<readonly StoredRecord[]> {
  return (await store.listByOwner(owner, ALL, callWithin())).records;
}

/** Prunes until nothing was left for it three times. */
async function removedBy(store: ServedStore): Promise<number> {
  let removed = 0;
  for (let idle = 0; idle < 3;) {
    const batch = await store.prune(NOW, 10, callWithin());
    removed += batch;
    if (batch === 0) idle++;
  }
  return removed;
}

function lockOf(name: string): LockKey {
  return { space: "space", route: 7, lock: name };
}

describe.each(kinds)("$name", (kind) => {
  needsServer(kind.server, (url) => {
    test("has changed nothing when the connection is cut in the middle of an admission", async () => {
      const { store, owner, old, record, rival, admission, connection } = await heldUp(kind, url, 1);
      await runSql(kind.kind, url, CUT[kind.kind](connection));
      expect(await admission).toBeInstanceOf(StoreUnavailableError);
      await rival.run("COMMIT");
      // postgres.js hands the error of the old connection to the first statement on the new one.
      expect(await eventually(() => liveOf(store, owner))).toEqual([old]);
      // Nothing is left locked either.
      expect(await store.admit(record, EVICT, callWithin())).toEqual({ status: "created", evicted: [old] });
    });

    test("has changed nothing when the caller stops waiting in the middle of an admission", async () => {
      const { store, owner, old, record, rival, stop, admission } = await heldUp(kind, url, 2);
      stop.abort();
      expect(await admission).toBeInstanceOf(StoreUnavailableError);
      // The pool is whole although the server is still busy with it.
      const reads = Array.from({ length: 4 }, async () => store.read(old, callWithin()));
      expect(await Promise.all(reads)).toEqual(reads.map(() => old));
      await rival.run("COMMIT");
      expect(await store.admit(record, EVICT, callWithin())).toEqual({ status: "created", evicted: [old] });
      expect(await liveOf(store, owner)).toEqual([record]);
    });

    test("decides anew when a record that was to give way ends meanwhile", async () => {
      const { store, owner, old, record, rival, admission, table } = await heldUp(kind, url, 10);
      // As a logout does it.
      await rival.run(
        `UPDATE ${table} SET ended_at = 1, reason = 'logout', owner = NULL WHERE lookup = '${old.lookup}'`,
      );
      await rival.run("COMMIT");
      expect(await admission).toBeNull();
      expect(await liveOf(store, owner)).toEqual([record]);
      expect(await store.read(old, callWithin())).toMatchObject({ reason: "logout" });
    });

    test("admits fifty at once over a pool of two connections", async () => {
      const store = await (await storageWith(kind, url, 2)).open();
      const rules = { perOwner: 3, total: 30, onLimit: "reject", replacing: null } as const;
      const owners = Array.from({ length: 25 }, () => newOwner());
      const records = Array.from({ length: 50 }, (_, index) => newRecord(owners[index % 25]!));
      const answers = await Promise.all(records.map(async (record) => store.admit(record, rules, callWithin())));
      expect(answers.filter(({ status }) => status === "created")).toHaveLength(30);
      expect(answers.filter((answer) => answer.status === "refused" && answer.limit === "total")).toHaveLength(20);
      expect(await store.countByTenant({ space: "space", tenant: null }, callWithin())).toBe(30);
    });

    test.each(["evict-oldest", "reject"] as const)(
      "gets two processes through what is in each other's way, without an error, with %s",
      async (onLimit) => {
        const storage = await storageWith(kind, url);
        const rules = { perOwner: 2, total: null, onLimit, replacing: null };
        const owners = Array.from({ length: 5 }, () => newOwner().owner);
        const orders = { kind: kind.kind, where: storage.where, owners, rules, rounds: 4 };
        const answers = await playTwo<{ failures: string[]; admitted: number }>("sql-mix.mjs", orders);
        expect(answers.flatMap(({ failures }) => failures)).toEqual([]);
        for (const { admitted } of answers) expect(admitted).toBeGreaterThan(0);
        const store = await storage.open();
        for (const owner of owners) {
          expect((await liveOf(store, { space: "space", route: 7, owner })).length).toBeLessThanOrEqual(2);
        }
      },
    );

    test("removes each record once when several prune, and waits for nobody", async () => {
      const storage = await storageWith(kind, url);
      const stores = await Promise.all([storage.open(), storage.open(), storage.open(), storage.open()]);
      const garbage = Array.from({ length: 201 }, () => newRecord({ deadline: NOW - 1 }));
      await Promise.all(garbage.map(async (record) => stores[0].create(record, callWithin())));
      const rival = await rivalOn(kind.kind, url);
      await rival.run("BEGIN");
      const held = garbage[0]!.lookup;
      await rival.run(`SELECT 1 FROM ${tableOf(storage.where)} WHERE lookup = '${held}' FOR UPDATE`);
      const removed = await Promise.all(stores.map(removedBy));
      expect(removed.reduce((sum, one) => sum + one, 0)).toBe(200);
      await rival.run("COMMIT");
      expect(await stores[0].prune(NOW, 10, callWithin())).toBe(1);
    });

    test("forgets locks that were free for a day, and no others", async () => {
      const storage = await storageWith(kind, url);
      const store = await storage.open();
      for (const name of ["held", "fresh", "released", "ended"]) {
        expect(await store.acquireLock(lockOf(name), "ann", 60_000, callWithin())).toMatchObject({
          status: "acquired",
        });
      }
      for (const name of ["fresh", "released"]) await store.releaseLock(lockOf(name), "ann", callWithin());
      const locks = tableOf(storage.where, "_locks");
      const named = kind.kind === "mysql" ? "`lock`" : "lock";
      const day = 86_400_000_000;
      await runSql(kind.kind, url, `UPDATE ${locks} SET expires_at = expires_at + ${day} WHERE ${named} = 'released'`);
      await runSql(kind.kind, url, `UPDATE ${locks} SET expires_at = expires_at - ${2 * day} WHERE ${named} = 'ended'`);
      await store.prune(0, 10, callWithin());
      const rows = await runSql(kind.kind, url, `SELECT ${named} AS name FROM ${locks} ORDER BY ${named}`);
      expect(rows.map(({ name }) => String(name))).toEqual(["fresh", "held"]);
    });
  });
});
