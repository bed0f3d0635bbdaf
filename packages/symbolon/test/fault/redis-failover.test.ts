import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { RecordPage, Store, TenantIndex } from "symbolon";
import { startRedisCluster, startRedisSentinel } from "symbolon-servers";
import { describe, expect, onTestFinished, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { twoWorkers } from "../support/workers.ts";
import * as target from "../targets/redis.mjs";
import type { RedisVariant, RedisWhere } from "../targets/redis.mjs";
import { lineTo } from "./redis-line.ts";
import { adminOf, call, newChange, newRecord, openOn, ownServer, reopen, until } from "./redis-setup.ts";

const CLIENTS = ["ioredis", "iovalkey", "node-redis"] as const;

/** How long they work before and after what they had written was with the replicas. */
const WORK_MS = 750;

const SPACE = "space";
const EVERYBODY = { space: SPACE, tenant: null };

interface Logged {
  readonly space: string;
  readonly route: number;
  readonly lookup: string;
  readonly owner: string;
  readonly createdAt: number | null;
  readonly endedAt: number | null;
}

interface Report {
  readonly records: readonly Logged[];
  readonly wrong: readonly string[];
}

/** A failover, and what was acknowledged around it. */
interface Outcome {
  /** What was acknowledged before is with every replica. What came later may be lost with the master. */
  readonly replicatedAt: number;
  readonly replacedAt: number;
  /** By client. */
  readonly reports: ReadonlyMap<RedisWhere, readonly Report[]>;
}

/** Two processes of each client work while the master is replaced; what they then say. */
async function underLoad(
  url: string,
  server: RedisVariant["server"],
  masters: readonly Redis[],
  replace: () => Promise<unknown>,
): Promise<Outcome> {
  const wheres = CLIENTS.map((client) => target.prepare({ name: "", client, server }, url));
  const pairs = await Promise.all(wheres.map((where) => twoWorkers("redis-load.mjs", { where, space: SPACE })));
  const workers = pairs.flat();
  for (const { nextLine } of workers) expect(await nextLine()).toBe("working");
  await sleep(WORK_MS);
  const replicatedAt = Date.now();
  for (const master of masters) await untilReplicated(master);
  await sleep(WORK_MS);
  await replace();
  const replacedAt = Date.now();
  for (const { tell } of workers) tell("go on?");
  for (const { nextLine } of workers) expect(await nextLine()).toBe("going on");
  for (const { tell } of workers) tell("stop");
  const said = await Promise.all(workers.map(async ({ nextLine }) => JSON.parse(await nextLine()) as Report));
  const reports = new Map(wheres.map((where, index) => [where, said.slice(2 * index, 2 * index + 2)]));
  return { replicatedAt, replacedAt, reports };
}

/** Waits until what a master has written by now is with all of its replicas. */
async function untilReplicated(master: Redis): Promise<void> {
  const written = Number(/^master_repl_offset:(\d+)/m.exec(await master.info("replication"))?.[1]);
  await until("the replicas have heard of it", async () => {
    const heard = [...(await master.info("replication")).matchAll(/^slave\d+:.*,offset=(\d+)/gm)];
    return heard.length > 0 && heard.every(([, offset]) => Number(offset) >= written);
  });
}

/** What holds afterwards for every client, whatever was lost. */
async function expectSound(outcome: Outcome): Promise<void> {
  for (const [where, reports] of outcome.reports) {
    const { store } = await reopen({ ...where, client: "ioredis" });
    for (const { wrong } of reports) expect(wrong).toEqual([]);
    const live = await liveAmong(
      store,
      reports.flatMap(({ records }) => records),
      outcome,
    );
    // The index names what is live, and nothing else.
    expect(await store.countByTenant(EVERYBODY, call())).toBe(live.size);
    expect(await listed(store)).toEqual(live);
  }
}

/** The lookups of those that are live; each is its own user's, and what was written in time is as it was written. */
async function liveAmong(store: Store, records: readonly Logged[], outcome: Outcome): Promise<Set<string>> {
  const live = new Set<string>();
  const revived: string[] = [];
  const missing: string[] = [];
  for (const logged of records) {
    const found = await store.read(logged, call());
    const isLive = found !== null && "envelope" in found;
    if (isLive) {
      live.add(logged.lookup);
      expect([Buffer.from(found.envelope).toString(), found.owner]).toEqual([logged.owner, logged.owner]);
    }
    if (isLive && isKept(logged.endedAt, outcome)) revived.push(logged.lookup);
    if (found === null && isKept(logged.createdAt, outcome)) missing.push(logged.lookup);
  }
  expect([revived.length, missing.length]).toEqual([0, 0]);
  return live;
}

async function listed(store: TenantIndex): Promise<Set<string>> {
  const lookups = new Set<string>();
  for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
    const page: RecordPage = await store.listByTenant(EVERYBODY, { cursor, limit: 500 }, call());
    for (const { lookup } of page.records) lookups.add(lookup);
    cursor = page.cursor;
  }
  return lookups;
}

