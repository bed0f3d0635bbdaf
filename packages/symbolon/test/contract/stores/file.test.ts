import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/file.mjs";

const LACKING: readonly Ability[] = ["invalidations"];
const cases = storeContract.filter(({ needs }) => !LACKING.includes(needs));

describe.each(target.variants)("$name", (variant) => {
  for (const { name, run } of cases) test(name, async () => run(await storageFor(target, variant, null)));

  test("has every ability but to tell other processes", async () => {
    const store = await (await storageFor(target, variant, null)).open();
    expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(cases);
  });
});
