import { NotSupportedError, OptionsError, type StoredRecord, StoreTimeoutError, StoreUnavailableError } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { mirrored } from "symbolon/stores/mirrored";
import { faultyStore } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { bareStore, callAt, change, contentsOf, HOUR, NOW, recordOf, setUp } from "./mirrored-setup.ts";

const ending = { reason: "logout", at: NOW };

/** Writes the record's second version while a lock is held. */
async function updateUnderLock(store: ReturnType<typeof setUp>["store"], record: StoredRecord): Promise<void> {
  const { space, route } = record;
  await store.acquireLock({ space, route, lock: "lock" }, "ann", HOUR, callAt());
  await store.updateUnderLock(record, 1, change(), { lock: "lock", holder: "ann" }, callAt());
}

describe("a mirror that fails", () => {
  test("does not fail the request, is reported once, and is left alone", async () => {
    const { store, primary, mirrors, failures } = setUp();
    const record = recordOf("ann");
    mirrors[1].fail();
    expect(await store.create(record, callAt())).toBe("created");
    expect(store.mirrors).toEqual([{ failed: false }, { failed: true }]);
    expect(failures).toEqual([{ mirror: 1, error: expect.any(StoreUnavailableError) }]);
    const callsBefore = mirrors[1].calls.length;
    expect(await store.update(record, 1, change(), callAt())).toBe("updated");
    expect(await store.delete(record, ending, callAt())).toBe(true);
    expect(mirrors[1].calls).toHaveLength(callsBefore);
    expect(failures).toHaveLength(1);
    expect(await contentsOf(mirrors[0].store)).toEqual(await contentsOf(primary.store));
  });

  test("does not hold a request longer than the time-out, even when it never answers", async () => {
    const { store, mirrors, failures } = setUp({ timeout: 5 });
    mirrors[0].hang({ deaf: true });
    mirrors[1].hang();
    expect(await store.create(recordOf("ann"), callAt())).toBe("created");
    expect(store.mirrors).toEqual([{ failed: true }, { failed: true }]);
    expect(failures).toHaveLength(2);
    expect(failures.find(({ mirror }) => mirror === 0)?.error).toBeInstanceOf(StoreTimeoutError);
    expect(failures.find(({ mirror }) => mirror === 1)?.error).toBeInstanceOf(StoreUnavailableError);
  });

  test("is marked by every kind of write", async () => {
    const record = recordOf("ann");
    const writes: ((store: ReturnType<typeof setUp>["store"]) => unknown)[] = [
      (store) => store.create(recordOf("bob"), callAt()),
      (store) => store.update(record, 1, change(), callAt()),
      (store) => updateUnderLock(store, record),
      (store) => store.delete(record, ending, callAt()),
      (store) => store.deleteByOwner({ ...record, owner: "ann" }, [], ending, callAt()),
      (store) => store.deleteByTenant({ space: record.space, tenant: null }, ending, callAt()),
      (store) => store.apply({ ...record, version: 9 }, callAt()),
    ];
    for (const write of writes) {
      const { store, mirrors } = setUp();
      await store.create(record, callAt());
      mirrors[0].fail();
      await write(store);
      expect(store.mirrors).toEqual([{ failed: true }, { failed: false }]);
    }
  });

  test("may keep its garbage: a failed prune is told and no more", async () => {
    const { store, mirrors, failures } = setUp();
    await store.create(recordOf("ann"), callAt());
    mirrors[0].fail(1);
    expect(await store.prune(NOW + HOUR, 10, callAt(NOW + HOUR))).toBe(1);
    expect(failures).toHaveLength(1);
    expect(store.mirrors).toEqual([{ failed: false }, { failed: false }]);
    expect(await contentsOf(mirrors[1].store)).toEqual([]);
  });

  test("does not fail the request when the listener throws", async () => {
    const mirror = faultyStore(memoryStore());
    const store = mirrored(memoryStore(), [mirror.store], {
      onMirrorFailure: () => {
        throw new Error("a defect of the listener");
      },
    });
    mirror.fail();
    expect(await store.create(recordOf("ann"), callAt())).toBe("created");
    expect(store.mirrors).toEqual([{ failed: true }]);
  });

  test("is one that cannot end what the primary can", async () => {
    const store = mirrored(memoryStore(), [bareStore("scan", "apply")]);
    const record = recordOf("ann");
    await store.create(record, callAt());
    expect(await store.deleteByOwner({ ...record, owner: "ann" }, [], ending, callAt())).toBe(1);
    expect(store.mirrors).toEqual([{ failed: true }]);
  });
});

