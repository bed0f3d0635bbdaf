import * as fc from "fast-check";
import { type AdmissionRules, isTombstone, type RecordKey, type StoredRecord, StoreUnavailableError } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type MirroredStore, mirrored } from "symbolon/stores/mirrored";
import { faultyStore } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { propertyOptions } from "../property/seed.ts";
import { type Intercepted, intercept } from "../support/stores.ts";
import { bareStore, callAt, change, contentsOf, NOW, recordOf, setUp } from "./mirrored-setup.ts";

type OwnedRecord = StoredRecord & { readonly owner: string };
type SetUp = ReturnType<typeof setUp>;

function rulesOf(fields: Partial<AdmissionRules>): AdmissionRules {
  return { perOwner: null, total: null, onLimit: "evict-oldest", replacing: null, ...fields };
}

function ownedBy(owner: string, createdAt = NOW): OwnedRecord {
  return { ...recordOf(owner), owner, createdAt };
}

/** The key, or the record, that a call of one record begins with. */
function keyOf({ args }: Intercepted): RecordKey {
  return args[0] as RecordKey;
}

async function expectEqual({ primary, mirrors }: SetUp): Promise<void> {
  const expected = await contentsOf(primary.store);
  for (const mirror of mirrors) expect(await contentsOf(mirror.store)).toEqual(expected);
}

/** Three records of ann, and rules by which a fourth replaces the second and the first gives way. */
async function prepare({ store }: SetUp) {
  const held = [ownedBy("ann", NOW - 3), ownedBy("ann", NOW - 2), ownedBy("ann", NOW - 1)] as const;
  for (const record of held) await store.create(record, callAt());
  const rules = rulesOf({ perOwner: 2, replacing: held[1].lookup });
  return { held, record: ownedBy("ann"), rules };
}

describe("an admission through mirrored", () => {
  test("reaches the mirrors whole: who came, who gave way and who was replaced, with the right word", async () => {
    const all = setUp();
    const { held, record, rules } = await prepare(all);
    expect(await all.store.admit(record, rules, callAt(NOW + 5))).toMatchObject({
      status: "created",
      evicted: [{ lookup: held[0].lookup }],
    });
    for (const { store } of all.mirrors) {
      expect(await store.read(held[0], callAt())).toMatchObject({ reason: "evicted", endedAt: NOW + 5 });
      expect(await store.read(held[1], callAt())).toMatchObject({ reason: "replaced", endedAt: NOW + 5 });
      expect(await store.read(held[2], callAt())).toMatchObject({ version: 1 });
      expect(await store.read(record, callAt())).toMatchObject({ version: 1 });
    }
    await expectEqual(all);
    expect(all.failures).toEqual([]);
  });

  test("ends with the right word at mirrors what the primary no longer tells of", async () => {
    const all = setUp();
    const { held, record, rules } = await prepare(all);
    // As where the tombstone has become garbage before the mirror is told.
    const forgetful = intercept(all.primary.store, (call) =>
      call.method === "read" && held.some(({ lookup }) => lookup === keyOf(call).lookup) ? null : call.proceed(),
    );
    const store = mirrored(forgetful, [all.mirrors[0].store]);
    await store.admit(record, rules, callAt(NOW + 5));
    expect(await all.mirrors[0].store.read(held[0], callAt())).toMatchObject({ reason: "evicted", endedAt: NOW + 5 });
    expect(await all.mirrors[0].store.read(held[1], callAt())).toMatchObject({ reason: "replaced", endedAt: NOW + 5 });
    expect(await all.mirrors[0].store.read(record, callAt())).toMatchObject({ version: 1 });
  });

  test("reaches no mirror when nothing is stored", async () => {
    const { store, primary, mirrors } = setUp();
    const held = ownedBy("ann");
    await primary.store.create(held, callAt());
    const admit = async (record: OwnedRecord, rules: AdmissionRules) => store.admit(record, rules, callAt());
    expect(await admit(held, rulesOf({}))).toEqual({ status: "exists" });
    expect(await admit(ownedBy("ann"), rulesOf({ perOwner: 1, onLimit: "reject" }))).toHaveProperty("limit", "owner");
    expect(await admit(ownedBy("bob"), rulesOf({ total: 1 }))).toHaveProperty("limit", "total");
    expect(await admit(ownedBy("ann"), rulesOf({ perOwner: 1, onLimit: "reuse" }))).toHaveProperty("status", "reused");
    for (const mirror of mirrors) expect(mirror.calls).toEqual([]);
  });

  test("leaves at mirrors what is named as replaced and is another's, however the primary finds its records", async () => {
    const inner = memoryStore();
    const routes = new Map<string, number>();
    // A store that shards finds nothing by the route of somebody else.
    const primary = intercept(inner, (call) => {
      const { lookup, route } = keyOf(call);
      return call.method === "read" && routes.get(lookup) !== route ? null : call.proceed();
    });
    const mirror = memoryStore();
    const store = mirrored(primary, [mirror]);
    const others = [
      { ...recordOf("bob"), route: 2 },
      { ...recordOf("none"), owner: null, route: 3 },
    ];
    const [record, next] = [ownedBy("ann"), ownedBy("ann")];
    for (const one of [...others, record, next]) routes.set(one.lookup, one.route);
    for (const other of others) await store.create(other, callAt());
    for (const [index, replacing] of [...others.map(({ lookup }) => lookup), "unknown"].entries()) {
      const admitted = { ...ownedBy("ann"), lookup: `admitted ${index}` };
      routes.set(admitted.lookup, admitted.route);
      await store.admit(admitted, rulesOf({ replacing }), callAt());
    }
    for (const other of others) expect(await mirror.read(other, callAt())).toMatchObject({ version: 1 });
    expect(await contentsOf(mirror)).toEqual(await contentsOf(inner));
    expect(store.mirrors).toEqual([{ failed: false }]);
  });

  test("is an ability that comes from the primary, and needs none of a mirror but to take copies", async () => {
    const store: MirroredStore<ReturnType<typeof memoryStore>> = mirrored(memoryStore(), [bareStore("scan", "apply")]);
    const [first, second] = [ownedBy("ann", NOW - 1), ownedBy("ann")];
    await store.admit(first, rulesOf({ perOwner: 1 }), callAt());
    expect(await store.admit(second, rulesOf({ perOwner: 1 }), callAt())).toHaveProperty("status", "created");
    expect(store.mirrors).toEqual([{ failed: false }]);
    expect("admit" in mirrored(bareStore(), [memoryStore()])).toBe(false);
    expect("admit" in mirrored(bareStore("admit"), [memoryStore()])).toBe(true);
  });
});

