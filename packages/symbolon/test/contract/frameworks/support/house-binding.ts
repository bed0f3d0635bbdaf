/** A binding of one's own for a house framework, on what `symbolon` exports; `docs/frameworks.md` shows it. */
import { isSymbolonError, type OpenedSession, openSession, type SessionManager } from "symbolon";

/** What the house framework knows of a request, and what its handlers answer. */
export interface HouseRequest {
  readonly method: string;
  readonly headers: Headers;
  readonly isHttps: boolean;
}
export interface Reply {
  readonly status: number;
  readonly headers?: Headers;
  readonly body?: string | AsyncIterable<string | Uint8Array>;
}
export type HouseHandler = (request: HouseRequest, opened: OpenedSession<object>) => Reply | Promise<Reply>;

/** Opens the session before the handler, and saves it before the reply leaves. */
export function withSession(
  sessions: SessionManager,
  handler: HouseHandler,
): (request: HouseRequest) => Promise<Reply> {
  return async (request) => {
    try {
      const connection = { secure: request.isHttps, loopback: false };
      return await replyWith(await openSession(sessions, request.headers, connection), request, handler);
    } catch (error) {
      return failure(error);
    }
  };
}

export async function replyWith(
  opened: OpenedSession<object>,
  request: HouseRequest,
  handler: HouseHandler,
): Promise<Reply> {
  let reply: Reply = { status: 403, body: "Forbidden" };
  try {
    if (opened.csrfRefusal({ method: request.method }) === null) reply = await handler(request, opened);
    if (reply.status >= 500) opened.discard();
  } catch (error) {
    opened.discard();
    reply = failure(error);
  }
  try {
    return carrying(reply, opened, await opened.commit());
  } catch (error) {
    opened.discard();
    return carrying(failure(error), opened, opened.cookies());
  }
}

/** The reply with its cookies; no cache may keep what depends on the session. */
function carrying({ status, headers, body }: Reply, opened: OpenedSession<object>, cookies: readonly string[]): Reply {
  const all = new Headers(headers);
  for (const cookie of cookies) all.append("Set-Cookie", cookie);
  if (cookies.length > 0 || opened.isUsed) {
    all.set("Cache-Control", "private, no-store");
    all.append("Vary", opened.varyOn);
  }
  return { status, headers: all, body: typeof body === "object" ? savedAtEnd(body, opened) : (body ?? "") };
}

/** Whoever reads this to its end has a body that was saved; who gets an error must cut the connection. */
async function* savedAtEnd(body: AsyncIterable<string | Uint8Array>, opened: OpenedSession<object>) {
  yield* body;
  if (opened.needsLateCommit()) await opened.commitLate();
}

/** Errors of Symbolon know their status, and headers such as Retry-After; those of the store are events already. */
function failure(error: unknown): Reply {
  const known = isSymbolonError(error) ? error : null;
  if (known?.status !== 503) process.emitWarning(known ?? String(error));
  const headers = new Headers({ "Cache-Control": "no-store", ...known?.headers });
  return { status: known?.status ?? 500, headers, body: "Sorry" };
}
