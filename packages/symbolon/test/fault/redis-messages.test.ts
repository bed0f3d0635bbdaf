import type { Redis } from "ioredis";
import type { InvalidationListener } from "symbolon";
import { redisStore } from "symbolon/stores/redis";
import { startRedisCluster, startRedisSentinel } from "symbolon-servers";
import { describe, expect, onTestFinished, test } from "vitest";
import { needsServer, serverUrls } from "../support/servers.ts";
import { lineTo } from "./redis-line.ts";
import { adminOf, call, newChange, newRecord, openOn, ownServer, reopen, until, untilAnswered } from "./redis-setup.ts";

const CLIENTS = ["ioredis", "iovalkey", "node-redis"] as const;

/** A listener that writes down what it hears. */
function ear(): InvalidationListener & { readonly heard: string[] } {
  const heard: string[] = [];
  return {
    heard,
    changed: (lookup) => void heard.push(lookup),
    released: (lock) => void heard.push(lock),
    lost: () => void heard.push("lost"),
    restored: () => void heard.push("restored"),
  };
}

async function connections(admin: Redis): Promise<number> {
  const list = String(await admin.call("CLIENT", "LIST"));
  return list.trim().split("\n").length;
}

needsServer("redis", () => {
  describe.each(CLIENTS)("redisStore over %s", (client) => {
    test("tells that the connection broke, and that it is mended, and then of writes again", async () => {
      const server = await ownServer();
      const { store } = await openOn(server.url, client);
      const listener = ear();
      await store.subscribe(listener, call());
      await adminOf(server).call("CLIENT", "KILL", "TYPE", "pubsub");
      await until("it is mended", () => listener.heard.includes("restored"));
      const record = newRecord();
      await store.create(record, call());
      await store.update(record, 1, newChange(), call());
      await until("the update is heard", () => listener.heard.length >= 3);
      expect(listener.heard).toEqual(["lost", "restored", record.lookup]);
    });

    test("notices within some seconds that a connection is dead which tells nothing", async () => {
      const line = await lineTo((await ownServer()).port);
      const { store } = await openOn(line.url, client);
      const listener = ear();
      await store.subscribe(listener, call());
      const since = performance.now();
      line.block();
      await until("it is lost", () => listener.heard.includes("lost"));
      expect(performance.now() - since).toBeLessThan(10_000);
      expect(listener.heard).toEqual(["lost"]);
    });

    test("opens its connection for the first listener, and ends it with the last, or when it is closed", async () => {
      const server = await ownServer();
      const admin = adminOf(server);
      const { store } = await openOn(server.url, client);
      await store.read(newRecord(), call());
      const before = await connections(admin);
      const stops = [await store.subscribe(ear(), call()), await store.subscribe(ear(), call())];
      await until("there is one more", async () => (await connections(admin)) === before + 1);
      await stops[0]?.();
      expect(await connections(admin)).toBe(before + 1);
      await stops[1]?.();
      await until("it is gone", async () => (await connections(admin)) === before);
      await store.subscribe(ear(), call());
      await store.close();
      await until("it is gone again", async () => (await connections(admin)) === before);
      await expect(store.subscribe(ear(), call())).rejects.toThrow("closed");
      expect(await store.read(newRecord(), call())).toBeNull();
    });

    test("says no when it cannot listen, and leaves nothing behind", async () => {
      const server = await ownServer();
      const { store } = await openOn(server.url, client);
      await server.kill();
      const answer: unknown = await Promise.resolve(store.subscribe(ear(), call())).catch((error: unknown) => error);
      expect(answer).toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
      await server.restart();
      const listener = ear();
      await store.subscribe(listener, call());
      expect(listener.heard).toEqual([]);
    });
  });

  /** Listeners of all clients on one group; what they heard, and whether all hear a write again. */
  async function earsOn(url: string) {
    const opened = await Promise.all(CLIENTS.map((client) => openOn(url, client)));
    const ears = opened.map(() => ear());
    for (const [index, { store }] of opened.entries()) await store.subscribe(ears[index]!, call());
    return {
      ears,
      channels: opened.map(({ where }) => `${where.options.prefix}messages`),
      allHearAgain: async (): Promise<void> => {
        for (const [index, { store }] of opened.entries()) {
          const record = newRecord();
          let version = 1;
          await untilAnswered(async () => store.create(record, call(AbortSignal.timeout(3000))));
          // Repeated: what is written before it is restored may not be told.
          await until("a write is heard", async () => {
            const answer = await store.update(record, version, newChange(), call(AbortSignal.timeout(3000)));
            if (answer === "updated") version++;
            return ears[index]!.heard.includes(record.lookup);
          });
          const turns = ears[index]!.heard.filter((word) => word === "lost" || word === "restored");
          expect(turns).toEqual(turns.map((_, turn) => (turn % 2 === 0 ? "lost" : "restored")));
          expect(turns.length % 2).toBe(0);
        }
      },
    };
  }

  test("tells of what a failover of Sentinel may have kept from the listener", async () => {
    const group = await startRedisSentinel();
    onTestFinished(() => group.stop());
    const { ears, allHearAgain } = await earsOn(group.url);
    await (await group.master()).kill();
    for (const { heard } of ears) await until("it is lost", () => heard.includes("lost"));
    for (const { heard } of ears) await until("it is restored", () => heard.includes("restored"));
    await allHearAgain();
  });

  test("tells of what a failover in a Cluster may have kept from the listener", async () => {
    const group = await startRedisCluster();
    onTestFinished(() => group.stop());
    const { ears, channels, allHearAgain } = await earsOn(group.url);
    const masters = await group.masters();
    const numbers = await Promise.all(
      masters.map(async (master) => (await adminOf(master).pubsub("NUMSUB", ...channels)) as (string | number)[]),
    );
    const killed = numbers.findIndex((counts) => counts.some((count) => count === 1));
    await masters[killed]?.kill();
    for (const [index, { heard }] of ears.entries()) {
      if (numbers[killed]?.[2 * index + 1] !== 1) continue;
      await until("it is lost", () => heard.includes("lost"));
      await until("it is restored", () => heard.includes("restored"));
    }
    await until("there is another master", async () => (await group.masters()).length === 3);
    await allHearAgain();
  });

  test("tells nothing where invalidations are off", async () => {
    const { store, where } = await openOn(serverUrls.redis ?? "");
    const listener = ear();
    await store.subscribe(listener, call());
    const client = adminOf({ port: Number(new URL(serverUrls.redis ?? "").port) });
    const silent = redisStore(client, { prefix: where.options.prefix ?? "" });
    expect("subscribe" in silent || "close" in silent).toBe(false);
    const [quiet, told] = [newRecord(), newRecord()];
    await store.create(quiet, call());
    await store.create(told, call());
    await silent.update(quiet, 1, newChange(), call());
    await store.update(told, 1, newChange(), call());
    await until("the other is heard", () => listener.heard.length > 0);
    expect(listener.heard).toEqual([told.lookup]);
  });

  test("tells the writes of one record in their order", async () => {
    const { store, where } = await openOn(serverUrls.redis ?? "");
    const other = await reopen(where);
    const listener = ear();
    await other.store.subscribe(listener, call());
    const record = newRecord();
    await store.create(record, call());
    for (let version = 1; version <= 20; version++) await store.update(record, version, newChange(), call());
    await store.delete(record, { reason: "logout", at: Date.now() }, call());
    await until("all are heard", () => listener.heard.length === 21);
    expect(new Set(listener.heard)).toEqual(new Set([record.lookup]));
  });
});
