/** Processes and threads that die, or stand still, in the midst of work with a file store. */
import cluster from "node:cluster";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { isTombstone, StoreUnavailableError, type StoredRecord } from "symbolon";
import type { FileStore } from "symbolon/stores/file";
import { describe, expect, onTestFinished, test } from "vitest";
import type { RunningWorker } from "../support/workers.ts";
import {
  ALL,
  asOrders,
  callAt,
  type Dying,
  EVICTING,
  HOUR,
  leftovers,
  newChange,
  newRecord,
  newRoot,
  NOW,
  openStore,
  type OwnedRecord,
  startDying,
} from "./file-stage.ts";

const script = fileURLToPath(new URL("workers/file-dying.mjs", import.meta.url));

/** More steps than any work takes. */
const TOO_MANY = 200;

type Prepared = Pick<Dying, "method" | "args"> & {
  /** Insists that the work was done wholly or not at all; answers whether it was. */
  readonly check: () => Promise<boolean>;
};

async function createAll(store: FileStore, records: readonly StoredRecord[]): Promise<void> {
  for (const record of records) expect(await store.create(record, callAt())).toBe("created");
}

async function liveOf(store: FileStore): Promise<string[]> {
  const { records } = await store.listByOwner(newRecord(), ALL, callAt());
  return records.map(({ lookup }) => lookup);
}

async function stateOf(store: FileStore, record: StoredRecord): Promise<string> {
  const found = await store.read(record, callAt());
  if (found === null) return "nothing";
  if (isTombstone(found)) return `ended: ${found.reason}`;
  return Buffer.from(found.envelope).toString("hex") + Buffer.from(found.data ?? []).toString("hex");
}

function bytesOf({ envelope, data }: Pick<StoredRecord, "envelope" | "data">): string {
  return Buffer.from(envelope).toString("hex") + Buffer.from(data ?? []).toString("hex");
}

/** Insists on the one state or the other; answers whether it is the later. */
function isLater(state: unknown, earlier: unknown, later: unknown): boolean {
  expect([earlier, later]).toContainEqual(state);
  return JSON.stringify(state) === JSON.stringify(later);
}

const works: Readonly<Record<string, (store: FileStore) => Promise<Prepared>>> = {
  async "a create"(store) {
    const record = newRecord();
    const check = async () => isLater(await stateOf(store, record), "nothing", bytesOf(record));
    return { method: "create", args: [record], check };
  },

  async "an update that moves the deadline"(store) {
    const record = newRecord();
    await createAll(store, [record]);
    const change = newChange();
    const after = bytesOf({ ...change, data: change.data ?? null });
    const check = async () => isLater(await stateOf(store, record), bytesOf(record), after);
    return { method: "update", args: [record, 1, change], check };
  },

  async "a delete"(store) {
    const record = newRecord();
    await createAll(store, [record]);
    const check = async () => isLater(await stateOf(store, record), bytesOf(record), "ended: logout");
    return { method: "delete", args: [record, { reason: "logout", at: NOW }], check };
  },

  async "an admission to which two give way"(store) {
    const held = [1, 2, 3, 4].map((index) => newRecord({ createdAt: NOW - 10 + index }));
    await createAll(store, held);
    const record = newRecord();
    const [first, second, third, fourth] = held.map(({ lookup }) => lookup);
    const check = async () => {
      // It waits for the lock, and sees whatever was left half done brought to its end.
      const done = isLater(await liveOf(store), [fourth, third, second, first], [record.lookup, fourth, third]);
      const states = await Promise.all([held[0]!, held[1]!, record].map((one) => stateOf(store, one)));
      const before = [bytesOf(held[0]!), bytesOf(held[1]!), "nothing"];
      expect(isLater(states, before, ["ended: evicted", "ended: evicted", bytesOf(record)])).toBe(done);
      return done;
    };
    return { method: "admit", args: [record, EVICTING], check };
  },

  async "the end of all of a user's records"(store) {
    const records = [1, 2, 3].map((index) => newRecord({ createdAt: NOW - index }));
    await createAll(store, records);
    const lookups = records.map(({ lookup }) => lookup);
    const check = async () => isLater(await liveOf(store), lookups, []);
    return { method: "deleteByOwner", args: [newRecord(), [], { reason: "logout", at: NOW }], check };
  },
};

