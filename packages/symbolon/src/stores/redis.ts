/** A store in Redis or Valkey - one server, Sentinel or a Cluster - through the application's own client. */
import type {
  Admitting,
  Closing,
  Ending,
  Invalidations,
  Locking,
  OwnerIndex,
  Pruning,
  RecordChange,
  Replication,
  Store,
  StoreCall,
  TenantIndex,
  TenantKey,
  Warning,
} from "../core/store.ts";
import { OptionsError } from "../errors.ts";
import { redisAdmission } from "./shared/redis-admission.ts";
import { listOf, type RedisCalls, redisCalls, type ReplicaWait, textOf, textsOf } from "./shared/redis-calls.ts";
import { redisChecks } from "./shared/redis-checks.ts";
import { linkTo, type RedisClient } from "./shared/redis-client.ts";
import { decodeEntry, encodeEntry, newWriteId, ofMember, plain } from "./shared/redis-entry.ts";
import { checkPrefix, type RedisKeys, redisKeys } from "./shared/redis-keys.ts";
import { redisLocks } from "./shared/redis-locks.ts";
import { redisMessages } from "./shared/redis-messages.ts";
import { EVERY_BUCKET, type RedisPages, redisPages } from "./shared/redis-pages.ts";
import { pruneBuckets } from "./shared/redis-pruning.ts";
import { APPLY, COUNT, CREATE, END, END_OWNER, UPDATE } from "./shared/redis-scripts.ts";
import { warnings } from "./shared/warnings.ts";

export type { ReplicaWait } from "./shared/redis-calls.ts";
export type { RedisClient } from "./shared/redis-client.ts";
export type {
  Command,
  IoredisClient,
  IoredisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisSentinel,
  Word,
} from "./shared/redis-links.ts";

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /** What all keys begin with, ending in `:`, `.` or `/`; `symbolon:` unless told. */
  readonly prefix?: string;
  /** Tell every write, so that other processes may keep records; all that share the storage must set it. Default false. */
  readonly invalidations?: boolean;
  /** Wait until so many replicas have heard that a session ended, for so many milliseconds at most; default not at all. */
  readonly wait?: ReplicaWait;
  /** Use a server that drops keys when it is full, with a warning. Default false: it is refused. */
  readonly allowEviction?: boolean;
}

/** What `redisStore` can do. */
export type RedisStore = Store & OwnerIndex & Admitting & TenantIndex & Pruning & Locking & Replication & Warning;

/** What it can do with `invalidations: true`; `close` ends the connection on which it listens. */
export type TellingRedisStore = RedisStore & Invalidations & Closing;

/** Records ended by one script of `deleteByTenant`. */
const BATCH = 200;

/** Buckets that it works on at the same time: other commands get their turn in between. */
const AT_ONCE = 8;

/** The lists of the index that name every record once: of those with an owner, and of those without. */
const LISTS = ["t", "a"] as const;

/**
 * Keeps records in Redis 6.2 or newer, or Valkey; takes a `Redis` or `Cluster` of ioredis or iovalkey, or what
 * `createClient`, `createCluster` or `createSentinel` of node-redis make. The client is never closed here.
 *
 * A read is one GET. A write is one script, and atomic; so is all that is done to one user's records, which share a slot
 * of a Cluster. Reads go to masters only. What a server acknowledged may be lost in a failover, an end included: see
 * docs/stores/redis.md. A server whose `maxmemory-policy` may drop keys is refused.
 *
 * @throws {OptionsError} when an option is wrong, or the client has a `keyPrefix` or reads from replicas.
 */
