/** What the format byte and the key id of a stored record decide. */
import { createSessionManager, generateKey, type Store, type StoredRecord } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";

/** A store whose records come back changed. */
function changing(change: (record: StoredRecord) => StoredRecord): Store {
  const store = memoryStore();
  return {
    read(key, call) {
      const found = store.read(key, call) as StoredRecord | null;
      return found === null ? null : change(found);
    },
    create: (record, call) => store.create(record, call),
    update: (key, version, next, call) => store.update(key, version, next, call),
    delete: (key, ending, call) => store.delete(key, ending, call),
  };
}

function withByte(bytes: Uint8Array, index: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[index] = value;
  return copy;
}

describe("a stored record", () => {
  it("refuses a record of an unknown format", async () => {
    for (const format of [0, 2, 255]) {
      const store = changing((record) => ({ ...record, envelope: withByte(record.envelope, 0, format) }));
      const sessions = createSessionManager({ store, keys: [generateKey()] });
      const { token } = await sessions.create({ userId: "ann", data: { n: 1 } });
      expect(await sessions.inspect(token)).toMatchObject({ ok: false, reason: "bad-seal" });
    }
  });

  it("opens as it was stored", async () => {
    const sessions = createSessionManager({ store: changing((record) => record), keys: [generateKey()] });
    const { token } = await sessions.create({ userId: "ann", data: { n: 1 } });
    expect((await sessions.validate(token))?.data).toEqual({ n: 1 });
  });
});

describe("the keys of a manager", () => {
  it("are refused when they are not random", () => {
    const store = memoryStore();
    for (const key of [undefined, "", "secret", "a".repeat(64), "correct-horse-battery-staple-correct-horse-0"]) {
      expect(() => createSessionManager({ store, keys: [key] })).toThrowError(/^keys\[0\]: /);
    }
  });
});
