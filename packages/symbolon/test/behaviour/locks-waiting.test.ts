/** Who waits for a lock that another process has: woken by the release where the store tells of it, and asking little. */
import { generateKey, type InvalidationListener, type SessionManager, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { gate, wait } from "../support/delays.ts";
import { Room } from "../support/lock-stores.ts";
import { manager } from "../support/sessions.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { intercept, type Intercepted, without } from "../support/stores.ts";

const LEASE = 10_000;
/** Within this, whoever has to look for themselves has looked. */
const ONE_LOOK = 31;
/** Turns of the event loop in which all that can happen without a clock has happened. */
const SETTLED = 20;

// Time stands still unless a test lets it pass: whoever is served was told.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

interface Stage {
  readonly here: SessionManager;
  readonly there: SessionManager;
  /** How often each call was made, from both. */
  readonly count: (method: string) => number;
  /** Those who listen to the store. */
  readonly listeners: ReadonlySet<InvalidationListener>;
}

/** Two processes on one storage; `around` stands in for the calls from here. */
function stage(
  stores: readonly [Store, Store],
  around: (call: Intercepted) => unknown = (call) => call.proceed(),
): Stage {
  const calls: string[] = [];
  const listeners = new Set<InvalidationListener>();
  const watch = (store: Store, answer: (call: Intercepted) => unknown): Store =>
    intercept(store, async (call) => {
      calls.push(call.method);
      if (call.method !== "subscribe") return answer(call);
      const stop = (await answer(call)) as () => unknown;
      const [listener] = call.args as readonly [InvalidationListener];
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        return stop();
      };
    });
  const keys = [generateKey()];
  const [here, there] = [
    manager({ keys, store: watch(stores[0], around) }),
    manager({ keys, store: watch(stores[1], (call) => call.proceed()) }),
  ];
  onTestFinished(async () => {
    await Promise.all([here.close(), there.close()]);
  });
  return { here, there, listeners, count: (method) => calls.filter((called) => called === method).length };
}

function twice(store: Store): readonly [Store, Store] {
  return [store, store];
}

function isServed(promise: Promise<unknown>): () => boolean {
  let isOver = false;
  promise.then(
    () => (isOver = true),
    () => undefined,
  );
  return () => isOver;
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await wait(SETTLED);
}

