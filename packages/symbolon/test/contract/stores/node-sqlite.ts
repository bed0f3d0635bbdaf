import type { SqliteClient } from "symbolon/stores/sqlite";

/** A client and its own `close`, which no store calls. */
export type ClosableClient = SqliteClient & { close(): unknown };

/** Opens a database with `node:sqlite`; null where the runtime lacks it (before Node 22). */
export const openNodeSqlite: ((path: string) => ClosableClient) | null = (() => {
  const sqlite = process.getBuiltinModule("node:sqlite");
  return hasDatabaseSync(sqlite) ? (path: string) => new sqlite.DatabaseSync(path) : null;
})();

/** The types in use are those of Node 20, which know nothing of it. */
function hasDatabaseSync(value: object | undefined): value is { DatabaseSync: new (path: string) => ClosableClient } {
  return value !== undefined && "DatabaseSync" in value;
}
