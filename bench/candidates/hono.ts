/** Hono on Node: hono-sessions as its readme says, and Symbolon. */
import { getRequestListener } from "@hono/node-server";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { CookieStore, MemoryStore, type Session, sessionMiddleware } from "hono-sessions";
import type { RequestListener } from "node:http";
import { generateKey } from "symbolon";
import { honoSession as symbolon, sessionOf } from "symbolon/frameworks/hono";
import { type Candidate, type Hands, isPath, NO_SESSIONS, perform, type Place, ROUTES } from "./candidate.ts";
import { DAY_S, RedisJson } from "./redis.ts";
import { handsOn, makeSessions } from "./symbolon.ts";

function application(hands: Hands<Context>, middleware?: MiddlewareHandler): RequestListener {
  const app = new Hono();
  if (middleware !== undefined) app.use("*", middleware);
  for (const [path, method] of Object.entries(ROUTES)) {
    if (isPath(path)) app.on(method, path, async (context) => context.text(await perform(path, hands, context)));
  }
  const listener = getRequestListener(app.fetch);
  return (request, response) => void listener(request, response);
}

const PEER: Hands<Context> = {
  get: (context, name) => sessionIn(context).get(name),
  set: (context, name, value) => sessionIn(context).set(name, value),
  end: (context) => sessionIn(context).deleteSession(),
};

function sessionIn(context: Context): Session<Record<string, unknown>> {
  return context.get("session") as Session<Record<string, unknown>>;
}

type Store = NonNullable<Parameters<typeof sessionMiddleware>[0]>["store"];

function honoSessions(store: Store, encryptionKey: string | null): RequestListener {
  const middleware = sessionMiddleware({
    store,
    ...(encryptionKey !== null && { encryptionKey }),
    expireAfterSeconds: DAY_S,
    cookieOptions: { sameSite: "Lax", path: "/", httpOnly: true, secure: true },
  });
  return application(PEER, middleware);
}

async function redisStore(url: string): Promise<Store> {
  const json = await RedisJson.connect(url);
  return {
    getSessionById: async (id?: string) => (id === undefined ? null : json.get(id)),
    createSession: (id: string, session: unknown) => json.set(id, session),
    persistSessionData: (id: string, session: unknown) => json.set(id, session),
    deleteSession: (id: string) => json.destroy(id),
  } as unknown as Store;
}

function own(place: Place): Candidate {
  return {
    library: "Symbolon",
    framework: "Hono",
    place,
    async start(redisUrl) {
      const sessions = await makeSessions(place, redisUrl);
      const hands = handsOn<Context>((context) => sessionOf(context, sessions));
      return application(hands, symbolon(sessions));
    },
  };
}

const bare: Omit<Candidate, "library"> = {
  framework: "Hono",
  place: "nowhere",
  start: () => application(NO_SESSIONS),
};
const peer = { library: "hono-sessions", framework: "Hono" } as const;

export const HONO: readonly Candidate[] = [
  { ...bare, library: "bare" },
  { ...bare, library: "bare again" },
  own("memory"),
  { ...peer, place: "memory", start: () => honoSessions(new MemoryStore(), null) },
  { ...peer, place: "memory", variant: "encrypted", start: () => honoSessions(new MemoryStore(), generateKey()) },
  own("Redis"),
  {
    ...peer,
    place: "Redis",
    variant: "a store written here",
    start: async (redisUrl) => honoSessions(await redisStore(redisUrl), null),
  },
  own("cookie"),
  { ...peer, place: "cookie", start: () => honoSessions(new CookieStore(), generateKey()) },
];
