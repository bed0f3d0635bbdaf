/** Guards of Koa, Hono and Fastify: what they look at, and what they answer. */
import {
  freshGuard,
  type Guard,
  type GuardRefusal,
  loginGuard,
  pendingGuard,
  roleGuard,
  type StampOf,
  stampGuard,
} from "../../auth/guards.ts";
import type { Duration } from "../../core/lifetime.ts";
import { challengeOf, type SessionOpener, sessionOf } from "../../http/index.ts";

/** Settings of a guard. */
export interface GuardOptions<Context, Answer> {
  /** Whose session to look at; needed where several managers are mounted. */
  readonly sessions?: SessionOpener<never> | SessionOpener<object>;
  /** Answers instead of the guard, as with a redirect to the login page. */
  readonly onRefused?: (context: Context, refusal: GuardRefusal) => Answer | Promise<Answer>;
}

/** Why a request may not pass. */
export interface Judgement {
  readonly refusal: GuardRefusal;
  /** For `WWW-Authenticate`; null where no bearer tokens are taken. */
  readonly challenge: string | null;
}

/** The guards of a framework; what each does is said where it is exported. */
export interface Guards<Options, Middleware> {
  readonly requireLogin: (options?: Options) => Middleware;
  readonly requireRole: (roles: string | readonly string[], options?: Options) => Middleware;
  readonly requireFresh: (age: Duration, options?: Options) => Middleware;
  readonly requireStamp: (stampOf: StampOf, options?: Options) => Middleware;
  readonly requirePending: (awaiting: string, options?: Options) => Middleware;
}

/** Makes the guards of a framework, from how it puts one before a handler. */
export function guardsOf<Options, Middleware>(
  guardedBy: (guard: Guard, options: Options | undefined) => Middleware,
): Guards<Options, Middleware> {
  return {
    requireLogin: (options) => guardedBy(loginGuard(), options),
    requireRole: (roles, options) => guardedBy(roleGuard(roles), options),
    requireFresh: (age, options) => guardedBy(freshGuard(age), options),
    requireStamp: (stampOf, options) => guardedBy(stampGuard(stampOf), options),
    requirePending: (awaiting, options) => guardedBy(pendingGuard(awaiting), options),
  };
}

/** Looks at the session of a request; null when it may pass. */
export async function judge(
  guard: Guard,
  method: string,
  request: object,
  sessions: SessionOpener<never> | SessionOpener<object> | undefined,
): Promise<Judgement | null> {
  if (method === "OPTIONS") return null;
  const session = sessionOf(request, sessions);
  const refusal = await orFail(guard(session));
  return refusal === null ? null : { refusal, challenge: challengeOf(request, session, refusal) };
}

/** What was thrown, as an error: by nothing, or by words, some frameworks let pass. */
export async function orFail<T>(judging: T | Promise<T>): Promise<T> {
  try {
    return await judging;
  } catch (thrown) {
    throw thrown instanceof Error ? thrown : new Error("A guard failed.", { cause: thrown });
  }
}

/** The problem document of a refusal, as JSON. */
export function problemOf({ status, code, title }: GuardRefusal): string {
  return JSON.stringify({ status, title, code });
}
