/** The PostgreSQL clients as this package sees them, and what makes them alike. */
import { hash } from "node:crypto";
import type { PostgresJs } from "./postgres-js.ts";
import type { PgPool } from "./postgres-pg.ts";
import { factOf, type Diagnosis, type SqlLock } from "./sql-client.ts";

/** A `Pool` of `pg`, or what `postgres()` of postgres.js makes. */
export type PostgresClient = PgPool | PostgresJs;

export const DATABASE = "PostgreSQL";

/** What transactions begin with, whatever the server's default is: it must see what was committed while it waited. */
export const ISOLATION = "ISOLATION LEVEL READ COMMITTED";

const texts = new Map<string, NumberedStatement>();

/** A statement as PostgreSQL wants it. */
export interface NumberedStatement {
  /** The same for the same text, so that a connection plans it once; two tables share none. */
  readonly name: string;
  readonly text: string;
}

/** Writes `$1`, `$2`, ... for the question marks. The texts are those of the dialect, so they are few. */
export function numbered(text: string): NumberedStatement {
  const known = texts.get(text);
  if (known !== undefined) return known;
  let count = 0;
  const statement = {
    name: `symbolon_${hash("sha256", text, "base64url").slice(0, 22)}`,
    text: text.replaceAll("?", () => `$${++count}`),
  };
  texts.set(text, statement);
  return statement;
}

/** Waits for an advisory lock, which the end of the transaction frees. Numbers only, so that it needs no values. */
export function lockText({ kind, number }: SqlLock, table: string): string {
  const place = hash("sha256", `${table} ${kind}`, "buffer").readInt32BE();
  return `SELECT pg_advisory_xact_lock(${place}, ${Math.trunc(number) | 0})`;
}

/** What an error of the server says, by its SQLSTATE. */
export function diagnose(error: unknown): Diagnosis {
  switch (factOf(error, "code")) {
    // 57014: cancelled, which may have been meant for another statement on the same connection.
    case "40001":
    case "40P01":
    case "57014":
      return "repeatable";
    case "42P01":
    case "3F000":
      return "no-table";
    case "25006":
      return "read-only";
    default:
      return "other";
  }
}
