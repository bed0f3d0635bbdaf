import { hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { needsServer } from "../../support/servers.ts";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/memcached.mjs";

const cases = storeContract.filter(({ needs }) => needs === "store");

describe.each(target.variants)("$name", (variant) => {
  needsServer("memcached", (url) => {
    for (const { name, run } of cases) test(name, async () => run(await storageFor(target, variant, url)));

    test("has no ability but to keep records", async () => {
      const store = await (await storageFor(target, variant, url)).open();
      expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(cases);
    });
  });
});
