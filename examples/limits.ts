/** How many sessions a user may have at once, and what gives way: `limits`. */
import { createSessionManager, generateKey, limitPresets, SessionLimitError } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager({
  store: memoryStore(),
  keys: [generateKey()],
  limits: { perUser: 2 }, // onLimit: "evict-oldest" unless told
});
let evicted = 0;
sessions.on("evicted", () => void evicted++);

const phone = await sessions.create({ userId: "ada" });
await sessions.create({ userId: "ada" });
await sessions.create({ userId: "ada" });

// With a binding, `refusalOf(request)` says the same to the page that the phone asks for next.
const refused = await sessions.inspect(phone.token);
if (!refused.ok) console.log(`The phone is told: ${refused.reason}, ${refused.ended?.reason}`);

// Counting and storing are one step of the store, so the limit holds however many come at once.
await Promise.all(Array.from({ length: 20 }, () => sessions.create({ userId: "ada" })));
console.log(`After twenty more at once: ${await sessions.count({ userId: "ada" })} live, ${evicted} gave way`);
await sessions.close();

// The other way round: who is there stays, and who comes is refused.
const strict = createSessionManager({ store: memoryStore(), keys: [generateKey()], limits: limitPresets.firstWins });
const first = await strict.create({ userId: "ada" });
try {
  await strict.create({ userId: "ada" });
} catch (error) {
  if (!(error instanceof SessionLimitError)) throw error;
  console.log(`${error.status}: ${error.message}`);
}

// Logging in again where one is logged in already takes that session's place.
const session = await strict.validate(first.token);
await session?.login("ada");
console.log(`Logged in again: ${session?.state}, ${await strict.count({ userId: "ada" })} session`);
await strict.close();
