/**
 * Admits so many records of one owner, and says what became of every one. It starts when the record `start` is there.
 * `pause` is how long it stops before each commit, in milliseconds; it then says `pausing`. Told on standard input:
 * `{ path, start, times, rules, pause }`.
 */
import { once } from "node:events";
import Database from "libsql";
import { sqliteStore } from "symbolon/stores/sqlite";

process.stdout.write("ready\n");
const [line] = await once(process.stdin, "data");
const { path, start, times, rules, pause } = JSON.parse(String(line));
const client = new Database(path);
const store = sqliteStore({ exec, prepare: (sql) => client.prepare(sql) });
const call = { now: 0, signal: new AbortController().signal };
process.stdout.write("waiting\n");
while ((await store.read(start, call)) === null);
for (let index = 0; index < times; index++) {
  const lookup = `${process.pid} ${index}`;
  const record = { ...start, lookup, owner: "ann", envelope: Buffer.from("envelope") };
  const { status } = await store.admit(record, rules, call);
  await say({ lookup, status });
}
process.exit(0);

function exec(sql) {
  if (pause > 0 && sql === "COMMIT") {
    process.stdout.write("pausing\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pause);
  }
  return client.exec(sql);
}

/** Waits until it has left: what the other end is too slow to take would be lost with the process. */
function say(message) {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(message)}\n`, resolve));
}
