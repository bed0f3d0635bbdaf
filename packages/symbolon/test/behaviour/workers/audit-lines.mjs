/**
 * Writes entries to a shared audit log. Reads one line of JSON from its standard input: { path, name, lines }, and
 * says with another when to begin.
 */
import { createInterface } from "node:readline";
import { ndjsonSink } from "symbolon/auth/audit-log";

// A file over its limit of size is to be an error, as a full disk is.
process.on("SIGXFSZ", () => undefined);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { path, name, count } = JSON.parse((await lines.next()).value);
const sink = ndjsonSink(path);
process.stdout.write("ready\n");

for (let number = 0; (await lines.next()).value === "go";) {
  for (const end = number + count; number < end; number++) {
    sink.write({ type: "test", time: "now", at: 0, name, number, filling: "a".repeat((number * 7) % 300) });
  }
  // Behind everything written so far.
  await sink.reopen();
  process.stdout.write("done\n");
}
await sink.close();
