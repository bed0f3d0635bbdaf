/** Saved before sent, for responses of the Web's shape (DESIGN 8.3). */
import { isSymbolonError } from "../../errors.ts";
import {
  cacheControlFor,
  type Connection,
  forwardedFor,
  type OpenedSession,
  type OpenOptions,
  varyWith,
} from "../../http/index.ts";

/** The response as it may leave: saved, with its cookies; instead of one that cannot be saved, the answer of a failure. */
export async function sendSaved(response: Response, opened: OpenedSession<object>): Promise<Response> {
  if (response.status >= 500) opened.discard();
  let cookies: string[];
  try {
    cookies = await opened.commit();
  } catch (error) {
    // Its answer is not sent; a body somebody else reads cannot be cancelled here.
    await response.body?.cancel().catch(() => undefined);
    opened.discard();
    const kept = opened.cookies();
    return withCookies(answerFailure(error), opened, kept);
  }
  return withCookies(response, opened, cookies, savedAtEnd(response.body, opened));
}

/** A copy that carries cookies, and says that it depends on the session; `body` is sent instead of its own. */
export function withCookies(
  response: Response,
  opened: OpenedSession<object>,
  cookies: readonly string[],
  body: ReadableStream<Uint8Array> | null = response.body,
): Response {
  // A copy, because the headers of a response that was fetched or redirected cannot be changed.
  const copy = new Response(body, response);
  for (const cookie of cookies) copy.headers.append("Set-Cookie", cookie);
  if (cookies.length > 0 || opened.isUsed) {
    copy.headers.set("Cache-Control", cacheControlFor(copy.headers.get("Cache-Control")));
    copy.headers.set("Vary", varyWith(copy.headers.get("Vary"), opened.varyOn));
  }
  return copy;
}

/** Passes a body through, and commits what changed meanwhile before it ends. Cheaper by far than a TransformStream. */
function savedAtEnd(
  body: ReadableStream<Uint8Array> | null,
  opened: OpenedSession<object>,
): ReadableStream<Uint8Array> | null {
  if (body === null) return null;
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
export function answerFailure(error: unknown): Response {
  if (!isSymbolonError(error)) throw error;
  const isExpected = error.status === 503 || error.code === "ERR_CSRF_REFUSED" || error.code === "ERR_SESSION_ENDED";
  if (!isExpected) warn(error);
  const headers = { "Cache-Control": "no-store", ...error.headers };
  return new Response(error.status === 503 ? "Service Unavailable" : "Error", { status: error.status, headers });
}

/** Reports what nobody waits for. */
export function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), "SymbolonWarning");
}

/** How a request came, as far as its URL and headers say. */
export function connectionFromUrl(request: Request, trustProxy: boolean): Connection {
  const { protocol, hostname } = new URL(request.url);
  const forwarded = trustProxy && request.headers.get("X-Forwarded-Proto") === "https";
  return {
    secure: protocol === "https:" || forwarded,
    loopback: hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname),
    ip: trustProxy ? forwardedFor(request.headers.get("X-Forwarded-For"), () => false) : null,
  };
}

/** Lets the session's lock end once the client goes away: nothing may ever be answered then. */
export function endLockOnAbort(request: Request, opened: OpenedSession<object>, { lock }: OpenOptions): void {
  if (lock === undefined || lock === false) return;
  // Not before: a request makes its signal when it is asked for, and that costs more than a session.
  const { signal } = request;
  if (signal.aborted) opened.letLockEnd();
  else signal.addEventListener("abort", () => opened.letLockEnd(), { once: true });
}
