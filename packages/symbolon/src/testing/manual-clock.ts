/** A clock that stands still until told. */
import type { Clock } from "../core/clock.ts";

/** A clock for tests. */
export interface ManualClock extends Clock {
  /** Moves on by so many milliseconds; negative goes back. */
  readonly advance: (ms: number) => void;
  /** Moves to an instant, in milliseconds since the epoch. */
  readonly set: (ms: number) => void;
}

/** Makes a clock that shows `start`, 2026-01-01T00:00:00Z unless told, and moves only by hand. */
export function manualClock(start: number = Date.UTC(2026, 0, 1)): ManualClock {
  let now = start;
  return {
    now: () => now,
    advance(ms) {
      now += ms;
    },
    set(ms) {
      now = ms;
    },
  };
}
