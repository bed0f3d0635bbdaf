import type Database from "libsql";
import { type AdmissionRules, type StoredRecord, StoreUnavailableError } from "symbolon";
import { type SqliteClient, type SqliteStore, sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, test } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const call = { now: NOW, signal: new AbortController().signal };

function recordOf(lookup: string, createdAt = NOW) {
  return {
    space: "space",
    route: 1,
    lookup,
    owner: "ann",
    tenant: "blue",
    createdAt,
    touchedAt: createdAt,
    deadline: NOW + HOUR,
    version: 1,
    envelope: Buffer.from(`envelope of ${lookup}`),
    data: Buffer.from("data"),
  } satisfies StoredRecord;
}

/** Rules by which `oldest` gives way and `replaced` is replaced, in a space that has no more room than that. */
const rules: AdmissionRules = { perOwner: 2, total: 2, onLimit: "evict-oldest", replacing: "replaced" };

const held = [recordOf("oldest", NOW - 2), recordOf("replaced", NOW - 1), recordOf("newest", NOW)];

async function createAll(store: SqliteStore): Promise<void> {
  for (const record of held) expect(await store.create(record, call)).toBe("created");
}

async function expectUntouched(store: SqliteStore): Promise<void> {
  for (const record of held) expect(await store.read(record, call)).toEqual(record);
  expect(await store.read(recordOf("new"), call)).toBeNull();
}

/** Insists that the admission fails, and with what cause; then that it works, and nothing was left open. */
async function expectRecovery(store: SqliteStore, client: Database.Database, mend: () => void, cause: object) {
  const admission = async () => store.admit(recordOf("new"), rules, call);
  await expect(admission).rejects.toThrow(StoreUnavailableError);
  await expect(admission).rejects.toMatchObject({ cause });
  expect(client.inTransaction).toBe(false);
  mend();
  await expectUntouched(store);
  expect(await admission()).toMatchObject({ status: "created", evicted: [{ lookup: "oldest" }] });
  expect(client.inTransaction).toBe(false);
}

/** A client whose calls can be made to fail, counted from the next on; `sabotage` is done in the place of the call. */
function breakable(client: Database.Database) {
  let callsUntilFailure = Infinity;
  let sabotage: (() => void) | null = null;
  let calls: string[] = [];
  function pass<T>(sql: string, work: () => T): T {
    calls.push(sql);
    if (--callsUntilFailure !== 0) return work();
    sabotage?.();
    throw new Error("the disk is full");
  }
  const breaking: SqliteClient = {
    exec: (sql) => pass(sql, () => client.exec(sql)),
    prepare(sql) {
      const statement = client.prepare(sql);
      return {
        get: (...values) => pass(sql, () => statement.get(...values)),
        all: (...values) => pass(sql, () => statement.all(...values)),
        run: (...values) => pass(sql, () => statement.run(...values)),
      };
    },
  };
  return {
    client: breaking,
    failAt(place: number, instead: (() => void) | null = null) {
      callsUntilFailure = place;
      sabotage = instead;
    },
    /** Every statement since it was asked last. */
    takeCalls(): string[] {
      const taken = calls;
      calls = [];
      return taken;
    },
  };
}

describe("an admission that fails midway", () => {
  test("changes nothing and leaves no transaction open, whichever of its statements fails", async () => {
    const counted = breakable(sqliteFile().connect());
    const countedStore = sqliteStore(counted.client);
    await createAll(countedStore);
    counted.takeCalls();
    await countedStore.admit(recordOf("new"), rules, call);
    const statements = counted.takeCalls();
    expect(statements.at(0)).toBe("BEGIN IMMEDIATE");
    expect(statements.at(-1)).toBe("COMMIT");
    expect(statements.length).toBeGreaterThan(8);
    for (let failing = 1; failing <= statements.length; failing++) {
      const client = sqliteFile().connect();
      const broken = breakable(client);
      const store = sqliteStore(broken.client);
      await createAll(store);
      broken.failAt(failing);
      await expect(async () => store.admit(recordOf("new"), rules, call)).rejects.toThrow(StoreUnavailableError);
      expect(client.inTransaction, `after statement ${failing}`).toBe(false);
      await expectUntouched(store);
      expect(await store.admit(recordOf("new"), rules, call)).toMatchObject({ status: "created" });
    }
  });

  test("says why it failed where SQLite has ended the transaction itself", async () => {
    const client = sqliteFile().connect();
    const broken = breakable(client);
    const store = sqliteStore(broken.client);
    await createAll(store);
    broken.failAt(5, () => client.exec("ROLLBACK"));
    await expect(async () => store.admit(recordOf("new"), rules, call)).rejects.toMatchObject({
      cause: { message: "the disk is full" },
    });
    expect(client.inTransaction).toBe(false);
    await expectUntouched(store);
  });

  test("fails as one thing when the table refuses the record after others have ended", async () => {
    const client = sqliteFile().connect();
    const store = sqliteStore(client, { table: "sessions" });
    await createAll(store);
    client.exec("CREATE TRIGGER refuse BEFORE INSERT ON sessions BEGIN SELECT RAISE(ABORT, 'no more records'); END");
    await expectRecovery(store, client, () => client.exec("DROP TRIGGER refuse"), {
      message: expect.stringContaining("no more records"),
    });
  });
});

