/** The published contract on every framework that we have a binding for. */
import { frameworkContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { SOCKET_TARGETS } from "./support/targets.ts";

describe.each(SOCKET_TARGETS)("$name", (target) => {
  const cases = frameworkContract.filter(({ needs }) => needs.every((ability) => target.abilities.includes(ability)));

  for (const { name, run } of cases) test(name, () => run(target));

  test("lacks nothing but another version of HTTP", () => {
    const missing = new Set(frameworkContract.filter((one) => !cases.includes(one)).flatMap(({ needs }) => needs));
    const others = target.abilities.includes("http2") ? ["http1"] : ["http2"];
    expect([...missing].filter((ability) => !target.abilities.includes(ability))).toEqual(others);
  });
});

test("the names of cases are told apart", () => {
  const names = frameworkContract.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
