/** The contract's application on node:http and node:http2. */
import http from "node:http";
import http2 from "node:http2";
import type { Duplex } from "node:stream";
import type { OpenOptions, Session } from "symbolon";
import * as binding from "symbolon/frameworks/node";
import {
  ALL,
  type BodyStream,
  exchangeOf,
  type Guarding,
  type GuardMakers,
  type Opener,
  refusedOf,
  type Respond,
  type ServedOverSockets,
  type SocketTarget,
} from "./app.ts";
import { closeServer, http1Client, http2Client, listen } from "./client.ts";

/** What is common to the responses of both. */
export type AnyResponse = http.ServerResponse | http2.Http2ServerResponse;
export type AnyRequest = http.IncomingMessage | http2.Http2ServerRequest;
export type Listener = (request: AnyRequest, response: AnyResponse) => void;
export type NodeHandler = (request: AnyRequest, response: AnyResponse, session: Session) => void | Promise<void>;

/** Serves a listener over HTTP/1.1. */
export async function serveHttp1(listener: Listener, reported: readonly unknown[] = []): Promise<ServedOverSockets> {
  const server = http.createServer(listener);
  const port = await listen(server);
  const client = http1Client(port);
  return {
    port,
    ask: (question) => client.ask(question),
    reported,
    async close() {
      client.close();
      await closeServer(server);
    },
  };
}

/** Serves a listener over HTTP/2 without TLS. */
export async function serveHttp2(listener: Listener, reported: readonly unknown[] = []): Promise<ServedOverSockets> {
  const server = http2.createServer(listener);
  const connections = new Set<Duplex>();
  server.on("connection", (connection: Duplex) => connections.add(connection));
  const port = await listen(server);
  const client = http2Client(port);
  return {
    port,
    ask: (question) => client.ask(question),
    reported,
    async close() {
      client.close();
      for (const connection of connections) connection.destroy();
      await closeServer(server);
    },
  };
}

/** The listener of one or several managers around a handler, the first one outermost. */
export function nodeListener(
  managers: readonly [Opener, ...Opener[]],
  handler: NodeHandler,
  onError: (error: unknown) => void,
  options: readonly OpenOptions[] = [],
): Listener {
  const [outermost, ...others] = managers;
  let inner = handler;
  for (const [at, sessions] of [...others.entries()].toReversed()) {
    inner = binding.withSession(sessions, inner, { onError, ...options[at + 1] });
  }
  const listener = binding.withSession(outermost, inner, { onError, ...options[0] });
  return (request, response) => void listener(request, response);
}

const GUARDS: GuardMakers<
  binding.GuardOptions<AnyRequest, AnyResponse>,
  binding.HandlerGuard<AnyRequest, AnyResponse>
> = binding;

/** Puts a guard before a handler. */
function guarded(handler: NodeHandler, { choose, onRefused }: Guarding, outermost: Opener): NodeHandler {
  const options: binding.GuardOptions<AnyRequest, AnyResponse> =
    onRefused === undefined
      ? {}
      : {
          onRefused: (request, response, refusal) =>
            onRefused(refusal, refusedOf(request, outermost, respondVia(response))),
        };
  return choose(GUARDS, options)(handler);
}

export function respondVia(response: AnyResponse): Respond {
  const setHeaders = (headers: Readonly<Record<string, string>>): void => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  };
  return {
    send(status, body, headers = {}) {
      response.statusCode = status;
      setHeaders(headers);
      if (typeof body === "string") response.end(body);
      else response.end();
    },
    stream(headers = {}) {
      setHeaders(headers);
      return bodyOf(response);
    },
  };
}

/** Streams as a careful program does: waits for `drain` when told to. */
function bodyOf(response: AnyResponse): BodyStream {
  return {
    async write(chunk) {
      if ((response as http.ServerResponse).write(chunk)) return;
      await new Promise<void>((resolve) => {
        response.once("drain", resolve);
        response.once("close", resolve);
      });
    },
    end(chunk) {
      if (chunk === undefined) response.end();
      else response.end(chunk);
    },
  };
}

function nodeTarget(name: string, protocol: "http1" | "http2", serveOver: typeof serveHttp1): SocketTarget {
  return {
    name,
    abilities: [protocol, ...ALL],
    serve(managers, handler, guarding, options) {
      const reported: unknown[] = [];
      const answer: NodeHandler = (request, response) =>
        handler(exchangeOf(request, request.url ?? "", managers[0], respondVia(response)));
      const inner = guarding === undefined ? answer : guarded(answer, guarding, managers[0]);
      const listener = nodeListener(managers, inner, (error) => reported.push(error), options);
      return serveOver(listener, reported);
    },
  };
}

export const node1: SocketTarget = nodeTarget("node:http", "http1", serveHttp1);
export const node2: SocketTarget = nodeTarget("node:http2", "http2", serveHttp2);