describe("a lock in a store that tells of releases", () => {
  it("goes through a hundred hands in two processes without a look at the clock, and with two questions each", async () => {
    const { here, there, count } = stage(twice(memoryStore()));
    const room = new Room();
    const asking = Array.from({ length: 50 }, () =>
      [here, there].map((sessions) => sessions.lock("a", () => room.enter())),
    );
    await Promise.all(asking.flat());
    expect([room.most, room.count]).toEqual([1, 100]);
    expect(count("acquireLock")).toBeLessThanOrEqual(2 * 100 + 2);
    expect([count("releaseLock"), count("renewLock")]).toEqual([100, 0]);
    expect(count("subscribe")).toBeLessThanOrEqual(2);
  });

  it("costs two calls where nobody else wants it, and nobody listens", async () => {
    const { here, count } = stage(twice(memoryStore()));
    await here.lock("a", () => undefined);
    await Promise.all([here.lock("b", () => undefined), here.lock("c", () => undefined)]);
    expect([count("acquireLock"), count("releaseLock"), count("subscribe")]).toEqual([3, 3, 0]);
  });

  it("is not asked for while its holder lives, nor before the end of a lease that nobody renews", async () => {
    const { here, there, count } = stage(twice(memoryStore()), async (call) => {
      if (call.method === "renewLock") throw new Error("The process is gone.");
      return call.proceed();
    });
    await here.lock("a", { lease: LEASE });
    const waiting = there.lock("a");
    const served = isServed(waiting);
    await wait(SETTLED);
    const asked = count("acquireLock");
    await pass(LEASE - 1);
    expect([served(), count("acquireLock")]).toEqual([false, asked]);
    await pass(2);
    expect([served(), count("acquireLock")]).toEqual([true, asked + 1]);
    await (await waiting).release();
  });

  it("is asked for again when its holder has renewed it meanwhile, once a lease at most", async () => {
    const { here, there, count } = stage(twice(memoryStore()));
    await using _lease = await here.lock("a", { lease: LEASE });
    const late = isServed(there.lock("a", { wait: LEASE * 10 }));
    await wait(SETTLED);
    const asked = count("acquireLock");
    await pass(LEASE * 6);
    expect(late()).toBe(false);
    expect(count("acquireLock") - asked).toBeLessThanOrEqual(9);
  });

  it("is not missed when it is released while the answer is on its way", async () => {
    const answers: { gate: ReturnType<typeof gate> | null } = { gate: null };
    const { here, there, listeners } = stage(twice(memoryStore()), async (call) => {
      const answer = call.proceed();
      if (call.method === "acquireLock") await answers.gate?.passed;
      return answer;
    });
    const first = await there.lock("a");
    const listening = here.lock("a");
    await wait(SETTLED);
    expect(listeners.size).toBe(1);
    await first.release();
    await (await listening).release();

    answers.gate = gate();
    const lease = await there.lock("a");
    const waiting = here.lock("a");
    await wait(SETTLED);
    await lease.release();
    answers.gate.open();
    await (await waiting).release();
  });

  it("is not missed when it is released before anybody listened", async () => {
    const listening = gate();
    const { here, there, count } = stage(twice(memoryStore()), async (call) => {
      if (call.method === "subscribe") await listening.passed;
      return call.proceed();
    });
    const lease = await there.lock("a");
    const waiting = here.lock("a");
    await wait(SETTLED);
    expect(count("subscribe")).toBe(1);
    await lease.release();
    await wait(SETTLED);
    listening.open();
    await (await waiting).release();
  });

  it("is looked for while messages are lost, and waited for when they come again", async () => {
    const { here, there, count, listeners } = stage(twice(memoryStore()));
    const lease = await there.lock("a");
    const waiting = here.lock("a", { wait: "1h" });
    const served = isServed(waiting);
    await wait(SETTLED);
    for (const listener of listeners) listener.lost();
    await pass(0);
    const asked = count("acquireLock");
    await pass(ONE_LOOK * 10);
    expect(count("acquireLock") - asked).toBeGreaterThanOrEqual(10);
    for (const listener of listeners) listener.restored();
    await pass(0);
    const askedAgain = count("acquireLock");
    await pass(ONE_LOOK * 10);
    expect(count("acquireLock")).toBe(askedAgain);
    expect(served()).toBe(false);
    await lease.release();
    await (await waiting).release();
    expect(count("subscribe")).toBe(1);
  });

  it("is looked for where nobody can listen, and listened for by the next who waits", async () => {
    let fails = true;
    const { here, there, count, listeners } = stage(twice(memoryStore()), async (call) => {
      if (call.method === "subscribe" && fails) throw new Error("There is no room for one more.");
      return call.proceed();
    });
    const lease = await there.lock("a");
    const waiting = here.lock("a");
    const served = isServed(waiting);
    await wait(SETTLED);
    expect(listeners.size).toBe(0);
    await pass(ONE_LOOK);
    expect(served()).toBe(false);
    fails = false;
    await pass(ONE_LOOK);
    expect(listeners.size).toBe(1);
    const asked = count("acquireLock");
    await pass(ONE_LOOK * 5);
    expect(count("acquireLock")).toBe(asked);
    await lease.release();
    await (await waiting).release();
  });

  it("is not listened for any more once the manager is closed", async () => {
    const { here, there, listeners } = stage(twice(memoryStore()));
    const lease = await there.lock("a");
    const waiting = here.lock("a");
    await wait(SETTLED);
    expect(listeners.size).toBe(1);
    await lease.release();
    await (await waiting).release();
    await here.close();
    expect(listeners.size).toBe(0);
  });
});

const SILENT: readonly (readonly [name: string, make: () => readonly [Store, Store]])[] = [
  [
    "SQLite",
    () => {
      const file = sqliteFile();
      return [sqliteStore(file.connect()), sqliteStore(file.connect())];
    },
  ],
  ["memory, without messages", () => twice(without(memoryStore(), "subscribe"))],
];

describe.each(SILENT)("a lock in a store that tells of nothing: %s", (_name, make) => {
  it("is looked for every now and then, and found soon after its release", async () => {
    const { here, there, count } = stage(make());
    const lease = await there.lock("a", { lease: LEASE });
    const waiting = here.lock("a");
    const served = isServed(waiting);
    await pass(1000);
    expect(count("acquireLock")).toBeGreaterThan(1000 / ONE_LOOK);
    expect(count("acquireLock")).toBeLessThan(1000 / 9);
    await lease.release();
    expect(served()).toBe(false);
    await pass(ONE_LOOK);
    expect(served()).toBe(true);
    await (await waiting).release();
  });

  it("is asked for by one of all who wait in a process", async () => {
    const { here, there, count } = stage(make());
    await using _lease = await there.lock("a", { lease: LEASE });
    const waiting = Array.from({ length: 50 }, () => isServed(here.lock("a", { wait: 1000 })));
    await pass(1000);
    expect(count("acquireLock")).toBeLessThan(1000 / 9);
    expect(waiting.map((served) => served())).not.toContain(true);
  });
});
