import { describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { callWithin, HOUR, kinds, NOW, newRecord, runSql, serverFor, storageWith, tableOf } from "./sql-setup.ts";

const kind = kinds.find((one) => one.kind === "mysql")!;
const ROWS = 20_000;

describe("a MariaDB table", () => {
  needsServer("mariadb", () => {
    test("is searched by an index for the records of one user, and for garbage", async () => {
      const server = await serverFor(kind);
      await runSql("mysql", server.url, "SET GLOBAL userstat = 1");
      const storage = await storageWith(kind, server.url, 1);
      const store = await storage.open();
      const table = tableOf(storage.where);
      await runSql(
        "mysql",
        server.url,
        `INSERT INTO ${table} SELECT concat('lookup', seq), 'space', 7, concat('owner', seq % 500), NULL, ${NOW}, ${NOW}, ` +
          `${NOW + HOUR}, ${Math.floor((NOW + HOUR) / 900_000)}, 1, NULL, NULL, 'e', 'd' FROM seq_1_to_${ROWS}`,
      );
      await runSql("mysql", server.url, `ANALYZE TABLE ${table}`);
      const owner = { space: "space", route: 7, owner: "owner7" };
      const rules = { perOwner: 39, total: null, onLimit: "evict-oldest", replacing: null } as const;
      const garbage = newRecord({ deadline: NOW - 1 });
      await store.create(garbage, callWithin());
      await runSql("mysql", server.url, "FLUSH TABLE_STATISTICS");
      const read = async (): Promise<number> => {
        const text = `SELECT coalesce(sum(rows_read), 0) AS n FROM information_schema.table_statistics WHERE table_name = ${table.replaceAll("`", "'")}`;
        return Number((await runSql("mysql", server.url, text))[0]!["n"]);
      };
      expect((await store.listByOwner(owner, { cursor: null, limit: 20 }, callWithin())).records).toHaveLength(20);
      expect(await store.countByOwner(owner, callWithin())).toBe(40);
      expect(await store.admit(newRecord(owner), rules, callWithin())).toMatchObject({ status: "created" });
      expect(await store.deleteByOwner(owner, [], { reason: "x", at: NOW }, callWithin())).toBe(39);
      expect(await store.prune(NOW, 10, callWithin())).toBe(1);
      expect(await read()).toBeGreaterThan(0);
      expect(await read()).toBeLessThan(ROWS / 20);
      // The test can see a statement that reads everything.
      await runSql("mysql", server.url, `SELECT count(*) FROM ${table} WHERE version = 2`);
      expect(await read()).toBeGreaterThan(ROWS / 2);
    });
  });
});
