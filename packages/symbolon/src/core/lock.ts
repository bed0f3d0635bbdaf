/**
 * Locks: one holder at a time, in all processes that share a store which can lock; elsewhere in this process.
 *
 * Inside a process a lock goes to whoever asked first, so that only one of its waiters stands before the store. That one
 * is woken by the release, where the store tells of it, and looks again when the holder's lease should have ended.
 */
import { secretBytes } from "../crypto/random.ts";
import { LockTimeoutError, OptionsError } from "../errors.ts";
import { refuseUnknown } from "./checks.ts";
import { HeldLease, type Lease } from "./lease.ts";
import { type Duration, parseDuration } from "./lifetime.ts";
import { LockTurns, type PassOn } from "./lock-turns.ts";
import { type Ear, LockWatch } from "./lock-watch.ts";
import type { StoreCalls } from "./store-calls.ts";
import { type Acquisition, canLock, hasInvalidations, type LockKey } from "./store.ts";

/** How a lock is taken. */
export interface LockOptions {
  /** How long to wait while others have it; 0 tries once. Default 20 s, at most 24 days. */
  readonly wait?: Duration;
  /** How long the lock outlives a holder that died; it is renewed while the holder lives. Default 10 s, 100 ms to 24 days. */
  readonly lease?: Duration;
}

const SHORTEST_LEASE = 100;
/** What a timer can wait: 24 days. */
const LONGEST = 2 ** 31 - 1;

/** The locks of one manager. */
export class Locks {
  readonly #calls: StoreCalls;
  readonly #turns = new LockTurns();
  readonly #watch: LockWatch;
  #lastFence = 0;

  constructor(calls: StoreCalls) {
    this.#calls = calls;
    const isTold = hasInvalidations(calls.store);
    this.#watch = new LockWatch(isTold ? (listener) => calls.ask("subscribe", listener) : null);
  }

  /**
   * Takes a lock. One store call when it is free.
   *
   * @throws {OptionsError} for a wrong option.
   * @throws {LockTimeoutError} when others have it for longer than `wait`.
   * @throws {StoreUnavailableError} when the store did not do its work.
   */
  async acquire(key: LockKey, options: LockOptions = {}): Promise<HeldLease> {
    const { wait, lease } = checkLock(options);
    const deadline = performance.now() + wait;
    const passOn = await this.#turns.take(`${key.space}${key.lock}`, wait);
    if (passOn === null) throw timeoutError();
    if (!canLock(this.#calls.store)) return new HeldLease(null, lease, ++this.#lastFence, passOn);
    const ear = this.#watch.listen(key.lock);
    try {
      return await this.#contend(key, lease, { deadline, ear, passOn });
    } catch (error) {
      passOn();
      throw error;
    } finally {
      ear.close();
    }
  }

  /** Stops listening to the store. */
  close(): Promise<void> {
    return this.#watch.close();
  }

  async #contend(
    key: LockKey,
    lease: number,
    { deadline, ear, passOn }: { readonly deadline: number; readonly ear: Ear; readonly passOn: PassOn },
  ): Promise<HeldLease> {
    const calls = this.#calls;
    const holder = secretBytes(16).toString("base64url");
    for (;;) {
      ear.open();
      const until = performance.now() + lease;
      const answer = await this.#ask(key, holder, lease);
      if (answer.status === "acquired") {
        return new HeldLease({ calls, key, lock: key.lock, holder, until }, lease, answer.fence, passOn);
      }
      const left = deadline - performance.now();
      if (left <= 0) throw timeoutError();
      // What was released before there was anybody to hear it, one has to look for.
      if (await this.#watch.begin()) continue;
      await ear.wait(Math.min(left, answer.remaining + 1));
    }
  }

  async #ask(key: LockKey, holder: string, lease: number): Promise<Acquisition> {
    try {
      return await this.#calls.ask("acquireLock", key, holder, lease);
    } catch (error) {
      void this.#giveBack(key, holder);
      throw error;
    }
  }

  /** The answer may be all that was lost: then nobody would have the lock until its lease ends. */
  async #giveBack(key: LockKey, holder: string): Promise<void> {
    try {
      await this.#calls.ask("releaseLock", key, holder);
    } catch {
      // The store has failed twice; the lease ends.
    }
  }
}

/** Checks how a lock is to be taken; answers milliseconds. */
export function checkLock(options: LockOptions): { readonly wait: number; readonly lease: number } {
  refuseUnknown(options, ["wait", "lease"], "lock.");
  const wait = options.wait === 0 ? 0 : parseTime(options.wait ?? "20s", "lock.wait");
  const lease = parseTime(options.lease ?? "10s", "lock.lease");
  if (lease < SHORTEST_LEASE) throw new OptionsError(`lock.lease: at least ${SHORTEST_LEASE} ms.`);
  return { wait, lease };
}

function parseTime(value: Duration, name: string): number {
  const milliseconds = parseDuration(value, name);
  if (milliseconds > LONGEST) throw new OptionsError(`${name}: at most 24 days.`);
  return milliseconds;
}

function timeoutError(): LockTimeoutError {
  return new LockTimeoutError("Others hold the lock; try again later, or with a longer `wait`.");
}

/** What `lock` may be called with: options, a function, both or none. */
export type LockArguments<T> =
  | readonly [options?: LockOptions | undefined]
  | readonly [run: LockedRun<T>]
  | readonly [options: LockOptions, run: LockedRun<T>];

type LockedRun<T> = (lease: Lease) => T | Promise<T>;

/** Tells the arguments of `lock` apart. */
export function lockArguments<T>([first, second]: LockArguments<T>): {
  readonly options: LockOptions;
  readonly run: LockedRun<T> | undefined;
} {
  return typeof first === "function" ? { options: {}, run: first } : { options: first ?? {}, run: second };
}

/** Runs something under a lock, and frees it. An error of `run` goes before one of the release. */
export async function runUnder<L extends Lease, T>(lease: L, run: (lease: L) => T | Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await run(lease);
  } catch (error) {
    await lease.release().catch(() => undefined);
    throw error;
  }
  await lease.release();
  return result;
}
