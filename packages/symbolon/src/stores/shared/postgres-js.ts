/** What `postgres()` of postgres.js makes, as a `SqlClient`. */
import { randomBytes } from "node:crypto";
import type { OpenLink } from "./postgres-listening.ts";
import { DATABASE, diagnose, ISOLATION, lockText, numbered } from "./postgres-client.ts";
import { factOf, type Run, type SqlAnswer, type SqlClient, type SqlLock, unlessAborted } from "./sql-client.ts";
import type { SqlValue } from "./sql-rows.ts";

/** The methods of postgres.js that are used. */
export interface PostgresJs extends PostgresJsRunner {
  begin(options: string, work: (sql: PostgresJsRunner) => Promise<unknown>): Promise<unknown>;
  listen(channel: string, onMessage: (message: string) => void, onListen: () => void): Promise<PostgresJsListening>;
}

/** Runs statements: the pool, or a transaction. */
export interface PostgresJsRunner {
  unsafe(text: string, values: SqlValue[], options: { readonly prepare: boolean }): PostgresJsQuery;
}

/** A query that was not sent yet. */
export interface PostgresJsQuery {
  values(): Promise<PostgresJsRows> & { cancel(): unknown };
}

/** Rows as lists of values. */
export interface PostgresJsRows extends ReadonlyArray<unknown[]> {
  readonly count: number | null;
}

/** What `listen` answers. */
export interface PostgresJsListening {
  unlisten(): Promise<void>;
}

/** Whether the server, or the network, has ended the connection. */
function isDead(error: unknown): boolean {
  const isFatal = ["FATAL", "PANIC"].includes(String(factOf(error, "severity")));
  return isFatal || String(factOf(error, "code")).startsWith("CONNECTION_");
}

/** The pool chooses a connection for each statement and each transaction. */
export function postgresJsClient(sql: PostgresJs, table: string, prepare: boolean): SqlClient {
  async function query(
    runner: PostgresJsRunner,
    text: string,
    values: readonly SqlValue[],
    signal: AbortSignal,
  ): Promise<SqlAnswer> {
    const pending = runner.unsafe(numbered(text).text, [...values], { prepare }).values();
    const cancel = (): void => void Promise.resolve(pending.cancel()).catch(() => undefined);
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const rows = await unlessAborted(pending, signal);
      return { rows, affected: rows.count ?? 0 };
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  async function transaction<T>(
    locks: readonly SqlLock[],
    signal: AbortSignal,
    work: (run: Run) => Promise<T>,
  ): Promise<T> {
    let isOver = false;
    const done = sql.begin(ISOLATION, async (runner) => {
      const run: Run = async (text, values) => {
        // postgres.js would send it on the connection that comes next, outside of any transaction.
        if (isOver) throw new Error("The transaction is over.");
        return query(runner, text, values, signal);
      };
      try {
        for (const lock of locks) await run(lockText(lock, table), []);
        return await work(run);
      } catch (error) {
        // `begin` fails by itself then. It must not be told by the work: it would send a `ROLLBACK` where there is no
        // socket any more, which ends the process (porsager/postgres#1154, in 3.4.9).
        if (isDead(error)) await new Promise<never>(() => undefined);
        throw error;
      }
    });
    try {
      return (await unlessAborted(done, signal)) as T;
    } finally {
      isOver = true;
    }
  }

  return {
    database: DATABASE,
    diagnose,
    run: (text, values, signal) => query(sql, text, values, signal),
    transaction,
  };
}

/** Opens what listens on the connection that postgres.js keeps for that, and opens again by itself. */
export function postgresJsLinks(sql: PostgresJs): OpenLink {
  return async (channel, hear, signal) => {
    let isOpen = true;
    let listens = 0;
    let markBroken: () => void = ignore;
    const broken = new Promise<void>((resolve) => (markBroken = resolve));
    const listening: PostgresJsListening[] = [];
    const listen = async (name: string, onMessage: (message: string) => void, onListen: () => void): Promise<void> => {
      const began = sql.listen(name, onMessage, onListen);
      listening.push(await unlessAborted(began, signal, (late) => void late.unlisten().catch(ignore)));
    };
    const close = (): void => {
      isOpen = false;
      for (const one of listening.splice(0)) one.unlisten().catch(ignore);
    };
    let heard: () => void = ignore;
    // Nobody else listens to this one: the link's own messages show that messages arrive.
    const echo = `${channel}_${randomBytes(8).toString("hex")}`;
    try {
      await listen(
        channel,
        (message) => isOpen && hear(message),
        // The second time it has been away in between.
        () => ++listens > 1 && markBroken(),
      );
      await listen(echo, () => heard(), ignore);
    } catch (error) {
      close();
      throw error;
    }
    const check = (): Promise<void> =>
      new Promise((resolve, reject) => {
        heard = resolve;
        sql.unsafe(`SELECT pg_notify('${echo}', '')`, [], { prepare: false }).values().catch(reject);
      });
    return { broken, check, close };
  };
}

function ignore(): void {}
