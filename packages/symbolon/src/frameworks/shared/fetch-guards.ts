/** Guards around handlers of the Web's shape. */
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
import type { Session } from "../../core/session.ts";
import { challengeOf } from "../../http/index.ts";

/** A handler that is given the session. */
export type FetchHandler<Data extends object, Rest extends unknown[]> = (
  request: Request,
  session: Session<Data>,
  ...rest: Rest
) => Response | Promise<Response>;

/** Settings of a guard. */
export interface GuardOptions {
  /** Answers instead of the guard, as with a redirect to the login page. */
  readonly onRefused?: (request: Request, refusal: GuardRefusal) => Response | Promise<Response>;
}

/** Puts a guard before a handler. */
export type HandlerGuard = <Data extends object, Rest extends unknown[]>(
  handler: FetchHandler<Data, Rest>,
) => FetchHandler<Data, Rest>;

/**
 * Lets users through who are logged in. As every guard, it goes around a handler, lets `OPTIONS` pass, and answers 401
 * or 403 with a problem document unless `onRefused` does.
 *
 * @example
 * withSession(sessions, requireLogin()((request, session) => new Response(session.userId)));
 */
export function requireLogin(options?: GuardOptions): HandlerGuard {
  return guardedBy(loginGuard(), options);
}

/** Lets users through who have one of the roles. */
export function requireRole(roles: string | readonly string[], options?: GuardOptions): HandlerGuard {
  return guardedBy(roleGuard(roles), options);
}

/** Lets users through who proved who they are no longer ago than `age`; never those who are only remembered. */
export function requireFresh(age: Duration, options?: GuardOptions): HandlerGuard {
  return guardedBy(freshGuard(age), options);
}

/** Lets users through whose credentials have not changed since they logged in; ends the session of others. */
export function requireStamp(stampOf: StampOf, options?: GuardOptions): HandlerGuard {
  return guardedBy(stampGuard(stampOf), options);
}

/** Lets pending logins through that wait for this step, and nobody else. */
export function requirePending(awaiting: string, options?: GuardOptions): HandlerGuard {
  return guardedBy(pendingGuard(awaiting), options);
}

function guardedBy(guard: Guard, { onRefused }: GuardOptions = {}): HandlerGuard {
  return (handler) =>
    async (request, session, ...rest) => {
      const refusal = request.method === "OPTIONS" ? null : await guard(session);
      if (refusal === null) return handler(request, session, ...rest);
      if (onRefused !== undefined) return onRefused(request, refusal);
      return answerRefusal(refusal, challengeOf(request, session, refusal));
    };
}

/** Answers what a program understands (RFC 9457); an application that has pages passes `onRefused`. */
function answerRefusal({ status, code, title }: GuardRefusal, challenge: string | null): Response {
  const headers = {
    "Content-Type": "application/problem+json",
    ...(challenge !== null && { "WWW-Authenticate": challenge }),
  };
  return new Response(JSON.stringify({ status, title, code }), { status, headers });
}
