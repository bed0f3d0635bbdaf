/** Sessions in a folder: no database, no server, and several processes of one machine may share it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager, generateKey } from "symbolon";
import { fileStore } from "symbolon/stores/file";

const folder = mkdtempSync(join(tmpdir(), "symbolon-example-"));
const key = generateKey(); // Keep it: without it the files open nothing.

/** What a process does at start. */
function start() {
  const store = fileStore(join(folder, "sessions"));
  return createSessionManager<{ n: number }>({ store, keys: [key], limits: { perUser: 2, onLimit: "evict-oldest" } });
}

// One process begins a session and ends.
const before = start();
const { token } = await before.create({ userId: "ada", data: { n: 1 } });
await before.close();

// Two others open the same folder, and count at the same time.
const [one, two] = [start(), start()] as const;
const [here, there] = [await one.validate(token), await two.validate(token)];
if (here === null || there === null) throw new Error("The session did not survive.");
const rounds = Array.from({ length: 50 });
await Promise.all(rounds.flatMap(() => [here, there].map((session) => session.update((data) => void data.n++))));

const after = await one.validate(token);
console.log(`After 100 increments from two sides: n is ${after?.data.n}`);

// However many devices log in at the same time, two sessions stay.
await Promise.all(Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? one : two).create({ userId: "ada" })));
console.log(`Sessions of ada: ${await two.count({ userId: "ada" })}`);

await one.close();
await two.close();
rmSync(folder, { recursive: true });
