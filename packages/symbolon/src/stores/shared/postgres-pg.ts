/** A `Pool` of `pg` as a `SqlClient`. */
import type { OpenLink } from "./postgres-listening.ts";
import { DATABASE, diagnose, ISOLATION, lockText, numbered } from "./postgres-client.ts";
import {
  factOf,
  type Lending,
  type Run,
  type SqlAnswer,
  type SqlClient,
  unlessAborted,
  withConnection,
} from "./sql-client.ts";
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

  const lending: Lending<PgConnection> = {
    async borrow() {
      const connection = await pool.connect();
      // Without a listener, a connection that breaks ends the process.
      connection.on("error", ignore);
      return connection;
    },
    giveBack(connection, isUsable) {
      connection.off("error", ignore);
      connection.release(isUsable ? undefined : new Error("It may be in the middle of something."));
    },
    isUsableAfter: (error) => factOf(error, "severity") === "ERROR" && diagnose(error) !== "read-only",
  };

  return {
    database: DATABASE,
    diagnose,

    run: (text, values, signal) => withConnection(lending, signal, (connection) => query(connection, text, values)),

    transaction: (locks, signal, work) =>
      withConnection(lending, signal, async (connection) => {
        const run: Run = (text, values) => query(connection, text, values);
        const begin = [`BEGIN ${ISOLATION}`, ...locks.map((lock) => lockText(lock, table))];
        try {
          await query(connection, begin.join("; "), []);
          const answer = await work(run);
          await query(connection, "COMMIT", []);
          return answer;
        } catch (error) {
          if (lending.isUsableAfter(error)) await query(connection, "ROLLBACK", []);
          throw error;
        }
      }),
  };
}

/** Opens connections of the pool that listen; each is kept from the pool until it is closed. */
export function pgLinks(pool: PgPool): OpenLink {
  return async (channel, hear, signal) => {
    const connection = await unlessAborted(pool.connect(), signal, (late) => late.release());
    let isOpen = true;
    const close = (): void => {
      // Closed, not given back: it still listens.
      if (isOpen) connection.release(new Error("It was listening."));
      isOpen = false;
    };
    const broken = new Promise<void>((resolve) => {
      connection.on("error", () => resolve());
      connection.on("end", resolve);
    });
    connection.on("notification", ({ payload }) => isOpen && hear(payload ?? ""));
    const ask = (text: string): Promise<unknown> => connection.query({ text, rowMode: "array" });
    try {
      await unlessAborted(ask(`LISTEN "${channel}"`), signal);
    } catch (error) {
      close();
      throw error;
    }
    return { broken, check: () => ask("SELECT 1"), close };
  };
}

function ignore(): void {}
