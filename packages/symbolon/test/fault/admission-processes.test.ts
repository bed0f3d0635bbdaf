import { once } from "node:events";
import { type AdmissionRules, isTombstone, type StoredRecord } from "symbolon";
import { type SqliteStore, sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, test } from "vitest";
import { type SqliteFile, sqliteFile } from "../support/sqlite.ts";
import { startWorker } from "../support/workers.ts";

const LIMIT = 3;
const call = { now: 0, signal: new AbortController().signal };

/** The record whose creation sets the workers off; theirs are like it. */
const start: StoredRecord = {
  space: "space",
  route: 1,
  lookup: "start",
  owner: null,
  tenant: null,
  createdAt: 0,
  touchedAt: 0,
  deadline: 3_600_000,
  version: 1,
  envelope: Buffer.from("envelope"),
  data: null,
};

interface Said {
  readonly lookup: string;
  readonly status: string;
}

function rulesOf(onLimit: AdmissionRules["onLimit"], perOwner = LIMIT): AdmissionRules {
  return { perOwner, total: null, onLimit, replacing: null };
}

function ordersFor({ path }: SqliteFile, times: number, rules: AdmissionRules, pause = 0) {
  return { path, start, times, rules, pause };
}

async function liveOf(store: SqliteStore, owner: string): Promise<string[]> {
  const page = await store.listByOwner({ space: "space", route: 1, owner }, { cursor: null, limit: 1000 }, call);
  return page.records.map(({ lookup }) => lookup);
}

/** The reason why each of the records ended; null for one that lives. */
async function reasonsOf(store: SqliteStore, lookups: readonly string[]): Promise<(string | null)[]> {
  const found = await Promise.all(lookups.map(async (lookup) => store.read({ ...start, lookup }, call)));
  return found.map((entry) => {
    if (entry === null) throw new Error("a record is gone");
    return isTombstone(entry) ? entry.reason : null;
  });
}

describe("two processes that admit into one SQLite file", () => {
  test("wait for each other, and count what the other has admitted meanwhile", async () => {
    const file = sqliteFile();
    const store = sqliteStore(file.connect());
    await store.create(start, call);
    const worker = await startWorker("admit.mjs");
    worker.tell(ordersFor(file, 1, rulesOf("reject", 1), 300));
    expect(await worker.nextLine()).toBe("waiting");
    expect(await worker.nextLine()).toBe("pausing");
    const record = { ...start, lookup: "one too many", owner: "ann" };
    expect(await store.admit(record, rulesOf("reject", 1), call)).toEqual({ status: "refused", limit: "owner" });
    expect(JSON.parse(await worker.nextLine())).toMatchObject({ status: "created" });
  });
});

describe("a process that is killed while it admits", () => {
  test("has let nobody in and nobody go, when it had not committed", async () => {
    const file = sqliteFile();
    const store = sqliteStore(file.connect());
    const held = { ...start, lookup: "held", owner: "ann" };
    for (const record of [start, held]) await store.create(record, call);
    const worker = await startWorker("admit.mjs");
    worker.tell(ordersFor(file, 1, rulesOf("evict-oldest", 1), 1_000_000));
    expect(await worker.nextLine()).toBe("waiting");
    expect(await worker.nextLine()).toBe("pausing");
    worker.worker.kill("SIGKILL");
    await once(worker.worker, "exit");
    expect(await store.read(held, call)).toEqual(held);
    expect(await liveOf(store, "ann")).toEqual(["held"]);
    const record = { ...start, lookup: "next", owner: "ann" };
    const admission = await store.admit(record, rulesOf("evict-oldest", 1), call);
    expect(admission).toEqual({ status: "created", evicted: [held] });
  });

  test("leaves the limit kept and nothing acknowledged lost, whenever that was", async () => {
    for (const killAfter of [1, 2, 5, 17, 60, 150]) {
      const file = sqliteFile();
      const store = sqliteStore(file.connect());
      await store.create(start, call);
      const { worker, nextLine, tell } = await startWorker("admit.mjs");
      tell(ordersFor(file, 1_000_000, rulesOf("evict-oldest")));
      expect(await nextLine()).toBe("waiting");
      const acknowledged: string[] = [];
      while (acknowledged.length < killAfter) acknowledged.push((JSON.parse(await nextLine()) as Said).lookup);
      worker.kill("SIGKILL");
      await once(worker, "exit");
      const after = sqliteStore(file.connect());
      const { entries } = await after.scan({ cursor: null, limit: 100_000 }, call);
      const admitted = entries.filter(({ lookup }) => lookup !== "start");
      expect(await liveOf(after, "ann")).toHaveLength(Math.min(admitted.length, LIMIT));
      const reasons = await reasonsOf(after, acknowledged);
      expect(reasons.filter((reason) => reason !== null && reason !== "evicted")).toEqual([]);
      await after.admit({ ...start, lookup: "next", owner: "ann" }, rulesOf("evict-oldest"), call);
      expect(await liveOf(after, "ann")).toHaveLength(Math.min(admitted.length + 1, LIMIT));
    }
  });
});
