/** Compile-only: the bindings take the real types of every framework, and refuse misuse. */
/* oxlint-disable typescript/no-misused-promises -- a listener may answer with a promise: the binding settles it */
import express5, { type Request as ExpressRequest, type Response as ExpressResponse } from "express";
import express4 from "express4";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { createSessionManager, type Session } from "symbolon";
import { expressSession, refusalOf, requireLogin, sessionOf, type WithSession } from "symbolon/frameworks/express";
import { withSession as withFetchSession } from "symbolon/frameworks/fetch";
import { withSession } from "symbolon/frameworks/node";
import { memoryStore } from "symbolon/stores/memory";

interface Cart {
  items: string[];
  note?: string;
}

const sessions = createSessionManager<Cart>({ store: memoryStore(), keys: [] });
const loose = createSessionManager({ store: memoryStore(), keys: [] });

export function acceptsNode(): void {
  // The types of request and response come from the server the listener is given to.
  http.createServer(
    withSession(sessions, (request, response, session) => {
      const url: string | undefined = request.url;
      session.data.items.push(url ?? "");
      response.writeHead(200, { "X-A": "b" }).end(session.id);
    }),
  );
  https.createServer(
    {},
    withSession(sessions, async (request, response) => {
      response.end(request.method);
    }),
  );
  http2.createServer(
    withSession(sessions, (request, response, session) => {
      response.stream.respond({ ":status": 200 });
      response.end(`${request.authority}${session.state}`);
    }),
  );
  http2.createSecureServer(
    {},
    withSession(loose, (_request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => {
      response.end();
    }),
  );
  withSession(sessions, (_request: http.IncomingMessage, response: http.ServerResponse) => void response.end(), {
    onError: (error: unknown, failed: http.IncomingMessage) => console.error(failed.url, error),
  });
  // One listener for HTTP/1.1 and HTTP/2.
  withSession(
    sessions,
    (
      request: http.IncomingMessage | http2.Http2ServerRequest,
      response: http.ServerResponse | http2.Http2ServerResponse,
    ) => void response.setHeader("X-Method", request.method ?? ""),
  );

  // @ts-expect-error there is no such option
  withSession(sessions, () => {}, { onFailure: () => {} });
  // @ts-expect-error a manager is needed
  withSession({}, () => {});
  // @ts-expect-error items are text
  withSession(sessions, (_request, _response, session) => void session.data.items.push(1));
  // @ts-expect-error the session has no such value
  withSession(sessions, (_request, _response, session) => void session.data.price);
}

const onRefused = (request: ExpressRequest, response: ExpressResponse): void => {
  response.redirect(303, `/login?to=${encodeURIComponent(request.originalUrl)}`);
};

export function acceptsExpress(): void {
  for (const express of [express5, express4]) {
    const app = express();
    app.use(expressSession(sessions));
    app.get("/", expressSession(loose), (request, response) => {
      const session: Session<Cart> = sessionOf(request, sessions);
      response.json(session.data.items);
    });
    app.use("/path", (request, response, next) => expressSession(sessions)(request, response, next));
    app.use(express5.Router().use(expressSession(sessions)));
    // Beside a guard a handler has the types it would have without.
    app.post("/items/:item", requireLogin(), (request, response) => {
      const item: string = request.params.item;
      response.json([item, request.body.count]);
    });
    app.use("/items", requireLogin({ sessions, onRefused }), express5.Router().use(requireLogin({ onRefused })));
  }
  const read = (request: ExpressRequest & WithSession<Cart>): unknown[] => [
    request.session.data.items.map((item) => item.length),
    sessionOf(request).data["anything"],
    refusalOf(request, sessions)?.reason ?? refusalOf(request)?.reason,
  ];
  void read;

  // @ts-expect-error the binding has no options: they belong to the manager
  expressSession(sessions, { secret: "x" });
  // @ts-expect-error a manager is needed
  expressSession({ secret: "x" });
  const wrong = (request: ExpressRequest): void => {
    // @ts-expect-error the note is text
    sessionOf(request, sessions).data.note = 1;
    // @ts-expect-error the user is whoever logged in
    sessionOf(request, sessions).userId = "eve";
    // @ts-expect-error another manager's data
    const other: Session<{ other: number }> = sessionOf(request, sessions);
    void other;
  };
  void wrong;
}

export function acceptsFetch(): void {
  const handler: (request: Request) => Promise<Response> = withFetchSession(
    sessions,
    (_request, session) => new Response(session.data.items.join()),
  );
  // What a platform passes besides the request is passed on.
  const withMore: (request: Request, env: { readonly region: string }, context: number) => Promise<Response> =
    withFetchSession(sessions, async (_request, _session, env: { readonly region: string }, context: number) =>
      Response.json([env.region, context]),
    );
  withFetchSession(sessions, () => Response.json({}), {
    connection: () => ({ secure: true, loopback: false }),
    onError: (error, request) => new Response(`${String(error)} ${request.url}`),
  });
  void [handler, withMore];

  // @ts-expect-error there is no such option
  withFetchSession(sessions, () => Response.json({}), { trustProxy: true });
  // @ts-expect-error a handler answers with a Response
  withFetchSession(sessions, () => "text");
  // @ts-expect-error a connection says both
  withFetchSession(sessions, () => Response.json({}), { connection: () => ({ secure: true }) });
}
