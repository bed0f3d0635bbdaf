/** A store in a SQLite file, through the application's own synchronous client. */
import type {
  Admission,
  AdmissionRules,
  Admitting,
  Ending,
  Locking,
  OwnerIndex,
  PageRequest,
  Pruning,
  RecordChange,
  RecordKey,
  RecordPage,
  Replication,
  Store,
  StoredRecord,
  TenantIndex,
} from "../core/store.ts";
import { StoreUnavailableError } from "../errors.ts";
import { admitAmong, type Rival } from "./shared/admission.ts";
import type { Migration } from "./shared/migrations.ts";
import { listedAfter, NO_ENTRIES, NO_RECORDS, recordPage, replicaPage, scannedAfter } from "./shared/sql-pages.ts";
import {
  bucketOf,
  endingValuesOf,
  entryOf,
  LOCK_KEPT_MS,
  recordOf,
  replacingValuesOf,
  rivalOf,
  type Row,
  valuesOf,
} from "./shared/sql-rows.ts";
import { inTransaction, type SqliteClient } from "./shared/sqlite-client.ts";
import { sqliteLocks } from "./shared/sqlite-locks.ts";
import { updateOf } from "./shared/sql-statements.ts";
import { migrationsFor, openTables, type SqliteTableOptions, sqliteTables } from "./shared/sqlite-tables.ts";

export type { Migration } from "./shared/migrations.ts";
export type { SqliteClient, SqliteStatement, SqliteValue } from "./shared/sqlite-client.ts";

/** Options of `sqliteStore`. */
export type SqliteStoreOptions = SqliteTableOptions;

/** What `sqliteStore` can do. */
export type SqliteStore = Store & OwnerIndex & Admitting & TenantIndex & Pruning & Replication & Locking;

type OwnedRecord = StoredRecord & { readonly owner: string };

/** How a row is found. */
type RowKey = Pick<RecordKey, "lookup" | "space">;

/** Records ended by one statement of `deleteByTenant`; between two, other work gets its turn. */
const BATCH = 1000;

/**
 * Keeps records in tables that it makes, and brings up to date when they are older; takes a `DatabaseSync` of `node:sqlite`, or a database of
 * `better-sqlite3` or `libsql`. Every write is one statement or one transaction, so several processes may share the
 * file.
 *
 * Sets `journal_mode=WAL`, `synchronous=NORMAL` and `busy_timeout=5000` on the connection: what was acknowledged
 * survives a killed process, not a power loss. Give it a connection of its own: inside a transaction that the
 * application holds open, its writes would be part of that transaction, and nothing could be admitted. The client is
 * never closed here, and a statement that runs cannot be interrupted.
 *
 * @throws {OptionsError} when the table's name is not a plain word.
 * @throws {StoreUnavailableError} when the table cannot be opened.
 */
