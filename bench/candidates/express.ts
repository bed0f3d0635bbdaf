/** Express: express-session as its readme and connect-redis' say, cookie-session, and Symbolon. */
import { RedisStore } from "connect-redis";
import cookieSession from "cookie-session";
import express, { type Request, type RequestHandler } from "express";
import expressSession from "express-session";
import type { RequestListener } from "node:http";
import { generateKey } from "symbolon";
import { expressSession as symbolon, sessionOf } from "symbolon/frameworks/express";
import { type Candidate, type Hands, isPath, NO_SESSIONS, perform, type Place, ROUTES } from "./candidate.ts";
import { connectRedis } from "./redis.ts";
import { handsOn, makeSessions } from "./symbolon.ts";

type Peers = Request & { session: Record<string, unknown> | null };

const COOKIE = { httpOnly: true, secure: true, sameSite: "lax" };

function application(hands: Hands<Request>, ...middleware: readonly object[]): RequestListener {
  const app = express();
  app.set("trust proxy", 1);
  for (const one of middleware) app.use(one as RequestHandler);
  for (const [path, method] of Object.entries(ROUTES)) {
    if (!isPath(path)) continue;
    app[method === "GET" ? "get" : "post"](path, (request, response, next) => {
      const answer = perform(path, hands, request);
      if (typeof answer === "string") response.send(answer);
      else answer.then((text) => response.send(text), next);
    });
  }
  return app;
}

const ON_REQUEST: Hands<Request> = {
  get: (request, name) => (request as Peers).session?.[name],
  set: (request, name, value) => void Object.assign((request as Peers).session ?? {}, { [name]: value }),
  end: (request) => void Object.assign(request, { session: null }),
};

const EXPRESS_SESSION: Hands<Request> = {
  ...ON_REQUEST,
  begin: (request) => promised((done) => call(request, "regenerate", done)),
  end: (request) => promised((done) => call(request, "destroy", done)),
};

function call(request: Request, method: "regenerate" | "destroy", done: (error?: unknown) => void): void {
  const session = (request as Peers).session as Record<string, (done: (error?: unknown) => void) => void> | null;
  session?.[method]?.(done);
}

function promised(start: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === undefined || error === null ? resolve() : reject(error)));
  });
}

function expressSessionOn(store: object): RequestListener {
  const options = { secret: generateKey(), resave: false, saveUninitialized: false, store, cookie: COOKIE };
  return application(EXPRESS_SESSION, expressSession(options));
}

function own(place: Place, variant?: "server"): Candidate {
  return {
    library: "Symbolon",
    framework: "Express",
    place,
    ...(variant !== undefined && { variant: `seal: "${variant}"` }),
    async start(redisUrl) {
      const sessions = await makeSessions(place, redisUrl, variant === undefined ? {} : { seal: variant });
      return application(
        handsOn((request) => sessionOf(request, sessions)),
        symbolon(sessions),
      );
    },
  };
}

const bare: Omit<Candidate, "library"> = {
  framework: "Express",
  place: "nowhere",
  start: () => application(NO_SESSIONS),
};

export const EXPRESS: readonly Candidate[] = [
  { ...bare, library: "bare" },
  { ...bare, library: "bare again" },
  own("memory"),
  own("memory", "server"),
  {
    library: "express-session",
    framework: "Express",
    place: "memory",
    start: () => expressSessionOn(new expressSession.MemoryStore()),
  },
  own("Redis"),
  {
    library: "express-session",
    framework: "Express",
    place: "Redis",
    variant: "connect-redis",
    start: async (redisUrl) =>
      expressSessionOn(new RedisStore({ client: await connectRedis(redisUrl), prefix: `bench-${process.pid}:` })),
  },
  own("cookie"),
  {
    library: "cookie-session",
    framework: "Express",
    place: "cookie",
    start: () => application(ON_REQUEST, cookieSession({ name: "session", keys: [generateKey()], ...COOKIE })),
  },
];
