/** Stores around stores: to count calls, to hold them at a gate, to change what they answer. */
import type { Admitting, OwnerIndex, Pruning, Replication, Store, TenantIndex } from "symbolon";

/** What every store can do that serves all of a manager. */
export type FullStore = Store & OwnerIndex & Admitting & TenantIndex & Pruning & Replication;

/** One call to a store; `proceed` makes the real one. */
export interface Intercepted {
  readonly method: string;
  readonly args: readonly unknown[];
  proceed(): unknown;
}

/** Lets `around` stand in for every method of a store; abilities stay visible. */
export function intercept<S extends Store>(store: S, around: (call: Intercepted) => unknown): S {
  return new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function" || typeof name !== "string") return method;
      return (...args: unknown[]): unknown =>
        around({ method: name, args, proceed: () => Reflect.apply(method, target, args) as unknown });
    },
  });
}

/** A store that keeps the names of its calls. */
export function spied<S extends Store>(store: S): { readonly store: S; readonly calls: string[] } {
  const calls: string[] = [];
  const spy = intercept(store, (call) => {
    calls.push(call.method);
    return call.proceed();
  });
  return { store: spy, calls };
}

/** A store without one of its methods, and so without the ability. */
export function without<S extends Store, M extends keyof S>(store: S, method: M): Omit<S, M> & Store {
  return Object.fromEntries(Object.entries(store).filter(([name]) => name !== method)) as Omit<S, M> & Store;
}
