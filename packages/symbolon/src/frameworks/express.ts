/** Binding for Express 4 and 5. */
import type { Session } from "../core/session.ts";
import { CsrfError, isSymbolonError } from "../errors.ts";
import {
  attachSession,
  findOpened,
  lockFound,
  mountSettings,
  openSession,
  type OpenOptions,
  type SessionOpener,
} from "../http/index.ts";
import type { GuardedRequest } from "./shared/express-guards.ts";
import { formTokenOf, FrameworkConnection } from "./shared/framework-request.ts";
import { connectionReader, headersOf } from "./shared/node-request.ts";
import { endLockOnClose, guardResponse, type NodeResponse } from "./shared/node-response.ts";

export type { GuardCode, GuardRefusal, StampOf } from "../auth/guards.ts";
export { challengeOf, refusalOf, sessionOf } from "../http/index.ts";
export {
  type GuardedRequest,
  type GuardMiddleware,
  type GuardOptions,
  requireFresh,
  requireLogin,
  requirePending,
  requireRole,
  requireStamp,
} from "./shared/express-guards.ts";

/** The part of Express' request that is read. `secure` and `ip` follow the application's own `trust proxy` setting. */
export interface ExpressRequest extends GuardedRequest {
  readonly secure: boolean;
  readonly ip?: string | undefined;
  /** Read where a body parser is mounted before, for the form field `_csrf`. */
  readonly body?: unknown;
}

/** A request that the middleware has handled. */
export interface WithSession<Data extends object = Record<string, unknown>> {
  session: Session<Data>;
}

/**
 * Middleware that opens the session as `request.session` and saves it before the response leaves.
 *
 * Where the response's status is 500 or above, plain data changes are dropped. What fails is passed to `next`, as an
 * error with `status` 503, 409, 413 or 500, and 403 for what another site may have sent, also when the handler had answered already: its answer is not sent.
 *
 * @example
 * app.use(expressSession(sessions));
 * app.get("/", (request, response) => {
 *   const { data } = sessionOf(request, sessions);
 *   response.send(`Hello ${data.name ?? "stranger"}`);
 * });
 */
export function expressSession<Data extends object>(
  sessions: SessionOpener<Data>,
  options: OpenOptions = {},
): (request: ExpressRequest, response: NodeResponse, next: (error?: unknown) => void) => void {
  const { trustProxy } = mountSettings(sessions, options);
  const connectionOf = connectionReader(trustProxy);
  return (request, response, next) => {
    const whenLocked = endLockOnClose(response, options);
    // Mounted twice, or a router mounted in another: the first one does the work.
    const before = findOpened(request, sessions);
    if (before !== null) {
      lockFound(before, options).then(() => {
        whenLocked(before);
        next();
      }, next);
      return;
    }
    const connection = new FrameworkConnection(request, request.secure, connectionOf(request), trustProxy !== false);
    openSession(sessions, headersOf(request), connection, options).then((opened) => {
      attachSession(request, sessions, opened);
      whenLocked(opened);
      guardResponse(response, opened, {
        isFailed: () => response.statusCode >= 500,
        onCommitFailed: (error) => {
          response.statusCode = isSymbolonError(error) ? error.status : 500;
          next(error);
        },
      });
      Object.defineProperty(request, "session", { configurable: true, enumerable: true, value: opened.session });
      const formToken = formTokenOf(request.body);
      if (opened.csrfRefusal({ method: request.method, formToken }) === null) next();
      else next(new CsrfError("The request may have been sent by another site."));
    }, next);
  };
}
