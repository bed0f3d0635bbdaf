/** Who listens to what a store tells. */
import type { InvalidationListener } from "../../core/store.ts";

/** Listeners, told one after the other; what one throws reaches neither the others nor the write. */
export interface Listeners extends InvalidationListener {
  readonly count: number;
  /** Adds one; the returned function removes it, and may be called again. */
  add(listener: InvalidationListener): () => void;
}

/** Makes an empty list. */
export function listeners(): Listeners {
  // Keyed by the adding, not by the listener: one that was added twice is told twice.
  const added = new Map<symbol, InvalidationListener>();

  function tell(message: (listener: InvalidationListener) => void): void {
    for (const listener of added.values()) {
      try {
        message(listener);
      } catch {
        // Its own mistake.
      }
    }
  }

  return {
    get count() {
      return added.size;
    },

    add(listener) {
      const name = Symbol("listener");
      added.set(name, listener);
      return () => void added.delete(name);
    },

    changed: (lookup) => tell((listener) => listener.changed(lookup)),
    released: (lock) => tell((listener) => listener.released(lock)),
    lost: () => tell((listener) => listener.lost()),
    restored: () => tell((listener) => listener.restored()),
  };
}
