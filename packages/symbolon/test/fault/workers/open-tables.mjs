/** Makes a store in every file it is told, then says how many it made. Told: a JSON list of paths, on standard input. */
import { once } from "node:events";
import Database from "libsql";
import { sqliteStore } from "symbolon/stores/sqlite";

process.stdout.write("ready\n");
const [line] = await once(process.stdin, "data");
const paths = JSON.parse(String(line));
for (const path of paths) {
  const client = new Database(path);
  sqliteStore(client);
  client.close();
}
process.stdout.write(`${paths.length}\n`);
process.exit(0);
