/** LockWatch: wakes those who wait for locks that other processes hold. */
import type { Awaitable, InvalidationListener } from "./store.ts";

/** Begins to listen; answers what stops it. */
export type Subscribe = (listener: InvalidationListener) => Awaitable<() => Awaitable<void>>;

/** Where nobody tells of releases, those who wait look again after so many milliseconds, give or take half. */
const LOOK_AGAIN_MS = 20;

/** One who waits for a lock. */
export interface Ear {
  /** Waits for what is heard from now on. */
  open(): void;
  /** Waits until the lock was released, or may have been; at most for so many milliseconds. */
  wait(ms: number): Promise<void>;
  close(): void;
}

/** Listens to a store's releases from when somebody first waits. */
export class LockWatch {
  readonly #subscribe: Subscribe | null;
  readonly #ears = new Map<string, Set<() => void>>();
  #beginning: Promise<void> | null = null;
  #stop: (() => Awaitable<void>) | null = null;
  #isTold = false;

  /** With null, the store tells nothing. */
  constructor(subscribe: Subscribe | null) {
    this.#subscribe = subscribe;
  }

  /** Begins to listen if that is still to be done; answers whether it was. */
  async begin(): Promise<boolean> {
    if (this.#subscribe === null || this.#isTold) return false;
    await (this.#beginning ??= this.#begin(this.#subscribe));
    return this.#isTold;
  }

  /** Makes an ear for a lock. */
  listen(lock: string): Ear {
    let isHeard = false;
    let wake: (() => void) | null = null;
    const hear = (): void => {
      isHeard = true;
      wake?.();
    };
    const ears = this.#ears.get(lock) ?? new Set();
    this.#ears.set(lock, ears.add(hear));
    return {
      open: () => {
        isHeard = false;
      },
      wait: (ms) => {
        const most = this.#isTold ? ms : Math.min(ms, LOOK_AGAIN_MS * (0.5 + Math.random()));
        return new Promise((resolve) => {
          if (isHeard) return resolve();
          const timer = setTimeout(resolve, most);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      },
      close: () => {
        ears.delete(hear);
        if (ears.size === 0 && this.#ears.get(lock) === ears) this.#ears.delete(lock);
      },
    };
  }

  /** Stops listening. */
  async close(): Promise<void> {
    await this.#beginning;
    const stop = this.#stop;
    this.#stop = null;
    this.#beginning = null;
    this.#isTold = false;
    await stop?.();
  }

  async #begin(subscribe: Subscribe): Promise<void> {
    try {
      this.#stop = await subscribe({
        changed: () => undefined,
        released: (lock) => this.#wake(this.#ears.get(lock) ?? []),
        lost: () => this.#setTold(false),
        restored: () => this.#setTold(true),
      });
      this.#isTold = true;
    } catch {
      // The store is asked again by the next who waits; until then they look for themselves.
      this.#beginning = null;
    }
  }

  /** Either way something may have been missed. */
  #setTold(isTold: boolean): void {
    this.#isTold = isTold;
    for (const ears of this.#ears.values()) this.#wake(ears);
  }

  #wake(ears: Iterable<() => void>): void {
    for (const hear of ears) hear();
  }
}
