/** What a store warns of, kept for whoever listens later. */
import type { StoreWarning } from "../../core/store.ts";

/** Warnings and their listeners. */
export interface Warnings {
  /** Tells all listeners; of those that come later, a code is told once. */
  warn(warning: StoreWarning): void;
  add(listener: (warning: StoreWarning) => void): void;
}

/** Makes an empty list. */
export function warnings(): Warnings {
  const told = new Map<string, StoreWarning>();
  const listeners: ((warning: StoreWarning) => void)[] = [];
  return {
    warn(warning) {
      told.set(warning.code, warning);
      for (const listener of listeners) listener(warning);
    },

    add(listener) {
      listeners.push(listener);
      for (const warning of told.values()) listener(warning);
    },
  };
}
