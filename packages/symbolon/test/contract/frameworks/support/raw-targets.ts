/** Frameworks whose response is Node's: what the contract says of the response object itself. */
import type http from "node:http";
import type { Request, Response } from "express";
import type { SessionManager } from "symbolon";
import { expressSession } from "symbolon/frameworks/express";
import type { Served } from "./app.ts";
import { catching, listenerOf, makeExpress4, makeExpress5 } from "./express-targets.ts";
import { type AnyRequest, nodeListener, serveHttp1, serveHttp2 } from "./node-targets.ts";

/** A handler of a plain Node response; http2's has the same methods. */
export type NodeHandler = (request: AnyRequest, response: http.ServerResponse) => unknown;

export interface NodeTarget {
  readonly name: string;
  readonly protocol: "http1" | "http2";
  serve(sessions: SessionManager, handler: NodeHandler): Promise<Served>;
}

function rawTarget(name: string, protocol: NodeTarget["protocol"]): NodeTarget {
  return {
    name,
    protocol,
    serve(sessions, handler) {
      const reported: unknown[] = [];
      const listener = nodeListener(
        [sessions],
        async (request, response) => {
          await handler(request, response as http.ServerResponse);
        },
        (error) => reported.push(error),
      );
      return protocol === "http1" ? serveHttp1(listener, reported) : serveHttp2(listener, reported);
    },
  };
}

function expressTarget(name: string, make: typeof makeExpress5): NodeTarget {
  return {
    name,
    protocol: "http1",
    serve(sessions, handler) {
      const app = make();
      app.use(expressSession(sessions));
      app.use(
        catching(async (request: Request, response: Response) => {
          await handler(request, response);
        }),
      );
      return serveHttp1(listenerOf(app));
    },
  };
}

export const NODE_TARGETS: readonly NodeTarget[] = [
  rawTarget("node:http", "http1"),
  rawTarget("node:http2", "http2"),
  expressTarget("Express 4", makeExpress4),
  expressTarget("Express 5", makeExpress5),
];