describe("a mirror that fails during an admission", () => {
  test("does not fail the request, is marked, and is made equal again", async () => {
    const all = setUp({ timeout: 50 });
    const { record, rules } = await prepare(all);
    all.mirrors[0].fail();
    all.mirrors[1].hang({ deaf: true });
    expect(await all.store.admit(record, rules, callAt())).toMatchObject({ status: "created" });
    expect(all.store.mirrors).toEqual([{ failed: true }, { failed: true }]);
    expect(all.failures).toHaveLength(2);
    for (const mirror of all.mirrors) mirror.heal();
    await all.store.resync();
    await expectEqual(all);
  });

  test("is marked, whichever of its calls fails", async () => {
    const counted = setUp();
    const prepared = await prepare(counted);
    const before = counted.mirrors[0].calls.length;
    await counted.store.admit(prepared.record, prepared.rules, callAt());
    const calls = counted.mirrors[0].calls.length - before;
    expect(calls).toBeGreaterThanOrEqual(3);
    for (let failing = 1; failing <= calls; failing++) {
      const all = setUp();
      const { record, rules } = await prepare(all);
      let call = 0;
      all.mirrors[0].before(() => {
        if (++call === failing) throw new Error("a defect of the mirror");
      });
      expect(await all.store.admit(record, rules, callAt())).toMatchObject({ status: "created" });
      expect(all.store.mirrors).toEqual([{ failed: true }, { failed: false }]);
    }
  });
});

