/** What happened, for logs, metrics and alarms. Never carries a token, a key or application data. */

import type { Clock } from "./clock.ts";
import type { Device, SessionState } from "./record.ts";

/** What every event about one session says. */
interface SessionFacts {
  /** Public handle; safe to log. */
  readonly id: string;
  /** Whose session it is, or whose login is pending; null for an anonymous one. */
  readonly userId: string | null;
}

/** Every event and what it carries besides `type` and `at` (ms since the epoch). */
export interface SessionEvents {
  /** A session was created and stored. */
  created: SessionFacts & { readonly state: SessionState };
  /** A user was logged in: `id` is the new session, `replaced` the one it took the place of. */
  login: SessionFacts & {
    readonly tenant: string | null;
    readonly remember: boolean;
    /** Who acts as the user, when it is not the user. */
    readonly actor: string | null;
    readonly device: Device | null;
    readonly replaced: string | null;
  };
  /** The session's own request ended it. */
  logout: SessionFacts;
  /**
   * A session got a new token, and why: by `rotation.every`, by `session.rotate()`, by `refresh`; or at a change of roles
   * or credentials, where the one before is dead at once.
   */
  rotated: SessionFacts & {
    readonly reason: "scheduled" | "requested" | "refresh" | "roles-changed" | "stamp-changed";
    /** Which token of the session it is: 2 for the first that replaces one. */
    readonly generation: number;
  };
  /**
   * A token was presented whose client must have had a later one: there are two who hold a token of the session, and it
   * was ended. Whoever presented the old one, and whoever was given the present one, as far as they were known.
   */
  "reuse-detected": SessionFacts & {
    readonly presented: Device | null;
    readonly holder: Device | null;
    /** When the present token took the place of the one before, in ms since the epoch. */
    readonly replacedAt: number | null;
  };
  /** The roles of a live session were replaced. */
  "roles-changed": SessionFacts & { readonly roles: readonly string[] };
  /** A user was given an API token, which `name` describes. */
  "api-token-created": SessionFacts & { readonly name: string };
  /** A session or an API token was ended by handle or token; a session by `reset`, or by a pending login in its place. */
  revoked: SessionFacts & { readonly reason: string };
  /** Many sessions were ended at once: of a user, a tenant, or all; or all API tokens of a user. */
  "revoked-many": {
    readonly userId: string | null;
    readonly tenant: string | null;
    readonly reason: string;
    readonly count: number;
  };
  /** A session gave way to a new one of the same user; `by` is the handle of that. */
  evicted: SessionFacts & { readonly by: string };
  /** A session was not begun, because the user, or all users together, have as many as `limits` allows. */
  "limit-reached": { readonly userId: string; readonly limit: "perUser" | "total" };
  /** A token was presented whose session had outlived its idle or absolute timeout. */
  expired: SessionFacts & { readonly timeout: "idle" | "absolute" };
  /** The user's stamp is not the session's any more; the session was ended. */
  "stamp-changed": SessionFacts;
  /** The client is not where, or what, it was when the session was pinned; `action` is what was done. */
  "pin-mismatch": SessionFacts & {
    readonly pin: "ip" | "userAgent";
    readonly action: "event" | "step-up" | "deny" | "revoke";
  };
  /** A request was refused, or in report mode would have been, because another site may have sent it. */
  "csrf-refused": {
    readonly reason: CsrfRefusal;
    /** Handle and user of the session it came with, if any. */
    readonly id: string | null;
    readonly userId: string | null;
    readonly method: string;
    /** What the `Origin` header said: up to 200 characters of the sender's choice. */
    readonly origin: string | null;
    readonly enforced: boolean;
  };
  /** A one-time token was used. */
  "one-time-consumed": { readonly purpose: string; readonly userId: string | null };
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
  /** The store works, but says that something about it should be looked at. */
  "store-warning": { readonly code: string; readonly message: string };
  /** The keyring was replaced; key ids as four hex digits, the one that seals first. */
  "keys-changed": { readonly keys: readonly string[] };
  /** Expired records were removed. */
  pruned: { readonly count: number };
}

/** Why a request may have been sent by another site. */
export type CsrfRefusal =
  /** The browser says so: `Sec-Fetch-Site` and no listed `Origin`. */
  | "cross-site"
  /** `Origin` is none of `origins`. */
  | "foreign-origin"
  /** `Sec-Fetch-Site` has no single value. */
  | "malformed"
  /** The browser says nothing usable, and no CSRF token came. */
  | "token-missing"
  /** The CSRF token belongs to another session, or to nothing. */
  | "token-wrong";

/** An event as a listener receives it. */
export type SessionEvent<Type extends keyof SessionEvents = keyof SessionEvents> = {
  [T in Type]: { readonly type: T; readonly at: number } & SessionEvents[T];
}[Type];

/** Called synchronously; must not throw, and returns nothing to wait for. */
export type SessionListener<Type extends keyof SessionEvents = keyof SessionEvents> = (
  event: SessionEvent<Type>,
) => void;

/** Delivers events to listeners; a listener that throws breaks neither the request nor the other listeners. */
export class EventHub {
  readonly #clock: Clock;
  readonly #listeners = new Map<string, Set<(event: never) => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a listener, with `*` for every event; the returned function removes it. */
  on(type: keyof SessionEvents | "*", listener: (event: never) => void): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  emit<Type extends keyof SessionEvents>(type: Type, facts: SessionEvents[Type]): void {
    const [own, all] = [this.#listeners.get(type), this.#listeners.get("*")];
    if (!own?.size && !all?.size) return;
    const event = { type, at: this.#clock.now(), ...facts };
    for (const listener of [...(own ?? []), ...(all ?? [])]) {
      try {
        listener(event as never);
      } catch (error) {
        process.emitWarning(`A listener of '${type}' threw ${(error as Error)?.name}.`, "SymbolonWarning");
      }
    }
  }
}
