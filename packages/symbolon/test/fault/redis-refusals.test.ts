import { Cluster, Redis } from "ioredis";
import { createClient } from "redis";
import { OptionsError, type Store, StoreUnavailableError, type StoreWarning, type Warning } from "symbolon";
import { type RedisClient, redisStore, type RedisStoreOptions } from "symbolon/stores/redis";
import { expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { adminOf, call, newRecord, openOn, ownServer } from "./redis-setup.ts";

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
});
