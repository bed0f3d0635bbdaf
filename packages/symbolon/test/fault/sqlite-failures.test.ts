import { OptionsError, StoreUnavailableError, type StoredRecord } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, test } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";

const NOW = Date.UTC(2026, 0, 1);
const call = { now: NOW, signal: new AbortController().signal };

function recordOf(lookup: string): StoredRecord {
  return {
    space: "space",
    route: 1,
    lookup,
    owner: "ann",
    tenant: "blue",
    createdAt: NOW,
    touchedAt: NOW,
    deadline: NOW + 3_600_000,
    version: 1,
    envelope: Buffer.from("the envelope of this record"),
    data: Buffer.from("the data of this record"),
  };
}

/** What a promise, or a call that throws at once, fails with. */
async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing failed");
}

describe("a SQLite file that another connection keeps locked", () => {
  test("fails writes with the client's error as cause, serves reads, and recovers", async () => {
    const file = sqliteFile();
    const [client, rival] = [file.connect(), file.connect()];
    const store = sqliteStore(client);
    const record = recordOf("one");
    await store.create(record, call);
    client.exec("PRAGMA busy_timeout=1");
    rival.exec("BEGIN IMMEDIATE");
    const change = { touchedAt: NOW, deadline: record.deadline, envelope: record.envelope };
    const writes = [
      () => store.create(recordOf("two"), call),
      () => store.update(record, 1, change, call),
      () => store.delete(record, { reason: "logout", at: NOW }, call),
      () => store.deleteByOwner({ space: "space", route: 1, owner: "ann" }, [], { reason: "x", at: NOW }, call),
      () => store.deleteByTenant({ space: "space", tenant: null }, { reason: "x", at: NOW }, call),
      () => store.apply({ ...record, version: 2 }, call),
      () => store.prune(NOW + 9_000_000, 10, call),
    ];
    for (const write of writes) {
      const failure = await failureOf(write);
      expect(failure).toBeInstanceOf(StoreUnavailableError);
      expect(failure).toHaveProperty("cause.code", "SQLITE_BUSY");
    }
    expect(await store.read(record, call)).toMatchObject({ version: 1 });
    rival.exec("COMMIT");
    expect(await store.update(record, 1, change, call)).toBe("updated");
  });

  test("is waited for while the tables are made", () => {
    const file = sqliteFile();
    const [client, rival] = [file.connect(), file.connect()];
    let attempts = 0;
    // The rival lets go when the store tries for the third time.
    const impatient = {
      exec(sql: string) {
        if (sql.includes("_migrations") && ++attempts === 3) rival.exec("COMMIT");
        client.exec(sql.replace("busy_timeout=5000", "busy_timeout=1"));
      },
      prepare: (sql: string) => client.prepare(sql),
    };
    rival.exec("PRAGMA journal_mode=WAL");
    rival.exec("BEGIN IMMEDIATE");
    expect(() => sqliteStore(impatient)).not.toThrow();
    expect(attempts).toBeGreaterThanOrEqual(3);
  });
});

describe("a SQLite client that is closed", () => {
  test("fails every call, with the client's error as cause and nothing of the record in it", async () => {
    const file = sqliteFile();
    const client = file.connect();
    const store = sqliteStore(client);
    const record = recordOf("one");
    await store.create(record, call);
    client.close();
    const owner = { space: "space", route: 1, owner: "ann" };
    const page = { cursor: null, limit: 10 };
    const ending = { reason: "logout", at: NOW };
    const calls = [
      () => store.read(record, call),
      () => store.create(recordOf("two"), call),
      () => store.update(record, 1, { ...record }, call),
      () => store.delete(record, ending, call),
      () => store.listByOwner(owner, page, call),
      () => store.countByOwner(owner, call),
      () => store.deleteByOwner(owner, [], ending, call),
      () => store.listByTenant({ space: "space", tenant: "blue" }, page, call),
      () => store.countByTenant({ space: "space", tenant: null }, call),
      () => store.countOwners({ space: "space", tenant: null }, call),
      () => store.deleteByTenant({ space: "space", tenant: "blue" }, ending, call),
      () => store.prune(NOW, 10, call),
      () => store.scan(page, call),
      () => store.apply(record, call),
    ];
    for (const one of calls) {
      const failure = await failureOf(one);
      expect(failure).toBeInstanceOf(StoreUnavailableError);
      expect(failure).toHaveProperty("cause", expect.any(Error));
      expect(JSON.stringify(failure) + String(failure)).not.toMatch(/envelope of this|data of this/);
    }
  });

  test("fails the making of a store", async () => {
    const client = sqliteFile().connect();
    client.close();
    expect(await failureOf(() => sqliteStore(client))).toBeInstanceOf(StoreUnavailableError);
  });
});

