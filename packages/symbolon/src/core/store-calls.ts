/**
 * Every call the engine makes to a store goes through here: a time-out for each, one kind of error, and a pause when
 * a store hangs (DESIGN 8.9).
 *
 * The pause follows time-outs only: an error that comes back at once costs nothing to meet again, and asking is how
 * recovery is noticed.
 */
import {
  DataTooLargeError,
  NotSupportedError,
  StoreTimeoutError,
  StoreUnavailableError,
  SymbolonError,
} from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { EventHub } from "./events.ts";
import type {
  Admitting,
  Carrying,
  Invalidations,
  Locking,
  OwnerIndex,
  Pruning,
  Store,
  StoreCall,
  TenantIndex,
} from "./store.ts";
import { TimeLimits } from "./time-limits.ts";

/** After this many time-outs in a row the store is left alone for a moment. */
const TIMEOUTS_BEFORE_PAUSE = 3;
const PAUSE_MS = 1000;

/** Calls that may touch every record of a tenant, and how much longer they may take. */
const BULK: ReadonlySet<string> = new Set(["countByTenant", "countOwners", "deleteByTenant"]);
const BULK_FACTOR = 20;

/** Everything the engine may ask of a store. */
type Askable = Store & Admitting & OwnerIndex & TenantIndex & Pruning & Carrying & Locking & Invalidations;
type ArgumentsOf<M extends keyof Askable> = Parameters<Askable[M]> extends [...infer Given, StoreCall] ? Given : never;
type AnswerOf<M extends keyof Askable> = ReturnType<Askable[M]>;

/** Carries the time, and an abort signal that is only made when a store asks for it. */
class Call implements StoreCall {
  readonly now: number;
  readonly fresh: boolean;
  #controller: AbortController | null = null;

  constructor(now: number, fresh: boolean) {
    this.now = now;
    this.fresh = fresh;
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  abort(): void {
    this.#controller?.abort();
  }
}

/** Runs store calls under a time limit. */
export class StoreCalls {
  readonly store: Store;
  readonly #limits: TimeLimits;
  readonly #bulkLimits: TimeLimits;
  readonly #clock: Clock;
  readonly #events: EventHub;
  #timeouts = 0;
  #pausedUntil = 0;

  constructor(store: Store, timeout: number, clock: Clock, events: EventHub) {
    this.store = store;
    this.#limits = new TimeLimits(timeout);
    this.#bulkLimits = new TimeLimits(timeout * BULK_FACTOR);
    this.#clock = clock;
    this.#events = events;
  }

  /**
   * Asks the store; answers at once when the store does.
   *
   * @throws {StoreUnavailableError} when the store fails, is late (`StoreTimeoutError`), or is paused.
   * @throws {NotSupportedError} when the store lacks the ability.
   */
  ask<M extends keyof Askable>(method: M, ...args: ArgumentsOf<M>): AnswerOf<M> {
    return this.#send(false, method, args);
  }

  /** As `ask`, of what the storage holds now: never out of a cache. */
  askFresh<M extends keyof Askable>(method: M, ...args: ArgumentsOf<M>): AnswerOf<M> {
    return this.#send(true, method, args);
  }

  #send<M extends keyof Askable>(fresh: boolean, method: M, args: ArgumentsOf<M>): AnswerOf<M> {
    if (this.#pausedUntil !== 0) this.#refuseWhilePaused(method);
    const ability = (this.store as Partial<Askable>)[method] as ((...args: unknown[]) => unknown) | undefined;
    if (ability === undefined) {
      throw new NotSupportedError(`This store cannot do '${method}'; see docs/stores.md.`);
    }
    const call = new Call(this.#clock.now(), fresh);
    let answer: unknown;
    try {
      answer = ability.call(this.store, ...args, call);
    } catch (error) {
      throw this.#failed(method, error);
    }
    if (answer instanceof Promise) return this.#wait(method, call, answer) as AnswerOf<M>;
    this.#resume();
    return answer as AnswerOf<M>;
  }

  #wait<T>(method: keyof Askable, call: Call, answer: Promise<T>): Promise<T> {
    const limits = BULK.has(method) ? this.#bulkLimits : this.#limits;
    return new Promise((resolve, reject) => {
      const limit = limits.begin(() => {
        // First, so that what the store says of its being interrupted comes too late.
        const late = new StoreTimeoutError(`The store did not answer '${method}' within ${limits.ms} ms.`);
        reject(this.#failed(method, late));
        call.abort();
      });
      answer.then(
        (value) => {
          if (!limits.end(limit)) return;
          this.#resume();
          resolve(value);
        },
        (error: unknown) => {
          if (limits.end(limit)) reject(this.#failed(method, error));
        },
      );
    });
  }

  #failed(method: string, error: unknown): Error {
    // Of the data, not of the store.
    if (error instanceof DataTooLargeError) return error;
    // A store may have been written against another copy of this package, whose classes are not ours.
    const failure =
      error instanceof SymbolonError
        ? error
        : new StoreUnavailableError(`The store failed at '${method}'; see the cause.`, { cause: error });
    this.#events.emit("store-failed", { method, error: failure });
    if (failure instanceof StoreTimeoutError) this.#countTimeout();
    else this.#resume();
    return failure;
  }

  #resume(): void {
    this.#timeouts = 0;
    this.#pausedUntil = 0;
  }

  #countTimeout(): void {
    if (++this.#timeouts < TIMEOUTS_BEFORE_PAUSE) return;
    this.#pausedUntil = performance.now() + PAUSE_MS;
    this.#events.emit("store-paused", { forMs: PAUSE_MS });
  }

  /** While paused, refuses at once; afterwards one call goes through as a probe, and the others wait for its outcome. */
  #refuseWhilePaused(method: string): void {
    if (performance.now() < this.#pausedUntil) {
      throw new StoreUnavailableError(`The store is paused; '${method}' was not sent.`);
    }
    this.#pausedUntil = performance.now() + PAUSE_MS;
    this.#timeouts = TIMEOUTS_BEFORE_PAUSE - 1;
  }
}
