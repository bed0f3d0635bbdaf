/** Koa: koa-session as its readme says, and Symbolon. */
import Koa, { type Context } from "koa";
import koaSessionOf from "koa-session";
import type { RequestListener } from "node:http";
import { generateKey } from "symbolon";
import { koaSession as symbolon, sessionOf } from "symbolon/frameworks/koa";
import { type Candidate, type Hands, isPath, NO_SESSIONS, perform, type Place } from "./candidate.ts";
import { DAY_S, RedisJson } from "./redis.ts";
import { handsOn, makeSessions } from "./symbolon.ts";

function application(hands: Hands<Context>, mount?: (app: Koa) => void): RequestListener {
  const app = new Koa();
  app.proxy = true;
  app.keys = [generateKey()];
  mount?.(app);
  app.use(async (context) => {
    if (isPath(context.path)) context.body = await perform(context.path, hands, context);
  });
  const listener = app.callback();
  return (request, response) => void listener(request, response);
}

const PEER: Hands<Context> = {
  get: (context, name) => sessionIn(context)?.[name],
  set: (context, name, value) => void Object.assign(sessionIn(context) ?? {}, { [name]: value }),
  end: (context) => void Object.assign(context, { session: null }),
};

function sessionIn(context: Context): Record<string, unknown> | null {
  return context["session"] as Record<string, unknown> | null;
}

function koaSession(store: object | null): RequestListener {
  const options = { maxAge: DAY_S * 1000, httpOnly: true, secure: true, sameSite: "lax" };
  return application(PEER, (app) => {
    const middleware = koaSessionOf as unknown as (options: object, app: Koa) => Koa.Middleware;
    app.use(middleware(store === null ? options : { ...options, store }, app));
  });
}

/** Its readme has no store for memory; this is the simplest that keeps to the three methods. */
function memoryStore(): object {
  const sessions = new Map<string, unknown>();
  return {
    get: async (id: string) => sessions.get(id),
    set: async (id: string, session: unknown) => void sessions.set(id, session),
    destroy: async (id: string) => void sessions.delete(id),
  };
}

function own(place: Place): Candidate {
  return {
    library: "Symbolon",
    framework: "Koa",
    place,
    async start(redisUrl) {
      const sessions = await makeSessions(place, redisUrl);
      const hands = handsOn<Context>((context) => sessionOf(context, sessions));
      return application(hands, (app) => app.use(symbolon(sessions)));
    },
  };
}

const bare: Omit<Candidate, "library"> = {
  framework: "Koa",
  place: "nowhere",
  start: () => application(NO_SESSIONS),
};
const peer = { library: "koa-session", framework: "Koa" } as const;

export const KOA: readonly Candidate[] = [
  { ...bare, library: "bare" },
  { ...bare, library: "bare again" },
  own("memory"),
  { ...peer, place: "memory", variant: "a Map as its store", start: () => koaSession(memoryStore()) },
  own("Redis"),
  {
    ...peer,
    place: "Redis",
    variant: "a store written here",
    start: async (redisUrl) => koaSession(await RedisJson.connect(redisUrl)),
  },
  own("cookie"),
  { ...peer, place: "cookie", start: () => koaSession(null) },
];
