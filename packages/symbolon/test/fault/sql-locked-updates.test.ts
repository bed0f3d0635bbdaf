/** Updates under a lock that are held up midway, while the lease ends and others want the lock. */
import { randomInt } from "node:crypto";
import { type HeldLock, isTombstone, type LockKey, type RecordChange } from "symbolon";
import { describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import {
  callWithin,
  eventually,
  HOUR,
  type Kind,
  kinds,
  newRecord,
  NOW,
  rivalOn,
  runSql,
  type ServedStore,
  storageWith,
  tableOf,
} from "./sql-setup.ts";

const LEASE = 400;
const HELD_UP = 2000;
const KEY: LockKey = { space: "space", route: 7, lock: "lock" };
const ANN: HeldLock = { lock: KEY.lock, holder: "ann" };
const BOB: HeldLock = { lock: KEY.lock, holder: "bob" };

function newChange(): RecordChange {
  return { touchedAt: NOW, deadline: NOW + HOUR, envelope: Buffer.from("changed") };
}

/** A record, a lock in the hands of `ann`, and somebody beside the store; updates go through the door, if there is one. */
async function stage(kind: Kind, url: string, lease: number, door?: Door) {
  const storage = await storageWith(kind, url);
  const [sessions, locks] = [tableOf(storage.where), tableOf(storage.where, "_locks")];
  const store = await storage.open();
  const record = newRecord({});
  await store.create(record, callWithin());
  const rival = await rivalOn(kind.kind, url);
  if (door !== undefined) await rival.run(door.make(sessions, tableOf(storage.where, "_door")));
  expect(await store.acquireLock(KEY, ANN.holder, lease, callWithin())).toMatchObject({ status: "acquired" });
  return {
    store,
    rival,
    sessions,
    locks,
    record: `lookup = '${record.lookup}'`,
    write: async (held: HeldLock, version = 1) =>
      store.updateUnderLock(record, version, newChange(), held, callWithin()),
    version: async (): Promise<number | null> => {
      const found = await store.read(record, callWithin());
      return found === null || isTombstone(found) ? null : found.version;
    },
  };
}

/** Which statements with these words wait for somebody else. */
const WAITING: Readonly<Record<Kind["kind"], (words: string) => string>> = {
  postgres: (words) => `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${words}%'`,
  mysql: (words) =>
    `SELECT id FROM information_schema.processlist WHERE time_ms > 50 AND info LIKE '%${words}%' AND id <> connection_id()`,
};

/** Until one statement is as told. */
async function untilOne(kind: Kind, url: string, query: string): Promise<void> {
  await eventually(
    () => runSql(kind.kind, url, query),
    ({ length }) => length === 1,
  );
}

async function untilTime(instant: number): Promise<void> {
  await eventually(
    () => Date.now(),
    (now) => now > instant,
  );
}

async function untilAcquired(store: ServedStore, { holder }: HeldLock): Promise<void> {
  await eventually(
    () => store.acquireLock(KEY, holder, HOUR, callWithin()),
    ({ status }) => status === "acquired",
  );
}

/** What lets updates of a table stop midway: `make` it, `shut` it and `open` it from one connection. */
interface Door {
  make(table: string, name: string): string;
  readonly shut: string;
  readonly open: string;
  readonly waiting: string;
}

function doorOf(kind: Kind["kind"]): Door {
  const number = randomInt(2 ** 31);
  if (kind === "mysql") {
    const [take, leave] = [`GET_LOCK('door ${number}', 30)`, `RELEASE_LOCK('door ${number}')`];
    return {
      make: (table, name) =>
        `CREATE TRIGGER ${name} BEFORE UPDATE ON ${table} FOR EACH ROW BEGIN SET @door = ${take}; SET @door = ${leave}; END`,
      shut: `SELECT ${take}`,
      open: `SELECT ${leave}`,
      waiting: `SELECT id FROM information_schema.processlist WHERE state = 'User lock' AND info LIKE '%${number}%'`,
    };
  }
  return {
    make: (table, name) =>
      `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS ` +
      `$$ BEGIN PERFORM pg_advisory_xact_lock(${number}); RETURN NEW; END $$; ` +
      `CREATE TRIGGER door BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}()`,
    shut: `SELECT pg_advisory_lock(${number})`,
    open: `SELECT pg_advisory_unlock(${number})`,
    waiting: `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = ${number} AND NOT granted`,
  };
}

describe.each(kinds)("$name", (kind) => {
  needsServer(kind.server, (url) => {
    /** Has `ann` write while the rival does something and does not commit before the work is done. */
    async function writeBehind(
      { rival, sessions, write }: Awaited<ReturnType<typeof stage>>,
      statement: string,
      waitsFor: string = sessions,
      work: () => unknown = () => undefined,
    ): Promise<string> {
      await rival.run("BEGIN");
      await rival.run(statement);
      const answer = write(ANN);
      await untilOne(kind, url, WAITING[kind.kind](waitsFor));
      await work();
      await rival.run("COMMIT");
      return answer;
    }

    test("loses a write that waited for its record until another had the lock, who waited for nobody", async () => {
      const staged = await stage(kind, url, LEASE);
      const { store, sessions, record, write, version } = staged;
      const hold = `SELECT 1 FROM ${sessions} WHERE ${record} FOR UPDATE`;
      expect(await writeBehind(staged, hold, sessions, () => untilAcquired(store, BOB))).toBe("lost");
      expect(await version()).toBe(1);
      expect(await write(BOB)).toBe("updated");
    });

    test("loses a write that waited for its record until the lease had ended, though nobody took the lock", async () => {
      const staged = await stage(kind, url, HOUR);
      const { sessions, locks, record, version } = staged;
      const endLease = `UPDATE ${locks} SET expires_at = expires_at - ${2 * HOUR * 1000}`;
      const hold = `SELECT 1 FROM ${sessions} WHERE ${record} FOR UPDATE`;
      expect(await writeBehind(staged, hold, sessions, () => runSql(kind.kind, url, endLease))).toBe("lost");
      expect(await version()).toBe(1);
    });

    test("loses a write that waited for the lock's row until the lease had ended", async () => {
      const staged = await stage(kind, url, LEASE);
      const { locks, version } = staged;
      const leaseEnd = Date.now() + LEASE;
      const hold = `SELECT 1 FROM ${locks} FOR UPDATE`;
      expect(await writeBehind(staged, hold, locks, () => untilTime(leaseEnd))).toBe("lost");
      expect(await version()).toBe(1);
    });

    test.each([
      ["given to another", "holder = 'bob'", "lost", 1],
      ["released", "expires_at = -expires_at", "lost", 1],
      ["renewed", "expires_at = expires_at + 1000", "updated", 2],
    ])("sees what becomes of a lock that is being %s", async (_what, change, answer, versionThen) => {
      const staged = await stage(kind, url, HOUR);
      const { locks, version } = staged;
      expect(await writeBehind(staged, `UPDATE ${locks} SET ${change}`, locks)).toBe(answer);
      expect(await version()).toBe(versionThen);
    });

    test.each([
      ["updated", "version = version + 1", "conflict"],
      ["ended", "ended_at = 1, reason = 'logout', owner = NULL", "missing"],
    ])("sees what becomes of a record that is being %s", async (_what, change, answer) => {
      const staged = await stage(kind, url, HOUR);
      const { sessions, record } = staged;
      expect(await writeBehind(staged, `UPDATE ${sessions} SET ${change} WHERE ${record}`)).toBe(answer);
    });

    test("has who wants the lock wait for a write that is under way, and find it", async () => {
      const door = doorOf(kind.kind);
      const { store, rival, locks, write, version } = await stage(kind, url, HELD_UP, door);
      const leaseEnd = Date.now() + HELD_UP;
      await rival.run(door.shut);
      const writing = write(ANN);
      await untilOne(kind, url, door.waiting);
      const found = untilAcquired(store, BOB).then(version);
      await Promise.race([found, untilOne(kind, url, WAITING[kind.kind](`INSERT INTO ${locks}`))]);
      await untilTime(leaseEnd);
      await rival.run(door.open);
      expect(await writing).toBe("updated");
      expect(await found).toBe(2);
    });
  });
});
