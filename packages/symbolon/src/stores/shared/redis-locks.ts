/** Locks whose leases end by the server's clock. */
import type { LockKey, Locking } from "../../core/store.ts";
import { listOf, type RedisCalls, textOf } from "./redis-calls.ts";
import { plain } from "./redis-entry.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { ACQUIRE, RELEASE, RENEW } from "./redis-scripts.ts";

/** Locks under keys; `channel` is empty where nobody is told of a release. */
export function redisLocks(calls: RedisCalls, keys: RedisKeys, channel: string): Omit<Locking, "updateUnderLock"> {
  const fenceOf = ({ route }: LockKey): string => keys.fence(keys.bucketOf(route));
  return {
    async acquireLock(key, holder, lease, call) {
      const touched = [keys.lock(key), fenceOf(key)];
      const [isMine, number] = listOf(await calls.run(ACQUIRE, touched, [holder, `${lease}`], call));
      return isMine === 1
        ? { status: "acquired", fence: Number(textOf(number)) }
        : { status: "held", remaining: Number(textOf(number)) };
    },

    async renewLock(key, holder, lease, call) {
      return Number(await calls.run(RENEW, [keys.lock(key)], [holder, `${lease}`], call)) === 1;
    },

    async releaseLock(key, holder, call) {
      const words = [holder, channel, plain(key.lock)];
      return Number(await calls.run(RELEASE, [keys.lock(key)], words, call)) === 1;
    },
  };
}
