/** The matrix in docs/stores.md says how many cases of the contract each store passes, by ability. */
import { readFileSync } from "node:fs";
import { cached } from "symbolon/stores/cached";
import { memoryStore } from "symbolon/stores/memory";
import { mirrored } from "symbolon/stores/mirrored";
import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { everyVariant } from "../../support/every-variant.ts";

const ABILITIES = [...new Set(storeContract.map(({ needs }) => needs))];
const page = readFileSync(new URL("../../../../../docs/stores.md", import.meta.url), "utf8");
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map((line) => line.split("|").slice(1, -1));
const cells = rows.map((row) => row.map((cell) => cell.trim().replaceAll("`", "")));

/** A row of the matrix, as it has to be. */
function rowOf(name: string, abilities: ReadonlySet<Ability>): string[] {
  const counts = ABILITIES.map((ability) => storeContract.filter(({ needs }) => needs === ability).length);
  const passed = counts.map((count, index) => (abilities.has(ABILITIES[index] ?? "store") ? count : 0));
  const total = passed.reduce((sum, count) => sum + count, 0);
  return [name, ...passed.map((count) => (count === 0 ? "-" : `${count}`)), `${total}`];
}

const inProcess = [
  { name: "memoryStore", store: memoryStore() },
  { name: "mirrored, of memory", store: mirrored(memoryStore(), [memoryStore()]) },
  { name: "cached, of memory", store: cached({}, memoryStore()) },
].map(({ name, store }) => ({ name, abilities: new Set(ABILITIES.filter((ability) => hasAbility(store, ability))) }));

describe("the matrix in docs/stores.md", () => {
  const known = everyVariant.filter(({ abilities }) => abilities.size > 0);
  const all = [...inProcess, ...known.map(({ variant, abilities }) => ({ name: variant.name, abilities }))];

  test("counts each case once: no two have one name", () => {
    expect(new Set(storeContract.map(({ name }) => name)).size).toBe(storeContract.length);
  });

  test("has a column for each ability, in the order of the contract", () => {
    expect(cells).toContainEqual(["cases passed", ...ABILITIES, "all"]);
  });

  test.each(all)("is right about $name", ({ name, abilities }) => {
    expect(cells.filter(([first]) => first === name)).toEqual([rowOf(name, abilities)]);
  });

  test("names no store that is not tested", () => {
    const start = cells.findIndex(([first]) => first === "cases passed");
    const matrix = cells.slice(start + 2).filter(({ length }) => length === ABILITIES.length + 2);
    const named = matrix.map(([first]) => first);
    const tested = [...inProcess.map(({ name }) => name), ...everyVariant.map(({ variant }) => variant.name)];
    expect(named.filter((name) => !tested.includes(name ?? ""))).toEqual([]);
    expect(named).toHaveLength(tested.length);
  });
});
