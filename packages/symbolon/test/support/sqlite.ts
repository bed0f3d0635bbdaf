import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { onTestFinished } from "vitest";

/** A database file of one test, removed when the test is over. */
export interface SqliteFile {
  readonly path: string;
  /** Opens another connection. */
  connect(): Database.Database;
  /** All bytes on disk: the database, its write-ahead log and whatever else is there. */
  bytes(): Buffer;
}

export function sqliteFile(): SqliteFile {
  const folder = mkdtempSync(join(tmpdir(), "symbolon-test-"));
  const open: Database.Database[] = [];
  onTestFinished(() => {
    for (const client of open) client.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const path = join(folder, "sessions.db");
  return {
    path,
    connect() {
      const client = new Database(path);
      open.push(client);
      return client;
    },
    bytes: () => Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name)))),
  };
}
