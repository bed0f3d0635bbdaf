/**
 * Copies of stores that do one thing wrong each, to see that histories find it: a target like those of `test/targets`,
 * whose variants are the faults.
 */
import { setTimeout as sleep } from "node:timers/promises";
import Database from "libsql";
import {
  isTombstone,
  type LockKey,
  type Locking,
  type RecordChange,
  type RecordKey,
  type Store,
  type StoredRecord,
} from "symbolon";
import { LEASE_MS } from "./plan.ts";
import { type Handle, loadTarget, type Variant, type Where } from "./target.ts";

/** What is done wrong, and to a store of which kind. */
interface Planted {
  readonly kind: "sqlite" | "redis";
  readonly plant: (handle: PlantedHandle, where: Where) => Partial<Store & Locking>;
}

/** A handle of the target that the fault is planted in. */
interface PlantedHandle extends Handle {
  readonly store: Store & Locking;
  /** The Redis client. */
  readonly client: RawRedis;
}

interface RawRedis {
  keys(pattern: string): Promise<string[]>;
  get(key: string): Promise<string | null>;
  del(key: string): Promise<number>;
}

const TABLE = "symbolon_sessions";

const FAULTS: Readonly<Record<string, Planted>> = {
  /** Writes whatever is there, as an upsert does. */
  "upsert instead of update": {
    kind: "sqlite",
    plant: ({ store }, where) => {
      const { read, write } = rawOn(where, store, "");
      return {
        read,
        update: (key, expectedVersion, change) => {
          write(key, expectedVersion, change);
          return "updated";
        },
      };
    },
  },

  /** Looks at the version first and writes afterwards, where nothing but the envelope changes. */
  "successor minted twice": {
    kind: "sqlite",
    plant: ({ store }, where) => {
      const { read, write } = rawOn(where, store, "AND ended_at IS NULL");
      return {
        read,
        update: async (key, expectedVersion, change, call) => {
          if (change.data !== undefined) return store.update(key, expectedVersion, change, call);
          const found = await store.read(key, call);
          if (found === null || isTombstone(found)) return "missing";
          if (found.version !== expectedVersion) return "conflict";
          await sleep(1);
          write(key, expectedVersion, change);
          return "updated";
        },
      };
    },
  },

  /** Notes the use of a session that has ended. */
  "touch after delete": {
    kind: "sqlite",
    plant: ({ store }, where) => {
      const { read, write } = rawOn(where, store, "");
      return {
        read,
        update: async (key, expectedVersion, change, call) => {
          const answer = await store.update(key, expectedVersion, change, call);
          if (answer !== "missing" || change.data !== undefined) return answer;
          write(key, expectedVersion, change);
          return "updated";
        },
      };
    },
  },

  /** Looks who has the lock first and deletes it afterwards: at the worst moment, when another has got it meanwhile. */
  "non-atomic release": {
    kind: "redis",
    plant: ({ client, store }) => ({
      releaseLock: async (key: LockKey, holder, call) => {
        const [name = ""] = await client.keys(`*${key.lock}`);
        const isHolder = async (): Promise<boolean> => (await client.get(name))?.endsWith(` ${holder}`) === true;
        if (!(await isHolder())) return false;
        const worst = performance.now() + 1.5 * LEASE_MS;
        while (performance.now() < worst && ((await isHolder()) || (await client.get(name)) === null)) await sleep(1);
        if (!(await store.releaseLock(key, holder, call))) await client.del(name);
        return true;
      },
    }),
  },
};

export const variants: readonly Variant[] = Object.entries(FAULTS).map(([name, { kind }]) => ({
  name,
  server: kind === "sqlite" ? null : kind,
}));

export async function prepare(variant: Variant, url: string | null): Promise<Where> {
  const target = await targetOf(variant.name);
  return { fault: variant.name, where: await target.prepare(target.variants[0]!, url) };
}

export async function open({ fault, where }: Where): Promise<Handle> {
  const inner = where as Where;
  const handle = (await (await targetOf(fault)).open(inner)) as PlantedHandle;
  return { ...handle, store: { ...handle.store, ...plantedAs(fault).plant(handle, inner) } };
}

export async function drop({ fault, where }: Where): Promise<void> {
  await (await targetOf(fault)).drop(where as Where);
}

function plantedAs(fault: unknown): Planted {
  const planted = FAULTS[String(fault)];
  if (planted === undefined) throw new Error(`There is no fault called ${String(fault)}.`);
  return planted;
}

async function targetOf(fault: unknown): ReturnType<typeof loadTarget> {
  return loadTarget(new URL(`../../targets/${plantedAs(fault).kind}.mjs`, import.meta.url).href);
}

type Write = (key: RecordKey, expectedVersion: number, change: RecordChange) => void;

/** Reads, and writes what it read with a change to it over any row for which the condition holds, in a SQLite file. */
function rawOn({ path }: Where, store: Store, condition: string): { read: Store["read"]; write: Write } {
  const client = new Database(String(path));
  client.exec("PRAGMA busy_timeout=5000");
  const columns = ["touched_at", "deadline", "envelope", "version", "owner", "tenant"];
  // New data, else what is there, else what was.
  const set = [...columns.map((column) => `${column} = ?`), "data = coalesce(?, data, ?)"].join(", ");
  const statement = client.prepare(`UPDATE ${TABLE} SET ${set}, ended_at = NULL WHERE lookup = ? ${condition}`);
  const seen = new Map<string, StoredRecord>();
  return {
    read: async (key, call) => {
      const found = await store.read(key, call);
      if (found !== null && !isTombstone(found)) seen.set(key.lookup, found);
      return found;
    },
    write: ({ lookup }, expectedVersion, change) => {
      const { owner, tenant, data } = seen.get(lookup)!;
      const { touchedAt, deadline, envelope } = change;
      const values = [touchedAt, deadline, envelope, expectedVersion + 1, owner, tenant, change.data ?? null, data];
      statement.run(...values, lookup);
    },
  };
}
