/** Lease: a lock in this process's hands, renewed while it is. */
import { LeaseLostError } from "../errors.ts";
import type { StoreCalls } from "./store-calls.ts";
import type { HeldLock, LockKey } from "./store.ts";

/** A lock that is held. `await using` releases it. */
export interface Lease extends AsyncDisposable {
  /**
   * Greater than that of every holder before. Give it along with what is changed under the lock, so that a holder who
   * comes late can be refused: one that was paused for longer than its lease does not know yet that it has lost the lock.
   */
  readonly fence: number;
  /** Whether all processes that share the store respect the lock; else the store has no locks, and this manager alone does. */
  readonly isShared: boolean;
  /** Aborted, with a `LeaseLostError`, once it is known that the lock was lost before it was released. */
  readonly signal: AbortSignal;
  /**
   * Frees the lock; does nothing the second time.
   *
   * @throws {LeaseLostError} when the lock was lost before: others may have had it meanwhile.
   */
  release(): Promise<void>;
}

/** Where a lease is kept up, and until when it holds, by `performance.now()`, if it is not. */
export interface KeptUp extends HeldLock {
  readonly calls: StoreCalls;
  readonly key: LockKey;
  readonly until: number;
}

/** A lock of this process alone: the store, which has no locks, is not told. */
const OWN: HeldLock = Object.freeze({ lock: "", holder: "" });

/** The lease of a lock in the store, or of this process alone. */
export class HeldLease implements Lease {
  readonly fence: number;
  readonly #keptUp: KeptUp | null;
  /** How long it lasts unless it is renewed, in ms. */
  readonly #lease: number;
  readonly #passOn: () => void;
  readonly #controller = new AbortController();
  #until: number;
  #timer: NodeJS.Timeout | undefined;
  #isReleased = false;
  #isEnding = false;

  /** `passOn`: lets the next one in this process have it. */
  constructor(keptUp: KeptUp | null, lease: number, fence: number, passOn: () => void) {
    this.#keptUp = keptUp;
    this.#lease = lease;
    this.fence = fence;
    this.#passOn = passOn;
    this.#until = keptUp?.until ?? Infinity;
    if (keptUp !== null) this.#renewLater();
  }

  get isShared(): boolean {
    return this.#keptUp !== null;
  }

  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** By what the store knows it, if it does. */
  get held(): HeldLock {
    return this.#keptUp ?? OWN;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    clearTimeout(this.#timer);
    try {
      if (this.#keptUp !== null && !(await this.#free(this.#keptUp))) throw this.#lose();
    } finally {
      this.#passOn();
    }
  }

  /** Renews it no more: for a holder that may never release it. Until it ends it is as good as ever. */
  letEnd(): void {
    if (this.#isReleased || this.#isEnding) return;
    this.#isEnding = true;
    if (this.#keptUp === null) this.#until = performance.now() + this.#lease;
    clearTimeout(this.#timer);
    this.#loseAtEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Answers whether the lock was held to the end. */
  async #free({ calls, key, holder }: KeptUp): Promise<boolean> {
    // What is done under it is done by now, however long the store takes to answer.
    const isHeld = performance.now() < this.#until;
    try {
      return await calls.ask("releaseLock", key, holder);
    } catch {
      // It ends by itself.
      return isHeld;
    }
  }

  #renewLater(): void {
    const left = this.#until - performance.now();
    this.#timer = setTimeout(() => void this.#renew(), Math.max(0, Math.min(this.#lease / 3, left))).unref();
  }

  #loseAtEnd(): void {
    const left = this.#until - performance.now();
    this.#timer = setTimeout(() => this.#lose(), Math.max(0, left)).unref();
  }

  /** Never rejects: nobody waits for it. */
  async #renew(): Promise<void> {
    const { calls, key, holder } = this.#keptUp as KeptUp;
    const sentAt = performance.now();
    let isHeld = sentAt < this.#until;
    // The store may take longer to answer than the lease lasts.
    this.#loseAtEnd();
    try {
      isHeld = isHeld && (await calls.ask("renewLock", key, holder, this.#lease));
      if (isHeld) this.#until = sentAt + this.#lease;
    } catch {
      isHeld = performance.now() < this.#until;
    }
    if (this.#isReleased || this.signal.aborted) return;
    clearTimeout(this.#timer);
    if (!isHeld) this.#lose();
    else if (this.#isEnding) this.#loseAtEnd();
    else this.#renewLater();
  }

  #lose(): LeaseLostError {
    const error = new LeaseLostError("The lock was lost while it was held; others may have had it meanwhile.");
    if (!this.signal.aborted) this.#controller.abort(error);
    this.#passOn();
    return error;
  }
}
