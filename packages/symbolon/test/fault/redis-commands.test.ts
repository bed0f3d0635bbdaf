import type { AdmissionRules } from "symbolon";
import { createClient, createCluster, createSentinel } from "redis";
import { redisStore } from "symbolon/stores/redis";
import { parseGroupUrl, startRedisCluster, startRedisSentinel } from "symbolon-servers";
import { expect, onTestFinished, test, vi } from "vitest";
import { needsServer } from "../support/servers.ts";
import { adminOf, call, newChange, newRecord, openOn, ownServer } from "./redis-setup.ts";

const CLIENTS = ["ioredis", "iovalkey", "node-redis"] as const;
const RULES: AdmissionRules = { perOwner: 3, total: null, onLimit: "evict-oldest", replacing: null };

/** A store whose first request is over, and what its server did for one piece of work: commands, and how often. */
async function counted() {
  const server = await ownServer();
  const { store } = await openOn(server.url, "ioredis", { invalidations: false });
  const watcher = adminOf(server);
  const record = newRecord({ data: Buffer.from("data") });
  // Each script is known to the server from its first run on.
  const first = newRecord();
  await store.create(first, call());
  await store.update(first, 1, newChange(), call());
  await store.admit(newRecord(), { ...RULES, replacing: first.lookup }, call());
  await store.delete(first, { reason: "logout", at: Date.now() }, call());
  await store.countByOwner(first, call());
  await store.acquireLock({ ...first, lock: "lock" }, "ann", 1000, call());
  return {
    store,
    record,
    commandsOf: async (work: () => unknown): Promise<Record<string, number>> => {
      await watcher.config("RESETSTAT");
      await work();
      const lines = (await watcher.info("commandstats")).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
      const counts = [...lines].map(([, name = "", calls]) => [name, Number(calls)] as const);
      return Object.fromEntries(counts.filter(([name]) => !["config|resetstat", "info"].includes(name)));
    },
  };
}

