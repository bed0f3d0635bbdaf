import { memoryStore } from "symbolon/stores/memory";
import { hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";

describe("memoryStore", () => {
  const abilities = storeContract.filter(({ needs }) => hasAbility(memoryStore(), needs));

  for (const { name, run } of abilities)
    test(name, async () => {
      const store = memoryStore();
      await run({ open: async () => store });
    });

  test("has every ability that does not need something opened", () => {
    const missing = new Set(storeContract.filter((one) => !abilities.includes(one)).map(({ needs }) => needs));
    expect([...missing]).toEqual(["close"]);
  });
});
