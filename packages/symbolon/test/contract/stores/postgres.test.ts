import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { needsServer } from "../../support/servers.ts";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/postgres.mjs";

const ASKED_FOR: readonly Ability[] = ["invalidations", "close"];

describe.each(target.variants)("$name", (variant) => {
  const cases = storeContract.filter(({ needs }) => variant.invalidations || !ASKED_FOR.includes(needs));

  needsServer("postgres", (url) => {
    for (const { name, run } of cases) test(name, async () => run(await storageFor(target, variant, url)));

    test("has every ability, but those it has to be asked for only then", async () => {
      const storage = await storageFor(target, variant, url);
      const store = await storage.open();
      expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(cases);
    });
  });
});
