/** What the SQL stores need of a client that answers later, and what becomes of its errors. */
import { setTimeout as delay } from "node:timers/promises";
import { StoreUnavailableError } from "../../errors.ts";
import type { SqlValue } from "./sql-rows.ts";

/** What a statement answers: rows in the order of its columns, and how many were written or returned. */
export interface SqlAnswer {
  readonly rows: readonly (readonly unknown[])[];
  readonly affected: number;
}

/** Runs one statement with a value for each `?`. An insert of a lookup that is taken affects no row, and is no error. */
export type Run = (text: string, values: readonly SqlValue[]) => Promise<SqlAnswer>;

/** Something that only one transaction holds at a time, of all that share the table. */
export interface SqlLock {
  readonly kind: "owner" | "space" | "migrations";
  /** A number that others may happen to have too, which costs them a wait: 32 bits, unsigned. */
  readonly number: number;
}

/** A database that the application's client leads to. */
export interface SqlClient {
  /** As in "The PostgreSQL client failed". */
  readonly database: string;
  /** Runs one statement by itself. Stops waiting when the signal is aborted. */
  run(text: string, values: readonly SqlValue[], signal: AbortSignal): Promise<SqlAnswer>;
  /**
   * Does the work in one READ COMMITTED transaction that holds the locks, taken in their order before anything else:
   * what others committed while it waited for them is seen. All of it or, when it throws or the signal is aborted,
   * nothing; leaves none open.
   */
  transaction<T>(locks: readonly SqlLock[], signal: AbortSignal, work: (run: Run) => Promise<T>): Promise<T>;
  /** What the client's error says about the server. */
  diagnose(error: unknown): Diagnosis;
}

/**
 * - `repeatable`: the server undid everything, because it was in the way of others
 * - `no-table`: the table, or the schema, does not exist
 * - `read-only`: the server takes no writes, as a primary of yesterday
 */
export type Diagnosis = "repeatable" | "no-table" | "read-only" | "other";

const MOST_REPEATS = 8;
const LONGEST_PAUSE_MS = 20;

/**
 * Does the work; what the server itself undid is done again while the caller waits. A write whose answer was lost is
 * not: it may have been applied.
 *
 * @throws {StoreUnavailableError} with the client's error as cause.
 */
export async function attempt<T>(client: SqlClient, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let repeats = 0; ; repeats++) {
    if (signal.aborted) throw new StoreUnavailableError("The caller no longer waits; nothing was sent.");
    try {
      return await work();
    } catch (error) {
      const diagnosis = client.diagnose(error);
      if (diagnosis !== "repeatable" || repeats === MOST_REPEATS) throw unavailable(client, diagnosis, error);
      // Those that were in each other's way must not meet again.
      await delay(Math.random() * LONGEST_PAUSE_MS);
    }
  }
}

const ADVICE: Readonly<Record<Diagnosis, string>> = {
  repeatable: "gave up after meeting others again and again",
  "no-table": "found no table: run `await store.migrate()` once, with the same options",
  "read-only": "was told that the server is read-only: it may have become a replica",
  other: "failed",
};

function unavailable({ database }: SqlClient, diagnosis: Diagnosis, cause: unknown): StoreUnavailableError {
  if (cause instanceof StoreUnavailableError) return cause;
  return new StoreUnavailableError(`The ${database} client ${ADVICE[diagnosis]}; see the cause.`, { cause });
}

/** Waits until the signal is aborted, and no longer; what comes too late is handed to `onLate`. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, onLate?: (late: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      promise.then(onLate, () => undefined);
      reject(new Error("The caller no longer waits."));
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** How a connection of a pool is lent. */
export interface Lending<C> {
  borrow(): Promise<C>;
  /** Takes it back, or closes it when its state is not known. */
  giveBack(connection: C, isUsable: boolean): void;
  /** Whether the error leaves the connection as it was before the statement. */
  isUsableAfter(error: unknown): boolean;
}

/** Lends a connection for the work. It is closed when the caller stops waiting: the server then undoes what is open. */
export async function withConnection<C, T>(
  lending: Lending<C>,
  signal: AbortSignal,
  work: (connection: C) => Promise<T>,
): Promise<T> {
  const connection = await unlessAborted(lending.borrow(), signal, (late) => lending.giveBack(late, true));
  let isUsable = false;
  try {
    const answer = await unlessAborted(work(connection), signal);
    isUsable = true;
    return answer;
  } catch (error) {
    isUsable = lending.isUsableAfter(error);
    throw error;
  } finally {
    lending.giveBack(connection, isUsable);
  }
}

/** What a client's error or answer says under a name; undefined when it says nothing. */
export function factOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (Reflect.get(value, name) as unknown) : undefined;
}
