/** A `Pool` of `pg` as a `SqlClient`. */
import { DATABASE, diagnose, ISOLATION, lockText, numbered } from "./postgres-client.ts";
import { codeOf, type Run, type SqlAnswer, type SqlClient, unlessAborted } from "./sql-client.ts";
import type { SqlValue } from "./sql-rows.ts";

/** The methods of a `Pool` of `pg` that are used. */
export interface PgPool {
  connect(): Promise<PgConnection>;
}

/** The methods of a connection of the pool that are used. */
export interface PgConnection {
  query(query: PgQuery): Promise<PgResult>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  on(event: "notification", listener: (message: PgNotification) => void): unknown;
  off(event: string, listener: () => void): unknown;
  release(error?: Error): void;
}

/** A statement for `query`. */
export interface PgQuery {
  readonly text: string;
  readonly values?: unknown[];
  readonly name?: string;
  readonly rowMode: "array";
}

/** What `query` answers. */
export interface PgResult {
  readonly rows: unknown[][];
  readonly rowCount: number | null;
}

/** What another connection told. */
export interface PgNotification {
  readonly channel: string;
  readonly payload?: string | undefined;
}

/** Takes a connection of the pool for each call. */
export function pgClient(pool: PgPool, table: string, prepare: boolean): SqlClient {
  async function query(connection: PgConnection, text: string, values: readonly SqlValue[]): Promise<SqlAnswer> {
    const statement = numbered(text);
    // Without a name it is planned each time, and not kept: for what runs once, and for poolers that mix connections.
    const named = prepare && values.length > 0 ? statement : { text: statement.text };
    const { rows, rowCount } = await connection.query({ ...named, values: [...values], rowMode: "array" });
    return { rows, affected: rowCount ?? 0 };
  }

  /** Lends a connection. It is closed when it is not known to be idle afterwards, and when the caller stops waiting. */
  async function withConnection<T>(signal: AbortSignal, work: (connection: PgConnection) => Promise<T>): Promise<T> {
    const connection = await unlessAborted(pool.connect(), signal, (late) => late.release());
    let isLent = true;
    const giveBack = (error?: Error): void => {
      if (!isLent) return;
      isLent = false;
      connection.off("error", ignore);
      connection.release(error);
    };
    // A query on it fails then, and the server undoes what was not committed.
    const stop = (): void => giveBack(new Error("The caller no longer waits."));
    // Without a listener, a connection that breaks ends the process.
    connection.on("error", ignore);
    signal.addEventListener("abort", stop, { once: true });
    try {
      const answer = await work(connection);
      giveBack();
      return answer;
    } catch (error) {
      giveBack(isUsableAfter(error) ? undefined : asError(error));
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  return {
    database: DATABASE,
    diagnose,

    run: (text, values, signal) => withConnection(signal, (connection) => query(connection, text, values)),

    transaction: (locks, signal, work) =>
      withConnection(signal, async (connection) => {
        const run: Run = (text, values) => query(connection, text, values);
        const begin = [`BEGIN ${ISOLATION}`, ...locks.map((lock) => lockText(lock, table))];
        try {
          await query(connection, begin.join("; "), []);
          const answer = await work(run);
          await query(connection, "COMMIT", []);
          return answer;
        } catch (error) {
          if (isUsableAfter(error)) await query(connection, "ROLLBACK", []);
          throw error;
        }
      }),
  };
}

/** Whether the server has said that the statement failed, and nothing else did; one that takes no writes is left. */
function isUsableAfter(error: unknown): boolean {
  return codeOf(error, "severity") === "ERROR" && diagnose(error) !== "read-only";
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error("The work failed.");
}

function ignore(): void {}
