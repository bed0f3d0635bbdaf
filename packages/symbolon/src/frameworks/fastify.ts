/** Binding for Fastify 5. */
import type { Guard } from "../auth/guards.ts";
import type { Session } from "../core/session.ts";
import { CsrfError } from "../errors.ts";
import {
  attachSession,
  findOpened,
  lockFound,
  mountSettings,
  openSession,
  type OpenedSession,
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

/** The part of Fastify's request that is read. `protocol` and `ip` follow the application's own `trustProxy` setting. */
export interface FastifyRequest {
  readonly raw: NodeRequest;
  readonly method: string;
  readonly protocol: string;
  readonly ip: string;
  readonly body?: unknown;
  readonly log: { error(error: unknown): void };
}

/** The part of Fastify's reply that is used. */
export interface FastifyReply {
  readonly raw: NodeResponse;
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(payload: Uint8Array): unknown;
}

/** The part of a Fastify instance that the plugin calls. */
export interface FastifyInstance {
  addHook(name: never, hook: never): unknown;
}

/** A request that the plugin has handled. */
export interface WithSession<Data extends object = Record<string, unknown>> {
  session: Session<Data>;
}

/** A plugin whose hooks hold for the instance that registers it, and not for a scope of its own. */
export type FastifyPlugin = (instance: FastifyInstance, options: unknown, done: (error?: Error) => void) => void;

/** What the plugin knows of a request of its own. */
interface Notes {
  readonly opened: OpenedSession<object>;
  isFailed: boolean;
}

/** A hook of a route, as `preHandler`. */
export type FastifyHook = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/** Settings of a guard. */
export type GuardOptions = AnyGuardOptions<readonly [request: FastifyRequest, reply: FastifyReply], unknown>;

/**
 * Plugin that opens the session as `request.session` and saves it before the response leaves.
 *
 * Plain data changes of a handler that throws, or answers 500 or above, are dropped. A store that cannot be read is an
 * error with `status` 503 for the error handler. When the response cannot be saved, it is too late for that: the client
 * gets a bare 503, 409, 413 or 500, and `request.log` the error.
 *
 * @example
 * await app.register(fastifySession(sessions));
 * app.get("/", async (request) => `Hello ${sessionOf(request, sessions).data.name ?? "stranger"}`);
 */
export function fastifySession<Data extends object>(
  sessions: SessionOpener<Data>,
  options: OpenOptions = {},
): FastifyPlugin {
  const { trustProxy } = mountSettings(sessions, options);
  const connectionOf = connectionReader(trustProxy);
  const notes = Symbol("symbolon.fastify");
  type Noted = FastifyRequest & { [notes]?: Notes };

  const open = async (request: Noted, reply: FastifyReply): Promise<void> => {
    const { raw } = request;
    const whenLocked = endLockOnClose(reply.raw, options);
    // Registered twice: the first one does the work.
    const before = findOpened(request, sessions);
    if (before !== null) {
      await lockFound(before, options);
      whenLocked(before);
      return;
    }
    const isHttps = request.protocol === "https";
    const connection = new FrameworkConnection(request, isHttps, connectionOf(raw), trustProxy !== false);
    const opened = await openSession(sessions, headersOf(raw), connection, options);
    const noted: Notes = { opened, isFailed: false };
    request[notes] = noted;
    for (const one of [request, raw]) attachSession(one, sessions, opened);
    whenLocked(opened);
    guardResponse(reply.raw, opened, {
      isFailed: () => noted.isFailed || reply.raw.statusCode >= 500,
      onCommitFailed: (error) => answerError(reply.raw, error, () => request.log.error(error)),
    });
    Object.defineProperty(request, "session", { configurable: true, enumerable: true, value: opened.session });
  };

  // The body has been read by now, and with it the form field `_csrf`.
  const refuseForgery = (request: Noted, _reply: FastifyReply, done: (error?: Error) => void): void => {
    const formToken = formTokenOf(request.body);
    const reason = request[notes]?.opened.csrfRefusal({ method: request.method, formToken }) ?? null;
    if (reason === null) done();
    else done(new CsrfError("The request may have been sent by another site."));
  };

  const noteFailure = async (request: Noted): Promise<void> => {
    if (request[notes] !== undefined) request[notes].isFailed = true;
  };

  const plugin: FastifyPlugin = (instance, _options, done) => {
    const addHook = instance.addHook.bind(instance) as (name: string, hook: unknown) => unknown;
    addHook("onRequest", open);
    addHook("preValidation", refuseForgery);
    addHook("onError", noteFailure);
    done();
  };
  return Object.assign(plugin, { [Symbol.for("skip-override")]: true });
}

type Guards = MakeGuards<GuardOptions, FastifyHook>;
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

function guardedBy(guard: Guard, { sessions, onRefused }: GuardOptions = {}): FastifyHook {
  return async (request, reply) => {
    const judgement = await judge(guard, request.method, request, sessions);
    if (judgement === null) return undefined;
    const { refusal, challenge } = judgement;
    if (onRefused !== undefined) {
      await orFail(onRefused([request, reply], refusal));
      return reply;
    }
    reply.code(refusal.status);
    reply.header("Content-Type", "application/problem+json");
    if (challenge !== null) reply.header("WWW-Authenticate", challenge);
    // As bytes, to which no charset is added.
    return reply.send(Buffer.from(problemOf(refusal)));
  };
}
