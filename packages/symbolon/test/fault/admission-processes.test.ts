import { once } from "node:events";
import { type AdmissionRules, isTombstone, type StoredRecord } from "symbolon";
import { type SqliteStore, sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, test } from "vitest";
import { type SqliteFile, sqliteFile } from "../support/sqlite.ts";
import { type RunningWorker, startWorker, twoWorkers } from "../support/workers.ts";

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
  readonly owner: string;
  readonly lookup: string;
  readonly status: string;
  readonly evicted: readonly string[];
}

interface Span {
  readonly from: number;
  readonly until: number;
}

function rulesOf(onLimit: AdmissionRules["onLimit"], perOwner = LIMIT): AdmissionRules {
  return { perOwner, total: null, onLimit, replacing: null };
}

function ordersFor({ path }: SqliteFile, owners: readonly string[], times: number, rules: AdmissionRules, pause = 0) {
  return { path, start, owners, times, rules, pause };
}

/** All that a worker says to its end. */
async function hear({ nextLine }: RunningWorker): Promise<{ readonly said: Said[]; readonly span: Span }> {
  const said: Said[] = [];
  for (;;) {
    const message = JSON.parse(await nextLine()) as Said | Span;
    if ("until" in message) return { said, span: message };
    said.push(message);
  }
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

/** Insists on the limit for one user: who was let in, who was not, and who gave way. */
async function checkOwner(store: SqliteStore, said: readonly Said[], atLimit: string): Promise<void> {
  const created = said.filter(({ status }) => status === "created").map(({ lookup }) => lookup);
  expect(said).toHaveLength(20);
  expect(created).toHaveLength(atLimit === "created" ? 20 : LIMIT);
  expect(said.filter(({ status }) => status === "created" || status === atLimit)).toHaveLength(20);
  const live = await liveOf(store, said[0]!.owner);
  expect(live).toHaveLength(LIMIT);
  const gone = created.filter((lookup) => !live.includes(lookup));
  expect(said.flatMap(({ evicted }) => evicted).toSorted()).toEqual(gone.toSorted());
  expect(await reasonsOf(store, gone)).toEqual(gone.map(() => "evicted"));
}

describe("two processes that admit into one SQLite file", () => {
  test.each([
    ["reject", "refused"],
    ["reuse", "reused"],
    ["evict-oldest", "created"],
    ["evict-idle", "created"],
  ] as const)("keep every user of forty to three of twenty records, with %s", async (onLimit, atLimit) => {
    // A round in which the two happened not to meet has shown nothing.
    for (let met = false, round = 1; !met; round++) {
      expect(round).toBeLessThanOrEqual(8);
      const file = sqliteFile();
      const store = sqliteStore(file.connect());
      const owners = Array.from({ length: 40 }, (_, index) => `owner ${index}`);
      const workers = await twoWorkers("admit.mjs", ordersFor(file, owners, 10, rulesOf(onLimit)));
      for (const { nextLine } of workers) expect(await nextLine()).toBe("waiting");
      await store.create(start, call);
      const [one, other] = await Promise.all([hear(workers[0]!), hear(workers[1]!)]);
      const said = [...one.said, ...other.said];
      for (const owner of owners) {
        await checkOwner(
          store,
          said.filter((each) => each.owner === owner),
          atLimit,
        );
      }
      met = one.span.from < other.span.until && other.span.from < one.span.until;
    }
  });

  test("wait for each other, and count what the other has admitted meanwhile", async () => {
    const file = sqliteFile();
    const store = sqliteStore(file.connect());
    await store.create(start, call);
    const worker = await startWorker("admit.mjs");
    worker.tell(ordersFor(file, ["ann"], 1, rulesOf("reject", 1), 300));
    expect(await worker.nextLine()).toBe("waiting");
    expect(await worker.nextLine()).toBe("pausing");
    const record = { ...start, lookup: "one too many", owner: "ann" };
    expect(await store.admit(record, rulesOf("reject", 1), call)).toEqual({ status: "refused", limit: "owner" });
    expect((await hear(worker)).said).toMatchObject([{ status: "created" }]);
  });
});

describe("a process that is killed while it admits", () => {
  test("has let nobody in and nobody go, when it had not committed", async () => {
    const file = sqliteFile();
    const store = sqliteStore(file.connect());
    const held = { ...start, lookup: "held", owner: "ann" };
    for (const record of [start, held]) await store.create(record, call);
    const worker = await startWorker("admit.mjs");
    worker.tell(ordersFor(file, ["ann"], 1, rulesOf("evict-oldest", 1), 1_000_000));
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
      tell(ordersFor(file, ["ann"], 1_000_000, rulesOf("evict-oldest")));
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
