/** Compile-only: the store takes the real clients, and refuses what is none. */
import { Cluster, Redis } from "ioredis";
import { Cluster as ValkeyCluster, Redis as Valkey } from "iovalkey";
import { createClient, createCluster, createSentinel } from "redis";
import type { Closing, Invalidations, Store } from "symbolon";
import { type RedisClient, redisStore } from "symbolon/stores/redis";

export function acceptsClients(): void {
  const clients: RedisClient[] = [
    new Redis(),
    new Redis({ sentinels: [{ host: "localhost", port: 26_379 }], name: "main" }),
    new Cluster([{ host: "localhost", port: 6379 }]),
    new Valkey(),
    new ValkeyCluster([{ host: "localhost", port: 6379 }]),
    createClient(),
    createClient({ RESP: 2 }),
    createCluster({ rootNodes: [{ url: "redis://localhost" }] }),
    createSentinel({ name: "main", sentinelRootNodes: [{ host: "localhost", port: 26_379 }] }),
  ];
  for (const client of clients) redisStore(client);
  redisStore(new Redis(), { prefix: "app:", wait: { replicas: 1, timeout: 100 }, allowEviction: true });
  const telling: Store & Invalidations & Closing = redisStore(createClient(), { invalidations: true });
  void telling;
}

export function refusesOthers(): void {
  // @ts-expect-error a client, not its address
  redisStore("redis://localhost");
  // @ts-expect-error no client of Redis
  redisStore({ get: () => null, set: () => undefined });
  // @ts-expect-error there is no such option
  redisStore(new Redis(), { keyPrefix: "app:" });
  // @ts-expect-error both are needed
  redisStore(new Redis(), { wait: { replicas: 1 } });
  // @ts-expect-error without invalidations there is nothing to subscribe to
  void redisStore(new Redis()).subscribe;
}
