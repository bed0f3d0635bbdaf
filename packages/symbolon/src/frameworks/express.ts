/** Binding for Express 4 and 5. */
import {
  freshGuard,
  type Guard,
  type GuardRefusal,
  loginGuard,
  pendingGuard,
  roleGuard,
  type StampOf,
  stampGuard,
} from "../auth/guards.ts";
import type { Duration } from "../core/lifetime.ts";
import type { SessionManager } from "../core/manager.ts";
import type { Session } from "../core/session.ts";
import { CsrfError, isSymbolonError } from "../errors.ts";
import { attachSession, type Connection, findOpened, mountSettings, openSession, sessionOf } from "../http/index.ts";
import { answerRefusal } from "./shared/node-guard.ts";
import { connectionReader, headersOf, type NodeRequest } from "./shared/node-request.ts";
import { guardResponse, type NodeResponse } from "./shared/node-response.ts";

export type { GuardCode, GuardRefusal, StampOf } from "../auth/guards.ts";
export { refusalOf, sessionOf } from "../http/index.ts";

/** The part of Express' request that guards read. Not the body: beside a guard, handlers keep its type. */
export interface GuardedRequest extends NodeRequest {
  readonly method: string;
}

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
 * error with `status` 503, 409, 413 or 500, also when the handler had answered already: its answer is not sent.
 *
 * @example
 * app.use(expressSession(sessions));
 * app.get("/", (request, response) => {
 *   const { data } = sessionOf(request, sessions);
 *   response.send(`Hello ${data.name ?? "stranger"}`);
 * });
 */
export function expressSession<Data extends object>(
  sessions: SessionManager<Data>,
): (request: ExpressRequest, response: NodeResponse, next: (error?: unknown) => void) => void {
  const { trustProxy } = mountSettings(sessions);
  const connectionOf = connectionReader(trustProxy);
  return (request, response, next) => {
    // Mounted twice, or a router mounted in another: the first one does the work.
    if (findOpened(request, sessions) !== null) return next();
    const connection = new ExpressConnection(request, connectionOf(request), trustProxy !== false);
    openSession(sessions, headersOf(request), connection).then((opened) => {
      attachSession(request, sessions, opened);
      guardResponse(response, opened, {
        isFailed: () => response.statusCode >= 500,
        onCommitFailed: (error) => {
          response.statusCode = isSymbolonError(error) ? error.status : 500;
          next(error);
        },
      });
      Object.defineProperty(request, "session", { configurable: true, enumerable: true, get: () => opened.session });
      const formToken = formTokenOf(request.body);
      if (opened.csrfRefusal({ method: request.method, formToken }) === null) return next();
      next(new CsrfError("The request may have been sent by another site."));
    }, next);
  };
}

/** Settings of a guard. */
export interface GuardOptions<Request, Response> {
  /** Whose session to look at; needed where several managers are mounted. */
  readonly sessions?: SessionManager<never> | SessionManager<object>;
  /** Answers instead of the guard, as with a redirect to the login page. What it throws goes to the error handler. */
  readonly onRefused?: (request: Request, response: Response, refusal: GuardRefusal) => unknown;
}

/** Middleware that lets a request pass, or answers it. */
export type GuardMiddleware<Request, Response> = (
  request: Request,
  response: Response,
  next: (error?: unknown) => void,
) => void;

/**
 * Lets users through who are logged in. As every guard, it attaches to a route or router behind `expressSession`, lets
 * `OPTIONS` pass, and answers 401 or 403 with a problem document unless `onRefused` does.
 *
 * @example
 * app.get("/account", requireLogin(), (request, response) => response.send(sessionOf(request, sessions).userId));
 */
export function requireLogin<Request extends GuardedRequest, Response extends NodeResponse>(
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(loginGuard(), options);
}

/** Lets users through who have one of the roles. */
export function requireRole<Request extends GuardedRequest, Response extends NodeResponse>(
  roles: string | readonly string[],
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(roleGuard(roles), options);
}

/** Lets users through who proved who they are no longer ago than `age`; never those who are only remembered. */
export function requireFresh<Request extends GuardedRequest, Response extends NodeResponse>(
  age: Duration,
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(freshGuard(age), options);
}

/** Lets users through whose credentials have not changed since they logged in; ends the session of others. */
export function requireStamp<Request extends GuardedRequest, Response extends NodeResponse>(
  stampOf: StampOf,
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(stampGuard(stampOf), options);
}

/** Lets pending logins through that wait for this step, and nobody else. */
export function requirePending<Request extends GuardedRequest, Response extends NodeResponse>(
  awaiting: string,
  options?: GuardOptions<Request, Response>,
): GuardMiddleware<Request, Response> {
  return guardedBy(pendingGuard(awaiting), options);
}

function guardedBy<Request extends GuardedRequest, Response extends NodeResponse>(
  guard: Guard,
  options: GuardOptions<Request, Response> = {},
): GuardMiddleware<Request, Response> {
  const { sessions, onRefused = (_request, response, refusal) => answerRefusal(response, refusal) } = options;
  const judge = async (request: Request, response: Response): Promise<boolean> => {
    const refusal = await guard(sessionOf(request, sessions as SessionManager | undefined));
    if (refusal === null) return true;
    await onRefused(request, response, refusal);
    return false;
  };
  return (request, response, next) => {
    if (request.method === "OPTIONS") return next();
    judge(request, response).then(
      (passes) => {
        if (passes) next();
      },
      (thrown: unknown) => next(failureOf(thrown)),
    );
  };
}

/** What `next` takes for a failure, whatever was thrown: by nothing, and by these words, it lets pass. */
function failureOf(thrown: unknown): unknown {
  const wouldPass = !thrown || thrown === "route" || thrown === "router";
  return wouldPass ? new Error("A guard failed.", { cause: thrown }) : thrown;
}

function formTokenOf(body: unknown): unknown {
  return typeof body === "object" && body !== null && "_csrf" in body ? body._csrf : undefined;
}

/** Secure where either setting says so; the address by `trustProxy` where that is set, else by Express' own setting. */
class ExpressConnection implements Connection {
  readonly secure: boolean;
  readonly loopback: boolean;
  readonly #request: ExpressRequest;
  readonly #own: Connection;
  readonly #isOwn: boolean;

  constructor(request: ExpressRequest, own: Connection, isOwn: boolean) {
    this.secure = own.secure || request.secure;
    this.loopback = own.loopback;
    this.#request = request;
    this.#own = own;
    this.#isOwn = isOwn;
  }

  get ip(): string | null {
    return (this.#isOwn ? this.#own.ip : this.#request.ip) ?? null;
  }
}