/** The whole story of one death; answers what was seen, null when the work was over before. */
async function dieAt(step: number, prepare: (store: FileStore) => Promise<Prepared>): Promise<boolean | null> {
  const root = newRoot();
  const store = openStore(root);
  const { method, args, check } = await prepare(store);
  const { worker, nextLine } = await startDying({ root, step, how: "SIGKILL", method, args });
  if ((await nextLine()) !== "dying") return null;
  if (worker.exitCode === null && worker.signalCode === null) await once(worker, "exit");
  const done = await check();
  // The user can go on, the limit holds, and nothing lies about.
  await store.admit(newRecord({ createdAt: NOW + 1 }), EVICTING, callAt());
  expect(await store.countByOwner(newRecord(), callAt())).toBeLessThanOrEqual(3);
  expect(await check().catch(() => done)).toBe(done);
  await store.prune(NOW - HOUR, 10, callAt());
  expect(leftovers(root)).toEqual([]);
  expect(readdirSync(join(root, "holders"))).toHaveLength(1);
  expect(await store.prune(NOW + 100 * HOUR, 1000, callAt())).toBeGreaterThan(0);
  expect(readdirSync(join(root, "expiry"))).toEqual([]);
  const { entries } = await store.scan(ALL, callAt());
  expect(entries).toEqual([]);
  return done;
}

describe("a process that is killed", () => {
  test.each(Object.entries(works))(
    "at any step of %s has done it wholly or not at all",
    async (_name, prepare) => {
      const seen: boolean[] = [];
      for (let step = 1; step < TOO_MANY; step += 2) {
        const two = await Promise.all([dieAt(step, prepare), dieAt(step + 1, prepare)]);
        seen.push(...two.filter((one) => one !== null));
        if (two.includes(null)) break;
      }
      // Both were seen, the one before the other.
      expect(new Set(seen)).toEqual(new Set([false, true]));
      expect(seen).toEqual(seen.toSorted((a, b) => Number(a) - Number(b)));
    },
    120_000,
  );

  test("loses nothing that it acknowledged, over and over", async () => {
    const root = newRoot();
    const store = openStore(root);
    const record = newRecord({ data: null });
    await createAll(store, [record]);
    let reached = 1;
    for (let round = 1; round <= 8; round++) {
      const args = [record, reached, newChange({ deadline: NOW + HOUR })];
      const { worker, nextLine } = await startDying({ root, method: "update", args, repeat: true });
      expect(await nextLine()).toBe('survived "updated"');
      for (let said = 0; said < round * 3; said++) reached = Number(await nextLine());
      worker.kill("SIGKILL");
      await once(worker, "exit");
      // It may have done one more than it could say.
      for (let line = await nextLine().catch(() => null); line !== null; line = await nextLine().catch(() => null)) {
        reached = Number(line);
      }
      const found = await store.read(record, callAt());
      expect(found !== null && !isTombstone(found) && [reached, reached + 1].includes(found.version)).toBe(true);
      reached = (found as StoredRecord).version;
      expect(await store.update(record, reached++, newChange(), callAt())).toBe("updated");
    }
  });

  test("leaves its lock to exactly one of many who find it dead", async () => {
    const root = newRoot();
    const first = openStore(root);
    const record = newRecord({ data: Buffer.from("0") });
    await createAll(first, [record]);
    for (const later of [0, 1, 2]) {
      const before = (await first.read(record, callAt())) as StoredRecord;
      const args = [record, before.version, newChange({ data: before.data })];
      const { worker } = await dieHolding({ root, how: "SIGKILL", method: "update", args }, later);
      if (worker.exitCode === null && worker.signalCode === null) await once(worker, "exit");
      const handles = Array.from({ length: 10 }, () => openStore(root));
      const count = await countIn(first, record);
      await Promise.all(handles.flatMap((store) => [1, 2, 3].map(() => countUp(store, record))));
      expect(await countIn(first, record)).toBe(count + 30);
    }
  });
});

function isHeld(root: string): boolean {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" });
  return files.some((file) => /^locks\/.*\/held\./.test(file));
}

