/** Guards as Express middleware. */
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
import { answerRefusal } from "./node-guards.ts";
import type { NodeRequest } from "./node-request.ts";
import type { NodeResponse } from "./node-response.ts";

/** The part of Express' request that guards read. Not the body: beside a guard, handlers keep its type. */
export interface GuardedRequest extends NodeRequest {
  readonly method: string;
}

/** Settings of a guard. */
export interface GuardOptions<Request, Response> {
  /** Whose session to look at; needed where several managers are mounted. */
  readonly sessions?: SessionOpener<never> | SessionOpener<object>;
  /** Answers instead of the guard, as with a redirect to the login page. What it throws goes to the error handler. */
  readonly onRefused?: (request: Request, response: Response, refusal: GuardRefusal) => unknown;
}

/** Middleware that lets a request pass, or answers it. */
export type GuardMiddleware<Request, Response> = (
  request: Request,
  response: Response,
  next: (error?: unknown) => void,
) => void;

/**
 * Lets users through who are logged in. As every guard, it attaches to a route or router behind `expressSession`, lets
 * `OPTIONS` pass, and answers 401 or 403 with a problem document unless `onRefused` does.
 *
 * @example
 * app.get("/account", requireLogin(), (request, response) => response.send(sessionOf(request, sessions).userId));
 */
export function requireLogin<Request extends GuardedRequest, Response extends NodeResponse>(
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(loginGuard(), options);
}

/** Lets users through who have one of the roles. */
export function requireRole<Request extends GuardedRequest, Response extends NodeResponse>(
  roles: string | readonly string[],
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(roleGuard(roles), options);
}

/** Lets users through who proved who they are no longer ago than `age`; never those who are only remembered. */
export function requireFresh<Request extends GuardedRequest, Response extends NodeResponse>(
  age: Duration,
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(freshGuard(age), options);
}

/** Lets users through whose credentials have not changed since they logged in; ends the session of others. */
export function requireStamp<Request extends GuardedRequest, Response extends NodeResponse>(
  stampOf: StampOf,
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(stampGuard(stampOf), options);
}

/** Lets pending logins through that wait for this step, and nobody else. */
export function requirePending<Request extends GuardedRequest, Response extends NodeResponse>(
  awaiting: string,
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(pendingGuard(awaiting), options);
}

function guardedBy<Request extends GuardedRequest, Response extends NodeResponse>(
  guard: Guard,
  options: GuardOptions<Request, Response> = {},
): GuardMiddleware<Request, Response> {
  const { sessions, onRefused } = options;
  const judge = async (request: Request, response: Response): Promise<boolean> => {
    const session = sessionOf(request, sessions);
    const refusal = await guard(session);
    if (refusal === null) return true;
    if (onRefused === undefined) answerRefusal(response, refusal, challengeOf(request, session, refusal));
    else await onRefused(request, response, refusal);
    return false;
  };
  return (request, response, next) => {
    if (request.method === "OPTIONS") return next();
    judge(request, response).then(
      (passes) => {
        if (passes) next();
      },
      (thrown: unknown) => next(failureOf(thrown)),
    );
  };
}

/** What `next` takes for a failure, whatever was thrown: by nothing, and by these words, it lets pass. */
function failureOf(thrown: unknown): unknown {
  const wouldPass = !thrown || thrown === "route" || thrown === "router";
  return wouldPass ? new Error("A guard failed.", { cause: thrown }) : thrown;
}