describe("a primary that fails during an admission", () => {
  test("fails the request, and mirrors are given all that it did when the answer was lost", async () => {
    const all = setUp();
    const { held, record, rules } = await prepare(all);
    all.primary.lose(1);
    await expect(async () => all.store.admit(record, rules, callAt())).rejects.toThrow(StoreUnavailableError);
    expect(await all.primary.store.read(record, callAt())).toMatchObject({ version: 1 });
    for (const { store } of all.mirrors) {
      expect(await store.read(held[0], callAt())).toMatchObject({ reason: "evicted" });
      expect(await store.read(held[1], callAt())).toMatchObject({ reason: "replaced" });
    }
    await expectEqual(all);
    expect(all.failures).toEqual([]);
  });

  test("leaves mirrors as they were, and trusted, when it did nothing and says so", async () => {
    const all = setUp();
    const { record, rules } = await prepare(all);
    all.primary.fail(1);
    await expect(async () => all.store.admit(record, rules, callAt())).rejects.toThrow(StoreUnavailableError);
    expect(await all.primary.store.read(record, callAt())).toBeNull();
    await expectEqual(all);
    expect(all.failures).toEqual([]);
  });

  test("leaves no mirror trusted when nobody knows what it did", async () => {
    const all = setUp();
    const { record, rules } = await prepare(all);
    all.primary.fail();
    await expect(async () => all.store.admit(record, rules, callAt())).rejects.toThrow(StoreUnavailableError);
    expect(all.store.mirrors).toEqual([{ failed: true }, { failed: true }]);
    all.primary.heal();
    await all.store.resync();
    await expectEqual(all);
  });

  test("leaves no mirror trusted that cannot say which records it has of the user", async () => {
    const primary = faultyStore(memoryStore());
    const store = mirrored(primary.store, [bareStore("scan", "apply")]);
    primary.lose(1);
    await expect(async () => store.admit(ownedBy("ann"), rulesOf({}), callAt())).rejects.toThrow(StoreUnavailableError);
    expect(store.mirrors).toEqual([{ failed: true }]);
  });
});

describe("admissions that reach a mirror in another order than the primary", () => {
  test("end a record there that gave way before its own copy came", async () => {
    const all = setUp();
    let open: (() => void) | undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const [first, second] = [ownedBy("ann", NOW - 1), ownedBy("ann")];
    let held = false;
    all.mirrors[0].before((method) => {
      if (method !== "apply" || held) return undefined;
      held = true;
      return opened;
    });
    const slow = all.store.admit(first, rulesOf({ perOwner: 1 }), callAt());
    expect(await all.store.admit(second, rulesOf({ perOwner: 1 }), callAt())).toMatchObject({ status: "created" });
    open?.();
    await slow;
    const found = await all.mirrors[0].store.read(first, callAt());
    expect(found !== null && isTombstone(found)).toBe(true);
    await expectEqual(all);
    expect(all.failures).toEqual([]);
  });

  test("leave mirrors equal to the primary and users at their limit, whatever the order and whichever answer is lost", async () => {
    const step = fc.record({
      kind: fc.constantFrom("admit", "admit", "admit", "update", "delete", "deleteByOwner"),
      owner: fc.constantFrom("ann", "bob"),
      about: fc.nat({ max: 5 }),
      onLimit: fc.constantFrom("evict-oldest", "evict-idle", "reject", "reuse"),
      replaces: fc.boolean(),
    });
    const scenario = fc.record({
      steps: fc.array(step, { minLength: 4, maxLength: 14 }),
      turns: fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 40 }),
      lost: fc.nat({ max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ steps, turns, lost }) => {
        const all = setUp();
        const records = steps.map(({ owner }, index) => ownedBy(owner, NOW + index));
        let turn = 0;
        for (const mirror of all.mirrors) {
          mirror.before(async () => {
            for (let left = turns[turn++ % turns.length]!; left > 0; left--) await Promise.resolve();
          });
        }
        all.primary.lose(lost);
        const work = steps.map(async ({ kind, owner, about, onLimit, replaces }, index) => {
          const target = records[about % records.length]!;
          const replacing = replaces ? target.lookup : null;
          const ending = { reason: "logout", at: NOW };
          if (kind === "update") return all.store.update(target, 1, change(), callAt());
          if (kind === "delete") return all.store.delete(target, ending, callAt());
          if (kind === "deleteByOwner") return all.store.deleteByOwner({ ...target, owner }, [], ending, callAt());
          return all.store.admit(records[index]!, rulesOf({ perOwner: 2, onLimit, replacing }), callAt());
        });
        await Promise.allSettled(work);
        for (const one of [all.primary, ...all.mirrors]) one.heal();
        const expected = await contentsOf(all.primary.store);
        for (const [index, mirror] of all.mirrors.entries()) {
          // Only where nobody can know which records of a user ended is a mirror given up.
          if (all.store.mirrors[index]!.failed) expect(lost).toBeGreaterThan(0);
          else expect(await contentsOf(mirror.store)).toEqual(expected);
        }
        for (const owner of ["ann", "bob"]) {
          const key = { space: "space", route: 1, owner };
          expect(await all.primary.store.countByOwner(key, callAt())).toBeLessThanOrEqual(2);
        }
      }),
      { numRuns: 400, ...propertyOptions() },
    );
  });
});
