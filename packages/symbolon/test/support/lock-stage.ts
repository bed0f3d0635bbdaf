/** Two processes on one storage that locks, and faults of the calls of one. */
import { generateKey, type Locking, type SessionManager, type Store } from "symbolon";
import { expect, onTestFinished } from "vitest";
import { manager, type Options } from "./sessions.ts";
import { intercept, type Intercepted } from "./stores.ts";

export const STORE_TIMEOUT = 3000;

/** Stands in for the calls of one process. */
export type Around = (call: Intercepted) => unknown;

export const honest: Around = (call) => call.proceed();

export interface LockStage {
  readonly here: SessionManager;
  readonly there: SessionManager;
  /** From now on, calls from here are answered by this; by default they go through. */
  readonly meddle: (around: Around) => void;
  /** The names of the calls from here. */
  readonly calls: readonly string[];
  /** Frees the lock that was taken from here last, as a storage that lost it. */
  readonly forget: () => Promise<unknown>;
}

/** Sets the stage; `options` are those of both managers. */
export function stage(make: () => readonly [Store & Locking, Store & Locking], options: Options = {}): LockStage {
  let around = honest;
  let acquired: readonly unknown[] = [];
  const [one, other] = make();
  const calls: string[] = [];
  const store = intercept(one, (call) => {
    calls.push(call.method);
    if (call.method === "acquireLock") acquired = call.args;
    return around(call);
  });
  const shared = { keys: [generateKey()], storeTimeout: STORE_TIMEOUT, ...options } as const;
  const [here, there] = [manager({ ...shared, store }), manager({ ...shared, store: other })];
  onTestFinished(async () => {
    await Promise.all([here.close(), there.close()]);
  });
  return {
    here,
    there,
    calls,
    meddle: (next) => void (around = next),
    async forget() {
      const [key, holder, , call] = acquired as Parameters<Locking["acquireLock"]>;
      expect(await one.releaseLock(key, holder, call)).toBe(true);
    },
  };
}

/** A server that is away for some calls, so many times. */
export function failing(method: string, times = Infinity): Around {
  let left = times;
  return async (call) => {
    if (call.method !== method || left-- <= 0) return call.proceed();
    throw new Error("The server is away.");
  };
}

/** A server that never answers some calls. */
export function hanging(method: string): Around {
  return (call) => (call.method === method ? new Promise(() => undefined) : call.proceed());
}

/** A server whose answer to some calls is lost, once. */
export function losing(method: string): Around {
  let isLost = false;
  return async (call) => {
    const answer = await call.proceed();
    if (call.method !== method || isLost) return answer;
    isLost = true;
    throw new Error("The connection broke.");
  };
}
