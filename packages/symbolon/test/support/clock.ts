import type { Clock } from "symbolon";

/** A clock that stands still until it is moved. */
export interface MovableClock extends Clock {
  /** Moves the clock, backwards too. */
  advance(milliseconds: number): void;
  set(now: number): void;
}

/** Where test time begins. */
export const START = Date.UTC(2026, 0, 1);

export function movableClock(start: number = START): MovableClock {
  let now = start;
  return {
    now: () => now,
    advance(milliseconds) {
      now += milliseconds;
    },
    set(instant) {
      now = instant;
    },
  };
}
