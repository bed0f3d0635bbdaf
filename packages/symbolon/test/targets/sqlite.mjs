/** SQLite files, for tests that open a store in several processes. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { sqliteStore } from "symbolon/stores/sqlite";

export const variants = [{ name: "sqliteStore over libsql", server: null }];

export function prepare() {
  const folder = mkdtempSync(join(tmpdir(), "symbolon-target-"));
  return { folder, path: join(folder, "sessions.db") };
}

export function open({ path }) {
  const client = new Database(path);
  return { store: sqliteStore(client), close: () => client.close() };
}

export function drop({ folder }) {
  rmSync(folder, { recursive: true, force: true });
}
