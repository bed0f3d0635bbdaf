import { describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import {
  callWithin,
  eventually,
  HOUR,
  kinds,
  newOwner,
  newRecord,
  NOW,
  runSql,
  storageWith,
  tableOf,
} from "./sql-setup.ts";

const [kind] = kinds;

describe("a PostgreSQL table", () => {
  needsServer("postgres", (url) => {
    test("is touched without a new entry in any index, while the deadline stays in its quarter of an hour", async () => {
      const storage = await storageWith(kind!, url, 1);
      const store = await storage.open();
      // The start of a quarter of an hour.
      const deadline = Math.ceil((NOW + HOUR) / 900_000) * 900_000;
      const records = Array.from({ length: 50 }, () => newRecord({ ...newOwner(), tenant: "tenant", deadline }));
      for (const record of records) await store.create(record, callWithin());
      for (let touch = 1; touch <= 4; touch++) {
        for (const record of records) {
          const change = { touchedAt: NOW + touch, deadline: deadline + touch, envelope: record.envelope };
          expect(await store.update(record, touch, change, callWithin())).toBe("updated");
        }
      }
      const counts = `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = '${tableOf(storage.where)}'::regclass`;
      // What a connection has counted is seen at the latest when it has ended.
      await closeAll(url, tableOf(storage.where));
      const [counted] = await runSql("postgres", url, counts);
      expect(Number(counted!["n_tup_upd"])).toBe(200);
      // How many depends on others: while their snapshots keep old rows alive, pages fill up. With an index on anything that
      // a touch changes, it is none.
      expect(Number(counted!["n_tup_hot_upd"])).toBeGreaterThan(0);
    });

    test("is searched by an index in every statement but those that count or copy all of it", async () => {
      const storage = await storageWith(kind!, url, 1);
      const store = await storage.open();
      const table = tableOf(storage.where);
      await runSql(
        "postgres",
        url,
        `INSERT INTO ${table} SELECT 'lookup' || n, 'space', 7, 'owner' || n % 500, 'tenant' || n % 100, ` +
          `${NOW}, ${NOW}, ${NOW + HOUR} + n, ${Math.floor((NOW + HOUR) / 900_000)} + n % 96, 1, NULL, NULL, 'e', 'd' ` +
          `FROM generate_series(1, 20000) n; ANALYZE ${table}`,
      );
      const owner = { space: "space", route: 7, owner: "owner7" };
      const page = { cursor: null, limit: 20 };
      const rules = { perOwner: 39, total: null, onLimit: "evict-oldest", replacing: "lookup7" } as const;
      const calls: readonly (() => unknown)[] = [
        () => store.read(newRecord({ lookup: "lookup1" }), callWithin()),
        () => store.update(newRecord({ lookup: "lookup1" }), 9, newRecord({}), callWithin()),
        () => store.listByOwner(owner, page, callWithin()),
        () => store.listByTenant({ space: "space", tenant: "tenant7" }, page, callWithin()),
        () => store.listByTenant({ space: "space", tenant: null }, page, callWithin()),
        () => store.countByOwner(owner, callWithin()),
        () => store.countByTenant({ space: "space", tenant: "tenant7" }, callWithin()),
        () => store.admit(newRecord(owner), rules, callWithin()),
        () => store.deleteByOwner(owner, ["lookup7"], { reason: "x", at: NOW }, callWithin()),
        () => store.deleteByTenant({ space: "space", tenant: "tenant8" }, { reason: "x", at: NOW }, callWithin()),
        () => store.scan(page, callWithin()),
        () => store.prune(NOW, 10, callWithin()),
      ];
      const scansOf = `SELECT seq_scan FROM pg_stat_user_tables WHERE relid = '${table}'::regclass`;
      const scans = async (): Promise<number> => Number((await runSql("postgres", url, scansOf))[0]!["seq_scan"]);
      const before = await scans();
      for (const call of calls) await call();
      await closeAll(url, table);
      expect(await scans()).toBe(before);
      // The test can see one.
      await runSql("postgres", url, `SELECT count(*) FROM ${table} WHERE version = 2`);
      await eventually(scans, (count) => count > before);
    });

    test("is admitted to by what was committed, whatever isolation the server begins with", async () => {
      const strict = new URL(url);
      strict.searchParams.set("options", "-c default_transaction_isolation=repeatable\\ read");
      const storage = await storageWith(kind!, strict.href, 20);
      const stores = [await storage.open(), await storage.open()];
      const owner = newOwner();
      const rules = { perOwner: 3, total: null, onLimit: "reject", replacing: null } as const;
      const answers = await Promise.all(
        Array.from({ length: 40 }, async (_, index) => stores[index % 2]!.admit(newRecord(owner), rules, callWithin())),
      );
      expect(answers.filter(({ status }) => status === "created")).toHaveLength(3);
      expect(answers.filter(({ status }) => status === "refused")).toHaveLength(37);
    });
  });
});

/** Ends the connections whose last statement was about the table. */
async function closeAll(url: string, table: string): Promise<void> {
  const ended = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%${table}%' AND pid <> pg_backend_pid()`;
  await eventually(
    () => runSql("postgres", url, ended),
    ({ length }) => length === 0,
  );
}
