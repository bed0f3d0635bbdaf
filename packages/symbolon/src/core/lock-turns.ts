/** LockTurns: who is next in this process, for each lock. */

/** Ends a turn: the next one who waits has it. */
export type PassOn = () => void;

/** First come, first served; a turn is given up by the function that came with it. */
export class LockTurns {
  /** Those who wait, by lock; a lock that nobody has or waits for is not here. */
  readonly #queues = new Map<string, Set<(passOn: PassOn) => void>>();

  /** Waits for a turn, so many milliseconds at most; null when that was too short. */
  async take(lock: string, wait: number): Promise<PassOn | null> {
    const queue = this.#queues.get(lock);
    if (queue === undefined) {
      this.#queues.set(lock, new Set());
      return this.#turnOf(lock);
    }
    if (wait === 0) return null;
    return new Promise((resolve) => {
      const begin = (passOn: PassOn): void => {
        clearTimeout(timer);
        resolve(passOn);
      };
      const timer = setTimeout(() => {
        queue.delete(begin);
        resolve(null);
      }, wait);
      queue.add(begin);
    });
  }

  #turnOf(lock: string): PassOn {
    let isOver = false;
    return () => {
      if (!isOver) this.#end(lock);
      isOver = true;
    };
  }

  #end(lock: string): void {
    const queue = this.#queues.get(lock);
    for (const begin of queue ?? []) {
      queue?.delete(begin);
      begin(this.#turnOf(lock));
      return;
    }
    this.#queues.delete(lock);
  }
}
