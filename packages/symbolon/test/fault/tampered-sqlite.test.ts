/** Whoever can write to the database file gains nothing by it, whatever type of value ends up in which column. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";

const VALUES = [
  "NULL",
  "0",
  "1",
  "-1",
  "9e18",
  "1.5",
  "''",
  "'text'",
  "x''",
  "x'00ff'",
  "x'0100'",
  "zeroblob(100)",
  "lookup",
  "owner",
  "envelope",
  "data",
] as const;

/** What is checked at the door of every session, and what only says where and when. */
const BOUND = new Set(["owner", "tenant", "version", "envelope", "data", "lookup"]);
const HINTS = ["route", "created_at", "touched_at", "deadline", "bucket", "ended_at", "reason", "space"];
const COLUMNS = [...BOUND, ...HINTS];

async function summary(sessions: SessionManager, token: string): Promise<unknown> {
  const session = await sessions.validate(token);
  if (session === null) return null;
  const { state, id, userId, roles, extra, tenant, createdAt, expiresAt, data } = session;
  return { state, id, userId, roles, extra, tenant, createdAt, expiresAt, data };
}

describe("a row of the SQLite store that was edited by hand", () => {
  it.each(COLUMNS)("opens no session, or the same: %s", async (column) => {
    const file = sqliteFile();
    const client = file.connect();
    const keys = [generateKey()];
    const clock = manualClock();
    const cold = (): SessionManager =>
      createSessionManager({ store: sqliteStore(file.connect()), keys, clock, pruneEvery: false });
    const warm = cold();
    let refused = 0;
    for (const value of VALUES) {
      const { token } = await warm.create({ userId: "user-1", roles: ["reader"], tenant: "t", data: { a: 1 } });
      const before = await summary(warm, token);
      expect(before).not.toBeNull();
      const label = `${column} = ${value}`;
      try {
        client.exec(`UPDATE OR FAIL symbolon_sessions SET ${column} = ${value}`);
      } catch {
        // The table itself refuses some of these.
        client.exec("DELETE FROM symbolon_sessions");
        continue;
      }
      const [first, second] = [await summary(cold(), token), await summary(warm, token)];
      for (const after of [first, second]) if (after !== null) expect(after, label).toEqual(before);
      if (first === null) refused++;
      await warm.refresh(token);
      await warm.revokeToken(token);
      await warm.list({ userId: "user-1" });
      client.exec("DELETE FROM symbolon_sessions");
    }
    if (BOUND.has(column)) expect(refused).toBeGreaterThan(5);
  });

  it("is not opened in the place of another: rows that changed places, wholly or by part", async () => {
    const file = sqliteFile();
    const client = file.connect();
    const sessions = createSessionManager({ store: sqliteStore(file.connect()), keys: [generateKey()] });
    const [mine, admin] = [
      await sessions.create({ userId: "user-1", data: { a: 1 } }),
      await sessions.create({ userId: "admin", roles: ["admin"], data: { a: 2 } }),
    ];
    const table = "symbolon_sessions";
    for (const columns of [["envelope"], ["data"], ["envelope", "data"], ["envelope", "data", "owner", "route"]]) {
      client.exec("BEGIN");
      client.exec(`CREATE TEMP TABLE other AS SELECT * FROM ${table}`);
      const set = columns.map((name) => `${name} = (SELECT ${name} FROM other WHERE other.lookup <> ${table}.lookup)`);
      client.exec(`UPDATE ${table} SET ${set.join(", ")}`);
      client.exec("DROP TABLE other");
      client.exec("COMMIT");
      for (const { token } of [mine, admin]) {
        expect(await sessions.inspect(token)).toEqual({ ok: false, reason: "bad-seal" });
      }
      client.exec(`CREATE TEMP TABLE other AS SELECT * FROM ${table}`);
      client.exec(`UPDATE ${table} SET ${set.join(", ")}`);
      client.exec("DROP TABLE other");
      expect((await sessions.validate(mine.token))?.userId).toBe("user-1");
      expect((await sessions.validate(admin.token))?.userId).toBe("admin");
    }
    await sessions.close();
  });
});
