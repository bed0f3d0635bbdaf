/** Symbolon as its own documentation sets it up; the same in every framework. */
import {
  createSessionManager,
  generateKey,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "symbolon";
import { sealedCookie } from "symbolon/sealed-cookie";
import { memoryStore } from "symbolon/stores/memory";
import { redisStore } from "symbolon/stores/redis";
import type { Data } from "../data.ts";
import type { Hands, Place } from "./candidate.ts";
import { connectRedis } from "./redis.ts";

export type Sessions = SessionManager<Data>;

/** Behind a proxy that speaks https, as all candidates are. */
export async function makeSessions(
  place: Place,
  redisUrl: string,
  options: Partial<SessionManagerOptions<Data>> = {},
): Promise<Sessions> {
  return createSessionManager<Data>({
    store: await makeStore(place, redisUrl),
    keys: [generateKey()],
    trustProxy: true,
    pruneEvery: false,
    ...options,
  });
}

async function makeStore(place: Place, redisUrl: string): Promise<SessionManagerOptions<Data>["store"]> {
  if (place === "Redis") return redisStore(await connectRedis(redisUrl), { prefix: `bench-${process.pid}:` });
  return place === "cookie" ? sealedCookie() : memoryStore();
}

/** What an application does with the session of a request. */
export function handsOn<Request>(sessionOf: (request: Request) => Session<Data>): Hands<Request> {
  return {
    begin: (request) => sessionOf(request).login("ada"),
    get: (request, name) => sessionOf(request).data[name as keyof Data],
    set: (request, name, value) => void Object.assign(sessionOf(request).data, { [name]: value }),
    end: (request) => sessionOf(request).logout(),
    update: (request, change) => sessionOf(request).update(change),
  };
}