/** Lets a process die while it has the lock, so many steps after it took it. */
async function dieHolding(orders: Dying, later = 0): Promise<RunningWorker> {
  for (let step = 1; step < TOO_MANY; step++) {
    const dying = await startDying({ ...orders, step });
    expect(await dying.nextLine()).toBe("dying");
    if (isHeld(orders.root) && later-- === 0) return dying;
    dying.worker.kill("SIGKILL");
    if (dying.worker.exitCode === null && dying.worker.signalCode === null) await once(dying.worker, "exit");
    // Or the next one would find its lock.
    await openStore(orders.root).prune(NOW, 1, callAt());
  }
  throw new Error("the lock was never taken");
}

async function countIn(store: FileStore, record: OwnedRecord): Promise<number> {
  const found = await store.read(record, callAt());
  return found !== null && !isTombstone(found) ? Number(Buffer.from(found.data ?? []).toString()) : Number.NaN;
}

async function countUp(store: FileStore, record: OwnedRecord): Promise<void> {
  for (let answer = "conflict"; answer !== "updated";) {
    const found = (await store.read(record, callAt())) as StoredRecord;
    const data = Buffer.from(`${Number(Buffer.from(found.data ?? []).toString()) + 1}`);
    answer = await store.update(record, found.version, newChange({ data }), callAt());
  }
}

describe("a holder that stands still", () => {
  test("is not robbed of its lock, and goes on where it stood", async () => {
    const root = newRoot();
    const store = openStore(root);
    const record = newRecord();
    await createAll(store, [record]);
    const change = newChange();
    const stopped = await dieHolding({ root, how: "SIGSTOP", method: "update", args: [record, 1, change] });
    const late = AbortSignal.timeout(1000);
    await expect(store.update(record, 1, newChange(), callAt(NOW, late))).rejects.toThrow(StoreUnavailableError);
    // Nor by others who look, and nobody who reads has to wait.
    await store.prune(NOW, 10, callAt());
    expect(await stateOf(store, record)).toBe(bytesOf(record));
    stopped.worker.kill("SIGCONT");
    expect(await stopped.nextLine()).toBe('survived "updated"');
    expect(await stateOf(store, record)).toBe(bytesOf({ ...change, data: change.data ?? null }));
    expect(await store.update(record, 1, newChange(), callAt())).toBe("conflict");
  });
});

function ordersOf(root: string, record: OwnedRecord): string {
  return `${JSON.stringify(asOrders({ root, step: 5, how: "hang", method: "update", args: [record, 1, newChange()] }))}\n`;
}

async function untilDying(output: NodeJS.ReadableStream): Promise<void> {
  for await (const line of createInterface({ input: output })) if (line === "dying") return;
  throw new Error("it did not come to the step");
}

async function expectFree(store: FileStore, record: OwnedRecord): Promise<void> {
  expect(await store.update(record, 1, newChange(), callAt())).toBe("updated");
}

describe("one of several in a process", () => {
  test("threads frees its lock when it is terminated, and not before", async () => {
    const root = newRoot();
    const store = openStore(root);
    const record = newRecord();
    await createAll(store, [record]);
    const thread = new Worker(script, { stdin: true, stdout: true });
    onTestFinished(async () => void (await thread.terminate()));
    thread.stdin?.write(ordersOf(root, record));
    await untilDying(thread.stdout);
    expect(isHeld(root)).toBe(true);
    const late = AbortSignal.timeout(500);
    await expect(store.update(record, 1, newChange(), callAt(NOW, late))).rejects.toThrow(StoreUnavailableError);
    await thread.terminate();
    await expectFree(store, record);
  });

  test("workers of a cluster frees its lock when it is killed, though the primary lives", async () => {
    const root = newRoot();
    const store = openStore(root);
    const record = newRecord();
    await createAll(store, [record]);
    cluster.setupPrimary({ exec: script, silent: true });
    const { process: worker } = cluster.fork();
    onTestFinished(() => void worker.kill("SIGKILL"));
    worker.stdin?.write(ordersOf(root, record));
    await untilDying(worker.stdout!);
    expect(isHeld(root)).toBe(true);
    worker.kill("SIGKILL");
    await once(worker, "exit");
    await expectFree(store, record);
  });
});
