/**
 * Uses up tokens for one use, each by many calls at once, and says how many of them got an answer, token by token.
 *
 * Told on standard input, as a line of JSON: { path, key, purpose, tokens, times }; it begins with the next line.
 */
import { createInterface } from "node:readline";
import Database from "libsql";
import { createSessionManager } from "symbolon";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { sqliteStore } from "symbolon/stores/sqlite";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
process.stdout.write("ready\n");
const { path, key, purpose, tokens, times } = JSON.parse((await lines.next()).value);

const sessions = createSessionManager({ store: sqliteStore(new Database(path)), keys: [key], pruneEvery: false });
const oneTime = oneTimeTokens(sessions);

process.stdout.write("prepared\n");
// The other end says when both are.
await lines.next();

const answers = [];
for (const token of tokens) {
  const uses = await Promise.all(Array.from({ length: times }, () => oneTime.consume(purpose, token)));
  answers.push(uses.filter((use) => use !== null).length);
}
process.stdout.write(`${JSON.stringify(answers)}\n`);
process.exit(0);
