/**
 * TimeLimits: limits of the same length for many calls, by one timer. To set one for each call, and clear it again, is a
 * tenth of what a read from Redis costs.
 */

/** A limit that has begun. */
export interface TimeLimit {
  /** On the clock of `performance.now()`. */
  readonly at: number;
  readonly onOver: () => void;
}

/** Limits that all take the same time, so that the first to begin is the first to be over. */
export class TimeLimits {
  /** Milliseconds. */
  readonly ms: number;
  readonly #pending = new Set<TimeLimit>();
  /** Set from the first limit on until it goes off and finds none. */
  #timer: NodeJS.Timeout | null = null;

  constructor(ms: number) {
    this.ms = ms;
  }

  /** Begins one; `onOver` is called unless it is ended before. Until then the process is kept alive. */
  begin(onOver: () => void): TimeLimit {
    const limit = { at: performance.now() + this.ms, onOver };
    if (this.#timer === null) this.#timer = setTimeout(this.#look, this.ms);
    else if (this.#pending.size === 0) this.#timer.ref();
    this.#pending.add(limit);
    return limit;
  }

  /** Ends one; answers whether it was not over yet. */
  end(limit: TimeLimit): boolean {
    const wasPending = this.#pending.delete(limit);
    if (this.#pending.size === 0) this.#timer?.unref();
    return wasPending;
  }

  readonly #look = (): void => {
    this.#timer = null;
    const now = performance.now();
    for (const limit of this.#pending) {
      if (limit.at > now) {
        this.#timer ??= setTimeout(this.#look, limit.at - now);
        return;
      }
      this.#pending.delete(limit);
      limit.onOver();
    }
  };
}
