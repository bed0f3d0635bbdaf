/** Real servers for tests and benchmarks. */
export { type MariadbOptions, startMariadb } from "./mariadb.ts";
export { startMemcached } from "./memcached.ts";
export { type PostgresOptions, startPostgres } from "./postgres.ts";
export { type RedisCluster, startRedisCluster } from "./redis-cluster.ts";
export { type GroupAddress, parseGroupUrl } from "./redis-group.ts";
export { type RedisSentinel, startRedisSentinel } from "./redis-sentinel.ts";
export { type RedisOptions, type RedisSettings, startRedis } from "./redis.ts";
export type { Server } from "./start-server.ts";
export { type ServerUrls, type StartedServers, startServers } from "./start-servers.ts";
