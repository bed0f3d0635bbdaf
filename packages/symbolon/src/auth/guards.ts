/**
 * Guards: who may pass. Each looks at a session and answers null, or why not. Bindings offer them as `requireLogin`,
 * `requireRole`, `requireFresh`, `requireStamp` and `requirePending`; without HTTP they are called as they are.
 *
 * A guard looks at the session's state, never at paths and never at the mere existence of a session.
 */
import { checkName } from "../core/checks.ts";
import { type Duration, parseDuration } from "../core/lifetime.ts";
import type { Session } from "../core/session.ts";
import type { Awaitable } from "../core/store.ts";
import { OptionsError } from "../errors.ts";

/** Why a session may not pass. */
export interface GuardRefusal {
  /** 401: logging in, or logging in again, helps. 403: it does not. */
  readonly status: 401 | 403;
  /** Stable, for programs. */
  readonly code: GuardCode;
  /** In a few words, for people. */
  readonly title: string;
}

/** The codes of refusals. */
export type GuardCode =
  | "login-required"
  | "role-required"
  | "fresh-login-required"
  | "stamp-changed"
  | "pending-login-required";

/** Lets a session pass with null; what it throws or rejects with must not be taken for that. */
export type Guard = (session: Session<object>) => Awaitable<GuardRefusal | null>;

/** Finds the present stamp of a user; null when the user is no more. */
export type StampOf = (userId: string) => Awaitable<string | null>;

const LOGIN_REQUIRED = refusal(401, "login-required", "Login required");

/** Passes sessions of users who are logged in. */
export function loginGuard(): Guard {
  return (session) => (isLoggedIn(session) ? null : LOGIN_REQUIRED);
}

/**
 * Passes users with at least one of the roles.
 *
 * @throws {OptionsError} when no role is named.
 */
export function roleGuard(roles: string | readonly string[]): Guard {
  const wanted = [roles].flat();
  if (wanted.length === 0 || !wanted.every((role) => typeof role === "string" && role !== "")) {
    throw new OptionsError("requireRole: name at least one role.");
  }
  return (session) => {
    if (!isLoggedIn(session)) return LOGIN_REQUIRED;
    const hasOne = wanted.some((role) => session.roles.includes(role));
    return hasOne ? null : refusal(403, "role-required", "Not allowed for this user");
  };
}

/** Passes users who proved who they are no longer ago than `age`: see `session.isFresh`. */
export function freshGuard(age: Duration): Guard {
  parseDuration(age, "requireFresh");
  return (session) => {
    if (!isLoggedIn(session)) return LOGIN_REQUIRED;
    return session.isFresh(age) ? null : refusal(401, "fresh-login-required", "Please log in again to do this");
  };
}

/** Passes users whose stamp is still the one they logged in with; ends the session otherwise: see `session.checkStamp`. */
export function stampGuard(stampOf: StampOf): Guard {
  if (typeof stampOf !== "function") throw new OptionsError("requireStamp: pass a function that finds a user's stamp.");
  return async (session) => {
    const { userId } = session;
    if (userId === null) return LOGIN_REQUIRED;
    const stamp = await stampOf(userId);
    if (await session.checkStamp(stamp)) return null;
    return refusal(401, "stamp-changed", "Please log in again");
  };
}

/** Passes pending logins that wait for this very step, and nobody else. */
export function pendingGuard(awaiting: string): Guard {
  const name = checkName(awaiting, "requirePending");
  return (session) => {
    if (session.pending?.awaiting === name) return null;
    return refusal(401, "pending-login-required", "Please begin the login anew");
  };
}

function isLoggedIn(session: Session<object>): boolean {
  return session.state === "authenticated" && session.userId !== null;
}

function refusal(status: 401 | 403, code: GuardCode, title: string): GuardRefusal {
  return Object.freeze({ status, code, title });
}
