/** Changing the key without ending a session, and ending what an old key sealed. */
import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";

const store = memoryStore();
const first = generateKey();
const second = generateKey();

const sessions = createSessionManager({
  store,
  keys: [first],
  indexKey: first, // Finds a user's sessions. The first key ever used; it stays when `keys` change.
});
const ada = await sessions.create({ userId: "ada" });

/** Whether ada's session opens. */
const state = async () => ((await sessions.inspect(ada.token)).ok ? "lives" : "is over");

// The new key goes in front: it seals from now on, and the old one still opens.
sessions.setKeys([second, first]);
console.log(`With both keys, the old session ${await state()}.`);
const bob = await sessions.create({ userId: "bob" });

// Once the longest absolute lifetime has passed, or at once if it leaked, the old key is taken out.
sessions.setKeys([second]);
console.log(`Without the first key, the old session ${await state()}.`);
console.log(`The session of ${(await sessions.validate(bob.token))?.userId} goes on.`);
await sessions.close();

// A restart, with the key that is in force and the index key of old.
const restarted = createSessionManager({ store, keys: [second], indexKey: first });
console.log(`After a restart, sessions of bob: ${await restarted.count({ userId: "bob" })}.`);
await restarted.close();
