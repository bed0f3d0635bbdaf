/** Guards around handlers of `node:http` and `node:http2`. */
import type { IncomingMessage, ServerResponse } from "node:http";
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
import type { NodeRequest } from "./node-request.ts";
import type { NodeResponse } from "./node-response.ts";

/** A request handler that is given the session. */
export type NodeHandler<Data extends object, Request, Response> = (
  request: Request,
  response: Response,
  session: Session<Data>,
) => void | Promise<void>;

/** Settings of a guard. */
export interface GuardOptions<Request, Response> {
  /** Answers instead of the guard, as with a redirect to the login page. */
  readonly onRefused?: (request: Request, response: Response, refusal: GuardRefusal) => void | Promise<void>;
}

/** Puts a guard before a handler. */
export type HandlerGuard<Request, Response> = <Data extends object>(
  handler: NodeHandler<Data, Request, Response>,
) => NodeHandler<Data, Request, Response>;

/**
 * Lets users through who are logged in. As every guard, it goes around a handler, lets `OPTIONS` pass, and answers 401
 * or 403 with a problem document unless `onRefused` does.
 *
 * @example
 * createServer(withSession(sessions, requireLogin()((request, response, session) => response.end(session.userId))));
 */
export function requireLogin<
  Request extends NodeRequest = IncomingMessage,
  Response extends NodeResponse = ServerResponse,
>(options?: GuardOptions<Request, Response>): HandlerGuard<Request, Response> {
  return guardedBy(loginGuard(), options);
}

/** Lets users through who have one of the roles. */
export function requireRole<
  Request extends NodeRequest = IncomingMessage,
  Response extends NodeResponse = ServerResponse,
>(roles: string | readonly string[], options?: GuardOptions<Request, Response>): HandlerGuard<Request, Response> {
  return guardedBy(roleGuard(roles), options);
}

/** Lets users through who proved who they are no longer ago than `age`; never those who are only remembered. */
export function requireFresh<
  Request extends NodeRequest = IncomingMessage,
  Response extends NodeResponse = ServerResponse,
>(age: Duration, options?: GuardOptions<Request, Response>): HandlerGuard<Request, Response> {
  return guardedBy(freshGuard(age), options);
}

/** Lets users through whose credentials have not changed since they logged in; ends the session of others. */
export function requireStamp<
  Request extends NodeRequest = IncomingMessage,
  Response extends NodeResponse = ServerResponse,
>(stampOf: StampOf, options?: GuardOptions<Request, Response>): HandlerGuard<Request, Response> {
  return guardedBy(stampGuard(stampOf), options);
}

/** Lets pending logins through that wait for this step, and nobody else. */
export function requirePending<
  Request extends NodeRequest = IncomingMessage,
  Response extends NodeResponse = ServerResponse,
>(awaiting: string, options?: GuardOptions<Request, Response>): HandlerGuard<Request, Response> {
  return guardedBy(pendingGuard(awaiting), options);
}

function guardedBy<Request extends NodeRequest, Response extends NodeResponse>(
  guard: Guard,
  options: GuardOptions<Request, Response> = {},
): HandlerGuard<Request, Response> {
  const { onRefused } = options;
  return (handler) => async (request, response, session) => {
    const refusal = request.method === "OPTIONS" ? null : await guard(session);
    if (refusal === null) return handler(request, response, session);
    if (onRefused !== undefined) return onRefused(request, response, refusal);
    return answerRefusal(response, refusal, challengeOf(request, session, refusal));
  };
}

/** Answers what a program understands (RFC 9457); an application that has pages passes `onRefused`. */
export function answerRefusal(
  response: NodeResponse,
  { status, code, title }: GuardRefusal,
  challenge: string | null,
): void {
  response.statusCode = status;
  if (challenge !== null) response.setHeader("WWW-Authenticate", challenge);
  response.setHeader("Content-Type", "application/problem+json");
  (response.end as (text: string) => unknown)(JSON.stringify({ status, title, code }));
}