describe("a primary that fails", () => {
  test("fails the request, and mirrors are given what it shows when an answer was lost", async () => {
    const { store, primary, mirrors } = setUp();
    const [record, other] = [recordOf("ann"), recordOf("bob")];
    primary.lose(1);
    await expect(async () => store.create(record, callAt())).rejects.toThrow(StoreUnavailableError);
    await store.create(other, callAt());
    primary.lose(1);
    await expect(async () => store.update(record, 1, change(), callAt())).rejects.toThrow(StoreUnavailableError);
    primary.lose(1);
    await expect(async () => updateUnderLock(store, other)).rejects.toThrow(StoreUnavailableError);
    for (const mirror of mirrors) expect(await contentsOf(mirror.store)).toEqual(await contentsOf(primary.store));
    primary.lose(1);
    await expect(async () => store.delete(other, ending, callAt())).rejects.toThrow(StoreUnavailableError);
    expect(store.mirrors).toEqual([{ failed: false }, { failed: false }]);
    expect(await contentsOf(primary.store)).toHaveLength(2);
    for (const mirror of mirrors) expect(await contentsOf(mirror.store)).toEqual(await contentsOf(primary.store));
  });

  test("leaves no mirror trusted when nobody knows what it did", async () => {
    const { store, primary } = setUp();
    const record = recordOf("ann");
    await store.create(record, callAt());
    primary.fail();
    await expect(async () => store.update(record, 1, change(), callAt())).rejects.toThrow(StoreUnavailableError);
    expect(store.mirrors).toEqual([{ failed: true }, { failed: true }]);
    primary.heal();
    await store.resync();
    primary.lose(1);
    const revokeAll = async () => store.deleteByOwner({ ...record, owner: "ann" }, [], ending, callAt());
    await expect(revokeAll).rejects.toThrow(StoreUnavailableError);
    expect(store.mirrors).toEqual([{ failed: true }, { failed: true }]);
  });

  test("is not made up for by a mirror", async () => {
    const { store, primary, mirrors } = setUp();
    const record = recordOf("ann");
    await store.create(record, callAt());
    primary.fail();
    await expect(async () => store.read(record, callAt())).rejects.toThrow(StoreUnavailableError);
    expect(mirrors.flatMap(({ calls }) => calls.filter(({ method }) => method === "read"))).toEqual([]);
  });
});

describe("a write that the primary refuses", () => {
  test("reaches no mirror", async () => {
    const { store, primary, mirrors } = setUp();
    const record = recordOf("ann");
    await primary.store.create(record, callAt());
    expect(await store.create({ ...record, data: Buffer.from("rival") }, callAt())).toBe("exists");
    expect(await store.update(record, 2, change(), callAt())).toBe("conflict");
    expect(await store.update(recordOf("bob"), 1, change(), callAt())).toBe("missing");
    expect(await store.updateUnderLock(record, 1, change(), { lock: "lock", holder: "ann" }, callAt())).toBe("lost");
    expect(await store.apply(record, callAt())).toBe(false);
    for (const mirror of mirrors) expect(mirror.calls).toEqual([]);
  });
});

describe("what mirrored is made of", () => {
  test("must be able to take copies", () => {
    expect(() => mirrored(memoryStore(), [memoryStore(), bareStore()])).toThrow(OptionsError);
    expect(() => mirrored(memoryStore(), [], { timeout: 0 })).toThrow(OptionsError);
  });

  test("gives it its abilities, and none besides", async () => {
    const plain = mirrored(bareStore(), [memoryStore()]);
    for (const method of ["listByOwner", "listByTenant", "prune", "scan", "apply", "close"]) {
      expect(method in plain).toBe(false);
    }
    await expect(plain.resync()).rejects.toThrow(NotSupportedError);
  });

  test("is closed with it, all of it", async () => {
    const closed: string[] = [];
    const closing = (name: string) => Object.assign(memoryStore(), { close: () => void closed.push(name) });
    const store = mirrored(closing("primary"), [closing("mirror 0"), memoryStore(), closing("mirror 2")]);
    await store.close();
    expect(closed.toSorted()).toEqual(["mirror 0", "mirror 2", "primary"]);
  });
});
