/** Many limits, one timer. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TimeLimits } from "../../src/core/time-limits.ts";

const MS = 1000;

function begun(): { readonly over: string[]; readonly begin: (name: string) => () => boolean } {
  const limits = new TimeLimits(MS);
  const over: string[] = [];
  const begin = (name: string): (() => boolean) => {
    const limit = limits.begin(() => over.push(name));
    return () => limits.end(limit);
  };
  return { over, begin };
}

describe("limits of the same length", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("are each over when their time is up, in order, and not before", () => {
    const { over, begin } = begun();
    begin("first");
    vi.advanceTimersByTime(400);
    begin("second");
    vi.advanceTimersByTime(599);
    expect(over).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(over).toEqual(["first"]);
    vi.advanceTimersByTime(399);
    expect(over).toEqual(["first"]);
    vi.advanceTimersByTime(1);
    expect(over).toEqual(["first", "second"]);
  });

  it("are never over once they were ended, and say whether they were", () => {
    const { over, begin } = begun();
    const [endFirst, endSecond] = [begin("first"), begin("second")];
    expect(endFirst()).toBe(true);
    expect(endFirst()).toBe(false);
    vi.advanceTimersByTime(MS);
    expect(over).toEqual(["second"]);
    expect(endSecond()).toBe(false);
  });

  it("have their whole time when they begin while the timer of an ended one still runs", () => {
    const { over, begin } = begun();
    begin("ended")();
    vi.advanceTimersByTime(999);
    begin("late");
    vi.advanceTimersByTime(999);
    expect(over).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(over).toEqual(["late"]);
  });

  it("share one timer, and leave none behind", () => {
    const { begin } = begun();
    const ends = Array.from({ length: 100 }, (_, index) => begin(`limit ${index}`));
    expect(vi.getTimerCount()).toBe(1);
    for (const end of ends) end();
    vi.advanceTimersByTime(MS);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("may begin anew in the moment that one is over", () => {
    const limits = new TimeLimits(MS);
    const at: number[] = [];
    const begin = (): void => {
      limits.begin(() => {
        at.push(performance.now());
        if (at.length < 3) begin();
      });
    };
    const start = performance.now();
    begin();
    vi.advanceTimersByTime(3 * MS);
    expect(at.map((time) => time - start)).toEqual([MS, 2 * MS, 3 * MS]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the process", () => {
  it("is kept alive by a limit that has begun, and by none that was ended", () => {
    const unref = vi.fn();
    const ref = vi.fn();
    const timer = vi.spyOn(globalThis, "setTimeout").mockReturnValue({ unref, ref } as never);
    const limits = new TimeLimits(MS);
    const [first, second] = [limits.begin(() => undefined), limits.begin(() => undefined)];
    limits.end(first);
    expect(unref).not.toHaveBeenCalled();
    limits.end(second);
    expect(unref).toHaveBeenCalledOnce();
    limits.begin(() => undefined);
    expect(ref).toHaveBeenCalledOnce();
    expect(timer).toHaveBeenCalledOnce();
    timer.mockRestore();
  });
});