export function redisStore(
  client: RedisClient,
  options: RedisStoreOptions & { readonly invalidations: true },
): TellingRedisStore;
export function redisStore(client: RedisClient, options?: RedisStoreOptions): RedisStore;
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): RedisStore | TellingRedisStore {
  const { prefix, invalidations, wait, allowEviction } = resolve(options);
  const link = linkTo(client);
  const keys = redisKeys(prefix);
  const warned = warnings();
  const calls = redisCalls(link, redisChecks(link, keys, allowEviction, warned), wait, warned);
  const pages = redisPages(calls, keys);
  const channel = invalidations ? keys.channel : "";
  const store: RedisStore = {
    ...recordMethods(calls, keys, channel),
    ...ownerMethods(calls, keys, pages, channel),
    ...tenantMethods(calls, keys, pages, channel),
    ...redisAdmission(calls, keys, channel),
    ...redisLocks(calls, keys, channel),
    scan: (page, call) => pages.scan(page, call),
    prune: (before, limit, call) => (limit > 0 ? pruneBuckets(calls, keys, before, limit, call) : 0),
    onWarning: (listener) => warned.add(listener),
  };
  return invalidations ? { ...store, ...redisMessages(link, channel) } : store;
}

/** The expiry and the index, which every script of records may touch. */
function indexesOf(keys: RedisKeys, bucket: number): string[] {
  return [keys.expiry(bucket), keys.index(bucket)];
}

function recordMethods(
  calls: RedisCalls,
  keys: RedisKeys,
  channel: string,
): Store & Pick<Replication, "apply"> & Pick<Locking, "updateUnderLock"> {
  const touched = (key: Parameters<RedisKeys["record"]>[0]): string[] => [
    ...indexesOf(keys, keys.bucketOf(key.route)),
    keys.record(key),
  ];

  async function update(
    names: readonly string[],
    expectedVersion: number,
    { touchedAt, deadline, envelope, data }: RecordChange,
    holder: string,
    call: StoreCall,
  ): Promise<string> {
    const change = [`${expectedVersion}`, `${touchedAt}`, `${deadline}`, bytesOf(envelope)];
    const withData = data === undefined ? ["keep", ""] : data === null ? ["none", ""] : ["set", bytesOf(data)];
    const words = [`${call.now}`, newWriteId(), channel, ...change, ...withData, holder];
    return textOf(await calls.run(UPDATE, names, words, call));
  }

  return {
    async read(key, call) {
      const name = keys.record(key);
      const found = await calls.read(name, ["GET", name], call);
      return found instanceof Buffer ? decodeEntry(found) : null;
    },

    async create(record, call) {
      const id = newWriteId();
      const words = [`${call.now}`, id, channel, encodeEntry(record, id)];
      return textOf(await calls.run(CREATE, touched(record), words, call)) === "created" ? "created" : "exists";
    },

    async update(key, expectedVersion, change, call) {
      const answer = await update(touched(key), expectedVersion, change, "", call);
      return answer === "updated" || answer === "conflict" ? answer : "missing";
    },

    async updateUnderLock(key, expectedVersion, change, { lock, holder }, call) {
      const { space, route } = key;
      const withLock = [...touched(key), keys.lock({ space, route, lock })];
      const answer = await update(withLock, expectedVersion, change, holder, call);
      return answer === "updated" || answer === "conflict" || answer === "missing" ? answer : "lost";
    },

    async delete(key, ending, call) {
      return Number(await calls.runEnding(END, touched(key), endingWords(ending, channel, call), call)) > 0;
    },

    async apply(entry, call) {
      const id = newWriteId();
      const words = [`${call.now}`, id, channel, encodeEntry(entry, id)];
      return Number(await calls.runEnding(APPLY, touched(entry), words, call)) > 0;
    },
  };
}

function ownerMethods(calls: RedisCalls, keys: RedisKeys, pages: RedisPages, channel: string): OwnerIndex {
  return {
    listByOwner: ({ space, route, owner }, page, call) =>
      pages.list([keys.bucketOf(route)], ownerPrefix(space, owner), page, call),

    async countByOwner({ space, route, owner }, call) {
      const words = [`${call.now}`, "", "", ownerPrefix(space, owner), ""];
      return Number(await calls.query(COUNT, indexesOf(keys, keys.bucketOf(route)), words, call));
    },

    async deleteByOwner({ space, route, owner }, except, ending, call) {
      const bucket = keys.bucketOf(route);
      const words = [...endingWords(ending, channel, call), plain(space), ownerPrefix(space, owner)];
      // The script names the records it has to end, and is sent their keys. Whenever that is not enough, somebody else
      // has written meanwhile.
      for (let declared: string[] = []; ;) {
        const records = declared.map((lookup) => keys.recordNamed(bucket, { space: plain(space), lookup }));
        const lookups = [`${except.length}`, ...except.map(plain), ...declared];
        const touched = [...indexesOf(keys, bucket), ...records];
        const answer = listOf(await calls.runEnding(END_OWNER, touched, [...words, ...lookups], call));
        if (textOf(answer[0]) === "ended") return Number(answer[1]);
        declared = answer.slice(1).map(textOf);
      }
    },
  };
}

