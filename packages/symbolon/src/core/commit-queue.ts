import type { Snapshot } from "./record.ts";

interface Tail {
  readonly done: Promise<unknown>;
  latest: Snapshot | null;
}

/**
 * Queues the commits of one session inside a process, and hands each the newest version its predecessors wrote, so
 * that parallel requests of one session do not collide at the store.
 */
export class CommitQueue {
  readonly #tails = new Map<string, Tail>();
  readonly #waitMs: number;

  /** `waitMs`: how long a commit waits for one before it, which may be stuck in the application's own function. */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Runs a commit after those before it; `task` gets the newest known snapshot and returns the one it wrote. */
  async run<R extends { readonly snapshot: Snapshot }>(
    start: Snapshot,
    task: (from: Snapshot) => Promise<R>,
  ): Promise<R> {
    const { lookup } = start.record;
    const before = this.#tails.get(lookup);
    const tail: Tail = { done: this.#after(before, start, task, () => tail), latest: null };
    this.#tails.set(lookup, tail);
    try {
      return (await tail.done) as R;
    } finally {
      if (this.#tails.get(lookup) === tail) this.#tails.delete(lookup);
    }
  }

  /** Waits, but not for ever: two writers at once are still kept apart by the conditional write. */
  async #waitFor(before: Tail): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, this.#waitMs);
    });
    await Promise.race([before.done.catch(() => undefined), late]);
    clearTimeout(timer);
  }

  async #after<R extends { readonly snapshot: Snapshot }>(
    before: Tail | undefined,
    start: Snapshot,
    task: (from: Snapshot) => Promise<R>,
    own: () => Tail,
  ): Promise<R> {
    if (before !== undefined) await this.#waitFor(before);
    const newest = newer(start, before?.latest ?? null);
    const result = await task(newest);
    own().latest = newer(result.snapshot, newest);
    return result;
  }
}

function newer(a: Snapshot, b: Snapshot | null): Snapshot {
  return b !== null && b.record.version > a.record.version ? b : a;
}
