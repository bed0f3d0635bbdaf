/** Reads without a round trip: `cached(near, far)` keeps the sessions that a process saw lately. */
import { createSessionManager, generateKey } from "symbolon";
import { cached } from "symbolon/stores/cached";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore } from "symbolon/testing";

const keys = [generateKey()];
const storage = faultyStore(memoryStore()); // Counts the calls that reach it.

// Two processes on one storage; the first has a cache in front of it, and hears what the second writes.
const here = createSessionManager({ store: cached({ staleness: 5000 }, storage.store), keys });
const there = createSessionManager({ store: storage.store, keys });

const { token } = await there.create({ userId: "ada" });
await here.validate(token); // From now on it listens ...
await here.validate(token); // ... and so it may keep what it reads.

const before = storage.calls.length;
for (let request = 0; request < 1000; request++) await here.validate(token);
console.log(`1000 requests: ${storage.calls.length - before} calls of the store`);

await there.revokeToken(token);
console.log(`Revoked by the other process: ${(await here.validate(token)) === null ? "known at once" : "not known"}`);

await here.close();
await there.close();
