/**
 * One process on a shared SQLite session: counts it up, and says what was acknowledged.
 *
 * Reads one line of JSON from its standard input: { path, key, token, times }; `times` null means until it is killed.
 */
import { createInterface } from "node:readline";
import Database from "libsql";
import { createSessionManager } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { path, key, token, times } = JSON.parse((await lines.next()).value);

const sessions = createSessionManager({ store: sqliteStore(new Database(path)), keys: [key], pruneEvery: false });
const countUp = async (session) => {
  const answer = await session.update((data) => {
    data.n++;
  });
  if (answer !== "saved") throw new Error(`The update was answered ${answer}.`);
};

process.stdout.write("ready\n");
// The other end says when both are ready.
await lines.next();

if (times === null) {
  for (;;) {
    const session = await sessions.validate(token);
    await countUp(session);
    process.stdout.write("counted\n");
  }
}
const parallel = Array.from({ length: times }, async () => countUp(await sessions.validate(token)));
await Promise.all(parallel);
process.stdout.write("done\n");
process.exit(0);
