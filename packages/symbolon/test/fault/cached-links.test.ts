/** `cached` over real servers: it hears what other handles write, also after its link was cut. */
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { Pool } from "pg";
import { createSessionManager, generateKey, type SessionManager, type Store, type StoreWarning } from "symbolon";
import { type Server, startPostgres, startRedis } from "symbolon-servers";
import { cached, type CachedStore } from "symbolon/stores/cached";
import { describe, expect, it, onTestFinished } from "vitest";
import { everyVariant, type NamedVariant } from "../support/every-variant.ts";
import { needsServer } from "../support/servers.ts";
import { spied } from "../support/stores.ts";
import { storageFor, type Target } from "../support/targets.ts";

const USER = "user-1";
const PATIENCE_MS = 20_000;

/** So that nothing is known in time but by messages. */
const STALENESS = 3_600_000;

interface Stage {
  readonly here: SessionManager;
  readonly there: SessionManager;
  /** Reads that reached the server from here. */
  readonly reads: () => number;
  readonly warnings: StoreWarning[];
}

/** The same, with messages on. */
function telling({ target }: NamedVariant): Target {
  return {
    ...target,
    async prepare(variant, url) {
      const where = await target.prepare(variant, url);
      return { ...where, options: { ...(where["options"] as object), invalidations: true } };
    },
  };
}

async function stage(named: NamedVariant, url: string | null): Promise<Stage> {
  const storage = await storageFor(telling(named), named.variant, url);
  const { store, calls } = spied<Store>(await storage.open());
  const front: CachedStore = cached({ staleness: STALENESS }, store);
  onTestFinished(() => front.close());
  const warnings: StoreWarning[] = [];
  front.onWarning((warning) => warnings.push(warning));
  const keys = [generateKey()];
  const here = createSessionManager({ store: front, keys, pruneEvery: false });
  const there = createSessionManager({ store: await storage.open(), keys, pruneEvery: false });
  return { here, there, reads: () => calls.filter((method) => method === "read").length, warnings };
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const latest = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > latest) throw new Error("It did not come about in time.");
    await sleep(20);
  }
}

/** Until a session is answered from near. */
async function untilKept({ here, reads }: Stage, token: string): Promise<void> {
  await until(async () => {
    const before = reads();
    await here.validate(token);
    return reads() === before;
  });
}

const TELLING = everyVariant.filter(({ kind }) => kind === "redis" || kind === "postgres");

describe.each(TELLING.map((named) => ({ name: named.variant.name, named })))("cached over one $name", ({ named }) => {
  needsServer(named.variant.server as "redis", (url) => {
    it("answers without asking, until another handle writes", async () => {
      const one = await stage(named, url);
      const { token, id } = await one.there.create({ userId: USER });
      await untilKept(one, token);
      const before = one.reads();
      for (let round = 0; round < 50; round++) await one.here.validate(token);
      expect(one.reads()).toBe(before);
      await one.there.update(USER, id, { roles: ["editor"] });
      await until(async () => (await one.here.validate(token))?.roles.includes("editor") === true);
      await untilKept(one, token);
      await one.there.revokeAll(USER);
      await until(async () => (await one.here.validate(token)) === null);
      expect(one.warnings).toEqual([]);
    });
  });
});

interface Cut {
  readonly kind: string;
  readonly start: () => Promise<Server>;
  /** Cuts the connections that listen; answers how many. */
  readonly cut: (url: string) => Promise<number>;
}

const CUTS: readonly Cut[] = [
  {
    kind: "redis",
    start: () => startRedis(),
    async cut(url) {
      const client = new Redis(url);
      const killed = Number(await client.call("CLIENT", "KILL", "TYPE", "pubsub"));
      client.disconnect();
      return killed;
    },
  },
  {
    kind: "postgres",
    start: () => startPostgres(),
    async cut(url) {
      const pool = new Pool({ connectionString: url, max: 1 });
      const { rows } = await pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
      );
      await pool.end();
      return rows.length;
    },
  },
];

describe.each(
  CUTS.flatMap((cut) =>
    TELLING.filter(({ kind, variant }) => kind === cut.kind && variant.server === cut.kind).map((named) => ({
      name: named.variant.name,
      named,
      ...cut,
    })),
  ),
)("when the link of a $name is cut", ({ named, start, cut }) => {
  needsServer(named.variant.server as "redis", () => {
    it("nothing kept is used any more, what was written meanwhile is known, and it is kept again later", async () => {
      const server = await start();
      // Last of all: what was registered first is run last.
      onTestFinished(() => server.stop());
      const one = await stage(named, server.url);
      const tokens = await Promise.all([1, 2, 3].map(async () => (await one.there.create({ userId: USER })).token));
      for (const token of tokens) await untilKept(one, token);
      expect(await cut(server.url)).toBeGreaterThan(0);
      await until(async () => one.warnings.length > 0);
      // By whichever connection: the one that was cut may have been the other's, too.
      await until(async () =>
        one.there.revokeToken(tokens[0]!).then(
          () => true,
          () => false,
        ),
      );
      expect(await one.here.validate(tokens[0]!).catch(() => null)).toBeNull();
      expect(one.warnings).toMatchObject([{ code: "invalidations-lost" }]);
      await untilKept(one, tokens[1]!);
      await one.there.revokeToken(tokens[1]!);
      await until(async () => (await one.here.validate(tokens[1]!)) === null);
      expect((await one.here.validate(tokens[2]!))?.userId).toBe(USER);
    });
  });
});
