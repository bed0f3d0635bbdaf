/** Where the engine gets the time from: milliseconds since the epoch. Tests pass a manual one. */
export interface Clock {
  now(): number;
}

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now() };
