/** Binding for `node:http` and `node:http2` servers. */
import type { IncomingMessage, ServerResponse } from "node:http";
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
import { connectionReader, headersOf, type NodeRequest } from "./shared/node-request.ts";
import type { NodeHandler } from "./shared/node-guards.ts";
import { answerError, warn } from "./shared/answer-error.ts";
import { endLockOnClose, type GuardedResponse, guardResponse, type NodeResponse } from "./shared/node-response.ts";

export type { GuardCode, GuardRefusal, StampOf } from "../auth/guards.ts";
export { challengeOf, refusalOf, sessionOf } from "../http/index.ts";
export {
  type GuardOptions,
  type HandlerGuard,
  type NodeHandler,
  requireFresh,
  requireLogin,
  requirePending,
  requireRole,
  requireStamp,
} from "./shared/node-guards.ts";

/** Settings of the binding. */
export interface NodeSessionOptions<Request> extends OpenOptions {
  /** Told of every error a handler throws; by default it becomes a process warning. The client gets a bare 500. */
  readonly onError?: (error: unknown, request: Request) => void;
}

/**
 * Wraps a request handler: opens the session before it runs, and saves it before the response leaves.
 *
 * Plain data changes of a handler that throws, or answers 500 or above, are dropped. What is thrown becomes a 500; a
 * store that fails is answered 503.
 *
 * @example
 * createServer(withSession(sessions, (request, response, session) => {
 *   session.data.visits = (session.data.visits ?? 0) + 1;
 *   response.end(`Visit ${session.data.visits}`);
 * }));
 */
export function withSession<
  Data extends object,
  Request extends NodeRequest = IncomingMessage,
  Response extends NodeResponse = ServerResponse,
>(
  sessions: SessionOpener<Data>,
  handler: NodeHandler<Data, Request, Response>,
  options: NodeSessionOptions<Request> = {},
): (request: Request, response: Response) => Promise<void> {
  const connectionOf = connectionReader(mountSettings(sessions, options).trustProxy);
  const report = (error: unknown, request: Request): void => {
    try {
      (options.onError ?? warn)(error, request);
    } catch (thrown) {
      // The client waits for an answer all the same.
      warn(thrown);
    }
  };
  return async (request, response) => {
    const whenLocked = endLockOnClose(response, options);
    // Wrapped twice, or a listener that calls another: the first one does the work.
    const before = findOpened(request, sessions);
    if (before !== null) {
      await lockFound(before, options);
      whenLocked(before);
      return handler(request, response, before.session);
    }
    let isFailed = false;
    let guarded: GuardedResponse | null = null;
    try {
      const opened = await openSession(sessions, headersOf(request), connectionOf(request), options);
      attachSession(request, sessions, opened);
      whenLocked(opened);
      guarded = guardResponse(response, opened, {
        isFailed: () => isFailed || response.statusCode >= 500,
        onCommitFailed: (error) => answerError(response, error, () => report(error, request)),
      });
      refuseForgery(opened.csrfRefusal({ method: request.method ?? "GET" }));
      await handler(request, response, opened.session);
    } catch (error) {
      isFailed = true;
      // A handler that fails after it has answered: the answer stands.
      if (guarded?.isEnded() === true) report(error, request);
      else answerError(response, error, () => report(error, request));
    }
  };
}

/**
 * The session of a WebSocket handshake, for the `upgrade` event of a server; null when another site may have begun it
 * and then the socket has to be closed. There is no response: what would need a cookie throws.
 *
 * @example
 * server.on("upgrade", async (request, socket, head) => {
 *   const session = await sessionOfUpgrade(sessions, request);
 *   const userId = session?.userId ?? null;
 *   if (userId === null) return socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
 *   webSockets.handleUpgrade(request, socket, head, (ws) => greet(ws, userId));
 * });
 */
export async function sessionOfUpgrade<Data extends object>(
  sessions: SessionOpener<Data>,
  request: NodeRequest,
): Promise<Session<Data> | null> {
  const connectionOf = connectionReader(mountSettings(sessions).trustProxy);
  const opened = await openSession(sessions, headersOf(request), connectionOf(request), { cookies: false });
  const refusal = opened.csrfRefusal({ method: request.method ?? "GET" });
  // No cookie can be sent any more.
  opened.cookies();
  return refusal === null ? opened.session : null;
}

function refuseForgery(refusal: string | null): void {
  if (refusal !== null) throw new CsrfError("The request may have been sent by another site.");
}
