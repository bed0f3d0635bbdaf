/** Binding for handlers of the Web's shape: `Request` in, `Response` out (Bun, Deno, service workers, Node adapters). */
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
import type { FetchHandler } from "./shared/fetch-guards.ts";
import {
  answerFailure,
  connectionFromUrl,
  endLockOnAbort,
  sendSaved,
  warn,
  withCookies,
} from "./shared/fetch-response.ts";

export type { GuardCode, GuardRefusal, StampOf } from "../auth/guards.ts";
export { challengeOf, refusalOf, sessionOf } from "../http/index.ts";
export {
  type FetchHandler,
  type GuardOptions,
  type HandlerGuard,
  requireFresh,
  requireLogin,
  requirePending,
  requireRole,
  requireStamp,
} from "./shared/fetch-guards.ts";

/** Settings of the binding. */
export interface FetchSessionOptions extends OpenOptions {
  /** How the request came; by default from its URL, and from `X-Forwarded-Proto` and `-For` when `trustProxy` is true. */
  readonly connection?: (request: Request) => Connection;
  /** Answers what a handler throws; by default the error is thrown on, or a bare 500 when a cookie has to go out. */
  readonly onError?: (error: unknown, request: Request) => Response | Promise<Response>;
}

/**
 * Wraps a handler: opens the session before it runs, and saves it before the response is returned.
 *
 * A streamed body is saved again before its last byte; if that fails, the stream errors. Plain data changes of a
 * handler that throws, or answers 500 or above, are dropped. A store that fails is answered 503.
 *
 * @example
 * export default { fetch: withSession(sessions, async (request, session) => {
 *   session.data.visits = (session.data.visits ?? 0) + 1;
 *   return new Response(`Visit ${session.data.visits}`);
 * }) };
 */
export function withSession<Data extends object, Rest extends unknown[]>(
  sessions: SessionOpener<Data>,
  handler: FetchHandler<Data, Rest>,
  options: FetchSessionOptions = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  const { trustProxy } = mountSettings(sessions, options);
  const connectionOf = options.connection ?? ((request: Request) => connectionFromUrl(request, trustProxy === true));
  return async (request, ...rest) => {
    // Wrapped twice, or a handler that calls another: the first one does the work.
    const before = findOpened(request, sessions);
    if (before !== null) {
      await lockFound(before, options);
      endLockOnAbort(request, before, options);
      return handler(request, before.session, ...rest);
    }
    let opened: OpenedSession<Data>;
    try {
      opened = await openSession(sessions, request.headers, connectionOf(request), options);
    } catch (error) {
      return answerFailure(error);
    }
    attachSession(request, sessions, opened);
    endLockOnAbort(request, opened, options);
    let response: Response;
    try {
      if (opened.csrfRefusal({ method: request.method }) !== null) {
        throw new CsrfError("The request may have been sent by another site.");
      }
      response = await handler(request, opened.session, ...rest);
    } catch (error) {
      opened.discard();
      response = await answerThrown(error, request, opened, options);
    }
    return sendSaved(response, opened);
  };
}

async function answerThrown(
  error: unknown,
  request: Request,
  opened: OpenedSession<object>,
  options: FetchSessionOptions,
): Promise<Response> {
  if (options.onError !== undefined) return answerBy(options.onError, error, request, opened);
  if (isSymbolonError(error)) return answerFailure(error);
  // What was committed when called goes out even now (DESIGN 8.3): only then is there something to answer.
  const cookies = opened.cookies();
  if (cookies.length === 0) throw error;
  warn(error);
  return withCookies(new Response("Internal Server Error", { status: 500 }), opened, cookies);
}

async function answerBy(
  onError: NonNullable<FetchSessionOptions["onError"]>,
  error: unknown,
  request: Request,
  opened: OpenedSession<object>,
): Promise<Response> {
  try {
    return await onError(error, request);
  } catch (thrown) {
    // Whoever answers that has no part in the session, nor in its lock.
    opened.cookies();
    throw thrown;
  }
}
