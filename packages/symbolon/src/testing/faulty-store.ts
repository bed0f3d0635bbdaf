/** A store that works until it is told not to: for tests of what depends on one. */
import type { Store, StoreCall } from "../core/store.ts";
import { StoreUnavailableError } from "../errors.ts";

/** How calls hang. */
export interface HangOptions {
  /** Never settle, not even when the caller gives up or the store is healed. */
  readonly deaf?: boolean;
}

/** A store, and the controls of its faults. Faults add up; they hold for calls that start from then on. */
export interface FaultyStore<S extends Store> {
  /** The store to hand out; it has the abilities of the inner one. */
  readonly store: S;
  /** Every call so far, in order. */
  readonly calls: readonly { readonly method: string }[];
  /** Calls reject and do nothing; so many times, or until healed. */
  readonly fail: (times?: number) => void;
  /** Calls do nothing and wait; they reject when the caller gives up or the store is healed. */
  readonly hang: (options?: HangOptions) => void;
  /** Writes are applied, and reject all the same, as when the answer is lost; so many times, or until healed. */
  readonly lose: (times?: number) => void;
  /** Calls start so many milliseconds late. */
  readonly delay: (ms: number) => void;
  /** Calls wait for the hook before they start; a hook that rejects fails the call. */
  readonly before: (hook: (method: string) => Promise<void> | void) => void;
  /** Removes every fault and the hook; hanging calls reject. */
  readonly heal: () => void;
}

const READS: ReadonlySet<string> = new Set(
  "read scan listByOwner countByOwner listByTenant countByTenant countOwners".split(" "),
);
const WRITES: ReadonlySet<string> = new Set(
  "create admit update updateUnderLock delete apply prune deleteByOwner deleteByTenant".split(" "),
);

/** Puts faults in front of a store; without any, its calls go straight through. */
export function faultyStore<S extends Store>(inner: S): FaultyStore<S> {
  const calls: { method: string }[] = [];
  let failures = 0;
  let losses = 0;
  let lateness = 0;
  let hanging: HangOptions | null = null;
  let hook: ((method: string) => Promise<void> | void) | null = null;
  const hung = new Set<() => void>();

  function run(method: string, call: StoreCall, work: () => unknown): unknown {
    calls.push({ method });
    if (hook === null && hanging === null && lateness === 0) return act(method, work);
    return startLate(method, call, work);
  }

  async function startLate(method: string, call: StoreCall, work: () => unknown): Promise<unknown> {
    if (hook !== null) await hook(method);
    if (hanging !== null) await hangUp(method, call, hanging);
    if (lateness > 0) await wait(method, call, lateness);
    return act(method, work);
  }

  function act(method: string, work: () => unknown): unknown {
    if (failures > 0) {
      failures--;
      throw unavailable(method, "fails");
    }
    if (losses === 0 || !WRITES.has(method)) return work();
    losses--;
    return loseAnswer(method, work());
  }

  function hangUp(method: string, call: StoreCall, { deaf = false }: HangOptions): Promise<never> {
    return new Promise((_resolve, reject) => {
      if (deaf) return;
      const giveUp = () => {
        hung.delete(giveUp);
        reject(unavailable(method, "hung"));
      };
      hung.add(giveUp);
      whenAborted(call.signal, giveUp);
    });
  }

  return {
    store: new Proxy(inner, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof name !== "string" || typeof value !== "function" || !(READS.has(name) || WRITES.has(name))) {
          return value;
        }
        return (...values: unknown[]) =>
          run(name, values.find(isStoreCall) ?? NOBODY, () => Reflect.apply(value, target, values) as unknown);
      },
    }),
    calls,
    fail(times = Infinity) {
      failures = times;
    },
    hang(options = {}) {
      hanging = options;
    },
    lose(times = Infinity) {
      losses = times;
    },
    delay(ms) {
      lateness = ms;
    },
    before(newHook) {
      hook = newHook;
    },
    heal() {
      [failures, losses, lateness, hanging, hook] = [0, 0, 0, null, null];
      for (const giveUp of hung) giveUp();
    },
  };
}

const NOBODY: StoreCall = { now: 0, signal: new AbortController().signal };

function isStoreCall(value: unknown): value is StoreCall {
  return typeof value === "object" && value !== null && "signal" in value;
}

function unavailable(method: string, how: string): StoreUnavailableError {
  return new StoreUnavailableError(`The faulty store ${how} at '${method}', as it was told.`);
}

function loseAnswer(method: string, answer: unknown): Promise<never> {
  const lose = () => {
    throw unavailable(method, "lost its answer");
  };
  if (answer instanceof Promise) return answer.then(lose);
  return lose();
}

function wait(method: string, call: StoreCall, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    whenAborted(call.signal, () => {
      clearTimeout(timer);
      reject(unavailable(method, "was late"));
    });
  });
}

function whenAborted(signal: AbortSignal, then: () => void): void {
  if (signal.aborted) then();
  else signal.addEventListener("abort", then, { once: true });
}
