/** Binding for Koa. */
import type { Guard } from "../auth/guards.ts";
import type { Session } from "../core/session.ts";
import { CsrfError } from "../errors.ts";
import {
  attachSession,
  findOpened,
  lockFound,
  mountSettings,
  openSession,
  type OpenOptions,
  type SessionOpener,
} from "../http/index.ts";
import { answerError } from "./shared/answer-error.ts";
import { formTokenOf, FrameworkConnection } from "./shared/framework-request.ts";
import {
  type GuardOptions as AnyGuardOptions,
  guardsOf,
  judge,
  orFail,
  type Guards as MakeGuards,
  problemOf,
} from "./shared/middleware-guards.ts";
import { connectionReader, headersOf, type NodeRequest } from "./shared/node-request.ts";
import { endLockOnClose, guardResponse, type NodeResponse } from "./shared/node-response.ts";

export type { GuardCode, GuardRefusal, StampOf } from "../auth/guards.ts";
export { challengeOf, refusalOf, sessionOf } from "../http/index.ts";

/** The part of Koa's context that is used. `secure` and `ip` follow the application's own `proxy` setting. */
export interface KoaContext {
  readonly req: NodeRequest;
  readonly res: NodeResponse;
  readonly method: string;
  readonly secure: boolean;
  readonly ip: string;
  /** Its `body` is read where a body parser is mounted before, for the form field `_csrf`. */
  readonly request: object;
  status: number;
  body: unknown;
  set(name: string, value: string): void;
  readonly app: { emit(event: "error", error: unknown, context: unknown): unknown };
}

/** A context that the middleware has handled. */
export interface WithSession<Data extends object = Record<string, unknown>> {
  session: Session<Data>;
}

/** Middleware of Koa. */
export type KoaMiddleware = (context: KoaContext, next: () => Promise<unknown>) => Promise<void>;

/** Settings of a guard. */
export type GuardOptions = AnyGuardOptions<KoaContext, unknown>;

/**
 * Middleware that opens the session as `ctx.session` and saves it before the response leaves.
 *
 * Plain data changes of a handler that throws, or answers 500 or above, are dropped. What fails is handled as what a
 * handler throws: an error with `status` 503, 409, 413 or 500, and 403 for what another site may have sent.
 *
 * @example
 * app.use(koaSession(sessions));
 * app.use((ctx) => {
 *   const { data } = sessionOf(ctx, sessions);
 *   ctx.body = `Hello ${data.name ?? "stranger"}`;
 * });
 */
export function koaSession<Data extends object>(
  sessions: SessionOpener<Data>,
  options: OpenOptions = {},
): KoaMiddleware {
  const { trustProxy } = mountSettings(sessions, options);
  const connectionOf = connectionReader(trustProxy);
  return async (context, next) => {
    const { req, res } = context;
    const whenLocked = endLockOnClose(res, options);
    // Mounted twice: the first one does the work.
    const before = findOpened(context, sessions);
    if (before !== null) {
      await lockFound(before, options);
      whenLocked(before);
      await next();
      return;
    }
    const connection = new FrameworkConnection(context, context.secure, connectionOf(req), trustProxy !== false);
    const opened = await openSession(sessions, headersOf(req), connection, options);
    for (const request of [context, context.request, req]) attachSession(request, sessions, opened);
    whenLocked(opened);
    let isThrown = false;
    guardResponse(res, opened, {
      isFailed: () => isThrown || res.statusCode >= 500,
      // Not Koa's own answer, which would drop the cookies of what was committed before.
      onCommitFailed: (error) => answerError(res, error, () => context.app.emit("error", error, context)),
    });
    Object.defineProperty(context, "session", { configurable: true, enumerable: true, value: opened.session });
    try {
      const formToken = formTokenOf((context.request as { readonly body?: unknown }).body);
      if (opened.csrfRefusal({ method: context.method, formToken }) !== null) {
        throw new CsrfError("The request may have been sent by another site.");
      }
      await next();
    } catch (error) {
      isThrown = true;
      throw error;
    }
  };
}

type Guards = MakeGuards<GuardOptions, KoaMiddleware>;
const guards: Guards = guardsOf(guardedBy);

/**
 * Lets users through who are logged in. As every guard, it attaches to a route behind the session, lets `OPTIONS` pass, and
 * answers 401 or 403 with a problem document (RFC 9457) unless `onRefused` does.
 */
export const requireLogin: Guards["requireLogin"] = guards.requireLogin;

/** Lets users through who have one of the roles. */
export const requireRole: Guards["requireRole"] = guards.requireRole;

/** Lets users through who proved who they are no longer ago than `age`; never those who are only remembered. */
export const requireFresh: Guards["requireFresh"] = guards.requireFresh;

/** Lets users through whose credentials have not changed since they logged in; ends the session of others. */
export const requireStamp: Guards["requireStamp"] = guards.requireStamp;

/** Lets pending logins through that wait for this step, and nobody else. */
export const requirePending: Guards["requirePending"] = guards.requirePending;

function guardedBy(guard: Guard, { sessions, onRefused }: GuardOptions = {}): KoaMiddleware {
  return async (context, next) => {
    const judgement = await judge(guard, context.method, context, sessions);
    if (judgement === null) {
      await next();
      return;
    }
    const { refusal, challenge } = judgement;
    if (onRefused !== undefined) {
      await orFail(onRefused(context, refusal));
      return;
    }
    context.status = refusal.status;
    context.set("Content-Type", "application/problem+json");
    if (challenge !== null) context.set("WWW-Authenticate", challenge);
    context.body = problemOf(refusal);
  };
}
