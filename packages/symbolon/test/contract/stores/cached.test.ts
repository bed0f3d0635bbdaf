import { cached } from "symbolon/stores/cached";
import { memoryStore } from "symbolon/stores/memory";
import { hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";

const wrap = (far = memoryStore()) => cached({}, far);

describe("cached", () => {
  const cases = storeContract.filter(({ needs }) => hasAbility(wrap(), needs));

  for (const { name, run } of cases)
    test(name, async () => {
      const far = memoryStore();
      await run({ open: async () => wrap(far) });
    });

  test("has the abilities of the far store, and closes", () => {
    const ofFar = storeContract.filter(({ needs }) => needs === "close" || hasAbility(memoryStore(), needs));
    expect(cases).toEqual(ofFar);
  });
});
