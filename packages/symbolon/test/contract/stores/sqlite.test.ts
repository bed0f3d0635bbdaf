import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { sqliteStore } from "symbolon/stores/sqlite";
import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ClosableClient, openNodeSqlite } from "./node-sqlite.ts";

const libsql = (path: string): ClosableClient => new Database(path);
const clients = [{ name: "libsql", connect: libsql }];
if (openNodeSqlite) clients.push({ name: "node:sqlite", connect: openNodeSqlite });
else test.skip("sqliteStore over node:sqlite, which this runtime lacks"); // skipped: built in from Node 22 on

const LACKING: readonly Ability[] = ["invalidations", "close"];
const cases = storeContract.filter(({ needs }) => !LACKING.includes(needs));

describe.each(clients)("sqliteStore over $name", ({ connect }) => {
  const opened: ClosableClient[] = [];
  let folder: string;

  function openStore() {
    const client = connect(join(folder, "sessions.db"));
    opened.push(client);
    return sqliteStore(client);
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "symbolon-sqlite-"));
  });

  afterEach(() => {
    for (const client of opened.splice(0)) client.close();
    rmSync(folder, { recursive: true });
  });

  for (const { name, run } of cases) test(name, () => run({ open: async () => openStore() }));

  test("has the abilities that a file without a server can have", () => {
    const store = openStore();
    expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(cases);
  });
});
