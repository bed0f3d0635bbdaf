/** Binding for `node:http` and `node:http2` servers. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SessionManager } from "../core/manager.ts";
import type { Session } from "../core/session.ts";
import { isSymbolonError } from "../errors.ts";
import { attachSession, findOpened, mountSettings, openSession } from "../http/index.ts";
import { connectionReader, headersOf, type NodeRequest } from "./shared/node-request.ts";
import { clearAnswer, type GuardedResponse, guardResponse, type NodeResponse } from "./shared/node-response.ts";

export { refusalOf, sessionOf } from "../http/index.ts";

/** Settings of the binding. */
export interface NodeSessionOptions<Request> {
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
  sessions: SessionManager<Data>,
  handler: (request: Request, response: Response, session: Session<Data>) => void | Promise<void>,
  options: NodeSessionOptions<Request> = {},
): (request: Request, response: Response) => Promise<void> {
  const connectionOf = connectionReader(mountSettings(sessions).trustProxy);
  const report = (error: unknown, request: Request): void => {
    try {
      (options.onError ?? warn)(error, request);
    } catch (thrown) {
      // The client waits for an answer all the same.
      warn(thrown);
    }
  };
  return async (request, response) => {
    // Wrapped twice, or a listener that calls another: the first one does the work.
    const before = findOpened(request, sessions);
    if (before !== null) return handler(request, response, before.session);
    let isFailed = false;
    let guarded: GuardedResponse | null = null;
    try {
      const opened = await openSession(sessions, headersOf(request), connectionOf(request));
      attachSession(request, sessions, opened);
      guarded = guardResponse(response, opened, {
        isFailed: () => isFailed || response.statusCode >= 500,
        onCommitFailed: (error) => answerError(response, error, () => report(error, request)),
      });
      await handler(request, response, opened.session);
    } catch (error) {
      isFailed = true;
      // A handler that fails after it has answered: the answer stands.
      if (guarded?.isEnded === true) report(error, request);
      else answerError(response, error, () => report(error, request));
    }
  };
}

/** The store's failures are events of the manager; only others are reported. */
function answerError(response: NodeResponse, error: unknown, report: () => void): void {
  const status = isSymbolonError(error) ? error.status : 500;
  if (status !== 503) report();
  if (response.headersSent) {
    response.destroy(error instanceof Error ? error : new Error("The handler failed."));
    return;
  }
  clearAnswer(response);
  response.statusCode = status;
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Cache-Control", "no-store");
  if (status === 503) response.setHeader("Retry-After", "5");
  (response.end as (text: string) => unknown)(STATUS_TEXT[status] ?? "Internal Server Error");
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  409: "Conflict",
  413: "Content Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), "SymbolonWarning");
}
