/** The operations of a SQL store whose client answers later, written once for all of them. */
import type {
  Admitting,
  Ending,
  Locking,
  OwnerIndex,
  PageRequest,
  Pruning,
  Replication,
  Store,
  StoreCall,
  TenantIndex,
} from "../../core/store.ts";
import { StoreUnavailableError } from "../../errors.ts";
import { admitLocked, locksFor } from "./sql-admission.ts";
import { attempt, type Run, type SqlAnswer, type SqlClient } from "./sql-client.ts";
import type { Ended, SqlDialect } from "./sql-dialect.ts";
import { listedAfter, NO_ENTRIES, NO_RECORDS, recordPage, replicaPage, scannedAfter } from "./sql-pages.ts";
import { bucketOf, entryOf, LOCK_KEPT_MS, replacingValuesOf, rowOf, type SqlValue, valuesOf } from "./sql-rows.ts";
import { OF_OWNER, OF_SPACE, OF_TENANT, ONE, updateOf } from "./sql-statements.ts";

/** What every SQL store can do. */
export interface SqlStore extends Store, OwnerIndex, Admitting, TenantIndex, Pruning, Replication, Locking {}

/** Records ended by one statement of `deleteByTenant`. */
const BATCH = 1000;

const US_PER_MS = 1000;

