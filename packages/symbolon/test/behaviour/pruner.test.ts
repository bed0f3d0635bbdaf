import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore } from "symbolon/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const EVERY = 60_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

function world() {
  const faulty = faultyStore(memoryStore());
  const sessions = createSessionManager({ store: faulty.store, keys: [generateKey()], pruneEvery: EVERY });
  const prunes = (): number => faulty.calls.filter(({ method }) => method === "prune").length;
  return { faulty, sessions, prunes };
}

describe("the background pruner", () => {
  it("removes expired sessions on its own, over and over, between three and five quarters of its time", async () => {
    const { sessions, prunes } = world();
    const pruned: number[] = [];
    sessions.on("pruned", ({ count }) => pruned.push(count));
    await sessions.create({ lifetime: { absolute: 1000 } });
    await vi.advanceTimersByTimeAsync(EVERY * 0.75 - 1);
    expect(prunes()).toBe(0);
    await vi.advanceTimersByTimeAsync(EVERY / 2 + 1);
    expect(prunes()).toBe(1);
    await vi.advanceTimersByTimeAsync(EVERY * 10);
    expect(pruned).toEqual([1]);
    expect(prunes()).toBeGreaterThanOrEqual(8);
    expect(prunes()).toBeLessThanOrEqual(15);
    await sessions.close();
  });

  it("goes on after a failure, and stops for good with close", async () => {
    const { faulty, sessions, prunes } = world();
    faulty.fail();
    await vi.advanceTimersByTimeAsync(EVERY * 3);
    expect(prunes()).toBeGreaterThanOrEqual(2);
    faulty.heal();
    const before = prunes();
    await vi.advanceTimersByTimeAsync(EVERY * 2);
    expect(prunes()).toBeGreaterThan(before);
    await sessions.close();
    const after = prunes();
    await vi.advanceTimersByTimeAsync(EVERY * 10);
    expect(prunes()).toBe(after);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("stops with close also while a round is under way", async () => {
    const { faulty, sessions, prunes } = world();
    let letGo: (() => void) | undefined;
    faulty.before(() => new Promise<void>((resolve) => (letGo = resolve)));
    await vi.advanceTimersByTimeAsync(EVERY * 1.25);
    expect(prunes()).toBe(1);
    await sessions.close();
    letGo?.();
    await vi.advanceTimersByTimeAsync(EVERY * 10);
    expect(prunes()).toBe(1);
  });

  it("does not run where pruneEvery is false, nor over a store that cannot prune", async () => {
    const inner = memoryStore();
    const off = createSessionManager({ store: inner, keys: [generateKey()], pruneEvery: false });
    const store = {
      read: inner.read.bind(inner),
      create: inner.create.bind(inner),
      update: inner.update.bind(inner),
      delete: inner.delete.bind(inner),
    };
    const unable = createSessionManager({ store, keys: [generateKey()] });
    expect(vi.getTimerCount()).toBe(0);
    await Promise.all([off.close(), unable.close()]);
  });
});
