/** The contract's application on a Fetch handler: called directly, and behind a small adapter to sockets. */
import type http from "node:http";
import type { OpenOptions } from "symbolon";
import * as binding from "symbolon/frameworks/fetch";
import {
  ALL,
  exchangeOf,
  type Guarding,
  type GuardMakers,
  type Handler,
  type Opener,
  type Respond,
  type ServedOverSockets,
  type SocketTarget,
  type Target,
} from "./app.ts";
import { type Asking, collect, deferred, type Question } from "./client.ts";
import { type AnyRequest, type AnyResponse, serveHttp1 } from "./node-targets.ts";

export type FetchHandler = (request: Request) => Promise<Response>;

/** Answers once the handler has said what to; what it does later goes on beside the response. */
export async function answerOf(handler: Handler, request: Request, sessions: Opener): Promise<Response> {
  const response = deferred<Response>();
  let stream: ReadableStreamDefaultController<Uint8Array> | null = null;
  const respond: Respond = {
    send(status, body = null, headers = {}) {
      response.resolve(new Response(body, { status, headers }));
    },
    stream(headers = {}) {
      const room = roomKeeper();
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          stream = controller;
        },
        pull: () => room.open(),
        cancel: () => room.open(),
      });
      response.resolve(new Response(body, { headers }));
      return {
        async write(chunk) {
          stream?.enqueue(Buffer.from(chunk));
          if ((stream?.desiredSize ?? 1) <= 0) await room.wait();
        },
        end(chunk) {
          if (chunk !== undefined) stream?.enqueue(Buffer.from(chunk));
          stream?.close();
        },
      };
    },
  };
  const { pathname, search } = new URL(request.url);
  const exchange = exchangeOf(request, pathname + search, sessions, respond);
  const run = async (): Promise<void> => handler(exchange);
  run().catch((error: unknown) => {
    if (stream === null) response.reject(error);
    else stream.error(error);
  });
  return response.promise;
}

function roomKeeper(): { open(): void; wait(): Promise<void> } {
  let waiting = deferred();
  return {
    open() {
      waiting.resolve();
      waiting = deferred();
    },
    wait: () => waiting.promise,
  };
}

type SessionHandler = binding.FetchHandler<Record<string, unknown>, []>;

const GUARDS: GuardMakers<binding.GuardOptions, binding.HandlerGuard> = binding;

/** Puts a guard before a handler. */
function guarded(handler: SessionHandler, { choose, onRefused }: Guarding, sessions: Opener): SessionHandler {
  const options: binding.GuardOptions =
    onRefused === undefined
      ? {}
      : { onRefused: (request, refusal) => answerOf((exchange) => onRefused(refusal, exchange), request, sessions) };
  return choose(GUARDS, options)(handler);
}

function fetchHandler(
  managers: readonly [Opener, ...Opener[]],
  handler: Handler,
  guarding?: Guarding,
  options: readonly OpenOptions[] = [],
): FetchHandler {
  const [outermost, ...others] = managers;
  const answer: SessionHandler = (request) => answerOf(handler, request, outermost);
  let inner = guarding === undefined ? answer : guarded(answer, guarding, outermost);
  for (const [at, sessions] of [...others.entries()].toReversed()) {
    inner = binding.withSession(sessions, inner, options[at + 1]);
  }
  return binding.withSession(outermost, inner, options[0]);
}

/** Asks a Fetch handler without a socket. */
export function askDirectly(handler: FetchHandler, question: Question): Asking {
  const { path, method = "GET", body = null } = question;
  const abort = new AbortController();
  if (body instanceof Promise) throw new Error("Without a socket there is nothing to send a body over later.");
  const request = new Request(new URL(path, "http://app.example"), {
    method,
    body,
    headers: headersOf(question.headers),
  });
  const collector = collect(() => abort.abort());
  handler(request)
    .then(async (response) => {
      collector.setHead(response.status, response.headers);
      try {
        for await (const chunk of response.body ?? []) collector.add(chunk);
        collector.finish(false);
      } catch {
        collector.finish(true);
      }
    })
    .catch(() => {
      // What a platform makes of a handler that throws.
      collector.setHead(500, new Headers());
      collector.finish(false);
    });
  return collector;
}

export function headersOf(fields: Question["headers"] = {}): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) headers.append(name, one);
  }
  return headers;
}

/** Serves a Fetch handler on node:http, as adapters do. */
export function serveFetch(handler: FetchHandler): Promise<ServedOverSockets> {
  const reported: unknown[] = [];
  return serveHttp1((request, response) => {
    const leaving = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) leaving.abort();
    });
    handler(requestOf(request, leaving.signal)).then(
      (answer) => send(answer, response).catch(() => response.destroy()),
      (error: unknown) => {
        reported.push(error);
        response.statusCode = 500;
        response.end("Internal Server Error");
      },
    );
  }, reported);
}

function requestOf(message: AnyRequest, signal: AbortSignal): Request {
  const headers = headersOf(message.headers as Question["headers"]);
  const url = `http://${message.headers.host ?? "127.0.0.1"}${message.url ?? "/"}`;
  return new Request(url, { method: message.method ?? "GET", headers, signal });
}

async function send(answer: Response, response: AnyResponse): Promise<void> {
  response.statusCode = answer.status;
  answer.headers.forEach((value, name) => {
    if (name !== "set-cookie") response.setHeader(name, value);
  });
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) response.setHeader("Set-Cookie", cookies);
  const outgoing = response as http.ServerResponse;
  outgoing.flushHeaders();
  for await (const chunk of answer.body ?? []) {
    if (outgoing.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      outgoing.once("drain", resolve);
      outgoing.once("close", resolve);
    });
  }
  outgoing.end();
}

export const fetchOverSockets: SocketTarget = {
  name: "Fetch on node:http",
  abilities: ["http1", ...ALL],
  serve: (managers, handler, guarding, options) => serveFetch(fetchHandler(managers, handler, guarding, options)),
};

export const fetchDirectly: Target = {
  name: "Fetch",
  async serve(managers, handler, guarding, options) {
    const wrapped = fetchHandler(managers, handler, guarding, options);
    return { ask: (question) => askDirectly(wrapped, question), reported: [], async close() {} };
  },
};
