import { readFileSync } from "node:fs";
import { Cluster, Redis } from "ioredis";
import { createClient } from "redis";
import { OptionsError, type Store, StoreUnavailableError, type StoreWarning, type Warning } from "symbolon";
import { type RedisClient, redisStore, type RedisStoreOptions } from "symbolon/stores/redis";
import { expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { adminOf, call, newChange, newRecord, openOn, ownServer, until } from "./redis-setup.ts";

const idle = new Redis({ lazyConnect: true });

test.each<[what: string, options: object]>([
  ["a prefix without an end", { prefix: "a" }],
  ["a prefix with a hash tag of its own", { prefix: "{a}:" }],
  ["a prefix that is a pattern", { prefix: "a*:" }],
  ["a prefix with a space", { prefix: "a :" }],
  ["an empty prefix", { prefix: "" }],
  ["no true or false", { invalidations: "yes" }],
  ["a wait without a time limit", { wait: { replicas: 1 } }],
  ["a wait for nobody", { wait: { replicas: 0, timeout: 100 } }],
  ["an option that there is none of", { keyPrefix: "a:" }],
])("refuses %s", (_what, options) => {
  expect(() => redisStore(idle, options as RedisStoreOptions)).toThrow(OptionsError);
});

test.each<[what: string, client: unknown]>([
  ["what is no client", {}],
  ["nothing", null],
  ["a client with a prefix of its own", new Redis({ lazyConnect: true, keyPrefix: "a:" })],
  ["a client that reads from replicas", new Redis({ lazyConnect: true, readOnly: true })],
  ["a cluster that reads from replicas", new Cluster([{ port: 1 }], { lazyConnect: true, scaleReads: "slave" })],
  ["a client of node-redis that reads from replicas", createClient({ readonly: true })],
])("refuses %s", (_what, client) => {
  expect(() => redisStore(client as RedisClient)).toThrow(OptionsError);
});

function warningsOf(store: Warning): StoreWarning[] {
  const heard: StoreWarning[] = [];
  store.onWarning((warning) => void heard.push(warning));
  return heard;
}

const read = (store: Store): unknown => store.read(newRecord(), call());

function nothing(): void {
  // Only what was written is listened for.
}

needsServer("redis", () => {
  test("refuses a server that drops keys when it is full, with advice, and warns", async () => {
    const { url } = await ownServer({ maxmemory: "100mb", "maxmemory-policy": "allkeys-lru" });
    const { store } = await openOn(url);
    const heard = warningsOf(store);
    for (let time = 0; time < 2; time++) {
      const refusal: unknown = await Promise.resolve(read(store)).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(StoreUnavailableError);
      expect(String(refusal)).toContain("noeviction");
    }
    await expect(store.create(newRecord(), call())).rejects.toThrow(StoreUnavailableError);
    expect(heard.map(({ code }) => code)).toEqual(["unsafe-eviction"]);
  });

  test("uses it with allowEviction, and warns", async () => {
    const { url } = await ownServer({ maxmemory: "100mb", "maxmemory-policy": "volatile-ttl" });
    const { store } = await openOn(url, "node-redis", { allowEviction: true });
    expect(await read(store)).toBeNull();
    expect(warningsOf(store).map(({ code }) => code)).toEqual(["unsafe-eviction"]);
  });

  test("uses a server that refuses new keys when it is full, or never is, without a word", async () => {
    for (const settings of [{ maxmemory: "100mb" }, { "maxmemory-policy": "allkeys-lru" }]) {
      const { store } = await openOn((await ownServer(settings)).url);
      expect(await read(store)).toBeNull();
      expect(warningsOf(store)).toEqual([]);
    }
  });

  test("warns of a server that does not tell", async () => {
    const { port } = await ownServer();
    await adminOf({ port }).call("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-info");
    const { store } = await openOn(`redis://app:secret@127.0.0.1:${port}`, "node-redis");
    expect(await read(store)).toBeNull();
    expect(warningsOf(store).map(({ code }) => code)).toEqual(["unknown-eviction"]);
  });

  test("refuses a storage of another layout", async () => {
    const server = await ownServer();
    const { store, where } = await openOn(server.url);
    const other = adminOf(server);
    await other.set(`${where.options.prefix}layout`, "1:64");
    await expect(read(store)).rejects.toThrow(/layout/);
    expect(await other.keys("*{*")).toEqual([]);
  });

  test("asks a server about itself at the first request, and not at the next ones", async () => {
    const server = await ownServer();
    const { store } = await openOn(server.url);
    const other = adminOf(server);
    await Promise.all([read(store), read(store), read(store)]);
    expect(await other.info("commandstats")).toMatch(/cmdstat_set:calls=1,/);
    await other.config("RESETSTAT");
    await read(store);
    expect(await other.info("commandstats")).not.toMatch(/cmdstat_info:calls=[2-9]/);
  });

  test.each(["ioredis", "iovalkey", "node-redis"] as const)(
    "over %s it needs no other rights than the documents name",
    async (client) => {
      const page = readFileSync(new URL("../../../../docs/stores/redis.md", import.meta.url), "utf8");
      const [, list = ""] = /^- Rights of a user in the ACL(.*?)^- /ms.exec(page) ?? [];
      const words = [...list.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
      const { port } = await ownServer();
      const rights = words.map((word) => (/^[~&]/.test(word) ? word : `+${word}`));
      await adminOf({ port }).call("ACL", "SETUSER", "app", "on", ">secret", ...rights);
      const url = `redis://app:secret@127.0.0.1:${port}`;
      const wait = { replicas: 1, timeout: 1 };
      const { store } = await openOn(url, client, { prefix: "symbolon:", wait });
      const heard: string[] = [];
      const listener = { changed: (lookup: string) => void heard.push(lookup), released: nothing };
      await store.subscribe({ ...listener, lost: nothing, restored: nothing }, call());
      const record = newRecord({ tenant: "tenant" });
      const [lock, ending, all] = [
        { ...record, lock: "lock" },
        { reason: "x", at: 1 },
        { cursor: null, limit: 9 },
      ];
      const rules = { perOwner: 1, total: 9, onLimit: "evict-oldest", replacing: null } as const;
      expect(await store.create(record, call())).toBe("created");
      expect(await store.update(record, 1, newChange(), call())).toBe("updated");
      const next = newRecord({ ...record, lookup: newRecord().lookup });
      expect(await store.admit(next, rules, call())).toMatchObject({ status: "created" });
      expect((await store.listByOwner(next, all, call())).records.length).toBe(1);
      expect((await store.listByTenant(next, all, call())).records.length).toBe(1);
      expect([await store.countByOwner(next, call()), await store.countOwners(next, call())]).toEqual([1, 1]);
      expect((await store.scan(all, call())).entries.length).toBeGreaterThan(0);
      expect(await store.deleteByOwner(next, [], ending, call())).toBe(1);
      expect(await store.apply(newRecord(), call())).toBe(true);
      expect(await store.deleteByTenant({ space: record.space, tenant: null }, ending, call())).toBe(0);
      expect(await store.prune(Date.now() + 9e9, 9, call())).toBeGreaterThan(0);
      expect(await store.acquireLock(lock, "ann", 1000, call())).toMatchObject({ status: "acquired" });
      expect(await store.acquireLock(lock, "bob", 1000, call())).toMatchObject({ status: "held" });
      expect(await store.renewLock(lock, "ann", 1000, call())).toBe(true);
      expect(await store.releaseLock(lock, "ann", call())).toBe(true);
      await until("the update is heard", () => heard.includes(record.lookup));
    },
  );
});
