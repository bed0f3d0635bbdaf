/** Waiting without a clock: turns of the event loop, gates, and stores whose calls come late by chance. */
import type { Store } from "symbolon";
import { propertyOptions } from "../property/seed.ts";
import { intercept } from "./stores.ts";

/** Lets everything else that is ready run, so many times. */
export async function wait(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Holds whoever waits for `passed` until it is opened. */
export interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let resolvePassed: (() => void) | null = null;
  const passed = new Promise<void>((resolve) => {
    resolvePassed = resolve;
  });
  return { passed, open: () => resolvePassed?.() };
}

/** Makes stores whose calls start up to three turns late: as chance has it, which the printed seed repeats. */
export function lateByChance(): <S extends Store>(store: S) => S {
  const { seed } = propertyOptions();
  let state = seed >>> 0;
  const next = (): number => {
    // A linear congruential generator is enough to mix things up.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 30;
  };
  return (store) =>
    intercept(store, async (call) => {
      await wait(next());
      return call.proceed();
    });
}
