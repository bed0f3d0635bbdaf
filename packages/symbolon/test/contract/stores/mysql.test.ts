import { hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { needsServer } from "../../support/servers.ts";
import { storageFor } from "../../support/targets.ts";
import * as target from "../../targets/mysql.mjs";

describe.each(target.variants)("$name", (variant) => {
  const cases = storeContract.filter(({ needs }) => needs !== "invalidations" && needs !== "close");

  needsServer("mariadb", (url) => {
    for (const { name, run } of cases) test(name, async () => run(await storageFor(target, variant, url)));

    test("has every ability but to tell what is written, and nothing to close", async () => {
      const storage = await storageFor(target, variant, url);
      const store = await storage.open();
      expect(storeContract.filter(({ needs }) => hasAbility(store, needs))).toEqual(cases);
    });
  });
});
