import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { isTombstone, type StoredRecord } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, test } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";
import { startWorker, twoWorkers } from "../support/workers.ts";

const call = { now: 0, signal: new AbortController().signal };

const record: StoredRecord = {
  space: "space",
  route: 1,
  lookup: "lookup",
  owner: null,
  tenant: null,
  createdAt: 0,
  touchedAt: 0,
  deadline: 3_600_000,
  version: 1,
  envelope: Buffer.from("envelope"),
  data: Buffer.from("wait"),
};

/** Sets the worker off, which looks at the record all the while. */
async function start(store: ReturnType<typeof sqliteStore>): Promise<void> {
  const { touchedAt, deadline, envelope } = record;
  const data = Buffer.from("0");
  expect(await store.update(record, 1, { touchedAt, deadline, envelope, data }, call)).toBe("updated");
}

async function counterOf(store: ReturnType<typeof sqliteStore>): Promise<{ count: number; version: number }> {
  const found = await store.read(record, call);
  if (found === null || isTombstone(found)) throw new Error("the record is gone");
  return { count: Number(Buffer.from(found.data ?? []).toString()), version: found.version };
}

describe("two processes on one SQLite file", () => {
  test("make the table at the same time, in each of forty new files", async () => {
    const folder = join(dirname(sqliteFile().path), "new");
    mkdirSync(folder);
    const paths = Array.from({ length: 40 }, (_, index) => join(folder, `${index}.db`));
    const workers = await twoWorkers("open-tables.mjs", paths);
    for (const { nextLine } of workers) expect(await nextLine()).toBe("40");
  });

  test("lose nothing acknowledged when one is killed in the midst of writing", async () => {
    const file = sqliteFile();
    const store = sqliteStore(file.connect());
    await store.create(record, call);
    await start(store);
    const { worker, nextLine, tell } = await startWorker("increment.mjs");
    tell({ path: file.path, key: record, times: 1_000_000 });
    expect(await nextLine()).toBe("waiting");
    let acknowledged = 0;
    while (acknowledged < 100) acknowledged = Number(await nextLine());
    worker.kill("SIGKILL");
    await once(worker, "exit");
    const { count, version } = await counterOf(sqliteStore(file.connect()));
    expect(count).toBeGreaterThanOrEqual(acknowledged);
    expect(version).toBe(count + 2);
    const { touchedAt, deadline, envelope } = record;
    expect(await store.update(record, version, { touchedAt, deadline, envelope }, call)).toBe("updated");
  });
});
