/** Binding for handlers of the Web's shape: `Request` in, `Response` out (Bun, Deno, service workers, Node adapters). */
import { CsrfError, isSymbolonError } from "../errors.ts";
import {
  attachSession,
  cacheControlFor,
  type Connection,
  findOpened,
  forwardedFor,
  lockFound,
  mountSettings,
  openSession,
  type OpenedSession,
  type OpenOptions,
  type SessionOpener,
  varyWith,
} from "../http/index.ts";
import type { FetchHandler } from "./shared/fetch-guards.ts";

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
      return failure(error);
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
    return send(response, opened);
  };
}

/** Lets the session's lock end once the client goes away: nothing may ever be answered then. */
function endLockOnAbort({ signal }: Request, opened: OpenedSession<object>, { lock }: OpenOptions): void {
  if (lock === undefined || lock === false) return;
  if (signal.aborted) opened.letLockEnd();
  else signal.addEventListener("abort", () => opened.letLockEnd(), { once: true });
}

async function answerThrown(
  error: unknown,
  request: Request,
  opened: OpenedSession<object>,
  options: FetchSessionOptions,
): Promise<Response> {
  if (options.onError !== undefined) return answerBy(options.onError, error, request, opened);
  if (isSymbolonError(error)) return failure(error);
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

async function send(response: Response, opened: OpenedSession<object>): Promise<Response> {
  if (response.status >= 500) opened.discard();
  let cookies: string[];
  try {
    cookies = await opened.commit();
  } catch (error) {
    // Its answer is not sent; a body somebody else reads cannot be cancelled here.
    await response.body?.cancel().catch(() => undefined);
    opened.discard();
    const kept = opened.cookies();
    return withCookies(failure(error), opened, kept);
  }
  return withCookies(response, opened, cookies);
}

function withCookies(response: Response, opened: OpenedSession<object>, cookies: readonly string[]): Response {
  // A copy, because the headers of a response that was fetched or redirected cannot be changed.
  const copy = new Response(response.body === null ? null : savedAtEnd(response.body, opened), response);
  for (const cookie of cookies) copy.headers.append("Set-Cookie", cookie);
  if (cookies.length > 0 || opened.isUsed) {
    copy.headers.set("Cache-Control", cacheControlFor(copy.headers.get("Cache-Control")));
    copy.headers.set("Vary", varyWith(copy.headers.get("Vary"), opened.varyOn));
  }
  return copy;
}

/** Passes a body through, and commits what changed meanwhile before it ends. Cheaper by far than a TransformStream. */
function savedAtEnd(body: ReadableStream<Uint8Array>, opened: OpenedSession<object>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        if (opened.needsLateCommit()) await opened.commitLate();
        return controller.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Failures of the store and refused requests are events of the manager; only others are reported. */
function failure(error: unknown): Response {
  if (!isSymbolonError(error)) throw error;
  const isExpected = error.status === 503 || error.code === "ERR_CSRF_REFUSED" || error.code === "ERR_SESSION_ENDED";
  if (!isExpected) warn(error);
  const headers = { "Cache-Control": "no-store", ...(error.status === 503 ? { "Retry-After": "5" } : {}) };
  return new Response(error.status === 503 ? "Service Unavailable" : "Error", { status: error.status, headers });
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), "SymbolonWarning");
}

function connectionFromUrl(request: Request, trustProxy: boolean): Connection {
  const { protocol, hostname } = new URL(request.url);
  const forwarded = trustProxy && request.headers.get("X-Forwarded-Proto") === "https";
  return {
    secure: protocol === "https:" || forwarded,
    loopback: hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname),
    ip: trustProxy ? forwardedFor(request.headers.get("X-Forwarded-For"), () => false) : null,
  };
}