function tenantMethods(calls: RedisCalls, keys: RedisKeys, pages: RedisPages, channel: string): TenantIndex {
  async function countAll(key: TenantKey, counted: "records" | "owners", call: StoreCall): Promise<number> {
    const words = [`${call.now}`, "", "", tenantPrefix("t", key), counted === "owners" ? counted : ""];
    const counts = await Promise.all(
      EVERY_BUCKET.map(async (bucket) => Number(await calls.query(COUNT, indexesOf(keys, bucket), words, call))),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Ends the records of one list of one bucket, batch by batch. */
  async function endList(bucket: number, prefix: string, ending: Ending, call: StoreCall): Promise<number> {
    const index = keys.index(bucket);
    let ended = 0;
    for (let from = `[${prefix}`; ;) {
      const range = [from, `(${prefix.slice(0, -1)}/`, "LIMIT", "0", `${BATCH}`];
      const members = textsOf(await calls.read(index, ["ZRANGEBYLEX", index, ...range], call));
      if (members.length === 0) return ended;
      const records = members.map((member) => keys.recordNamed(bucket, ofMember(member)));
      const touched = [...indexesOf(keys, bucket), ...records];
      ended += Number(await calls.runEnding(END, touched, endingWords(ending, channel, call), call));
      from = `(${members.at(-1)}`;
    }
  }

  return {
    listByTenant: (key, page, call) => pages.list(EVERY_BUCKET, tenantPrefix("t", key), page, call),
    countByTenant: (key, call) => countAll(key, "records", call),
    countOwners: (key, call) => countAll(key, "owners", call),

    async deleteByTenant(key, ending, call) {
      let ended = 0;
      const todo = [...EVERY_BUCKET];
      const work = async (): Promise<void> => {
        for (let bucket = todo.shift(); bucket !== undefined; bucket = todo.shift()) {
          for (const list of LISTS) {
            const count = await endList(bucket, tenantPrefix(list, key), ending, call);
            ended += count;
          }
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      return ended;
    },
  };
}

/** What the members of an owner's records begin with. */
function ownerPrefix(space: string, owner: string): string {
  return `u.${plain(space)}.${plain(owner)}.`;
}

/** What the members of a tenant's records begin with: `t` those with an owner, `a` those without. */
function tenantPrefix(list: (typeof LISTS)[number], { space, tenant }: TenantKey): string {
  return `${list}.${plain(space)}.${tenant === null ? "" : plain(tenant)}.`;
}

function endingWords(ending: Ending, channel: string, call: StoreCall): (string | Buffer)[] {
  return [`${call.now}`, newWriteId(), channel, `${ending.at}`, ending.reason];
}

function bytesOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const NAMES: readonly string[] = ["prefix", "invalidations", "wait", "allowEviction"];

function resolve(options: RedisStoreOptions) {
  const unknown = Object.keys(options).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new OptionsError(`redisStore: there is no option \`${unknown}\`; the options are ${NAMES.join(", ")}.`);
  }
  const { prefix = "symbolon:", invalidations = false, wait = null, allowEviction = false } = options;
  for (const [name, value] of Object.entries({ invalidations, allowEviction })) {
    if (typeof value !== "boolean") throw new OptionsError(`redisStore: write true or false for \`${name}\`.`);
  }
  if (wait !== null && !(isWhole(wait.replicas, 100) && isWhole(wait.timeout, 60_000))) {
    throw new OptionsError(
      "redisStore: `wait` must be { replicas, timeout }: whole numbers from 1 on, the timeout in ms and at most 60000.",
    );
  }
  return { prefix: checkPrefix(prefix), invalidations, wait, allowEviction };
}

function isWhole(value: unknown, most: number): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most;
}
