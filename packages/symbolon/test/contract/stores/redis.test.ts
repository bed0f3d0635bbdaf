import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { needsServer } from "../../support/servers.ts";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/redis.mjs";

const LACKING: readonly Ability[] = [];
const cases = storeContract.filter(({ needs }) => !LACKING.includes(needs));

describe.each(target.variants)("$name", (variant) => {
  needsServer(variant.server, (url) => {
    test.each(cases)("$name", async ({ run }) => run(await storageFor(target, variant, url)));

    test("has every ability", async () => {
      const store = await (await storageFor(target, variant, url)).open();
      expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(cases);
    });
  });
});
