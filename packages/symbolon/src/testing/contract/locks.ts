/** What the cases about locks share. Leases end by the time of day, on the machine or on a server, so calls tell it. */
import { canLock, type LockKey, type Locking, type Store } from "../../core/store.ts";
import { callAt, type ContractContext, digest, HOUR, newRecord, openWith, sleep } from "./contract-case.ts";

/** A call of this moment. */
export function callNow(): ReturnType<typeof callAt> {
  return callAt(Date.now());
}

/** A lock nobody else has, to live with the records of a route. */
export function newLock({ space, route }: Pick<LockKey, "space" | "route"> = newRecord()): LockKey {
  return { space, route, lock: digest(32) };
}

/** The fence, or null when somebody else has the lock. */
export async function acquire(
  store: Locking,
  key: LockKey,
  holder: string,
  lease: number = HOUR,
): Promise<number | null> {
  const answer = await store.acquireLock(key, holder, lease, callNow());
  return answer.status === "acquired" ? answer.fence : null;
}

/** The fence, once the lock is free. */
export async function untilAcquired(store: Locking, key: LockKey, holder: string): Promise<number> {
  for (;;) {
    const fence = await acquire(store, key, holder);
    if (fence !== null) return fence;
    await sleep(1);
  }
}

/** Opens two handles that lock. */
export async function openTwoLocking(context: ContractContext): Promise<readonly [Store & Locking, Store & Locking]> {
  return [await openWith(context, canLock), await openWith(context, canLock)];
}
