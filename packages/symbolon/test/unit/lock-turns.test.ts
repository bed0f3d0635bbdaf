import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LockTurns, type PassOn } from "../../src/core/lock-turns.ts";

const HOUR = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Takes a turn that is free, or comes to be so. */
async function taken(turns: LockTurns, lock: string, wait = HOUR): Promise<PassOn> {
  const passOn = await turns.take(lock, wait);
  if (passOn === null) throw new Error("The wait was too short.");
  return passOn;
}

/** Takes turns one after the other, and notes who has one. */
function queue(
  turns: LockTurns,
  names: readonly string[],
  wait = HOUR,
): { readonly served: string[]; readonly next: () => void } {
  const served: string[] = [];
  let pass: PassOn | null = null;
  for (const name of names) {
    void turns.take("a", wait).then((passOn) => {
      served.push(passOn === null ? `${name} gave up` : name);
      if (passOn !== null) pass = passOn;
    });
  }
  return { served, next: () => pass?.() };
}

describe("turns at a lock", () => {
  it("begin at once where nobody has one, and again when it is over", async () => {
    const turns = new LockTurns();
    for (let time = 0; time < 3; time++) (await taken(turns, "a", 0))();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("go to one at a time, in the order of asking", async () => {
    const turns = new LockTurns();
    const names = Array.from({ length: 20 }, (_, index) => `waiter ${index}`);
    const passOn = await taken(turns, "a");
    const { served, next } = queue(turns, names);
    passOn();
    for (let count = 1; count <= names.length; count++) {
      await vi.advanceTimersByTimeAsync(1000);
      expect(served).toEqual(names.slice(0, count));
      next();
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(await turns.take("a", 0)).not.toBeNull();
  });

  it("at different locks do not wait for each other", async () => {
    const turns = new LockTurns();
    await taken(turns, "a", 0);
    await taken(turns, "b", 0);
    expect(await turns.take("a", 0)).toBeNull();
  });

  it("are not waited for with a wait of 0, and nobody is in line then", async () => {
    const turns = new LockTurns();
    const passOn = await taken(turns, "a");
    expect(await turns.take("a", 0)).toBeNull();
    const { served } = queue(turns, ["next"]);
    passOn();
    await vi.advanceTimersByTimeAsync(0);
    expect(served).toEqual(["next"]);
  });

  it("are waited for as long as was said, and who gave up leaves the others in order", async () => {
    const turns = new LockTurns();
    const passOn = await taken(turns, "a");
    const { served, next } = queue(turns, ["first"]);
    const impatient = queue(turns, ["impatient"], 100);
    const last = queue(turns, ["last"]);
    await vi.advanceTimersByTimeAsync(99);
    expect(impatient.served).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(impatient.served).toEqual(["impatient gave up"]);
    passOn();
    await vi.advanceTimersByTimeAsync(0);
    next();
    await vi.advanceTimersByTimeAsync(0);
    expect([...served, ...impatient.served, ...last.served]).toEqual(["first", "impatient gave up", "last"]);
  });

  it("are passed on once, however often that is said", async () => {
    const turns = new LockTurns();
    const passOn = await taken(turns, "a");
    const { served, next } = queue(turns, ["first", "second", "third"]);
    passOn();
    passOn();
    await vi.advanceTimersByTimeAsync(0);
    passOn();
    await vi.advanceTimersByTimeAsync(0);
    expect(served).toEqual(["first"]);
    expect(await turns.take("a", 0)).toBeNull();
    next();
    await vi.advanceTimersByTimeAsync(0);
    expect(served).toEqual(["first", "second"]);
  });

  it("leave no timer of those who got one", async () => {
    const turns = new LockTurns();
    const passOn = await taken(turns, "a");
    const { served } = queue(turns, ["next"]);
    expect(vi.getTimerCount()).toBe(1);
    passOn();
    await vi.advanceTimersByTimeAsync(0);
    expect(served).toEqual(["next"]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
