/**
 * Every call the engine makes to a store goes through here: a time-out for each, one kind of error, and a pause when
 * a store hangs (DESIGN 8.9).
 *
 * The pause follows time-outs only: an error that comes back at once costs nothing to meet again, and asking is how
 * recovery is noticed.
 */
import { isSymbolonError, StoreTimeoutError, StoreUnavailableError } from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { EventHub } from "./events.ts";
import type { Awaitable, Store, StoreCall } from "./store.ts";

/** After this many time-outs in a row the store is left alone for a moment. */
const TIMEOUTS_BEFORE_PAUSE = 3;
const PAUSE_MS = 1000;

/** Carries the time, and an abort signal that is only made when a store asks for it. */
class Call implements StoreCall {
  readonly now: number;
  #controller: AbortController | null = null;

  constructor(now: number) {
    this.now = now;
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  abort(): void {
    this.#controller?.abort();
  }
}

/** Runs store calls under a time limit. */
export class StoreCalls<S extends Store = Store> {
  readonly store: S;
  readonly #timeout: number;
  readonly #clock: Clock;
  readonly #events: EventHub;
  #timeouts = 0;
  #pausedUntil = 0;

  constructor(store: S, timeout: number, clock: Clock, events: EventHub) {
    this.store = store;
    this.#timeout = timeout;
    this.#clock = clock;
    this.#events = events;
  }

  /**
   * Calls the store; answers at once when the store does.
   *
   * @throws {StoreUnavailableError} when the store fails, is late (`StoreTimeoutError`), or is paused.
   */
  run<T>(method: string, work: (call: StoreCall) => Awaitable<T>): Awaitable<T> {
    if (this.#pausedUntil !== 0) this.#refuseWhilePaused(method);
    const call = new Call(this.#clock.now());
    let answer: Awaitable<T>;
    try {
      answer = work(call);
    } catch (error) {
      throw this.#failed(method, error);
    }
    return answer instanceof Promise ? this.#wait(method, call, answer) : answer;
  }

  async #wait<T>(method: string, call: Call, answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        call.abort();
        reject(new StoreTimeoutError(`The store did not answer '${method}' within ${this.#timeout} ms.`));
      }, this.#timeout);
    });
    try {
      const value = await Promise.race([answer, late]);
      this.#timeouts = 0;
      return value;
    } catch (error) {
      throw this.#failed(method, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(method: string, error: unknown): Error {
    const failure = isSymbolonError(error)
      ? error
      : new StoreUnavailableError(`The store failed at '${method}'; see the cause.`, { cause: error });
    this.#events.emit("store-failed", this.#clock.now(), { method, error: failure });
    if (failure instanceof StoreTimeoutError) this.#countTimeout();
    else this.#timeouts = 0;
    return failure;
  }

  #countTimeout(): void {
    if (++this.#timeouts < TIMEOUTS_BEFORE_PAUSE) return;
    this.#pausedUntil = performance.now() + PAUSE_MS;
    this.#events.emit("store-paused", this.#clock.now(), { forMs: PAUSE_MS });
  }

  /** While paused, refuses at once; afterwards one call goes through as a probe, and its time-out pauses again. */
  #refuseWhilePaused(method: string): void {
    if (performance.now() < this.#pausedUntil) {
      throw new StoreUnavailableError(
        `The store timed out ${this.#timeouts} times in a row; '${method}' was not sent.`,
      );
    }
    this.#pausedUntil = 0;
    this.#timeouts = TIMEOUTS_BEFORE_PAUSE - 1;
  }
}
