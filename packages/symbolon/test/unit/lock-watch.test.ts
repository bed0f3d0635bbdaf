import type { InvalidationListener } from "symbolon";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Ear, LockWatch, type Subscribe } from "../../src/core/lock-watch.ts";

const HOUR = 3_600_000;
/** Within this, whoever has to look for themselves has looked, and nobody has twice. */
const ONE_LOOK = 30;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Something to listen to: what is told here, the watch hears. */
class Teller {
  readonly listeners = new Set<InvalidationListener>();
  readonly subscribed: InvalidationListener[] = [];
  fails = false;

  readonly subscribe: Subscribe = async (listener) => {
    this.subscribed.push(listener);
    await Promise.resolve();
    if (this.fails) throw new Error("nothing to listen to");
    this.listeners.add(listener);
    return async () => void this.listeners.delete(listener);
  };

  tell(message: (listener: InvalidationListener) => void): void {
    for (const listener of this.listeners) message(listener);
  }

  release(lock: string): void {
    this.tell((listener) => listener.released(lock));
  }
}

async function listening(): Promise<{ readonly teller: Teller; readonly watch: LockWatch }> {
  const teller = new Teller();
  const watch = new LockWatch(teller.subscribe);
  expect(await watch.begin()).toBe(true);
  return { teller, watch };
}

/** Waits, and keeps whether it is over. */
function waiting(ear: Ear, ms = HOUR): { isOver: boolean } {
  const state = { isOver: false };
  void ear.wait(ms).then(() => {
    state.isOver = true;
  });
  return state;
}

async function pass(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

describe("who waits for a lock, where the store tells of releases", () => {
  it("is woken by the release of that lock, by no other, and by nothing else meanwhile", async () => {
    const { teller, watch } = await listening();
    const ear = watch.listen("a");
    ear.open();
    const state = waiting(ear);
    teller.release("b");
    teller.tell((listener) => listener.changed("a"));
    await pass(HOUR - 1);
    expect(state.isOver).toBe(false);
    teller.release("a");
    await pass();
    expect(state.isOver).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not miss a release between the look and the wait", async () => {
    const { teller, watch } = await listening();
    const ear = watch.listen("a");
    ear.open();
    teller.release("a");
    const state = waiting(ear);
    await pass();
    expect(state.isOver).toBe(true);
  });

  it("forgets what was told before it looked again", async () => {
    const { teller, watch } = await listening();
    const ear = watch.listen("a");
    teller.release("a");
    ear.open();
    const state = waiting(ear);
    await pass(HOUR - 1);
    expect(state.isOver).toBe(false);
  });

  it("waits no longer than was said", async () => {
    const { watch } = await listening();
    const ear = watch.listen("a");
    ear.open();
    const state = waiting(ear, 1000);
    await pass(999);
    expect(state.isOver).toBe(false);
    await pass(1);
    expect(state.isOver).toBe(true);
  });

  it("is woken with all others who wait for it, and not once it has stopped listening", async () => {
    const { teller, watch } = await listening();
    const [one, other, gone] = [watch.listen("a"), watch.listen("a"), watch.listen("a")] as const;
    for (const ear of [one, other, gone]) ear.open();
    gone.close();
    const states = [one, other, gone].map((ear) => waiting(ear));
    teller.release("a");
    await pass();
    expect(states.map(({ isOver }) => isOver)).toEqual([true, true, false]);
    for (const ear of [one, other]) ear.close();
    const late = watch.listen("a");
    late.open();
    const lateState = waiting(late);
    teller.release("a");
    await pass();
    expect(lateState.isOver).toBe(true);
  });
});

describe("beginning to listen", () => {
  it("happens once for all, when somebody first waits, and each who waited for it is to look again", async () => {
    const teller = new Teller();
    const watch = new LockWatch(teller.subscribe);
    watch.listen("a").open();
    expect(teller.subscribed).toHaveLength(0);
    expect(await Promise.all([watch.begin(), watch.begin(), watch.begin()])).toEqual([true, true, true]);
    expect(await watch.begin()).toBe(false);
    expect(teller.subscribed).toHaveLength(1);
  });

  it("that fails is tried again by the next who waits; meanwhile one looks for oneself", async () => {
    const teller = new Teller();
    teller.fails = true;
    const watch = new LockWatch(teller.subscribe);
    expect(await watch.begin()).toBe(false);
    const ear = watch.listen("a");
    ear.open();
    const state = waiting(ear);
    await pass(ONE_LOOK);
    expect(state.isOver).toBe(true);
    teller.fails = false;
    expect(await watch.begin()).toBe(true);
    expect(teller.subscribed).toHaveLength(2);
  });

  it("is left out where the store tells nothing: one looks for oneself, not too often", async () => {
    const watch = new LockWatch(null);
    expect(await watch.begin()).toBe(false);
    const ear = watch.listen("a");
    const took: number[] = [];
    for (let look = 0; look < 100; look++) {
      ear.open();
      const state = waiting(ear);
      let ms = 0;
      for (; !state.isOver; ms++) await pass(1);
      took.push(ms);
    }
    expect(Math.min(...took)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...took)).toBeLessThanOrEqual(ONE_LOOK + 1);
    // Two that began at the same time do not go on meeting.
    expect(new Set(took).size).toBeGreaterThan(5);
  });
});

describe("a store whose messages do not arrive", () => {
  it("is looked at by everybody at once, then again and again, until they do", async () => {
    const { teller, watch } = await listening();
    const ear = watch.listen("a");
    ear.open();
    const before = waiting(ear);
    teller.tell((listener) => listener.lost());
    await pass();
    expect(before.isOver).toBe(true);
    expect(await watch.begin()).toBe(false);
    ear.open();
    const meanwhile = waiting(ear);
    await pass(ONE_LOOK);
    expect(meanwhile.isOver).toBe(true);
    expect(teller.subscribed).toHaveLength(1);
  });

  it("is looked at once more when they arrive again, and then waited for", async () => {
    const { teller, watch } = await listening();
    teller.tell((listener) => listener.lost());
    const ear = watch.listen("a");
    ear.open();
    const state = waiting(ear);
    teller.tell((listener) => listener.restored());
    await pass();
    expect(state.isOver).toBe(true);
    ear.open();
    const after = waiting(ear);
    await pass(HOUR - 1);
    expect(after.isOver).toBe(false);
    teller.release("a");
    await pass();
    expect(after.isOver).toBe(true);
  });
});

describe("closing", () => {
  it("stops listening, once", async () => {
    const { teller, watch } = await listening();
    await watch.close();
    expect(teller.listeners.size).toBe(0);
    await watch.close();
    expect(teller.subscribed).toHaveLength(1);
  });

  it("waits for what has just begun to listen, and stops it", async () => {
    const teller = new Teller();
    const watch = new LockWatch(teller.subscribe);
    const beginning = watch.begin();
    await watch.close();
    await beginning;
    expect(teller.subscribed).toHaveLength(1);
    expect(teller.listeners.size).toBe(0);
  });

  it("of what never listened does nothing", async () => {
    const teller = new Teller();
    await new LockWatch(teller.subscribe).close();
    await new LockWatch(null).close();
    expect(teller.subscribed).toHaveLength(0);
  });
});
