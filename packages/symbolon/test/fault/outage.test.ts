/** What an application sees while its store's server is down or hangs, and that it goes on without a restart. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  createSessionManager,
  generateKey,
  type OpenedSession,
  openSession,
  type SessionManager,
  type Store,
} from "symbolon";
import { type Server, startMariadb, startMemcached, startPostgres, startRedis } from "symbolon-servers";
import { describe, expect, it, onTestFinished } from "vitest";
import { onePerServer } from "../support/every-variant.ts";
import { needsServer } from "../support/servers.ts";
import { storageFor } from "../support/targets.ts";

const STARTS = {
  redis: () => startRedis({ persistent: true }),
  postgres: () => startPostgres({ durable: true }),
  mariadb: () => startMariadb({ durable: true }),
  memcached: () => startMemcached(),
};
type Sessions = SessionManager<{ cart?: number }>;
type Name = keyof typeof STARTS;

const USER = "user-1";
const PATIENCE_MS = 30_000;

interface Stage {
  readonly server: Server;
  readonly sessions: Sessions;
  /** On the same store, with `onStoreFailure: 'anonymous'`. */
  readonly forStrangers: Sessions;
  readonly token: string;
}

async function stage(name: Name): Promise<Stage> {
  const server = await STARTS[name]();
  // Last of all: what was registered first is run last.
  onTestFinished(() => server.stop());
  const named = onePerServer.find(({ variant }) => variant.server === name);
  if (named === undefined) throw new Error(`No store is tested on ${name}.`);
  const storage = await storageFor(named.target, named.variant, server.url);
  const store: Store = await storage.open();
  const options = { store, keys: [generateKey()], storeTimeout: 1000, pruneEvery: false } as const;
  const sessions: Sessions = createSessionManager(options);
  const forStrangers: Sessions = createSessionManager({ ...options, onStoreFailure: "anonymous" });
  const { token } = await sessions.create({ userId: USER });
  return { server, sessions, forStrangers, token };
}

function request(sessions: Sessions, token: string): Promise<OpenedSession<{ cart?: number }>> {
  return openSession(sessions, new Headers({ cookie: `__Host-sid=${token}` }));
}

/** The reason why a token opens nothing, or its user; asked until the store works again. */
async function afterOutage(sessions: Sessions, token: string): Promise<string | null> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      const found = await sessions.inspect(token);
      return found.ok ? found.session.userId : found.reason;
    } catch (error) {
      if (performance.now() > until) throw error;
      await sleep(100);
    }
  }
}

async function expectDown({ sessions, forStrangers, token }: Stage): Promise<void> {
  await expect(request(sessions, token)).rejects.toMatchObject({ status: 503 });
  await expect(sessions.create({ userId: USER })).rejects.toMatchObject({ status: 503 });
  await expect(sessions.revokeToken(token)).rejects.toMatchObject({ status: 503 });
  const stranger = await request(forStrangers, token);
  expect(stranger.session.userId).toBeNull();
  expect(await stranger.commit()).toEqual([]);
  stranger.session.data["cart"] = 1;
  await expect(stranger.commit()).rejects.toMatchObject({ status: 503 });
  expect(stranger.cookies()).toEqual([]);
}

describe.each(Object.keys(STARTS) as Name[])("while its server is away, an application on %s", (name) => {
  needsServer(name, () => {
    it("lets nobody in and touches no cookie; when it is back, the same sessions open", async () => {
      const one = await stage(name);
      await one.server.kill();
      await expectDown(one);
      await one.server.restart();
      // Memcached keeps nothing: then there is no session, and nobody else's.
      expect(await afterOutage(one.sessions, one.token)).toBe(name === "memcached" ? "unknown" : USER);
      const { token } = await one.sessions.create({ userId: "user-2" });
      expect((await one.sessions.validate(token))?.userId).toBe("user-2");
    });

    it("answers late calls with a time-out, and serves the same sessions once it goes on", async () => {
      const one = await stage(name);
      await one.server.pause();
      try {
        await expect(request(one.sessions, one.token)).rejects.toMatchObject({ code: "ERR_STORE_TIMEOUT" });
        await expectDown(one);
      } finally {
        one.server.resume();
      }
      // What was revoked while nobody answered may have been revoked, or not; both are known from here on.
      const first = await afterOutage(one.sessions, one.token);
      expect([USER, "ended"]).toContain(first);
      const { token } = await one.sessions.create({ userId: "user-2" });
      expect((await one.sessions.validate(token))?.userId).toBe("user-2");
    });
  });
});
