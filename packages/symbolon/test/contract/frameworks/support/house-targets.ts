/** The contract's application on the house framework, whose binding can be broken in one place. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { type OpenedSession, openSession, type SessionManager } from "symbolon";
import { freshGuard, type Guard, loginGuard, pendingGuard, roleGuard, stampGuard } from "symbolon/auth/guards";
import type { Exchange, FrameworkTarget, GuardMakers, Guarding, Handler, Respond } from "symbolon/testing";
import { closeServer, deferred, listen } from "./client.ts";
import { type HouseHandler, type HouseRequest, type Reply, replyWith, withSession } from "./house-binding.ts";
import { streamOf } from "./streams.ts";

/** One mistake of who wrote a binding. */
export interface Mistake {
  /** What the binding takes for the session that was opened. */
  readonly plant?: (opened: OpenedSession<object>) => Partial<OpenedSession<object>>;
  /** Takes every connection for https. */
  readonly believesHttp?: boolean;
  /** What stands in the place of a guard. */
  readonly guard?: (guard: Guard) => Guard;
  /** Ends the response when its body breaks off. */
  readonly endsWhole?: boolean;
  /** Lets `OPTIONS` be judged as all other methods. */
  readonly judgesOptions?: boolean;
}

export function houseTarget(name: string, mistake: Mistake | null = null): FrameworkTarget {
  return {
    name,
    abilities: ["http1", "streams", "guards"],
    async serve([sessions], handler, guarding) {
      const inner = guarding === undefined ? handling(handler) : guarded(handling(handler), guarding, mistake ?? {});
      const respond = mistake === null ? withSession(sessions, inner) : withMistake(sessions, inner, mistake);
      const server = createServer((incoming, response) => {
        respond(requestOf(incoming))
          .then((reply) => send(reply, response))
          .catch(() => (mistake?.endsWhole === true ? response.end() : response.destroy()));
      });
      return { port: await listen(server), reported: [], close: () => closeServer(server) };
    },
  };
}

function withMistake(
  sessions: SessionManager,
  handler: HouseHandler,
  { plant = () => ({}), believesHttp = false }: Mistake,
): (request: HouseRequest) => Promise<Reply> {
  return async (request) => {
    const secure = believesHttp || request.isHttps;
    const opened = await openSession(sessions, request.headers, { secure, loopback: false }).catch(() => null);
    if (opened === null) return { status: 503 };
    const planted = plant(opened);
    const broken = new Proxy(opened, {
      get(target, key) {
        const value: unknown = Reflect.get(key in planted ? planted : target, key);
        return typeof value === "function" ? value.bind(key in planted ? planted : target) : value;
      },
    });
    return replyWith(broken, request, handler);
  };
}

interface PathRequest extends HouseRequest {
  readonly path: string;
}

function requestOf({ method = "GET", url = "", headers }: IncomingMessage): PathRequest {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((one): [string, string] => [name, one]),
  );
  return { method, path: url, headers: new Headers(lines), isHttps: headers["x-forwarded-proto"] === "https" };
}

/** Replies once the handler has said what to; what it does later goes on beside the reply. */
async function replyOf(act: (respond: Respond) => void | Promise<void>): Promise<Reply> {
  const reply = deferred<Reply>();
  let stream: PassThrough | null = null;
  const respond: Respond = {
    send(status, body, headers) {
      reply.resolve({ status, headers: new Headers(headers), body: body ?? "" });
    },
    stream(headers) {
      stream = new PassThrough();
      reply.resolve({ status: 200, headers: new Headers(headers), body: stream });
      return streamOf(stream);
    },
  };
  const run = async (): Promise<void> => act(respond);
  run().catch((error: unknown) => {
    if (stream === null) reply.reject(error);
    else stream.destroy(error as Error);
  });
  return reply.promise;
}

function exchangeOf(opened: OpenedSession<object>, path: string, respond: Respond): Exchange {
  const session = opened.session as Exchange["session"];
  return {
    path,
    session,
    respond,
    get refusal() {
      return opened.refusal;
    },
    sessionOf: () => session,
  };
}

function handling(handler: Handler): HouseHandler {
  return (request, opened) => replyOf((respond) => handler(exchangeOf(opened, (request as PathRequest).path, respond)));
}

/** Guards of the house framework need no settings of their own. */
const GUARDS: GuardMakers<null, Guard> = {
  requireLogin: loginGuard,
  requireRole: (roles) => roleGuard(roles),
  requireFresh: (age) => freshGuard(age),
  requireStamp: (stampOf) => stampGuard(stampOf),
  requirePending: (awaiting) => pendingGuard(awaiting),
};

function guarded(
  handler: HouseHandler,
  { choose, onRefused }: Guarding,
  { guard: swap = (guard) => guard, judgesOptions = false }: Mistake,
): HouseHandler {
  const guard = swap(choose(GUARDS, null));
  return async (request, opened) => {
    const isPreflight = request.method === "OPTIONS" && !judgesOptions;
    const refusal = isPreflight ? null : await guard(opened.session);
    if (refusal === null) return handler(request, opened);
    if (onRefused !== undefined) {
      return replyOf((respond) => onRefused(refusal, exchangeOf(opened, "", respond)));
    }
    const challenge = opened.challenge(refusal);
    const headers = new Headers({ "Content-Type": "application/problem+json" });
    if (challenge !== null) headers.set("WWW-Authenticate", challenge);
    return { status: refusal.status, headers, body: JSON.stringify(refusal) };
  };
}

async function send({ status, headers = new Headers(), body = "" }: Reply, response: ServerResponse): Promise<void> {
  response.statusCode = status;
  response.setHeaders(headers);
  if (typeof body === "string") return void response.end(body);
  response.flushHeaders();
  for await (const chunk of body) {
    if (response.destroyed) return;
    if (response.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      response.once("drain", resolve);
      response.once("close", resolve);
    });
  }
  response.end();
}
