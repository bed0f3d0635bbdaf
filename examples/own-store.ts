/** A store of one's own: four methods, held to the published contract. */
import type { Store, StoredRecord, Tombstone } from "symbolon";
import { createSessionManager, generateKey, isTombstone, TOMBSTONE_MS } from "symbolon";
import { hasAbility, storeContract } from "symbolon/testing";

/** Keeps records in this Map. With a database, each method is one conditional statement. */
function mapStore(entries = new Map<string, StoredRecord | Tombstone>()): Store {
  /** The live record, unless its space is another's. */
  const find = (key: { lookup: string; space: string }) => {
    const entry = entries.get(key.lookup);
    return entry === undefined || isTombstone(entry) || entry.space !== key.space ? null : entry;
  };
  return {
    read(key) {
      const entry = entries.get(key.lookup);
      return entry?.space === key.space ? structuredClone(entry) : null;
    },
    create(record) {
      if (entries.has(record.lookup)) return "exists";
      entries.set(record.lookup, structuredClone(record));
      return "created";
    },
    update(key, expectedVersion, change) {
      const record = find(key);
      if (record === null) return "missing";
      if (record.version !== expectedVersion) return "conflict";
      entries.set(key.lookup, structuredClone({ ...record, ...change, version: expectedVersion + 1 }));
      return "updated";
    },
    delete(key, { at, reason }, { now }) {
      const record = find(key);
      if (record === null) return false;
      const { space, route, lookup } = record;
      const deadline = Math.min(record.deadline, at + TOMBSTONE_MS);
      if (deadline > now) entries.set(lookup, { space, route, lookup, endedAt: at, reason, deadline });
      else entries.delete(lookup);
      return true;
    },
  };
}

// With a test runner: `test(name, () => run({ open }))` for each case.
const cases = storeContract.filter(({ needs }) => hasAbility(mapStore(), needs));
for (const { name, run } of cases) {
  const entries = new Map<string, StoredRecord | Tombstone>();
  try {
    await run({ open: async () => mapStore(entries) });
  } catch (error) {
    throw new Error(`The store breaks the contract: ${name}`, { cause: error });
  }
}
console.log(`mapStore keeps the contract, all ${cases.length} cases of it.`);

const sessions = createSessionManager({ store: mapStore(), keys: [generateKey()] });
const { token } = await sessions.create({ userId: "ada" });
console.log(`And it works: the session of ${(await sessions.validate(token))?.userId}.`);
await sessions.close();
