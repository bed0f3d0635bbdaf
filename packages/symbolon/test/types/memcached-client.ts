/** Compile-only: the store takes the real client, and refuses what is none. */
import Memcached from "memcached";
import type { Store } from "symbolon";
import { type MemcachedClient, memcachedStore } from "symbolon/stores/memcached";

export function acceptsClient(): Store[] {
  const client: MemcachedClient = new Memcached("127.0.0.1:11211");
  // @ts-expect-error: no client.
  memcachedStore({ get: () => null });
  return [
    memcachedStore(client),
    memcachedStore(new Memcached(["10.0.0.1:11211", "10.0.0.2:11211"]), { prefix: "a:" }),
  ];
}
