import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { needsServer } from "../../support/servers.ts";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/redis.mjs";

const TELLING: readonly Ability[] = ["invalidations", "close"];

describe.each(target.variants)("$name", (variant) => {
  needsServer(variant.server, (url) => {
    for (const { name, run } of storeContract) test(name, async () => run(await storageFor(target, variant, url)));

    test("has every ability, and without `invalidations` all but to tell and to close", async () => {
      const storage = await storageFor(target, variant, url);
      const store = await storage.open();
      expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(storeContract);
      const options = { prefix: "test:silent:" };
      const silent = await target.open({ ...storage.where, options });
      const needs = new Set(
        storeContract.filter((one) => !hasAbility(silent.store, one.needs)).map((one) => one.needs),
      );
      await silent.close();
      expect([...needs]).toEqual(TELLING);
    });
  });
});
