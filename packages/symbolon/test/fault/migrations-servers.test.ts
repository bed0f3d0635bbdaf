import { StoreUnavailableError } from "symbolon";
import { type Migration, mysqlMigrations } from "symbolon/stores/mysql";
import { postgresMigrations } from "symbolon/stores/postgres";
import { describe, expect, onTestFinished, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import type { Where } from "../support/targets.ts";
import { playTwo } from "../support/workers.ts";
import { callWithin, type Kind, kinds, newOwner, newRecord, runSql, type ServedStore, tableOf } from "./sql-setup.ts";

/** Names of a storage in which nothing was made yet. */
async function bareStorage({ target, variant }: Kind, url: string): Promise<Where> {
  const prepared = await target.prepare(variant, url);
  const bare = { ...prepared, options: { ...(prepared["options"] as object), table: `Bare_${Date.now() % 1e9}` } };
  onTestFinished(async () => {
    for (const where of [bare, prepared]) await target.drop(where);
  });
  return bare;
}

async function openBare(kind: Kind, where: Where): Promise<ServedStore> {
  const handle = await kind.target.open(where);
  onTestFinished(async () => void (await handle.close()));
  return handle.store;
}

function migrationsOf({ kind }: Kind, { options }: Where): readonly Migration[] {
  return kind === "postgres" ? postgresMigrations(options as object) : mysqlMigrations(options as object);
}

async function runEach({ kind }: Kind, url: string, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await runSql(kind, url, statement);
}

async function expectWorking(store: ServedStore): Promise<void> {
  const record = newRecord({ ...newOwner() });
  const rules = { perOwner: 1, total: 10, onLimit: "reject", replacing: null } as const;
  expect(await store.admit(record, rules, callWithin())).toEqual({ status: "created", evicted: [] });
  const key = { space: "space", route: 7, lock: "lock" };
  expect(await store.acquireLock(key, "ann", 1000, callWithin())).toMatchObject({ status: "acquired" });
  expect(await store.prune(0, 10, callWithin())).toBe(0);
}

describe.each(kinds)("the tables of $name", (kind) => {
  needsServer(kind.server, (url) => {
    test("are missing until they are made, and every call says what to do", async () => {
      const store = await openBare(kind, await bareStorage(kind, url));
      const record = newRecord(newOwner());
      const key = { space: "space", route: 7, lock: "lock" };
      for (const call of [
        () => store.read(record, callWithin()),
        () => store.create(record, callWithin()),
        () => store.acquireLock(key, "ann", 1000, callWithin()),
        () => store.prune(0, 10, callWithin()),
      ]) {
        const failure: unknown = await Promise.resolve(call()).catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(StoreUnavailableError);
        expect(failure).toHaveProperty("message", expect.stringContaining("store.migrate()"));
      }
    });

    test("are made from nothing, once", async () => {
      const store = await openBare(kind, await bareStorage(kind, url));
      expect(await store.migrate()).toEqual([1, 2]);
      expect(await store.migrate()).toEqual([]);
      await expectWorking(store);
    });

    test("keep their records when they come from version 1", async () => {
      const where = await bareStorage(kind, url);
      const [first] = migrationsOf(kind, where);
      await runEach(kind, url, first!.statements);
      const store = await openBare(kind, where);
      const record = newRecord(newOwner());
      await store.create(record, callWithin());
      expect(await store.migrate()).toEqual([1, 2]);
      expect(await store.read(record, callWithin())).toEqual(record);
      await expectWorking(store);
    });

    test("need but the second step where the first was applied", async () => {
      const where = await bareStorage(kind, url);
      const [, second] = migrationsOf(kind, where);
      const store = await openBare(kind, where);
      await store.migrate();
      await runEach(kind, url, [
        `DROP TABLE ${tableOf(where, "_locks")}`,
        `DELETE FROM ${tableOf(where, "_migrations")} WHERE version = ${second!.version}`,
      ]);
      expect(await store.migrate()).toEqual([2]);
      await expectWorking(store);
    });

    test("are made where a step was left halfway", async () => {
      const where = await bareStorage(kind, url);
      await runEach(kind, url, migrationsOf(kind, where)[0]!.statements.slice(0, 1));
      const store = await openBare(kind, where);
      expect(await store.migrate()).toEqual([1, 2]);
      await expectWorking(store);
    });

    test("may be made by hand from the printed statements", async () => {
      const where = await bareStorage(kind, url);
      for (const { statements } of migrationsOf(kind, where)) await runEach(kind, url, statements);
      await expectWorking(await openBare(kind, where));
    });

    test("are made once by two processes that begin at the same time", async () => {
      for (let round = 0; round < 3; round++) {
        const where = await bareStorage(kind, url);
        const applied = await playTwo<number[]>("migrate.mjs", { kind: kind.kind, where });
        expect(applied.toSorted((a, b) => b.length - a.length)).toEqual([[1, 2], []]);
        await expectWorking(await openBare(kind, where));
      }
    });
  });
});

describe("the tables of a PostgreSQL user who may not make any", () => {
  const [kind] = kinds;
  needsServer("postgres", (url) => {
    test("are not made, and nobody else is kept from making them", async () => {
      const where = await bareStorage(kind!, url);
      const { schema } = where["options"] as { readonly schema: string };
      const reader = `reader_of_${schema}`;
      await runSql("postgres", url, `CREATE ROLE ${reader} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${reader}`);
      onTestFinished(async () => void (await runSql("postgres", url, `DROP OWNED BY ${reader}; DROP ROLE ${reader}`)));
      const asReader = new URL(url);
      asReader.username = reader;
      const store = await openBare(kind!, { ...where, url: asReader.href });
      await expect(store.migrate()).rejects.toBeInstanceOf(StoreUnavailableError);
      expect(await (await openBare(kind!, where)).migrate()).toEqual([1, 2]);
    });
  });
});
