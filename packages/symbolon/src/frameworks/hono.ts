/** Binding for Hono, on Node and wherever else it runs. */
import type { Guard } from "../auth/guards.ts";
import type { Session } from "../core/session.ts";
import { CsrfError, isSymbolonError } from "../errors.ts";
import {
  attachSession,
  type Connection,
  findOpened,
  lockFound,
  mountSettings,
  openSession,
  type OpenedSession,
  type OpenOptions,
  type SessionOpener,
} from "../http/index.ts";
import { answerError, warn } from "./shared/answer-error.ts";
import { answerFailure, connectionFromUrl, endLockOnAbort, sendSaved } from "./shared/fetch-response.ts";
import {
  type GuardOptions as AnyGuardOptions,
  guardsOf,
  judge,
  orFail,
  type Guards as MakeGuards,
  problemOf,
} from "./shared/middleware-guards.ts";
import { connectionReader, headersOf, type NodeRequest } from "./shared/node-request.ts";
import { guardResponse, type NodeResponse, watchDestroy } from "./shared/node-response.ts";

export type { GuardCode, GuardRefusal, StampOf } from "../auth/guards.ts";
export { challengeOf, refusalOf, sessionOf } from "../http/index.ts";

/** The part of Hono's context that is used. */
export interface HonoContext {
  readonly req: { readonly raw: Request; readonly method: string };
  /** On Node, `@hono/node-server` has Node's own request and response here. */
  readonly env: unknown;
  get res(): Response;
  set res(response: Response | undefined);
  set(name: never, value: never): void;
  readonly error: Error | undefined;
}

/** What `new Hono<{ Variables: SessionVariables<Data> }>()` says of `c.get("session")`. */
export interface SessionVariables<Data extends object = Record<string, unknown>> {
  session: Session<Data>;
}

/** Middleware of Hono. */
export type HonoMiddleware = (context: HonoContext, next: () => Promise<void>) => Promise<Response | void>;

/** Settings of a guard. */
export type GuardOptions = AnyGuardOptions<HonoContext, Response>;

/** Settings of the binding. */
export interface HonoSessionOptions extends OpenOptions {
  /**
   * How the request came; by default from the connection on Node, elsewhere from the URL, and from `X-Forwarded-Proto` and
   * `-For` where `trustProxy` says so.
   */
  readonly connection?: (context: HonoContext) => Connection;
}

/**
 * Middleware that opens the session as `c.get("session")` and saves it before the response leaves.
 *
 * Plain data changes of a handler that throws, or answers 500 or above, are dropped. A store that fails is answered 503,
 * and what another site may have sent 403; so is what a handler throws of ours, unless `app.onError` has an answer that is
 * no 500.
 *
 * @example
 * const app = new Hono<{ Variables: SessionVariables }>();
 * app.use(honoSession(sessions));
 * app.get("/", (c) => c.text(`Hello ${c.get("session").data.name ?? "stranger"}`));
 */
export function honoSession<Data extends object>(
  sessions: SessionOpener<Data>,
  options: HonoSessionOptions = {},
): HonoMiddleware {
  const { trustProxy } = mountSettings(sessions, options);
  const connectionOf = options.connection ?? defaultConnection(trustProxy);
  const open = ({ req, env }: HonoContext, connection: Connection): Promise<OpenedSession<Data>> => {
    const node = nodeOf(env);
    return openSession(sessions, node === null ? req.raw.headers : headersOf(node.incoming), connection, options);
  };
  return async (context, next) => {
    const request = context.req.raw;
    // Mounted twice: the first one does the work.
    const before = findOpened(request, sessions);
    if (before !== null) {
      await lockFound(before, options);
      endLockOnAbort(request, before, options);
      return next();
    }
    let opened: OpenedSession<Data>;
    try {
      opened = await open(context, connectionOf(context));
    } catch (error) {
      return answerFailure(error);
    }
    for (const carrying of [context, request]) attachSession(carrying, sessions, opened);
    endLockOnAbort(request, opened, options);
    context.set("session" as never, opened.session as never);
    const send = sender(context, opened);
    if (opened.csrfRefusal({ method: request.method }) === null) await next();
    else replaceResponse(context, answerFailure(new CsrfError("The request may have been sent by another site.")));
    // Hono has made an answer of what the handler threw.
    const { error } = context;
    if (isSymbolonError(error) && context.res.status === 500) replaceResponse(context, answerFailure(error));
    return send();
  };
}

/**
 * Sees to it that the response is saved before it is sent. On Node that is done by Node's response: to take the Web's apart
 * and make another of it costs more than the session.
 */
function sender(context: HonoContext, opened: OpenedSession<object>): () => Promise<void> {
  const response = nodeOf(context.env)?.outgoing;
  if (response === undefined) {
    return async () => {
      if (context.error !== undefined) opened.discard();
      replaceResponse(context, await sendSaved(context.res, opened));
    };
  }
  const isCut = watchDestroy(response);
  guardResponse(response, opened, {
    isFailed: () => isCut() || context.error !== undefined || response.statusCode >= 500,
    onCommitFailed: (error) => answerError(response, error, () => warn(error)),
  });
  return async () => undefined;
}

/** What `@hono/node-server` passes to the application. */
interface NodeEnvironment {
  readonly incoming: NodeRequest;
  readonly outgoing: NodeResponse;
}

function nodeOf(env: unknown): NodeEnvironment | null {
  const { incoming, outgoing } = (env ?? {}) as Partial<NodeEnvironment>;
  return incoming === undefined || outgoing === undefined ? null : { incoming, outgoing };
}

type Guards = MakeGuards<GuardOptions, HonoMiddleware>;
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

function guardedBy(guard: Guard, { sessions, onRefused }: GuardOptions = {}): HonoMiddleware {
  return async (context, next) => {
    const judgement = await judge(guard, context.req.method, context, sessions);
    if (judgement === null) return next();
    const { refusal, challenge } = judgement;
    if (onRefused !== undefined) return orFail(onRefused(context, refusal));
    const headers = {
      "Content-Type": "application/problem+json",
      ...(challenge !== null && { "WWW-Authenticate": challenge }),
    };
    return new Response(problemOf(refusal), { status: refusal.status, headers });
  };
}

/** Setting a response over another would keep the cookies of that, and lose those of this one. */
function replaceResponse(context: HonoContext, response: Response): void {
  context.res = undefined;
  context.res = response;
}

function defaultConnection(trustProxy: boolean | readonly string[]): (context: HonoContext) => Connection {
  const ofNode = connectionReader(trustProxy);
  return ({ env, req }) => {
    const node = nodeOf(env);
    return node === null ? connectionFromUrl(req.raw, trustProxy === true) : ofNode(node.incoming);
  };
}
