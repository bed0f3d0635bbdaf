/** The contract's application on node:http and node:http2. */
import http from "node:http";
import http2 from "node:http2";
import type { Duplex } from "node:stream";
import type { SessionManager } from "symbolon";
import { sessionOf, withSession } from "symbolon/frameworks/node";
import type { BodyStream, Handler, Respond, Served, Target } from "./app.ts";
import { askHttp1, askHttp2, closeServer, listen } from "./client.ts";

/** What is common to the responses of both. */
export type AnyResponse = http.ServerResponse | http2.Http2ServerResponse;
export type AnyRequest = http.IncomingMessage | http2.Http2ServerRequest;
export type Listener = (request: AnyRequest, response: AnyResponse) => void;

/** Serves a listener over HTTP/1.1. */
export async function serveHttp1(listener: Listener, reported: readonly unknown[] = []): Promise<Served> {
  const server = http.createServer(listener);
  const port = await listen(server);
  const agent = new http.Agent({ keepAlive: true });
  return {
    ask: (question) => askHttp1(port, agent, question),
    reported,
    async close() {
      agent.destroy();
      await closeServer(server);
    },
  };
}

/** Serves a listener over HTTP/2 without TLS. */
export async function serveHttp2(listener: Listener, reported: readonly unknown[] = []): Promise<Served> {
  const server = http2.createServer(listener);
  const connections = new Set<Duplex>();
  server.on("connection", (connection: Duplex) => connections.add(connection));
  const port = await listen(server);
  const client = http2.connect(`http://127.0.0.1:${port}`);
  client.on("error", () => {});
  return {
    ask: (question) => askHttp2(client, question),
    reported,
    async close() {
      client.destroy();
      for (const connection of connections) connection.destroy();
      await closeServer(server);
    },
  };
}

/** The listener of one or several managers around a handler, the first one outermost. */
export function nodeListener(
  managers: readonly SessionManager[],
  handler: (request: AnyRequest, response: AnyResponse) => void | Promise<void>,
  onError: (error: unknown) => void,
): Listener {
  let listener = handler;
  for (const sessions of managers.toReversed()) {
    const inner = listener;
    listener = withSession(sessions, (request: AnyRequest, response: AnyResponse) => inner(request, response), {
      onError,
    });
  }
  return (request, response) => void listener(request, response);
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

function nodeTarget(name: string, serveOver: typeof serveHttp1): Target {
  return {
    name,
    serve(managers, handler: Handler) {
      const reported: unknown[] = [];
      const listener = nodeListener(
        managers,
        (request, response) =>
          handler({
            request,
            path: request.url ?? "",
            get session() {
              return sessionOf(request, managers[0]);
            },
            respond: respondVia(response),
          }),
        (error) => reported.push(error),
      );
      return serveOver(listener, reported);
    },
  };
}

export const node1: Target = nodeTarget("node:http", serveHttp1);
export const node2: Target = nodeTarget("node:http2", serveHttp2);
