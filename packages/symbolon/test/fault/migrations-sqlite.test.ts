import type { StoredRecord } from "symbolon";
import { sqliteMigrations, sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, test } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";

const call = { now: 1_000_000, signal: new AbortController().signal };
const lock = { space: "space", route: 1, lock: "lock" };

const record: StoredRecord = {
  space: "space",
  route: 1,
  lookup: "lookup",
  owner: "ann",
  tenant: null,
  createdAt: 1,
  touchedAt: 2,
  deadline: 3_600_000,
  version: 4,
  envelope: Buffer.from("envelope"),
  data: Buffer.from("data"),
};

/** What stores made before their tables had versions. */
const UNVERSIONED = [
  `CREATE TABLE IF NOT EXISTS "symbolon_sessions" (lookup TEXT NOT NULL PRIMARY KEY, space TEXT NOT NULL, route INTEGER NOT NULL, owner TEXT, tenant TEXT, created_at INTEGER NOT NULL, touched_at INTEGER NOT NULL, deadline INTEGER NOT NULL, bucket INTEGER NOT NULL, version INTEGER NOT NULL, ended_at INTEGER, reason TEXT, envelope BLOB, data BLOB)`,
  `CREATE INDEX IF NOT EXISTS "symbolon_sessions_owner" ON "symbolon_sessions" (space, owner, created_at, lookup) WHERE owner IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS "symbolon_sessions_tenant" ON "symbolon_sessions" (space, tenant, created_at, lookup, owner) WHERE tenant IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS "symbolon_sessions_space" ON "symbolon_sessions" (space, created_at, lookup, owner) WHERE ended_at IS NULL`,
  `CREATE INDEX IF NOT EXISTS "symbolon_sessions_bucket" ON "symbolon_sessions" (bucket)`,
];

const INSERT =
  "INSERT INTO symbolon_sessions VALUES ('lookup', 'space', 1, 'ann', NULL, 1, 2, 3600000, 4, 4, NULL, NULL, ?, ?)";

describe("the tables of a SQLite store", () => {
  test("of before there were versions are taken over, with all that is in them", async () => {
    const file = sqliteFile();
    const before = file.connect();
    for (const statement of UNVERSIONED) before.exec(statement);
    before.prepare(INSERT).run(record.envelope, record.data);
    const store = sqliteStore(file.connect());
    expect(await store.read(record, call)).toEqual(record);
    expect(await store.acquireLock(lock, "ann", 1000, call)).toMatchObject({ status: "acquired" });
    expect(before.prepare("SELECT version FROM symbolon_sessions_migrations").all()).toEqual([
      { version: 1 },
      { version: 2 },
    ]);
  });

  test("come from version 1 to the newest when the file is opened, and then stay as they are", async () => {
    const file = sqliteFile();
    const before = file.connect();
    const [first] = sqliteMigrations();
    for (const statement of first!.statements) before.exec(statement);
    before.exec("CREATE TABLE symbolon_sessions_migrations (version int NOT NULL PRIMARY KEY)");
    before.exec("INSERT INTO symbolon_sessions_migrations VALUES (1)");
    const schema = (): unknown => before.prepare("SELECT name, sql FROM sqlite_master ORDER BY name").all();
    const store = sqliteStore(file.connect());
    expect(await store.acquireLock(lock, "ann", 1000, call)).toMatchObject({ status: "acquired" });
    const made = schema();
    sqliteStore(file.connect());
    expect(schema()).toEqual(made);
  });

  test("may be made before by another program from the printed statements", async () => {
    const file = sqliteFile();
    const before = file.connect();
    for (const { statements } of sqliteMigrations({ table: "sessions" })) {
      for (const statement of statements) before.exec(statement);
    }
    const store = sqliteStore(file.connect(), { table: "sessions" });
    expect(await store.create(record, call)).toBe("created");
  });

  test("are opened without waiting while another connection writes", () => {
    const file = sqliteFile();
    const rival = file.connect();
    sqliteStore(rival);
    rival.exec("BEGIN IMMEDIATE");
    const client = file.connect();
    expect(() => sqliteStore({ exec: impatient(client), prepare: (sql) => client.prepare(sql) })).not.toThrow();
    rival.exec("ROLLBACK");
  });
});

/** Fails at once where others would be waited for. */
function impatient(client: { exec(sql: string): unknown }): (sql: string) => unknown {
  return (sql) => {
    if (sql === "BEGIN IMMEDIATE") throw new Error("somebody was waited for");
    return client.exec(sql.replace("busy_timeout=5000", "busy_timeout=1"));
  };
}

describe("the locks of a SQLite store", () => {
  test("give greater fences when the clock is set back, until the row is pruned a day later", async () => {
    const client = sqliteFile().connect();
    const store = sqliteStore(client);
    const fences: number[] = [];
    for (const now of [5_000_000, 4_000_000, 3_000_000]) {
      const answer = await store.acquireLock(lock, `holder at ${now}`, 10, { ...call, now });
      if (answer.status === "acquired") fences.push(answer.fence);
      await store.releaseLock(lock, `holder at ${now}`, { ...call, now });
    }
    expect(fences).toEqual([5_000_000_000, 5_000_000_001, 5_000_000_002]);
    const rows = (): unknown[] => client.prepare("SELECT * FROM symbolon_sessions_locks").all();
    await store.prune(0, 10, { ...call, now: 3_000_000 + 86_400_000 });
    expect(rows()).toHaveLength(1);
    await store.prune(0, 10, { ...call, now: 3_000_001 + 86_400_000 });
    expect(rows()).toHaveLength(0);
  });
});