/** Whether what was acknowledged then cannot be among what the failover lost. */
function isKept(at: number | null, { replicatedAt, replacedAt }: Outcome): boolean {
  return at !== null && (at < replicatedAt || at > replacedAt);
}

needsServer("redis", () => {
  test("goes on after a Sentinel failover under load of two processes of each client", async () => {
    const group = await startRedisSentinel();
    onTestFinished(() => group.stop());
    const former = adminOf(await group.master());
    const sentinel = adminOf(group.sentinels[0]!);
    const outcome = await underLoad(group.url, "sentinel", [former], async () => {
      await sentinel.call("SENTINEL", "FAILOVER", group.masterName);
      // Until it is told, it takes writes that nobody will find.
      await until("the old master follows another", async () =>
        (await former.info("replication")).includes("role:slave"),
      );
    });
    await expectSound(outcome);
  });

  test("goes on when a Sentinel group's master is killed under load of two processes of each client", async () => {
    const group = await startRedisSentinel();
    onTestFinished(() => group.stop());
    const old = await group.master();
    const outcome = await underLoad(group.url, "sentinel", [adminOf(old)], async () => {
      await old.kill();
      await until("there is another master", async () => (await group.master()).port !== old.port);
    });
    await expectSound(outcome);
  });

  test("goes on when a Cluster's master is killed under load of two processes of each client", async () => {
    const group = await startRedisCluster();
    onTestFinished(() => group.stop());
    const masters = await group.masters();
    const [old] = masters;
    const outcome = await underLoad(group.url, "cluster", masters.map(adminOf), async () => {
      await old?.kill();
      await until("there is another master", async () => {
        const present = await group.masters();
        return present.length === 3 && !present.some(({ port }) => port === old?.port);
      });
    });
    await expectSound(outcome);
  });

  describe.each(CLIENTS)("redisStore over %s", (client) => {
    test("looks for the new master when the old one says that it is a replica now, within the same call", async () => {
      const [old, next] = [await ownServer(), await ownServer()];
      const admins = [adminOf(old), adminOf(next)];
      const line = await lineTo(old.port);
      const { store } = await openOn(line.url, client);
      const record = newRecord();
      await store.create(record, call());
      await admins[1]?.replicaof("127.0.0.1", old.port);
      await until(
        "it is copied",
        async () => (await admins[1]?.info("replication"))?.includes("link_status:up") === true,
      );
      await admins[1]?.replicaof("NO", "ONE");
      await admins[0]?.replicaof("127.0.0.1", next.port);
      line.leadTo(next.port);
      expect(await store.update(record, 1, newChange(), call())).toBe("updated");
      const { store: direct } = await openOn(next.url, client, { prefix: "other:" });
      expect(await direct.read(record, call())).toBeNull();
      expect(await store.read(record, call())).toMatchObject({ version: 2 });
    });

    test("stops trying when nobody waits any more for the answer of a server that is a replica", async () => {
      const server = await ownServer();
      const admin = adminOf(server);
      const { store } = await openOn(server.url, client);
      await store.create(newRecord(), call());
      await admin.replicaof("127.0.0.1", 1);
      const record = newRecord();
      const answer = store.create(record, call(AbortSignal.timeout(500)));
      await expect(answer).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
      await admin.replicaof("NO", "ONE");
      expect(await store.read(record, call())).toBeNull();
      expect(await store.create(record, call())).toBe("created");
    });
  });
});
