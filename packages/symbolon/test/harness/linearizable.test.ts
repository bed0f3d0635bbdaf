import { expect, it } from "vitest";
import { misfits, type Step } from "./linearizable.ts";

type List = readonly number[];

const NOTHING: List = [];

function append(value: number, from: number, until: number, wrote?: List, isDoubtful = false): Step<List> {
  const apply = (before: List): List | null => {
    const after = [...before, value];
    return wrote === undefined || wrote.join() === after.join() ? after : null;
  };
  return { from, until, apply, isRead: false, isDoubtful };
}

function read(saw: List, from: number, until: number): Step<List> {
  const apply = (before: List): List | null => (before.join() === saw.join() ? before : null);
  return { from, until, apply, isRead: true, isDoubtful: false };
}

it.each<[what: string, steps: readonly Step<List>[]]>([
  ["nothing at all", []],
  ["one after the other", [append(1, 0, 1), read([1], 2, 3), append(2, 4, 5), read([1, 2], 6, 7)]],
  ["two at once, in the order that was read", [append(1, 0, 9), append(2, 0, 9), read([2, 1], 10, 11)]],
  ["a read at once with a write, of before or after", [append(1, 0, 9), read([], 3, 4), read([1], 5, 6)]],
  ["a write of which nobody knows, and that was not made", [append(1, 0, 1, undefined, true), read([], 2, 3)]],
  ["one that was made late", [append(1, 0, 1, undefined, true), append(2, 2, 3, [2]), read([2, 1], 4, 5)]],
])("finds an order for %s", (_what, steps) => {
  expect(misfits(steps, NOTHING)).toBeNull();
});

it.each<[what: string, steps: readonly Step<List>[]]>([
  ["a write that is lost", [append(1, 0, 1), append(2, 2, 3), read([2], 4, 5)]],
  ["two that both were the first", [append(1, 0, 9, [1]), append(2, 0, 9, [2])]],
  ["a read of what was before a write that had answered", [append(1, 0, 1), read([], 2, 3)]],
  ["two reads that saw two orders", [append(1, 0, 9), append(2, 0, 9), read([1], 3, 4), read([2, 1], 10, 11)]],
  ["what nobody has written", [read([7], 0, 1)]],
  ["a write of which nobody knows, before it was called", [read([1], 0, 1), append(1, 2, 3, undefined, true)]],
])("finds none for %s", (_what, steps) => {
  expect(misfits(steps, NOTHING)).not.toBeNull();
});

it("names those that fit nowhere", () => {
  const stale = read([], 2, 3);
  expect(misfits([append(1, 0, 1), stale, append(2, 4, 5)], NOTHING)).toContain(stale);
});

it("remembers what was hopeless, so that many at once are no trouble", () => {
  let tried = 0;
  const set = (value: number): Step<List> => {
    const apply = (): List => {
      tried++;
      return [value];
    };
    return { from: 0, until: 100, apply, isRead: false, isDoubtful: false };
  };
  const impossible = read([42], 200, 201);
  expect(misfits([...Array.from({ length: 10 }, (_, index) => set(index)), impossible], NOTHING)).toContain(impossible);
  // Ten factorial orders; but what matters of each is which are left, and which was the last.
  expect(tried).toBeLessThanOrEqual(10 * 2 ** 10 * 10);
});
