/**
 * Counts up in the data of one record, each time by a conditional update that is repeated until it lands, and says each
 * time how far it is. It starts when the data is no longer `wait`. Told on standard input: `{ "path", "key", "times" }`.
 */
import { once } from "node:events";
import Database from "libsql";
import { sqliteStore } from "symbolon/stores/sqlite";

process.stdout.write("ready\n");
const [line] = await once(process.stdin, "data");
const { path, key, times } = JSON.parse(String(line));
const store = sqliteStore(new Database(path));
const call = { now: 0, signal: new AbortController().signal };
process.stdout.write("waiting\n");
while (dataOf(await store.read(key, call)) === "wait");
for (let done = 0; done < times;) {
  const found = await store.read(key, call);
  const data = Buffer.from(String(Number(dataOf(found)) + 1));
  const { touchedAt, deadline, envelope } = found;
  const answer = await store.update(key, found.version, { touchedAt, deadline, envelope, data }, call);
  if (answer === "updated") done++;
  process.stdout.write(`${done}\n`);
}
process.exit(0);

function dataOf(found) {
  return Buffer.from(found.data).toString();
}
