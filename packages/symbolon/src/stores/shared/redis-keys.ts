/**
 * The names of keys. All of one user are in the same slot of a Cluster: the hash tag is their bucket, which the route
 * decides.
 */
import { OptionsError } from "../../errors.ts";
import { plain } from "./redis-entry.ts";

/** How many buckets there are; the storage remembers it, since another number would look for records elsewhere. */
export const BUCKETS = 128;

/** Keys under one prefix. Spaces, lookups and locks are digests, but for `recordNamed`. */
export interface RedisKeys {
  /** Bucket by route. */
  bucketOf(route: number): number;
  record(at: { readonly space: string; readonly route: number; readonly lookup: string }): string;
  /** A record by the names its references give it. */
  recordNamed(bucket: number, at: { readonly space: string; readonly lookup: string }): string;
  /** References by deadline. */
  expiry(bucket: number): string;
  /** Members of lists. */
  index(bucket: number): string;
  lock(at: { readonly space: string; readonly route: number; readonly lock: string }): string;
  /** The last fence of a bucket. */
  fence(bucket: number): string;
  /** Places reserved under the limit `total` of a space. */
  reservations(space: string): string;
  /** How the storage is laid out. */
  readonly layout: string;
  /** The channel of messages. */
  readonly channel: string;
}

function bucketOf(route: number): number {
  return route % BUCKETS;
}

/** Makes the keys under a prefix. */
export function redisKeys(prefix: string): RedisKeys {
  const inBucket = (bucket: number, name: string): string => `${prefix}{${bucket}}:${name}`;
  return {
    bucketOf,
    record: ({ space, route, lookup }) => inBucket(bucketOf(route), `r:${plain(space)}:${plain(lookup)}`),
    recordNamed: (bucket, { space, lookup }) => inBucket(bucket, `r:${space}:${lookup}`),
    expiry: (bucket) => inBucket(bucket, "expiry"),
    index: (bucket) => inBucket(bucket, "index"),
    lock: ({ space, route, lock }) => inBucket(bucketOf(route), `l:${plain(space)}:${plain(lock)}`),
    fence: (bucket) => inBucket(bucket, "fence"),
    reservations: (space) => `${prefix}{${plain(space)}}:reservations`,
    layout: `${prefix}layout`,
    channel: `${prefix}messages`,
  };
}

/** Checks a prefix: no pattern, no hash tag of its own, and an end that keeps `a` from being the start of `ab`. */
export function checkPrefix(prefix: unknown): string {
  if (typeof prefix === "string" && /^[\w.:/-]{0,99}[:./]$/.test(prefix)) return prefix;
  throw new OptionsError(
    "redisStore: `prefix` must be at most 100 letters, digits, '_', '-', '.', '/' or ':', and end in ':', '.' or '/'.",
  );
}