/** Makes a store of a client and its database's ways. */
export function sqlStore(client: SqlClient, dialect: SqlDialect): SqlStore {
  const { statements, locks } = dialect;

  function run(text: string, values: readonly SqlValue[], call: StoreCall): Promise<SqlAnswer> {
    return attempt(client, call.signal, () => client.run(text, values, call.signal));
  }

  /** Does work of several statements that need not be one step. */
  function inTurn<T>(call: StoreCall, work: (run: Run) => Promise<T>): Promise<T> {
    return attempt(client, call.signal, () => work((text, values) => client.run(text, values, call.signal)));
  }

  function inTransaction<T>(call: StoreCall, work: (run: Run) => Promise<T>): Promise<T> {
    return attempt(client, call.signal, () => client.transaction([], call.signal, work));
  }

  const inOneStep = dialect.needsTransactions ? inTransaction : inTurn;

  function endAll(ended: Ended, ending: Ending, call: StoreCall): Promise<number> {
    return inOneStep(call, (each) => dialect.end(each, ended, ending, call.now));
  }

  async function listed(text: string, values: readonly SqlValue[], page: PageRequest, call: StoreCall) {
    const after = listedAfter(page);
    if (after === null) return NO_RECORDS;
    const { rows } = await run(text, [...values, call.now, ...after], call);
    return recordPage(rows.map(rowOf), page.limit);
  }

  async function countTenant(space: string, tenant: string, call: StoreCall): Promise<Counts> {
    return countsOf((await run(statements.countByTenant, [space, tenant, call.now], call)).rows);
  }

  async function countSpace(space: string, call: StoreCall): Promise<number> {
    const { rows } = await run(statements.countOwned, [bucketOf(call.now), call.now, space, space], call);
    return Number(rows[0]?.[0]);
  }

  async function countOwnersOfSpace(space: string, call: StoreCall): Promise<number> {
    const { now } = call;
    const { rows } = await run(statements.countOwners, [space, bucketOf(now), now, space, space, now], call);
    return Number(rows[0]?.[0]);
  }

  return {
    async read(key, call) {
      const { rows } = await run(statements.read, [key.lookup, key.space], call);
      const [row] = rows;
      return row === undefined ? null : entryOf(rowOf([key.lookup, key.space, ...row]));
    },

    async create(record, call) {
      const { affected } = await run(statements.create, valuesOf(record), call);
      return affected > 0 ? "created" : "exists";
    },

    async update(key, expectedVersion, change, call) {
      const { affected } = await run(...updateOf(statements, key, expectedVersion, change), call);
      if (affected > 0) return "updated";
      const { rows } = await run(statements.isLive, [key.lookup, key.space], call);
      return rows.length > 0 ? "conflict" : "missing";
    },

    async delete({ lookup, space }, ending, call) {
      const one = { where: ONE, values: [lookup, space] };
      return (await inTurn(call, (each) => dialect.end(each, one, ending, call.now))) > 0;
    },

    listByOwner: ({ space, owner }, page, call) => listed(statements.listByOwner, [space, owner], page, call),

    async countByOwner({ space, owner }, call) {
      return countsOf((await run(statements.countByOwner, [space, owner, call.now], call)).rows).records;
    },

    deleteByOwner({ space, owner }, except, ending, call) {
      const others = dialect.except(except);
      const where = `${OF_OWNER} AND ended_at IS NULL AND ${others.where}`;
      return endAll({ where, values: [space, owner, ...others.values] }, ending, call);
    },

    admit: (record, rules, call) =>
      attempt(client, call.signal, () =>
        client.transaction(locksFor(record, rules), call.signal, (each) =>
          admitLocked(dialect, each, record, rules, call.now),
        ),
      ),

    listByTenant: ({ space, tenant }, page, call) =>
      tenant === null
        ? listed(statements.listBySpace, [space], page, call)
        : listed(statements.listByTenant, [space, tenant], page, call),

    countByTenant: async ({ space, tenant }, call) =>
      tenant === null ? countSpace(space, call) : (await countTenant(space, tenant, call)).records,

    countOwners: async ({ space, tenant }, call) =>
      tenant === null ? countOwnersOfSpace(space, call) : (await countTenant(space, tenant, call)).owners,

    async deleteByTenant({ space, tenant }, ending, call) {
      const some =
        tenant === null
          ? { where: OF_SPACE, values: [space], limit: BATCH }
          : { where: `${OF_TENANT} AND ended_at IS NULL`, values: [space, tenant], limit: BATCH };
      let total = 0;
      // Until there is nothing: a batch is not full when others end some of it at the same time.
      for (;;) {
        const ended = await endAll(some, ending, call);
        if (ended === 0) return total;
        total += ended;
        if (call.signal.aborted) {
          throw new StoreUnavailableError(`Stopped after ${total} records: the caller no longer waits.`);
        }
      }
    },

    async prune(before, limit, call) {
      const removed = await inOneStep(call, (each) => dialect.prune(each, bucketOf(before), before, limit));
      const kept = LOCK_KEPT_MS * US_PER_MS;
      await run(locks.prune, [kept, kept, limit], call);
      return removed;
    },

    async scan(page, call) {
      const after = scannedAfter(page);
      if (after === null) return NO_ENTRIES;
      const { rows } = await run(statements.scan, after, call);
      return replicaPage(rows.map(rowOf), page.limit);
    },

    async apply(entry, call) {
      if ((await run(statements.create, valuesOf(entry), call)).affected > 0) return true;
      return (await run(statements.replace, replacingValuesOf(entry), call)).affected > 0;
    },

    async acquireLock(key, holder, lease, call) {
      for (;;) {
        const held = await inTurn(call, (each) => locks.acquire(each, key, holder, lease * US_PER_MS));
        // It was freed between two looks at it.
        if (held === null) continue;
        if (held.holder === holder) return { status: "acquired", fence: held.fence };
        return { status: "held", remaining: held.remaining };
      }
    },

    async renewLock({ space, lock }, holder, lease, call) {
      return (await run(locks.renew, [lease * US_PER_MS, space, lock, holder], call)).affected > 0;
    },

    async releaseLock({ space, lock }, holder, call) {
      return (await run(locks.release, [space, lock, holder], call)).affected > 0;
    },

    updateUnderLock: (key, expectedVersion, change, held, call) =>
      inOneStep(call, (each) => locks.update(each, key, expectedVersion, change, held)),
  };
}

interface Counts {
  readonly records: number;
  readonly owners: number;
}

function countsOf(rows: SqlAnswer["rows"]): Counts {
  const [records, owners] = rows[0] ?? [];
  return { records: Number(records), owners: Number(owners) };
}
