/** Sessions in a SQLite file: they outlive the process, and several processes may share the file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
// Or `new DatabaseSync(path)` of node:sqlite (Node 22.13 and newer), or better-sqlite3.
import Database from "libsql";
import { createSessionManager, generateKey } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";

const folder = mkdtempSync(join(tmpdir(), "symbolon-example-"));
const file = join(folder, "sessions.db");
const key = generateKey(); // Keep it: without it the file opens nothing.

/** What a process does at start; the caller closes the database, since it opened it. */
function start() {
  const database = new Database(file);
  const sessions = createSessionManager<{ n: number }>({ store: sqliteStore(database), keys: [key] });
  return { database, sessions };
}

// One process begins a session and ends.
const before = start();
const { token } = await before.sessions.create({ userId: "ada", data: { n: 1 } });
await before.sessions.close();
before.database.close();

// Two others open the same file, and count at the same time.
const [one, two] = [start(), start()] as const;
const [here, there] = [await one.sessions.validate(token), await two.sessions.validate(token)];
if (here === null || there === null) throw new Error("The session did not survive.");
console.log(`Found after the restart: n is ${here.data.n}`);
const rounds = Array.from({ length: 50 });
await Promise.all(rounds.flatMap(() => [here, there].map((session) => session.update((data) => void data.n++))));

const after = await one.sessions.validate(token);
console.log(`After 100 increments from two sides: n is ${after?.data.n}`);
console.log(`Sessions of ada: ${await two.sessions.count({ userId: "ada" })}`);

for (const { sessions, database } of [one, two]) {
  await sessions.close();
  database.close();
}
rmSync(folder, { recursive: true });