needsServer("redis", () => {
  test("a read is one GET and nothing else, of a record, of its end and of nothing", async () => {
    const { store, record, commandsOf } = await counted();
    await store.create(record, call());
    expect(await commandsOf(() => store.read(record, call()))).toEqual({ get: 1 });
    expect(await commandsOf(() => store.read(newRecord(), call()))).toEqual({ get: 1 });
    await store.delete(record, { reason: "logout", at: Date.now() }, call());
    expect(await commandsOf(() => store.read(record, call()))).toEqual({ get: 1 });
  });

  test.each([
    ["no limit of the client's own, where the application has set none", {}, 0],
    ["the limit that the application has set", { commandOptions: { timeout: 4000 } }, undefined],
  ])("a read through node-redis has %s", async (_what, settings, expected) => {
    const { url } = await ownServer();
    const client = createClient({ url, ...settings });
    await client.connect();
    onTestFinished(() => client.destroy());
    const sent = vi.spyOn(client, "sendCommand");
    const store = redisStore(client);
    expect(await store.read(newRecord(), call())).toBe(null);
    const read = sent.mock.calls.findLast(([[name]]) => name === "GET");
    expect(read?.[1]).toMatchObject({ typeMapping: { 36: Buffer } });
    expect(read?.[1]?.timeout).toBe(expected);
  });

  test("a write is one script that the server knows already", async () => {
    const { store, record, commandsOf } = await counted();
    const writes: (() => unknown)[] = [
      () => store.create(record, call()),
      () => store.update(record, 1, newChange(), call()),
      () => store.acquireLock({ ...record, lock: "lock" }, "ann", 60_000, call()),
      () => store.updateUnderLock(record, 2, newChange(), { lock: "lock", holder: "ann" }, call()),
      () => store.updateUnderLock(record, 3, newChange(), { lock: "lock", holder: "bob" }, call()),
      () => store.admit(newRecord(), RULES, call()),
      () =>
        store.admit(
          newRecord({ ...record, lookup: newRecord().lookup }),
          { ...RULES, replacing: record.lookup },
          call(),
        ),
      () => store.delete(record, { reason: "logout", at: Date.now() }, call()),
      () => store.countByOwner(record, call()),
    ];
    for (const write of writes) {
      const { evalsha, eval: withText = 0, script = 0 } = await commandsOf(write);
      expect([evalsha, withText, script]).toEqual([1, 0, 0]);
    }
  });

  test("what an update does inside does not grow with the user's records", async () => {
    const { store, record, commandsOf } = await counted();
    await store.create(record, call());
    const alone = await commandsOf(() => store.update(record, 1, newChange(), call()));
    for (let more = 0; more < 50; more++)
      await store.create(newRecord({ ...record, lookup: newRecord().lookup }), call());
    expect(await commandsOf(() => store.update(record, 2, newChange(), call()))).toEqual(alone);
  });

  test("at the limit of a user a second script is told which records give way", async () => {
    const { store, record, commandsOf } = await counted();
    const others = [1, 2, 3].map((second) =>
      newRecord({ ...record, lookup: newRecord().lookup, createdAt: record.createdAt + second }),
    );
    for (const other of others) await store.create(other, call());
    expect(await commandsOf(() => store.admit(record, RULES, call()))).toMatchObject({ evalsha: 2 });
    expect(await store.countByOwner(record, call())).toBe(3);
  });

  test("a page of a user's records is two commands", async () => {
    const { store, record, commandsOf } = await counted();
    for (let more = 0; more < 20; more++)
      await store.create(newRecord({ ...record, lookup: newRecord().lookup }), call());
    const list = (): unknown => store.listByOwner(record, { cursor: null, limit: 10 }, call());
    expect(await commandsOf(list)).toEqual({ zrevrangebylex: 1, mget: 1 });
  });

  test("every command goes to the right node of a Cluster at once", async () => {
    const group = await startRedisCluster();
    onTestFinished(() => group.stop());
    const masters = (await group.masters()).map(adminOf);
    const all = { ...RULES, total: 100 };
    for (const client of CLIENTS) {
      const { store } = await openOn(group.url, client, { wait: { replicas: 1, timeout: 1000 } });
      await store.read(newRecord(), call());
      await Promise.all(masters.map((master) => master.config("RESETSTAT")));
      for (let round = 0; round < 20; round++) {
        const record = newRecord({ tenant: "tenant", space: "space" });
        await store.admit(record, all, call());
        await store.update(record, 1, newChange(), call());
        await store.read(record, call());
        await store.delete(record, { reason: "logout", at: Date.now() }, call());
        await store.acquireLock({ ...record, lock: "lock" }, "ann", 1000, call());
        await store.updateUnderLock(record, 2, newChange(), { lock: "lock", holder: "ann" }, call());
      }
      await store.listByTenant({ space: "space", tenant: null }, { cursor: null, limit: 10 }, call());
      await store.deleteByTenant({ space: "space", tenant: null }, { reason: "logout", at: Date.now() }, call());
      await store.prune(Date.now(), 10, call());
      const errors = await Promise.all(masters.map((master) => master.info("errorstats")));
      expect([client, errors.join("").includes("MOVED")]).toEqual([client, false]);
    }
  });

  test("no replica is asked, also by a client of node-redis that may ask them", async () => {
    const [cluster, group] = await Promise.all([startRedisCluster(), startRedisSentinel()]);
    onTestFinished(() => Promise.all([cluster.stop(), group.stop()]).then(() => undefined));
    const { hosts, name } = parseGroupUrl(group.url);
    const rootNodes = cluster.nodes.map(({ url }) => ({ url }));
    const clients = [
      createCluster({ rootNodes, useReplicas: true }),
      createSentinel({ name, sentinelRootNodes: [...hosts], replicaPoolSize: 2 }),
    ];
    for (const client of clients) {
      client.on("error", () => undefined);
      await client.connect();
      onTestFinished(() => void client.destroy());
      const store = redisStore(client);
      for (let round = 0; round < 20; round++) {
        const record = newRecord();
        await store.create(record, call());
        expect(await store.read(record, call())).not.toBeNull();
        expect((await store.listByOwner(record, { cursor: null, limit: 10 }, call())).records.length).toBe(1);
        expect(await store.countByOwner(record, call())).toBe(1);
      }
    }
    const masters = [...(await cluster.masters()), await group.master()].map(({ port }) => port);
    for (const node of [...cluster.nodes, ...group.nodes]) {
      const asked = /cmdstat_(?:get|mget):/.test(await adminOf(node).info("commandstats"));
      expect([node.port, asked]).toEqual([node.port, masters.includes(node.port)]);
    }
  });
});
