import { createSessionManager, generateKey, type Session } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, test } from "vitest";
import { applyChanges, findChanges } from "../../src/core/changes.ts";

type Data = Record<string, unknown>;

/** Lets two requests read the same data, change it each in its own way, and save one after the other. */
async function merge(data: Data, ...changes: ((data: Data) => void)[]): Promise<Data> {
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
  const { token } = await sessions.create({ data });
  const requests: Session<Data>[] = [];
  for (const change of changes) {
    const session = await sessions.validate(token);
    if (session === null) throw new Error("no session");
    change(session.data);
    requests.push(session);
  }
  for (const session of requests) expect(await session.save()).not.toBe("gone");
  const stored = (await sessions.validate(token))?.data ?? {};
  // What the last one to save holds is what is stored: the changes of the others came into it.
  expect(requests.at(-1)?.data).toEqual(stored);
  await sessions.close();
  return stored;
}

describe("Requests that change a session at the same time", () => {
  test("keep what each put into an object that both added", async () => {
    const merged = await merge(
      {},
      (data) => void (data["cart"] = { tea: 1 }),
      (data) => void (data["cart"] = { cup: 2 }),
    );
    expect(merged).toEqual({ cart: { tea: 1, cup: 2 } });
  });

  test("keep what each put into nested objects that both added", async () => {
    const merged = await merge(
      { kept: true },
      (data) => void (data["shop"] = { cart: { tea: 1 } }),
      (data) => void (data["shop"] = { cart: { cup: 1 }, seen: {} }),
    );
    expect(merged).toEqual({ kept: true, shop: { cart: { tea: 1, cup: 1 }, seen: {} } });
  });

  test("lose nothing to one that adds an empty object", async () => {
    const merged = await merge(
      {},
      (data) => void (data["cart"] = { tea: 1 }),
      (data) => void (data["cart"] = {}),
    );
    expect(merged).toEqual({ cart: { tea: 1 } });
  });

  test("replace arrays and scalars whole, the later save last", async () => {
    const merged = await merge(
      { list: [1], word: "old" },
      (data) => Object.assign(data, { list: [1, 2], word: "first" }),
      (data) => Object.assign(data, { list: [1, 3], word: { now: "an object" } }),
    );
    expect(merged).toEqual({ list: [1, 3], word: { now: "an object" } });
  });

  test("keep a removal and an addition in one object", async () => {
    const merged = await merge(
      { cart: { tea: 1, cup: 1 } },
      (data) => void delete (data["cart"] as Data)["tea"],
      (data) => void ((data["cart"] as Data)["pot"] = 1),
    );
    expect(merged).toEqual({ cart: { cup: 1, pot: 1 } });
  });
});

test.each([
  [{}, { a: {} }],
  [{ a: {} }, {}],
  [{ a: 1 }, { a: {} }],
  [{ a: [] }, { a: {} }],
  [{ a: {} }, { a: [] }],
  [{ a: [1] }, { a: { 0: 1 } }],
  [{ a: { b: { c: 1 } } }, { a: { b: {} } }],
  [{ a: { b: 1 } }, { a: { b: { c: [{}] } }, d: null }],
] as [Data, Data][])("The changes from %j to %j lead from the one to the other", (before, after) => {
  const target = structuredClone(before);
  applyChanges(target, findChanges(before, after));
  expect(target).toEqual(after);
});
