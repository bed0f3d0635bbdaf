/** The lock of one session, held by one request: what that writes meanwhile is written only while the lock is held. */
import { SessionEndedError } from "../errors.ts";
import { HeldLease, type Lease } from "./lease.ts";
import { isExpired } from "./lifetime.ts";
import type { LiveSession, SaveResult } from "./live-session.ts";
import { type LockOptions, runUnder } from "./lock.ts";
import type { Snapshot } from "./record.ts";
import type { HeldLock } from "./store.ts";

/** A lease of a session's lock. */
export class SessionLock {
  readonly lease: HeldLease;
  readonly #lookup: string;
  readonly #isOfRequest: boolean;

  /** `isOfRequest`: it is held until the response is decided. */
  constructor(lease: HeldLease, lookup: string, isOfRequest: boolean) {
    this.lease = lease;
    this.#lookup = lookup;
    this.#isOfRequest = isOfRequest;
  }

  /** Whether the request holds it for as long as the response is not decided. */
  get isHeldByRequest(): boolean {
    return this.#isOfRequest && !this.lease.isReleased;
  }

  /** Frees the lock. Never rejects: one that was lost is free. */
  async free(): Promise<void> {
    await this.lease.release().catch(() => undefined);
  }

  /** Lets the lock of a request end, whose client went away: its handler may do so, too, or never. */
  letEnd(): void {
    if (this.isHeldByRequest) this.lease.letEnd();
  }

  /** What a write of a session depends on: nothing, where it is another's lock. */
  heldOf({ record }: Snapshot): HeldLock | null {
    return record.lookup === this.#lookup && !this.lease.isReleased ? this.lease.held : null;
  }
}

/** Takes the lock of a session, and reads the session anew; `save` writes what was changed before. */
export async function lockSession(
  live: LiveSession,
  options: LockOptions,
  save: () => Promise<SaveResult>,
  isOfRequest = false,
): Promise<Lease> {
  await save();
  if (live.isGone) throw endedError();
  const { snapshot, engine, lock } = live;
  if (lock?.isHeldByRequest === true) return borrowed(lock.lease);
  // A session that is not stored yet is nobody else's.
  if (snapshot === null) return new HeldLease(null, 0, 1, () => undefined);
  live.refuseOffline("lock");
  const { record } = snapshot;
  const lease = await engine.locks.acquire(engine.vault.lockOfSession(record), options);
  try {
    const newest = await engine.reread(snapshot);
    if (newest === null || newest.envelope.shut !== undefined || isExpired(newest.envelope, engine.now())) {
      live.lose();
      throw endedError();
    }
    live.adopt(newest);
    live.data.discard();
  } catch (error) {
    await lease.release().catch(() => undefined);
    throw error;
  }
  live.lock = new SessionLock(lease, record.lookup, isOfRequest);
  return lease;
}

/** Takes the lock of a request's session until the response is decided; nothing to lock where nobody has a session. */
export async function lockRequest(
  live: LiveSession,
  options: LockOptions,
  save: () => Promise<SaveResult>,
): Promise<void> {
  if (live.lock?.isHeldByRequest === true || live.before === null) return;
  await lockSession(live, options, save, true);
}

/** Runs something under the lock of a session, and saves what it changed; what it changed is dropped when it fails. */
export async function runLocked<T>(
  live: LiveSession,
  options: LockOptions,
  run: (lease: Lease) => T | Promise<T>,
  save: () => Promise<SaveResult>,
): Promise<T> {
  const attempt = async (lease: Lease): Promise<T> => {
    try {
      const result = await run(lease);
      if ((await save()) === "gone") throw endedError();
      return result;
    } catch (error) {
      live.discard();
      throw error;
    }
  };
  return runUnder(await lockSession(live, options, save), attempt);
}

/** A lease that the request has, for who asks for it meanwhile: the response releases it, and nobody before. */
function borrowed({ fence, isShared, signal }: Lease): Lease {
  return { fence, isShared, signal, release: keep, [Symbol.asyncDispose]: keep };
}

async function keep(): Promise<void> {}

function endedError(): SessionEndedError {
  return new SessionEndedError("The session has ended, so nothing was changed under its lock.");
}