describe("an admission into a file that another connection keeps locked", () => {
  test("fails with the client's error as cause, and works when the lock is gone", async () => {
    const file = sqliteFile();
    const [client, rival] = [file.connect(), file.connect()];
    const store = sqliteStore(client);
    await createAll(store);
    client.exec("PRAGMA busy_timeout=1");
    rival.exec("BEGIN IMMEDIATE");
    await expectRecovery(store, client, () => rival.exec("COMMIT"), { code: "SQLITE_BUSY" });
  });
});

describe("an admission through a client that cannot serve it", () => {
  test("fails when the client is closed", async () => {
    const client = sqliteFile().connect();
    const store = sqliteStore(client);
    client.close();
    await expect(async () => store.admit(recordOf("new"), rules, call)).rejects.toThrow(StoreUnavailableError);
  });

  test("fails inside a transaction of the application, which stays as it was", async () => {
    const client = sqliteFile().connect();
    const store = sqliteStore(client);
    await createAll(store);
    client.exec("CREATE TABLE orders (id INTEGER)");
    client.exec("BEGIN");
    client.exec("INSERT INTO orders VALUES (1)");
    await expect(async () => store.admit(recordOf("new"), rules, call)).rejects.toThrow(StoreUnavailableError);
    expect(client.inTransaction).toBe(true);
    client.exec("COMMIT");
    expect(client.prepare("SELECT count(*) AS orders FROM orders").get()).toMatchObject({ orders: 1 });
    await expectUntouched(store);
  });

  test("is done right by a client that returns integers as BigInt", async () => {
    const client = sqliteFile().connect();
    client.defaultSafeIntegers();
    const store = sqliteStore(client);
    await createAll(store);
    const refused = { status: "refused", limit: "total" };
    expect(await store.admit(recordOf("new"), { ...rules, total: 1 }, call)).toEqual(refused);
    expect(await store.admit(recordOf("new"), rules, call)).toEqual({ status: "created", evicted: [held[0]] });
  });
});

describe("the statements of an admission", () => {
  test("leave no transaction open when nothing is stored", async () => {
    const client = sqliteFile().connect();
    const broken = breakable(client);
    const store = sqliteStore(broken.client);
    await createAll(store);
    for (const [lookup, changes] of [
      ["newest", {}],
      ["new", { onLimit: "reject", perOwner: 1 }],
      ["new", { onLimit: "reuse", perOwner: 1 }],
      ["new", { total: 1 }],
    ] as const) {
      broken.takeCalls();
      expect(await store.admit(recordOf(lookup), { ...rules, ...changes }, call)).not.toMatchObject({
        status: "created",
      });
      expect(broken.takeCalls().at(-1)).toBe("ROLLBACK");
      expect(client.inTransaction).toBe(false);
    }
    await expectUntouched(store);
  });

  test("find the owner's records by the owner's index, and count the space without reading its rows", async () => {
    const client = sqliteFile().connect();
    const broken = breakable(client);
    const store = sqliteStore(broken.client);
    await createAll(store);
    // One more row than the owners have, so that the space has to be counted.
    await store.create({ ...recordOf("anonymous"), owner: null }, call);
    broken.takeCalls();
    expect(await store.admit(recordOf("new"), rules, call)).toMatchObject({ status: "created" });
    const plans = broken
      .takeCalls()
      .filter((sql) => sql.startsWith("SELECT") || sql.startsWith("UPDATE"))
      .map((sql) => {
        const plan = client.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[];
        return plan.map(({ detail }) => detail).join("; ");
      });
    expect(plans).not.toEqual([]);
    const index = "symbolon_sessions_owner";
    for (const plan of plans) expect(plan).not.toMatch(/SCAN|TEMP B-TREE/);
    expect(plans.filter((plan) => plan.includes(` USING INDEX ${index} (space=? AND owner=?)`))).toHaveLength(1);
    const counts = plans.filter((plan) => plan.includes(`COVERING INDEX ${index} (space=?`));
    expect(counts).toEqual([expect.stringContaining("INDEX symbolon_sessions_bucket (bucket<?)")]);
  });

  test("count the space only when the table could hold that many", async () => {
    const broken = breakable(sqliteFile().connect());
    const store = sqliteStore(broken.client);
    await createAll(store);
    for (const [total, counts] of [
      [100, 0],
      [3, 1],
    ] as const) {
      broken.takeCalls();
      await store.admit(recordOf(`new ${total}`), { ...rules, perOwner: null, replacing: null, total }, call);
      expect(broken.takeCalls().filter((sql) => sql.startsWith("SELECT count"))).toHaveLength(counts);
    }
  });
});
