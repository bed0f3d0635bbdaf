import { isTombstone } from "symbolon";
import { describe, expect, test } from "vitest";
import { callAt, change, contentsOf, NOW, recordOf, setUp } from "./mirrored-setup.ts";

const ending = { reason: "logout", at: NOW };

/** Holds the first call of the method at the gate until it is opened. */
function gate(held: string) {
  let open: (() => void) | undefined;
  let arrive: (() => void) | undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  let used = false;
  const hook = async (method: string): Promise<void> => {
    if (method !== held || used) return;
    used = true;
    arrive?.();
    await opened;
  };
  return { hook, arrived, open: () => open?.() };
}

describe("writes that reach a mirror in another order than the primary", () => {
  test("leave the later of two updates", async () => {
    const { store, primary, mirrors, failures } = setUp();
    const record = recordOf("ann");
    await store.create(record, callAt());
    const first = gate("update");
    mirrors[0].before(first.hook);
    const slow = store.update(record, 1, change(), callAt());
    await first.arrived;
    expect(await store.update(record, 2, change(), callAt())).toBe("updated");
    expect(await contentsOf(mirrors[0].store)).toEqual(await contentsOf(primary.store));
    first.open();
    expect(await slow).toBe("updated");
    expect(await contentsOf(mirrors[0].store)).toEqual(await contentsOf(primary.store));
    expect(await mirrors[0].store.read(record, callAt())).toHaveProperty("version", 3);
    expect(failures).toEqual([]);
  });

  test("leave an update that came before the record itself", async () => {
    const { store, primary, mirrors } = setUp();
    const record = recordOf("ann");
    const creation = gate("apply");
    mirrors[0].before(creation.hook);
    const slow = store.create(record, callAt());
    await creation.arrived;
    await store.update(record, 1, change(), callAt());
    creation.open();
    await slow;
    expect(await contentsOf(mirrors[0].store)).toEqual(await contentsOf(primary.store));
  });

  test.each([
    { held: "apply", late: "creation" },
    { held: "update", late: "update" },
  ])("leave the end of a record before its $late", async ({ held }) => {
    const { store, primary, mirrors } = setUp();
    const record = recordOf("ann");
    const write = gate(held);
    if (held === "update") await store.create(record, callAt());
    mirrors[0].before(write.hook);
    const slow = held === "update" ? store.update(record, 1, change(), callAt()) : store.create(record, callAt());
    await write.arrived;
    expect(await store.delete(record, ending, callAt())).toBe(true);
    write.open();
    await slow;
    expect(isTombstone((await mirrors[0].store.read(record, callAt()))!)).toBe(true);
    expect(await contentsOf(mirrors[0].store)).toEqual(await contentsOf(primary.store));
  });

  test.each([
    { held: "apply", late: "creation" },
    { held: "update", late: "update" },
  ])("leave the end of all of a user's records before one's $late", async ({ held }) => {
    const { store, primary, mirrors } = setUp();
    const record = recordOf("ann");
    const write = gate(held);
    if (held === "update") await store.create(record, callAt());
    mirrors[0].before(write.hook);
    const slow = held === "update" ? store.update(record, 1, change(), callAt()) : store.create(record, callAt());
    await write.arrived;
    expect(await store.deleteByOwner({ ...record, owner: "ann" }, [], ending, callAt())).toBe(1);
    write.open();
    await slow;
    expect(isTombstone((await mirrors[0].store.read(record, callAt()))!)).toBe(true);
    expect(await contentsOf(mirrors[0].store)).toEqual(await contentsOf(primary.store));
  });

  test("leave mirrors equal to the primary in 300 shuffled runs", async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = numbersFrom(seed);
      const { store, primary, mirrors, failures } = setUp();
      for (const mirror of mirrors) {
        mirror.before(async () => {
          for (let turns = Math.floor(random() * 12); turns > 0; turns--) await Promise.resolve();
        });
      }
      const records = [recordOf("ann"), recordOf("ann"), recordOf("bob")];
      const writes = Array.from({ length: 12 }, (_, index) => {
        const record = records[Math.floor(random() * records.length)]!;
        const version = 1 + Math.floor(random() * 3);
        if (index < 5) return () => store.create(record, callAt());
        if (index < 10) return () => store.update(record, version, change(), callAt());
        if (index === 10) return () => store.delete(record, ending, callAt());
        return () => store.deleteByOwner({ ...record, owner: "bob" }, [], ending, callAt());
      });
      await Promise.all(writes.toSorted(() => random() - 0.5).map(async (write) => write()));
      for (const mirror of mirrors) mirror.heal();
      expect(failures).toEqual([]);
      const expected = await contentsOf(primary.store);
      for (const mirror of mirrors) expect(await contentsOf(mirror.store), `seed ${seed}`).toEqual(expected);
    }
  });
});

/** A repeatable row of numbers from 0 to 1. */
function numbersFrom(seed: number): () => number {
  let state = seed * 2_654_435_769;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}
