/** A store with a copy in another, which can take its place: `mirrored(primary, others)`. */
import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { mirrored } from "symbolon/stores/mirrored";
import { faultyStore } from "symbolon/testing";

const keys = [generateKey()];
const primary = memoryStore();
const copy = faultyStore(memoryStore()); // Fails when it is told to.
const store = mirrored(primary, [copy.store], {
  onMirrorFailure: () => console.log("The copy failed; requests go on."),
});
const sessions = createSessionManager({ store, keys });

/** Opens the session in the copy alone, as if the primary had burnt down. */
async function openInCopy(token: string) {
  const onCopy = createSessionManager({ store: copy.store, keys });
  const found = await onCopy.inspect(token);
  await onCopy.close();
  return found.ok ? "lives" : `does not (${found.reason})`;
}

const kept = await sessions.create({ userId: "ada" });
console.log(`In the copy, the session ${await openInCopy(kept.token)}.`);

copy.fail();
const missed = await sessions.create({ userId: "ada" });
copy.heal();
console.log(`In the copy, what was begun meanwhile ${await openInCopy(missed.token)}.`);

const [resynced] = await store.resync();
console.log(`Brought up to date: ${resynced?.copied} copied. Now it ${await openInCopy(missed.token)}.`);

await sessions.revokeToken(kept.token);
console.log(`After it was revoked, the first ${await openInCopy(kept.token)}.`);
await sessions.close();
