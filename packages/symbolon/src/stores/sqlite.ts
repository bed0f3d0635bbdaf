/** A store in a SQLite file, through the application's own synchronous client. */
import {
  type Admission,
  type AdmissionRules,
  type Admitting,
  type Ending,
  type OwnerIndex,
  type PageRequest,
  type Pruning,
  type RecordKey,
  type RecordPage,
  type Replication,
  type Store,
  type StoredRecord,
  type TenantIndex,
  type TenantKey,
  TOMBSTONE_MS,
} from "../core/store.ts";
import { OptionsError, StoreUnavailableError } from "../errors.ts";
import { admitAmong, type Rival } from "./shared/admission.ts";
import { decodeCursor, encodeCursor, type Position } from "./shared/cursor.ts";
import {
  bucketOf,
  entryOf,
  inTransaction,
  openTable,
  valuesOf,
  isRow,
  recordOf,
  rivalOf,
  type SqliteClient,
  type SqliteValue,
} from "./shared/sqlite-table.ts";

export type { SqliteClient, SqliteStatement, SqliteValue } from "./shared/sqlite-table.ts";

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /** The table's name, letters, digits and underscores; `symbolon_sessions` unless told. */
  readonly table?: string;
}

/** What `sqliteStore` can do. */
export type SqliteStore = Store & OwnerIndex & Admitting & TenantIndex & Pruning & Replication;

type OwnedRecord = StoredRecord & { readonly owner: string };

/** How a row is found. */
type RowKey = Pick<RecordKey, "lookup" | "space">;

/** Where the first page starts: after nothing. */
const TOP: Position = { createdAt: Number.MAX_SAFE_INTEGER, lookup: "" };

/** Records ended by one statement of `deleteByTenant`; between two, other work gets its turn. */
const BATCH = 1000;

/**
 * Keeps records in one table, which it creates; takes a `DatabaseSync` of `node:sqlite`, or a database of
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
  const { table = "symbolon_sessions" } = options;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(table)) {
    throw new OptionsError("sqliteStore: `table` must be letters, digits and underscores, and not start with a digit.");
  }
  const sql = attempt(() => openTable(client, table));

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

  /** A tombstone that is already garbage is not left behind. */
  function clean(ended: readonly unknown[], now: number): number {
    for (const { lookup, deadline } of ended.filter(isRow)) {
      if (Number(deadline) <= now) sql.deleteTombstone.run(lookup, now);
    }
    return ended.length;
  }

  function end({ lookup, space }: RowKey, ending: Ending, now: number): number {
    return clean(sql.end.all(...endingOf(ending), lookup, space), now);
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
    return countOf(sql.countOwned.get(bucketOf(now), now, space, space), "records") - leaving < total;
  }

  function countTenant({ space, tenant }: TenantKey, counted: keyof Counts, now: number): number {
    const row = tenant === null ? sql.countBySpace.get(space, now) : sql.countByTenant.get(space, tenant, now);
    return countOf(row, counted);
  }

  return {
    read: (key) =>
      attempt(() => {
        const row = sql.read.get(key.lookup, key.space);
        return isRow(row) ? entryOf(row, key) : null;
      }),

    create: (record) => attempt(() => (changed(sql.create.run(...valuesOf(record))) ? "created" : "exists")),

    update: (key, expectedVersion, change) =>
      attempt(() => {
        const { touchedAt, deadline, envelope, data } = change;
        const values = [touchedAt, deadline, bucketOf(deadline), envelope];
        const where = [key.lookup, key.space, expectedVersion];
        const done =
          data === undefined ? sql.update.run(...values, ...where) : sql.updateData.run(...values, data, ...where);
        if (changed(done)) return "updated";
        return sql.isLive.get(key.lookup, key.space) ? "conflict" : "missing";
      }),

    delete: (key, ending, call) => attempt(() => end(key, ending, call.now) > 0),

    listByOwner: ({ space, owner }, page, call) =>
      attempt(() => pageOf(page, (top, limit) => sql.listByOwner.all(space, owner, call.now, ...top, limit))),

    countByOwner: ({ space, owner }, call) =>
      attempt(() => countOf(sql.countByOwner.get(space, owner, call.now), "records")),

    deleteByOwner: ({ space, owner }, except, ending, call) =>
      attempt(() => clean(sql.endByOwner.all(...endingOf(ending), space, owner, JSON.stringify(except)), call.now)),

    admit: (record, rules, call) =>
      attempt(() => inTransaction(client, () => admit(record, rules, call.now), isCreated)),

    listByTenant: (key, page, call) =>
      attempt(() =>
        pageOf(page, (top, limit) =>
          key.tenant === null
            ? sql.listBySpace.all(key.space, call.now, ...top, limit)
            : sql.listByTenant.all(key.space, key.tenant, call.now, ...top, limit),
        ),
      ),

    countByTenant: (key, call) => attempt(() => countTenant(key, "records", call.now)),

    countOwners: (key, call) => attempt(() => countTenant(key, "owners", call.now)),

    async deleteByTenant({ space, tenant }, ending, call) {
      let total = 0;
      for (;;) {
        const ended = attempt(() =>
          tenant === null
            ? clean(sql.endBySpace.all(...endingOf(ending), space, BATCH), call.now)
            : clean(sql.endByTenant.all(...endingOf(ending), space, tenant, BATCH), call.now),
        );
        total += ended;
        if (ended < BATCH) return total;
        await new Promise((resolve) => setImmediate(resolve));
        if (call.signal.aborted) {
          throw new StoreUnavailableError(`Stopped after ${total} records: the caller no longer waits.`);
        }
      }
    },

    prune: (before, limit) => attempt(() => Number(sql.prune.run(bucketOf(before), before, limit).changes)),

    scan: ({ cursor, limit }) =>
      attempt(() => {
        const after = cursor === null ? "" : decodeCursor(cursor)?.lookup;
        if (after === undefined) return { entries: [], cursor: null };
        const rows = sql.scan.all(after, limit + 1).filter(isRow);
        const entries = rows.slice(0, limit).map((row) => entryOf(row));
        const last = rows.length > limit ? entries.at(-1) : undefined;
        return { entries, cursor: last ? encodeCursor({ createdAt: 0, lookup: last.lookup }) : null };
      }),

    apply: (entry) => attempt(() => changed(sql.apply.run(...valuesOf(entry)))),
  };
}

/** In the order of the statements that end records. */
function endingOf(ending: Ending): SqliteValue[] {
  const latest = ending.at + TOMBSTONE_MS;
  return [ending.at, ending.reason, latest, bucketOf(latest)];
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

type PageQuery = (after: readonly [createdAt: number, lookup: string], limit: number) => unknown[];

function pageOf(page: PageRequest, query: PageQuery): RecordPage {
  const after = page.cursor === null ? TOP : decodeCursor(page.cursor);
  if (after === null) return { records: [], cursor: null };
  const rows = query([after.createdAt, after.lookup], page.limit + 1).filter(isRow);
  const records = rows.slice(0, page.limit).map((row) => recordOf(row, row));
  const last = rows.length > page.limit ? records.at(-1) : undefined;
  return { records, cursor: last ? encodeCursor(last) : null };
}
