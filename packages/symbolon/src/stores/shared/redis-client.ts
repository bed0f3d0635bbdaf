/**
 * The clients of Redis and Valkey, as far as the store calls them, behind one small interface.
 *
 * There are two families: ioredis and iovalkey, and node-redis. Both come as a client of one server (or of what
 * Sentinel says is the master) and of a Cluster; node-redis has a third for Sentinel.
 */
import { OptionsError } from "../../errors.ts";
import { ioredisLink } from "./redis-ioredis.ts";
import type {
  IoredisClient,
  IoredisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisSentinel,
} from "./redis-links.ts";
import { nodeRedisLink } from "./redis-node-redis.ts";
import type { RedisLink } from "./redis-links.ts";

/** A client of ioredis, iovalkey or node-redis, for one server, Sentinel or a Cluster. */
export type RedisClient = IoredisClient | IoredisCluster | NodeRedisClient | NodeRedisCluster | NodeRedisSentinel;

/**
 * Speaks to a client of either family.
 *
 * @throws {OptionsError} when it is none, or is set up so that it might read from a replica.
 */
export function linkTo(client: RedisClient): RedisLink {
  if (typeof client === "object" && client !== null) {
    if ("callBuffer" in client) return ioredisLink(client);
    if ("sendCommand" in client) return nodeRedisLink(client);
  }
  throw new OptionsError("redisStore: pass a client of ioredis, iovalkey or redis (node-redis).");
}
