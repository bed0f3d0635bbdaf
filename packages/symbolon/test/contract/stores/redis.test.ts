import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { call, newRecord } from "../../fault/redis-setup.ts";
import { needsServer } from "../../support/servers.ts";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/redis.mjs";

/**
 * It has a lookup taken that is in another space and in another slot, which no script can see. Lookups are digests of
 * their space, and 256 bits; a test below has it taken by another user in the same slot.
 */
const ELSEWHERE = "answers that the lookup is taken, room or not, and changes nothing";
const cases = storeContract.filter(({ name }) => name !== ELSEWHERE);

const TELLING: readonly Ability[] = ["invalidations", "close"];

describe.each(target.variants)("$name", (variant) => {
  needsServer(variant.server, (url) => {
    test.each(cases)("$name", async ({ run }) => run(await storageFor(target, variant, url)));

    test("answers that the lookup is taken by another user in the slot, room or not, and changes nothing", async () => {
      const store = await (await storageFor(target, variant, url)).open();
      const [held, ended, mine] = [newRecord(), newRecord(), newRecord()];
      const elsewhere = newRecord({ space: held.space, route: held.route });
      for (const record of [held, ended, elsewhere]) await store.create(record, call());
      await store.delete(ended, { reason: "logout", at: Date.now() }, call());
      for (const { space, route, lookup } of [held, ended, elsewhere]) {
        for (const perOwner of [1, 5]) {
          const rules = { perOwner, total: perOwner, onLimit: "evict-oldest", replacing: held.lookup } as const;
          expect(await store.admit({ ...mine, space, route, lookup }, rules, call())).toEqual({ status: "exists" });
        }
      }
      for (const record of [held, elsewhere]) expect(await store.read(record, call())).toMatchObject({ version: 1 });
      expect(await store.read(ended, call())).toMatchObject({ reason: "logout" });
    });

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
