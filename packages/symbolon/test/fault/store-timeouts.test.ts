import { createSessionManager, generateKey, type SessionManager, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore } from "symbolon/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { intercept } from "../support/stores.ts";

const TIMEOUT = 30;
const PAUSE = 1000;

function manager(store: Store): SessionManager {
  return createSessionManager({ store, keys: [generateKey()], storeTimeout: TIMEOUT, pruneEvery: false });
}

/** Starts an operation and lets time pass until it has an answer. */
async function settle(work: () => Promise<unknown>): Promise<unknown> {
  const outcome = work().then(
    (answer) => answer,
    (error: unknown) => error,
  );
  await vi.advanceTimersByTimeAsync(TIMEOUT * 4);
  return outcome;
}

const LATE = { code: "ERR_STORE_TIMEOUT", status: 503, retryable: true };
const PAUSED = { code: "ERR_STORE_UNAVAILABLE", status: 503, retryable: true };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a store that does not answer", () => {
  it.each([{ deaf: true }, { deaf: false }])("is waited for as long as storeTimeout says: %o", async (how) => {
    const faulty = faultyStore(memoryStore());
    const sessions = manager(faulty.store);
    const { token } = await sessions.create();
    faulty.hang(how);
    const start = performance.now();
    let took = 0;
    const asking = sessions.validate(token).catch((error: unknown) => {
      took = performance.now() - start;
      return error;
    });
    await vi.advanceTimersByTimeAsync(TIMEOUT - 1);
    expect(took).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(await asking).toMatchObject(LATE);
    expect(took).toBe(TIMEOUT);
  });

  it("is told that nobody waits any more, and may answer so without changing what the caller is told", async () => {
    let told = 0;
    const inner = memoryStore();
    let hang = false;
    const store = intercept(inner, (call) => {
      if (!hang) return call.proceed();
      const { signal } = call.args.at(-1) as { signal: AbortSignal };
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          told++;
          reject(new Error("The client gave up."));
        });
      });
    });
    const sessions = manager(store);
    const paused: unknown[] = [];
    sessions.on("store-paused", (event) => paused.push(event));
    const { token } = await sessions.create();
    hang = true;
    for (let round = 1; round <= 3; round++) {
      expect(await settle(() => sessions.validate(token))).toMatchObject(LATE);
      expect(told).toBe(round);
    }
    expect(paused).toHaveLength(1);
  });

  it("that answers after all is not listened to, and breaks nothing", async () => {
    const faulty = faultyStore(memoryStore());
    const sessions = manager(faulty.store);
    const { token } = await sessions.create({ data: { n: 0 } });
    faulty.before(async (method) => {
      if (method === "update") await new Promise((resolve) => setTimeout(resolve, TIMEOUT * 10));
    });
    const session = await sessions.validate(token);
    const increment = (): Promise<unknown> => session?.update((data) => void (data["n"] = 1)) ?? Promise.resolve();
    expect(await settle(increment)).toMatchObject(LATE);
    await vi.advanceTimersByTimeAsync(TIMEOUT * 20);
    faulty.heal();
    expect((await sessions.validate(token))?.data["n"]).toBe(1);
  });
});

async function threeTimeouts(deaf: boolean) {
  const faulty = faultyStore(memoryStore());
  const sessions = manager(faulty.store);
  const paused: unknown[] = [];
  sessions.on("store-paused", (event) => paused.push(event));
  const { token } = await sessions.create();
  faulty.hang({ deaf });
  for (let round = 0; round < 3; round++) {
    expect(paused).toEqual([]);
    expect(await settle(() => sessions.validate(token))).toMatchObject(LATE);
  }
  return { faulty, sessions, paused, token };
}

describe("after three time-outs in a row", () => {
  it.each([true, false])(
    "the store is left alone for a while, and callers are told at once (deaf: %s)",
    async (deaf) => {
      const { faulty, sessions, paused, token } = await threeTimeouts(deaf);
      expect(paused).toMatchObject([{ type: "store-paused", forMs: PAUSE }]);
      const before = faulty.calls.length;
      for (const work of [() => sessions.validate(token), () => sessions.create(), () => sessions.count()]) {
        await expect(work()).rejects.toMatchObject(PAUSED);
      }
      expect(faulty.calls).toHaveLength(before);
    },
  );

  it("one call goes through when the pause is over: a time-out begins another pause at once", async () => {
    const { faulty, sessions, paused, token } = await threeTimeouts(true);
    await vi.advanceTimersByTimeAsync(PAUSE);
    const before = faulty.calls.length;
    const probe = settle(() => sessions.validate(token));
    for (let other = 0; other < 10; other++) await expect(sessions.validate(token)).rejects.toMatchObject(PAUSED);
    expect(await probe).toMatchObject(LATE);
    expect(faulty.calls).toHaveLength(before + 1);
    expect(paused).toHaveLength(2);
    await expect(sessions.validate(token)).rejects.toMatchObject(PAUSED);
    expect(faulty.calls).toHaveLength(before + 1);
  });

  it("the store is used as before when the pause is over and it answers", async () => {
    const { faulty, sessions, paused, token } = await threeTimeouts(true);
    faulty.heal();
    await expect(sessions.validate(token)).rejects.toMatchObject(PAUSED);
    await vi.advanceTimersByTimeAsync(PAUSE);
    expect(await sessions.validate(token)).not.toBeNull();
    expect(paused).toHaveLength(1);
    // The count begins anew: one time-out is none in a row.
    faulty.hang({ deaf: true });
    expect(await settle(() => sessions.validate(token))).toMatchObject(LATE);
    expect(paused).toHaveLength(1);
  });
});

describe("time-outs that are not in a row", () => {
  it.each(["at once", "later"])("never pause a store that answers in between (%s)", async (when) => {
    const faulty = faultyStore(memoryStore());
    const store = when === "at once" ? faulty.store : intercept(faulty.store, async (call) => call.proceed());
    const sessions = manager(store);
    let paused = 0;
    sessions.on("store-paused", () => paused++);
    const { token } = await sessions.create();
    for (let round = 0; round < 6; round++) {
      faulty.hang({ deaf: true });
      expect(await settle(() => sessions.validate(token))).toMatchObject(LATE);
      faulty.heal();
      expect(await sessions.validate(token)).not.toBeNull();
    }
    expect(paused).toBe(0);
  });

  it("never pause a store that fails in between: an error that comes at once costs nothing to meet again", async () => {
    const faulty = faultyStore(memoryStore());
    const sessions = manager(faulty.store);
    let paused = 0;
    sessions.on("store-paused", () => paused++);
    const { token } = await sessions.create();
    faulty.fail();
    for (let round = 0; round < 20; round++) await expect(sessions.validate(token)).rejects.toMatchObject(PAUSED);
    expect(paused).toBe(0);
    faulty.heal();
    expect(await sessions.validate(token)).not.toBeNull();
  });
});