describe("the table of a SQLite store", () => {
  test("has a plain word as its name", () => {
    const client = sqliteFile().connect();
    for (const table of ["", "1st", "a b", 'a"b', "a;b", "a.b", "tä", "a\n", "a".repeat(49)]) {
      expect(() => sqliteStore(client, { table })).toThrow(OptionsError);
    }
  });

  test("may be named after a keyword, and stands apart from others in the file", async () => {
    const client = sqliteFile().connect();
    const [one, other] = [sqliteStore(client, { table: "select" }), sqliteStore(client, { table: "_Sessions2" })];
    const record = recordOf("one");
    expect(await one.create(record, call)).toBe("created");
    expect(await other.read(record, call)).toBeNull();
    expect(await other.create(record, call)).toBe("created");
    expect(await one.deleteByTenant({ space: "space", tenant: null }, { reason: "x", at: NOW }, call)).toBe(1);
    expect(await other.read(record, call)).toMatchObject({ version: 1 });
  });

  test("is found as it was left, by a store over another connection", async () => {
    const file = sqliteFile();
    const record = recordOf("one");
    const client = file.connect();
    await sqliteStore(client).create(record, call);
    client.close();
    expect(await sqliteStore(file.connect()).read(record, call)).toMatchObject({ lookup: "one", version: 1 });
  });

  test("keeps nothing sealed, and nothing of the user, in the row of an ended record", async () => {
    const client = sqliteFile().connect();
    const store = sqliteStore(client, { table: "sessions" });
    const [one, two, three, four] = ["one", "two", "three", "four"].map(recordOf);
    for (const record of [one!, two!, three!]) await store.create(record, call);
    const ending = { reason: "logout", at: NOW };
    await store.delete(one!, ending, call);
    await store.deleteByOwner({ space: "space", route: 1, owner: "ann" }, ["three"], ending, call);
    await store.deleteByTenant({ space: "space", tenant: "blue" }, ending, call);
    await store.apply(four!, call);
    await store.apply({ space: "space", route: 1, lookup: "four", endedAt: NOW, reason: "x", deadline: NOW + 1 }, call);
    const rows = client.prepare("SELECT owner, tenant, length(envelope) AS envelope, data FROM sessions").all();
    expect(rows).toEqual(Array.from({ length: 4 }, () => ({ owner: null, tenant: null, envelope: 0, data: null })));
  });

  test("is pruned oldest first to the millisecond", async () => {
    const client = sqliteFile().connect();
    const store = sqliteStore(client);
    for (const [index, name] of ["two", "three", "one"].entries()) {
      await store.create({ ...recordOf(name), deadline: NOW + ((index + 1) % 3) }, call);
    }
    expect(await store.prune(NOW + 10, 1, call)).toBe(1);
    expect(await store.read(recordOf("one"), call)).toBeNull();
    expect(await store.prune(NOW + 10, 1, call)).toBe(1);
    expect(await store.read(recordOf("two"), call)).toBeNull();
    expect(await store.read(recordOf("three"), call)).not.toBeNull();
  });

  test("is read right by a client that returns integers as BigInt", async () => {
    const client = sqliteFile().connect();
    client.defaultSafeIntegers();
    const store = sqliteStore(client);
    const record = recordOf("one");
    expect(await store.create(record, call)).toBe("created");
    expect(await store.read(record, call)).toEqual(record);
    expect(await store.countByOwner({ space: "space", route: 1, owner: "ann" }, call)).toBe(1);
    expect(await store.countOwners({ space: "space", tenant: "blue" }, call)).toBe(1);
    expect(await store.delete(record, { reason: "logout", at: NOW }, call)).toBe(true);
    expect(await store.read(record, call)).toMatchObject({ endedAt: NOW, deadline: record.deadline });
    expect(await store.prune(record.deadline, 10, call)).toBe(1);
  });

  test("is searched by an index in every statement that looks for many", async () => {
    const client = sqliteFile().connect();
    const prepared: string[] = [];
    sqliteStore({
      exec: (sql) => client.exec(sql),
      prepare(sql) {
        prepared.push(sql);
        return client.prepare(sql);
      },
    });
    expect(prepared.length).toBeGreaterThan(15);
    // The table of versions has two rows.
    for (const sql of prepared.filter((text) => !text.includes("_migrations"))) {
      const plan = client.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[];
      const details = plan.map(({ detail }) => detail).filter((detail) => !detail.includes("json_each"));
      // What is no table is as long as what was found by an index.
      const scans = details.filter((detail) => /^SCAN (?!CONSTANT ROW|gone$)/.test(detail));
      expect(scans, sql).toEqual([]);
      if (!sql.includes("count(DISTINCT")) expect(details.join(), sql).not.toMatch(/TEMP B-TREE FOR ORDER BY/);
    }
  });
});
