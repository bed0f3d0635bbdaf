/** What happened, for logs, metrics and alarms. Never carries a token, a key or application data. */

import type { Clock } from "./clock.ts";

/** What every event about one session says. */
interface SessionFacts {
  /** Public handle; safe to log. */
  readonly id: string;
  /** Null for an anonymous session. */
  readonly userId: string | null;
}

/** Every event and what it carries besides `type` and `at` (ms since the epoch). */
export interface SessionEvents {
  /** A session was created and stored. */
  created: SessionFacts;
  /** A session got a new token; the one before is dead. */
  refreshed: SessionFacts;
  /** The session's own request ended it. */
  logout: SessionFacts;
  /** A session was ended by handle or token. */
  revoked: SessionFacts & { readonly reason: string };
  /** Many sessions were ended at once: of a user, a tenant, or all. */
  "revoked-many": {
    readonly userId: string | null;
    readonly tenant: string | null;
    readonly reason: string;
    readonly count: number;
  };
  /** A token was presented whose session had outlived its idle or absolute timeout. */
  expired: SessionFacts & { readonly timeout: "idle" | "absolute" };
  /** A stored record did not open: tampered with, or its key is gone. `id` is the presented handle. */
  "bad-seal": { readonly id: string };
  /** The request carried two different session cookies, and was treated as having none. */
  "ambiguous-cookie": { readonly name: string };
  /** The session cookie was not read or not sent, because the connection is not known to be https. */
  "cookie-withheld": { readonly reason: "insecure-connection" | "not-loopback" };
  /** A write met a newer record and was replayed on it. */
  merged: SessionFacts;
  /** The store failed or was late; the request was answered as configured. */
  "store-failed": { readonly method: string; readonly error: unknown };
  /** Several calls in a row timed out: the store is not asked for `forMs` milliseconds. */
  "store-paused": { readonly forMs: number };
  /** The keyring was replaced; key ids as four hex digits, the one that seals first. */
  "keys-changed": { readonly keys: readonly string[] };
  /** Expired records were removed. */
  pruned: { readonly count: number };
}

/** An event as a listener receives it. */
export type SessionEvent<Type extends keyof SessionEvents = keyof SessionEvents> = {
  [T in Type]: { readonly type: T; readonly at: number } & SessionEvents[T];
}[Type];

/** Called synchronously; must not throw, and returns nothing to wait for. */
export type SessionListener<Type extends keyof SessionEvents> = (event: SessionEvent<Type>) => void;

/** Delivers events to listeners; a listener that throws breaks neither the request nor the other listeners. */
export class EventHub {
  readonly #clock: Clock;
  readonly #listeners = new Map<string, Set<(event: never) => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a listener; the returned function removes it. */
  on<Type extends keyof SessionEvents>(type: Type, listener: SessionListener<Type>): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  emit<Type extends keyof SessionEvents>(type: Type, facts: SessionEvents[Type]): void {
    const listeners = this.#listeners.get(type);
    if (listeners === undefined || listeners.size === 0) return;
    const event = { type, at: this.#clock.now(), ...facts };
    for (const listener of listeners) {
      try {
        listener(event as never);
      } catch (error) {
        process.emitWarning(`A listener of '${type}' threw ${(error as Error)?.name}.`, "SymbolonWarning");
      }
    }
  }
}
