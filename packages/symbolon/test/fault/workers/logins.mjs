/**
 * Logs a user in many times at once, and answers what became of each: { token, id, createdAt } or { code, limit }.
 *
 * Told on standard input, as a line of JSON: { path, key, userId, limits, times }; it begins with the next line.
 */
import { createInterface } from "node:readline";
import Database from "libsql";
import { createSessionManager, openSession } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
process.stdout.write("ready\n");
const { path, key, userId, limits, times } = JSON.parse((await lines.next()).value);

// Fine enough to tell which of two sessions is older, whichever process began it.
const clock = { now: () => Math.floor((performance.timeOrigin + performance.now()) * 1000) };
const lifetime = { idle: "100d", absolute: "400d" };
const options = { keys: [key], seal: "server", limits, clock, lifetime, pruneEvery: false };
const sessions = createSessionManager({ ...options, store: sqliteStore(new Database(path)) });

const nothing = { get: () => undefined };

/** By `create` where sessions are handed out again, else by `login`, each in a request of its own. */
async function logIn() {
  if (limits.onLimit === "reuse") {
    const { token, id, createdAt } = await sessions.create({ userId });
    return { token, id, createdAt };
  }
  const { session } = await openSession(sessions, nothing);
  await session.login(userId);
  return { token: session.takeToken(), id: session.id, createdAt: session.createdAt };
}

async function attempt() {
  try {
    return await logIn();
  } catch ({ code, limit }) {
    return { code, limit };
  }
}

process.stdout.write("prepared\n");
// The other end says when both are.
await lines.next();

const answers = await Promise.all(Array.from({ length: times }, attempt));
process.stdout.write(`${JSON.stringify(answers)}\n`);
process.exit(0);
