/** A SQLite database on disk, through what the runtime has: `node:sqlite`, else `libsql`. */
import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import type { SqliteClient } from "symbolon/stores/sqlite";
import { messageOf, StartError } from "./start-error.ts";

type ClientName = "node:sqlite" | "libsql";

interface Connection extends SqliteClient {
  close(): unknown;
}

type ConnectionClass = new (path: string) => Connection;

/** A file, and the connections to it. */
export class DatabaseFile {
  readonly path: string;
  /** To be shown. */
  readonly clientName: ClientName;
  readonly #connectionClass: ConnectionClass;
  readonly #connections: Connection[] = [];

  constructor(path: string) {
    const { name, connectionClass } = findClient();
    this.path = path;
    this.clientName = name;
    this.#connectionClass = connectionClass;
  }

  /**
   * Hands a connection of its own to what is to live in the file: the session store wants to share none, since what
   * one part leaves undone in a transaction would take the other's writes along. Makes the file when there is none.
   *
   * @throws {StartError} when the file cannot be opened, or not be used.
   */
  connect<T>(use: (client: SqliteClient) => T): T {
    try {
      // SQLite gives the files it puts beside this one the same mode.
      closeSync(openSync(this.path, "a", 0o600));
      const connection = new this.#connectionClass(this.path);
      this.#connections.push(connection);
      return use(connection);
    } catch (error) {
      const reason = error instanceof Error && error.cause !== undefined ? error.cause : error;
      throw new StartError(`The database ${this.path} cannot be opened: ${messageOf(reason)}.`);
    }
  }

  close(): void {
    for (const connection of this.#connections.splice(0)) connection.close();
  }
}

/** Loads one of the two, and only that one. */
function findClient(): { readonly name: ClientName; readonly connectionClass: ConnectionClass } {
  const builtIn = process.getBuiltinModule("node:sqlite") as { readonly DatabaseSync: ConnectionClass } | undefined;
  if (builtIn !== undefined) return { name: "node:sqlite", connectionClass: builtIn.DatabaseSync };
  try {
    return { name: "libsql", connectionClass: createRequire(import.meta.url)("libsql") as ConnectionClass };
  } catch (error) {
    throw new StartError(
      `This Node has no node:sqlite and libsql does not load (${messageOf(error).split("\n")[0]}): use Node 22.13 or newer.`,
    );
  }
}
