import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { callAt, EVICTING, newRecord, NOW } from "../../fault/file-stage.ts";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/file.mjs";

const LACKING: readonly Ability[] = ["invalidations"];
const able = storeContract.filter(({ needs }) => !LACKING.includes(needs));

/**
 * It has a lookup taken in another space and on another route, where no file is looked for. Lookups are digests of their
 * space, and 256 bits; a test below has it taken by another user of the same route.
 */
const ELSEWHERE = "answers that the lookup is taken, room or not, and changes nothing";
const cases = able.filter(({ name }) => name !== ELSEWHERE);

describe.each(target.variants)("$name", (variant) => {
  test.each(cases)("$name", async ({ run }) => run(await storageFor(target, variant, null)));

  test("answers that the lookup is taken by another user of the route, room or not, and changes nothing", async () => {
    const store = await (await storageFor(target, variant, null)).open();
    const [held, ended, other] = [newRecord(), newRecord(), newRecord({ owner: "other" })];
    for (const record of [held, ended, other]) await store.create(record, callAt());
    await store.delete(ended, { reason: "logout", at: NOW }, callAt());
    for (const { lookup } of [held, ended, other]) {
      for (const perOwner of [1, 5]) {
        const rules = { ...EVICTING, perOwner, total: perOwner, replacing: held.lookup };
        expect(await store.admit(newRecord({ lookup }), rules, callAt())).toEqual({ status: "exists" });
      }
    }
    for (const record of [held, other]) expect(await store.read(record, callAt())).toEqual(record);
    expect(await store.read(ended, callAt())).toMatchObject({ reason: "logout" });
  });

  test("has every ability but to tell other processes", async () => {
    const store = await (await storageFor(target, variant, null)).open();
    expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(able);
  });
});
