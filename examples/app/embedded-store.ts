/** A SQLite database on disk, through what the runtime has: `node:sqlite`, else `libsql`. */
import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import { type SqliteClient, sqliteStore, type SqliteStore } from "symbolon/stores/sqlite";
import { messageOf, StartError } from "./start-error.ts";

/** An open store, and what it runs on. */
export interface EmbeddedStore {
  readonly store: SqliteStore;
  /** The client's name, to be shown. */
  readonly client: "node:sqlite" | "libsql";
  /** Closes the database; the store does not, since the client is the application's. */
  close(): void;
}

interface Database extends SqliteClient {
  close(): unknown;
}

type DatabaseClass = new (path: string) => Database;

/**
 * Opens the store in this file, and makes the file when there is none.
 *
 * @throws {StartError} when it cannot be opened.
 */
export function openEmbeddedStore(path: string): EmbeddedStore {
  const { client, open } = findClient();
  let database: Database | null = null;
  try {
    // SQLite gives the files it puts beside this one the same mode.
    closeSync(openSync(path, "a", 0o600));
    const opened = new open(path);
    database = opened;
    return { store: sqliteStore(opened), client, close: () => void opened.close() };
  } catch (error) {
    database?.close();
    const reason = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new StartError(`The database ${path} cannot be opened: ${messageOf(reason)}.`);
  }
}

/** Loads one of the two, and only that one. */
function findClient(): { readonly client: "node:sqlite" | "libsql"; readonly open: DatabaseClass } {
  const builtIn = process.getBuiltinModule("node:sqlite") as { readonly DatabaseSync: DatabaseClass } | undefined;
  if (builtIn !== undefined) return { client: "node:sqlite", open: builtIn.DatabaseSync };
  try {
    return { client: "libsql", open: createRequire(import.meta.url)("libsql") as DatabaseClass };
  } catch (error) {
    throw new StartError(
      `This Node has no node:sqlite and libsql does not load (${messageOf(error).split("\n")[0]}): use Node 22.13 or newer.`,
    );
  }
}