export function sqliteStore(client: SqliteClient, options: SqliteStoreOptions = {}): SqliteStore {
  const tables = sqliteTables(options);
  const sql = attempt(() => openTables(client, tables, migrationsFor(options)));
  const locks = sqliteLocks(client, sql);

  /** Runs a client call; whatever it throws means that the store did not do its work. */
  function attempt<T>(work: () => T): T {
    try {
      // Statements of `libsql` outlive their database, and would go on writing to a file that was let go.
      if (client.open === false) throw new TypeError("The database is closed.");
      return work();
    } catch (error) {
      throw new StoreUnavailableError("The SQLite client failed; see the cause.", { cause: error });
    }
  }

  function update(key: RecordKey, expectedVersion: number, change: RecordChange): "updated" | "conflict" | "missing" {
    const [statement, values] = updateOf(sql, key, expectedVersion, change);
    if (changed(statement.run(...values))) return "updated";
    return sql.isLive.get(key.lookup, key.space) ? "conflict" : "missing";
  }

  /** A tombstone that is already garbage is not left behind. */
  function clean(ended: readonly unknown[], now: number): number {
    for (const { lookup, deadline } of ended.filter(isRow)) {
      if (Number(deadline) <= now) sql.deleteTombstone.run(lookup, now);
    }
    return ended.length;
  }

  function end({ lookup, space }: RowKey, ending: Ending, now: number): number {
    return clean(sql.end.all(...endingValuesOf(ending), lookup, space), now);
  }

  /** The whole of an admission; it needs a transaction around it. */
  function admit(record: OwnedRecord, rules: AdmissionRules, now: number): Admission {
    if (isRow(sql.isTaken.get(record.lookup))) return { status: "exists" };
    const { space } = record;
    const replaced = replacedBy(record, rules.replacing, now);
    const verdict = admitAmong(rivalsOf(record, rules, now), rules);
    if (verdict.status === "refused") return verdict;
    if (verdict.status === "reused") return { status: "reused", record: recordAt(verdict.record.lookup, space) };
    if (!hasRoom(space, rules.total, verdict.evicted.length + replaced.length, now)) {
      return { status: "refused", limit: "total" };
    }
    const evicted = verdict.evicted.map(({ lookup }) => recordAt(lookup, space));
    for (const key of evicted) end(key, { reason: "evicted", at: now }, now);
    for (const key of replaced) end(key, { reason: "replaced", at: now }, now);
    sql.create.run(...valuesOf(record));
    return { status: "created", evicted };
  }

  /** The record that is replaced, if it is a live one of the same owner. */
  function replacedBy({ space, owner }: OwnedRecord, lookup: string | null, now: number): RowKey[] {
    const isReplaced = lookup !== null && isRow(sql.isLiveOf.get(lookup, space, owner, now));
    return isReplaced ? [{ lookup, space }] : [];
  }

  /** The owner's live records without the one that is replaced; none where nobody counts them. */
  function rivalsOf({ space, owner }: OwnedRecord, { perOwner, replacing }: AdmissionRules, now: number): Rival[] {
    if (perOwner === null) return [];
    const rivals = sql.rivals.all(space, owner, now).filter(isRow).map(rivalOf);
    return rivals.filter(({ lookup }) => lookup !== replacing);
  }

  function recordAt(lookup: string, space: string): StoredRecord {
    const row = sql.read.get(lookup, space);
    if (isRow(row)) return recordOf(row, { lookup, space });
    throw new TypeError("A row that was found in this transaction is not there.");
  }

  /** Whether the space has room for one more once so many are gone. What costs least is asked first. */
  function hasRoom(space: string, total: number | null, leaving: number, now: number): boolean {
    if (total === null) return true;
    if (countOf(sql.countAtMost.get(), "records") - leaving < total) return true;
    return countSpace(space, now) - leaving < total;
  }

  function countSpace(space: string, now: number): number {
    return countOf(sql.countOwned.get(bucketOf(now), now, space, space), "records");
  }

  function countOwnersOfSpace(space: string, now: number): number {
    return countOf(sql.countOwners.get(space, bucketOf(now), now, space, space, now), "owners");
  }

  function countTenant(space: string, tenant: string, counted: keyof Counts, now: number): number {
    return countOf(sql.countByTenant.get(space, tenant, now), counted);
  }

  return {
    read: (key) =>
      attempt(() => {
        const row = sql.read.get(key.lookup, key.space);
        return isRow(row) ? entryOf(row, key) : null;
      }),

    create: (record) => attempt(() => (changed(sql.create.run(...valuesOf(record))) ? "created" : "exists")),

    update: (key, expectedVersion, change) => attempt(() => update(key, expectedVersion, change)),

    delete: (key, ending, call) => attempt(() => end(key, ending, call.now) > 0),

    listByOwner: ({ space, owner }, page, call) =>
      attempt(() => pageOf(page, (after) => sql.listByOwner.all(space, owner, call.now, ...after))),

    countByOwner: ({ space, owner }, call) =>
      attempt(() => countOf(sql.countByOwner.get(space, owner, call.now), "records")),

    deleteByOwner: ({ space, owner }, except, ending, call) =>
      attempt(() =>
        clean(sql.endByOwner.all(...endingValuesOf(ending), space, owner, JSON.stringify(except)), call.now),
      ),

    admit: (record, rules, call) =>
      attempt(() => inTransaction(client, () => admit(record, rules, call.now), isCreated)),

    listByTenant: (key, page, call) =>
      attempt(() =>
        pageOf(page, (after) =>
          key.tenant === null
            ? sql.listBySpace.all(key.space, call.now, ...after)
            : sql.listByTenant.all(key.space, key.tenant, call.now, ...after),
        ),
      ),

    countByTenant: ({ space, tenant }, { now }) =>
      attempt(() => (tenant === null ? countSpace(space, now) : countTenant(space, tenant, "records", now))),

    countOwners: ({ space, tenant }, { now }) =>
      attempt(() => (tenant === null ? countOwnersOfSpace(space, now) : countTenant(space, tenant, "owners", now))),

    async deleteByTenant({ space, tenant }, ending, call) {
      let total = 0;
      for (;;) {
        const ended = attempt(() =>
          tenant === null
            ? clean(sql.endBySpace.all(...endingValuesOf(ending), space, BATCH), call.now)
            : clean(sql.endByTenant.all(...endingValuesOf(ending), space, tenant, BATCH), call.now),
        );
        total += ended;
        if (ended < BATCH) return total;
        await new Promise((resolve) => setImmediate(resolve));
        if (call.signal.aborted) {
          throw new StoreUnavailableError(`Stopped after ${total} records: the caller no longer waits.`);
        }
      }
    },

    prune: (before, limit, call) =>
      attempt(() => {
        const freeSince = (call.now - LOCK_KEPT_MS) * 1000;
        sql.pruneLocks.run(freeSince, freeSince);
        return Number(sql.prune.run(bucketOf(before), before, limit).changes);
      }),

    scan: (page) =>
      attempt(() => {
        const after = scannedAfter(page);
        return after === null ? NO_ENTRIES : replicaPage(sql.scan.all(...after).filter(isRow), page.limit);
      }),

    apply: (entry) =>
      attempt(
        () => changed(sql.create.run(...valuesOf(entry))) || changed(sql.replace.run(...replacingValuesOf(entry))),
      ),

    acquireLock: (...asked) => attempt(() => locks.acquireLock(...asked)),
    renewLock: (...asked) => attempt(() => locks.renewLock(...asked)),
    releaseLock: (...asked) => attempt(() => locks.releaseLock(...asked)),

    updateUnderLock: (key, expectedVersion, change, { lock, holder }, call) =>
      attempt(() =>
        inTransaction(client, () => {
          const { space, route } = key;
          return locks.isHeld({ space, route, lock }, holder, call) ? update(key, expectedVersion, change) : "lost";
        }),
      ),
  };
}

/**
 * The steps in which the tables are made when a store is opened, for those who want to run them before.
 *
 * @throws {OptionsError} when the table's name is not a plain word.
 */
export function sqliteMigrations(options: SqliteStoreOptions = {}): readonly Migration[] {
  return migrationsFor(options);
}

/** Tells a row from the absence of one, and gives it its type: the statements select what `Row` has. */
function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null;
}

function changed(result: { readonly changes: number | bigint }): boolean {
  return Number(result.changes) > 0;
}

type Counts = Readonly<Partial<Record<"records" | "owners", number | bigint>>>;

function isCounts(row: unknown): row is Counts {
  return isRow(row);
}

/** An aggregate of no rows is null: nothing was counted. */
function countOf(row: unknown, counted: keyof Counts): number {
  return isCounts(row) ? Number(row[counted] ?? 0) : 0;
}

function isCreated({ status }: Admission): boolean {
  return status === "created";
}

type PageQuery = (after: readonly [createdAt: number, lookup: string, limit: number]) => unknown[];

function pageOf(page: PageRequest, query: PageQuery): RecordPage {
  const after = listedAfter(page);
  return after === null ? NO_RECORDS : recordPage(query(after).filter(isRow), page.limit);
}
