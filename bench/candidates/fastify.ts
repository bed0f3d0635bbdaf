/** Fastify: @fastify/session and @fastify/secure-session as their readmes say, and Symbolon. */
import fastifyCookie from "@fastify/cookie";
import fastifySecureSession from "@fastify/secure-session";
import fastifySession from "@fastify/session";
import { RedisStore } from "connect-redis";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { randomBytes } from "node:crypto";
import type { RequestListener } from "node:http";
import { generateKey } from "symbolon";
import { fastifySession as symbolon, sessionOf } from "symbolon/frameworks/fastify";
import { type Candidate, type Hands, isPath, NO_SESSIONS, perform, type Place, ROUTES } from "./candidate.ts";
import { connectRedis } from "./redis.ts";
import { handsOn, makeSessions } from "./symbolon.ts";

/** What both peers have. */
interface PeerSession {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  regenerate(): unknown;
  destroy?(): Promise<void>;
  delete?(): void;
}

const COOKIE = { path: "/", httpOnly: true, secure: true, sameSite: "lax" } as const;

async function application(
  hands: Hands<FastifyRequest>,
  mount?: (app: FastifyInstance) => unknown,
): Promise<RequestListener> {
  const app = fastify({ trustProxy: true });
  await mount?.(app);
  for (const [path, method] of Object.entries(ROUTES)) {
    if (isPath(path)) app.route({ method, url: path, handler: async (request) => perform(path, hands, request) });
  }
  await app.ready();
  return (request, response) => app.routing(request, response);
}

const PEER: Hands<FastifyRequest> = {
  begin: (request) => peer(request).regenerate(),
  get: (request, name) => peer(request).get(name),
  set: (request, name, value) => peer(request).set(name, value),
  end: (request) => peer(request).destroy?.() ?? peer(request).delete?.(),
};

function peer(request: FastifyRequest): PeerSession {
  return request.session;
}

async function fastifySessionOn(redisUrl: string | null, rolling: boolean): Promise<RequestListener> {
  const prefix = `bench-${process.pid}:`;
  const store = redisUrl === null ? {} : { store: new RedisStore({ client: await connectRedis(redisUrl), prefix }) };
  return application(PEER, async (app) => {
    await app.register(fastifyCookie);
    const options = { secret: generateKey(), saveUninitialized: false, rolling, cookie: COOKIE, ...store };
    await app.register(fastifySession, options as Parameters<typeof fastifySession>[1]);
  });
}

function own(place: Place): Candidate {
  return {
    library: "Symbolon",
    framework: "Fastify",
    place,
    async start(redisUrl) {
      const sessions = await makeSessions(place, redisUrl);
      const hands = handsOn<FastifyRequest>((request) => sessionOf(request, sessions));
      return application(hands, (app) => app.register(symbolon(sessions)));
    },
  };
}

const bare: Omit<Candidate, "library"> = {
  framework: "Fastify",
  place: "nowhere",
  start: () => application(NO_SESSIONS),
};
const session = { library: "@fastify/session", framework: "Fastify" } as const;

export const FASTIFY: readonly Candidate[] = [
  { ...bare, library: "bare" },
  { ...bare, library: "bare again" },
  own("memory"),
  { ...session, place: "memory", start: () => fastifySessionOn(null, true) },
  { ...session, place: "memory", variant: "rolling: false", start: () => fastifySessionOn(null, false) },
  own("Redis"),
  { ...session, place: "Redis", variant: "connect-redis", start: (url) => fastifySessionOn(url, true) },
  {
    ...session,
    place: "Redis",
    variant: "connect-redis, rolling: false",
    start: (url) => fastifySessionOn(url, false),
  },
  own("cookie"),
  {
    library: "@fastify/secure-session",
    framework: "Fastify",
    place: "cookie",
    start: () =>
      application(PEER, (app) => app.register(fastifySecureSession, { key: randomBytes(32), cookie: COOKIE })),
  },
];
