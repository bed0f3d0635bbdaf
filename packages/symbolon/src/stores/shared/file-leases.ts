/** Locks with leases: one small file for all of those whose routes begin alike. */
import { join } from "node:path";
import type { Acquisition, LockKey } from "../../core/store.ts";
import type { Held } from "./file-locks.ts";
import { folderOf, nameOf } from "./file-names.ts";
import { makeFolder, readWhole } from "./file-system.ts";

interface Lease {
  readonly holder: string;
  readonly fence: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** What the file holds: leases that ran out or were released are not in it. */
interface Leases {
  readonly lastFence: number;
  readonly held: Readonly<Record<string, Lease>>;
}

const NONE: Leases = { lastFence: 0, held: {} };

/** What becomes of a lease, and what is to be answered. */
interface Step<T> {
  readonly answer: T;
  /** The lease from now on, null for none; left out, all stays as it is. */
  readonly lease?: Lease | null;
}

/** Locks on disk. All are called with the lock of the folder of their route held; instants in ms since the epoch. */
export interface FileLeases {
  acquire(held: Held, key: LockKey, holder: string, lease: number, now: number): Promise<Acquisition>;
  renew(held: Held, key: LockKey, holder: string, lease: number, now: number): Promise<boolean>;
  release(held: Held, key: LockKey, holder: string, now: number): Promise<boolean>;
  isHeld(held: Held, key: LockKey, holder: string, now: number): Promise<boolean>;
}

/** Leases under a root. */
export function fileLeases(root: string): FileLeases {
  async function change<T>(
    held: Held,
    key: LockKey,
    now: number,
    step: (lease: Lease | null, nextFence: number) => Step<T>,
  ): Promise<T> {
    const folder = await makeFolder(root, "leases");
    const file = folderOf(key).replace("/", ".");
    const leases = parse(await readWhole(join(folder, file)));
    const alive = new Map(Object.entries(leases.held).filter(([, { until }]) => until > now));
    const name = nameOf(key.lock);
    // Not one more but the time: so it is greater, too, when the file was lost with the power.
    const { answer, lease } = step(alive.get(name) ?? null, Math.max(leases.lastFence + 1, Math.floor(now)));
    if (lease === undefined) return answer;
    if (lease === null) alive.delete(name);
    else alive.set(name, lease);
    const lastFence = Math.max(leases.lastFence, lease?.fence ?? 0);
    const bytes = Buffer.from(JSON.stringify({ lastFence, held: Object.fromEntries(alive) } satisfies Leases));
    await held.commit([{ path: `leases/${file}`, bytes }]);
    return answer;
  }

  return {
    acquire: (held, key, holder, lease, now) =>
      change<Acquisition>(held, key, now, (found, nextFence) => {
        if (found !== null && found.holder !== holder) {
          return { answer: { status: "held", remaining: found.until - now } };
        }
        const fence = found?.fence ?? nextFence;
        return { answer: { status: "acquired", fence }, lease: { holder, fence, until: now + lease } };
      }),

    renew: (held, key, holder, lease, now) =>
      change(held, key, now, (found) =>
        found?.holder === holder ? { answer: true, lease: { ...found, until: now + lease } } : { answer: false },
      ),

    release: (held, key, holder, now) =>
      change(held, key, now, (found) => (found?.holder === holder ? { answer: true, lease: null } : { answer: false })),

    isHeld: (held, key, holder, now) => change(held, key, now, (found) => ({ answer: found?.holder === holder })),
  };
}

/** A file that a power loss tore has no leases: their holders went with the power. */
function parse(bytes: Buffer | null): Leases {
  if (bytes === null) return NONE;
  try {
    return JSON.parse(bytes.toString()) as Leases;
  } catch {
    return NONE;
  }
}
