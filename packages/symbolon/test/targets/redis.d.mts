import type { RedisClient, RedisStoreOptions, TellingRedisStore } from "symbolon/stores/redis";
import type { Handle, Target, Variant, Where } from "../support/targets.ts";

/** Which client, and which kind of server. */
export interface RedisVariant extends Variant {
  readonly client: "ioredis" | "iovalkey" | "node-redis";
  readonly server: "redis" | "sentinel" | "cluster";
}

/** Where a storage is, and the options of the stores on it. */
export interface RedisWhere extends Where {
  readonly client: RedisVariant["client"];
  readonly server: RedisVariant["server"];
  readonly url: string;
  readonly options: RedisStoreOptions;
}

declare const target: Target<TellingRedisStore, RedisVariant>;
export const variants: typeof target.variants;
export function prepare(variant: RedisVariant, url: string | null): RedisWhere;
export function open(where: Where): Promise<Handle<TellingRedisStore> & { readonly client: RedisClient }>;
export const drop: typeof target.drop;
export function connect(where: Omit<RedisWhere, "options">): Promise<{
  readonly client: RedisClient;
  close(): unknown;
}>;
