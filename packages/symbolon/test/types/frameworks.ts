/** Compile-only: the bindings take the real types of every framework, and refuse misuse. */
/* oxlint-disable typescript/no-misused-promises -- a listener may answer with a promise: the binding settles it */
import express5, { type Request as ExpressRequest, type Response as ExpressResponse } from "express";
import express4 from "express4";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { createSessionManager, type Session } from "symbolon";
import type { GuardCode, GuardRefusal, StampOf } from "symbolon/auth/guards";
import * as onExpress from "symbolon/frameworks/express";
import { expressSession, refusalOf, requireLogin, sessionOf, type WithSession } from "symbolon/frameworks/express";
import * as onFetch from "symbolon/frameworks/fetch";
import { withSession as withFetchSession } from "symbolon/frameworks/fetch";
import * as onNode from "symbolon/frameworks/node";
import { sessionOfUpgrade, withSession } from "symbolon/frameworks/node";
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

const forFetch = (_request: ExpressRequest, _response: globalThis.Response): void => {};
const stampOf: StampOf = async (userId) => (userId === "" ? null : "stamp");

export function guardsExpress(): void {
  for (const makeApp of [express5, express4]) {
    const app = makeApp();
    app.get("/a", onExpress.requireLogin(), (request, response) => {
      response.send(sessionOf(request, sessions).userId);
    });
    app.use("/b", onExpress.requireRole("admin"), onExpress.requireRole(["admin", "owner"]));
    app.post("/c/:id", onExpress.requireFresh("5m"), onExpress.requireFresh(300_000), (request, response) => {
      const id: string | string[] = request.params.id;
      response.json(id);
    });
    app.route("/d").all(onExpress.requireStamp(stampOf)).get(onExpress.requirePending("second-factor"));
    app.use(express5.Router().use(onExpress.requireLogin({ sessions })));
    app.use(express4.Router().get("/", onExpress.requireLogin({ sessions: loose })));
    // The application's own request and response, with all that Express gives them.
    app.get("/e", onExpress.requireLogin({ onRefused }), onExpress.requirePending("second-factor", { onRefused }));
    app.use(
      onExpress.requireRole("admin", {
        sessions,
        onRefused: async (request, response, { status, code, title }) => {
          response.status(status).render("refused", { code, title, query: request.query });
        },
      }),
    );
  }
  const named = onExpress.requireLogin({
    onRefused: (request: ExpressRequest, response: ExpressResponse, refusal: GuardRefusal) => {
      const code: GuardCode = refusal.code;
      response.redirect(`/login?${code}${request.get("host")}`);
    },
  });
  express5().get("/", named);

  // @ts-expect-error a role is text
  onExpress.requireRole(1);
  // @ts-expect-error a duration is text or a number
  onExpress.requireFresh(true);
  // @ts-expect-error a stamp is text, or null
  onExpress.requireStamp(() => 1);
  // @ts-expect-error it has to be said which step
  onExpress.requirePending();
  // @ts-expect-error there is no such option
  onExpress.requireLogin({ onFailure: () => {} });
  // @ts-expect-error a manager is needed
  onExpress.requireLogin({ sessions: {} });
  // @ts-expect-error Express' response has no such method
  express5().use(onExpress.requireLogin({ onRefused: (_request, response) => response.redirectTo("/login") }));
  // @ts-expect-error another framework's response
  express5().use(onExpress.requireLogin({ onRefused: forFetch }));
}

export function guardsNode(): void {
  http.createServer(
    withSession(
      sessions,
      onNode.requireLogin()((request, response, session) => {
        const url: string | undefined = request.url;
        session.data.items.push(url ?? "");
        response.writeHead(200, { "X-A": "b" }).end(session.userId);
      }),
    ),
  );
  http.createServer(
    withSession(
      sessions,
      onNode.requireRole("admin", {
        onRefused: (request, response, refusal) => {
          response.writeHead(303, { Location: `/login?${request.url}&${refusal.code}` }).end();
        },
      })(onNode.requireFresh("5m")(onNode.requireStamp(stampOf)((_request, response) => void response.end()))),
    ),
  );
  const forHttp2 = onNode.requireRole<http2.Http2ServerRequest, http2.Http2ServerResponse>(["admin"], {
    onRefused: (request, response) => response.stream.respond({ ":status": 403, "x-authority": request.authority }),
  });
  http2.createServer(
    withSession(
      sessions,
      forHttp2((request, response, session) => {
        response.stream.respond({ ":status": 200 });
        response.end(`${request.authority}${session.state}`);
      }),
    ),
  );
  const server = http.createServer();
  server.on("upgrade", (request, socket) => {
    void sessionOfUpgrade(sessions, request).then((session) => {
      const items: string[] | undefined = session?.data.items;
      socket.end(items?.join());
    });
  });

  // @ts-expect-error a guarded handler needs the session, which only a binding gives it
  http.createServer(onNode.requireLogin()((_request, response) => void response.end()));
  // @ts-expect-error there is no such option
  onNode.requireLogin({ sessions });
  // @ts-expect-error the session may be refused
  void sessionOfUpgrade(sessions, new http.IncomingMessage(null as never)).then((session) => session.userId);
}

export function guardsFetch(): void {
  const guarded: (request: Request) => Promise<Response> = withFetchSession(
    sessions,
    onFetch.requireLogin()((_request, session) => new Response(session.data.items.join())),
  );
  // What a platform passes besides the request goes through guards, too.
  const withMore: (request: Request, env: { readonly region: string }) => Promise<Response> = withFetchSession(
    sessions,
    onFetch.requireRole("admin", {
      onRefused: (request, refusal) => Response.redirect(`${request.url}?${refusal.code}`, 303),
    })(
      onFetch.requireStamp(stampOf)(
        onFetch.requireFresh("5m")(async (_request, session, env: { readonly region: string }) =>
          Response.json([env.region, session.userId]),
        ),
      ),
    ),
  );
  void [guarded, withMore, onFetch.requirePending("second-factor")];

  // @ts-expect-error a refusal is answered with a Response
  onFetch.requireLogin({ onRefused: () => "text" });
  // @ts-expect-error a handler answers with a Response
  onFetch.requireLogin()(() => "text");
}
