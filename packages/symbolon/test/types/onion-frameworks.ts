/** Compile-only: the bindings of Koa, Hono and Fastify take the real types of their frameworks, and refuse misuse. */
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { type Context, Hono } from "hono";
import Koa from "koa";
import { createSessionManager, type Session } from "symbolon";
import type { StampOf } from "symbolon/auth/guards";
import * as onFastify from "symbolon/frameworks/fastify";
import * as onHono from "symbolon/frameworks/hono";
import * as onKoa from "symbolon/frameworks/koa";
import { memoryStore } from "symbolon/stores/memory";

interface Cart {
  items: string[];
}

const sessions = createSessionManager<Cart>({ store: memoryStore(), keys: [] });
const loose = createSessionManager({ store: memoryStore(), keys: [] });
const stampOf: StampOf = async (userId) => (userId === "" ? null : "stamp");

export const readsOnKoa = (context: Koa.Context & onKoa.WithSession<Cart>): string[] => context.session.data.items;

export const readsOnFastify = (request: FastifyRequest & onFastify.WithSession<Cart>, reply: FastifyReply): unknown =>
  reply.send(request.session.data.items);

export function acceptsKoa(): void {
  const app = new Koa();
  app.use(onKoa.koaSession(sessions));
  app.use(onKoa.koaSession(loose, { lock: true }));
  app.use(onKoa.requireLogin());
  app.use(onKoa.requireRole(["admin"], { sessions, onRefused: (context) => void (context.status = 404) }));
  app.use(onKoa.requireStamp(stampOf));
  app.use((context) => {
    const session: Session<Cart> = onKoa.sessionOf(context, sessions);
    context.body = session.data.items.map((item) => item.length);
    context.set("X-Id", onKoa.sessionOf(context.req, loose).id ?? "");
  });

  // @ts-expect-error the binding has no such option
  onKoa.koaSession(sessions, { key: "x" });
  // @ts-expect-error a manager is needed
  onKoa.koaSession({});
  // @ts-expect-error a duration is text or a number
  onKoa.requireFresh(true);
}

export function acceptsHono(): void {
  const app = new Hono<{ Variables: onHono.SessionVariables<Cart> }>();
  app.use(onHono.honoSession(sessions));
  app.use("/api/*", onHono.honoSession(sessions, { connection: () => ({ secure: true, loopback: false }) }));
  app.get("/", onHono.requireLogin(), (c) => {
    const items: string[] = c.get("session").data.items;
    return c.json([items, c.var.session.userId, onHono.sessionOf(c, sessions).data.items]);
  });
  app.get("/b", onHono.requirePending("second-factor", { onRefused: (c) => Response.redirect(c.req.raw.url, 303) }));
  app.get("/c", (c: Context) => c.text(String(onHono.sessionOf(c.req.raw, loose).data["anything"])));

  // @ts-expect-error the session has no such value
  app.get("/d", (c) => c.text(c.get("session").data.price));
  // @ts-expect-error a handler of Hono answers with a Response
  onHono.requireLogin({ onRefused: () => "no" });
}

export async function acceptsFastify(): Promise<void> {
  const app = fastify();
  await app.register(onFastify.fastifySession(sessions));
  app.get("/", { preHandler: onFastify.requireLogin() }, (request) => {
    const session: Session<Cart> = onFastify.sessionOf(request, sessions);
    return session.data.items;
  });
  app.get("/a", { preHandler: [onFastify.requireRole("admin"), onFastify.requireFresh("5m")] }, () => "b");
  app.get<{ Params: { id: string } }>("/c/:id", { preHandler: onFastify.requireStamp(stampOf) }, (request) => {
    const id: string = request.params.id;
    return [id, onFastify.sessionOf(request.raw, loose).userId];
  });
  app.addHook("preHandler", onFastify.requireLogin({ onRefused: ([, reply]) => reply.code(404) }));

  // @ts-expect-error the plugin has no such option
  onFastify.fastifySession(sessions, { secret: "x" });
  // @ts-expect-error a manager is needed
  onFastify.fastifySession({ sessions: 1 });
}
