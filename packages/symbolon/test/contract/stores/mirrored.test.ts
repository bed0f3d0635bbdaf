import type { Replication } from "symbolon";
import { mirrored } from "symbolon/stores/mirrored";
import { memoryStore } from "symbolon/stores/memory";
import { hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";

describe("mirrored", () => {
  const cases = storeContract.filter(({ needs }) => hasAbility(mirrored(memoryStore(), [memoryStore()]), needs));

  for (const { name, run } of cases)
    test(name, async () => {
      const primary = memoryStore();
      const mirrors = [memoryStore(), memoryStore()];
      const failures: unknown[] = [];
      await run({
        open: async () => mirrored(primary, mirrors, { onMirrorFailure: (failure) => failures.push(failure) }),
      });
      expect(failures).toEqual([]);
      for (const mirror of mirrors) expect(await contentsOf(mirror)).toEqual(await contentsOf(primary));
    });

  test("has the abilities of its primary", () => {
    expect(cases).toEqual(storeContract.filter(({ needs }) => hasAbility(memoryStore(), needs)));
  });
});

/** All a store holds, in one order. */
async function contentsOf(store: Replication): Promise<unknown[]> {
  const { entries } = await store.scan(
    { cursor: null, limit: 10_000 },
    { now: 0, signal: new AbortController().signal },
  );
  return entries.toSorted((a, b) => (a.lookup < b.lookup ? -1 : 1));
}
