import { describe, expect, it } from "vitest";
import { applyChanges, findChanges } from "../../src/core/changes.ts";
import { decodeData, encodeData } from "../../src/core/data.ts";

const BOUNDS = { bytes: 1000, depth: 4, keys: 10 };
const WIDE = { bytes: 65_536, depth: 32, keys: 1000 };

class Cart {
  items = 1;
}

const cycle: Record<string, unknown> = {};
cycle["self"] = cycle;

const INVALID = "ERR_DATA_INVALID";
const TOO_LARGE = "ERR_DATA_TOO_LARGE";

function refusalOf(data: unknown, bounds = WIDE): { code: string; path?: string; message: string } {
  try {
    encodeData(data, bounds);
  } catch (error) {
    return error as { code: string; path?: string; message: string };
  }
  throw new Error("Nothing was refused.");
}

describe("what JSON cannot hold", () => {
  it.each<[string, unknown, string]>([
    ["a Date", new Date(0), "is a Date; store its toISOString\\(\\) or getTime\\(\\) instead"],
    ["a Map", new Map(), "is a Map; store Object.fromEntries\\(map\\) instead"],
    ["a Set", new Set(), "is a Set; store \\[...set\\] instead"],
    ["a BigInt", 1n, "is a bigint, which JSON cannot hold"],
    ["a typed array", new Uint8Array(2), "is a Uint8Array; store"],
    ["another typed array", new Float64Array(2), "is a Float64Array"],
    ["a Buffer", Buffer.from("x"), "is a Buffer; store"],
    ["an ArrayBuffer", new ArrayBuffer(2), "is a ArrayBuffer"],
    ["a function", () => 1, "is a function, which JSON cannot hold"],
    ["a symbol", Symbol("x"), "is a symbol, which JSON cannot hold"],
    ["NaN", Number.NaN, "is NaN, which JSON cannot hold"],
    ["Infinity", Infinity, "is Infinity, which JSON cannot hold"],
    ["-Infinity", -Infinity, "is -Infinity, which JSON cannot hold"],
    ["a class instance", new Cart(), "is a Cart; store a plain object instead"],
    ["a boxed string", Object("x"), "is a String"],
    ["an error", new Error("x"), "is a Error"],
    ["a URL", new URL("https://example.com"), "is a URL; store"],
    ["a regular expression", /x/, "is a RegExp"],
    ["a promise", Promise.resolve(), "is a Promise"],
  ])("is refused with the path of the value: %s", (_, value, why) => {
    expect(refusalOf({ a: { list: [1, { value }] } })).toMatchObject({
      code: INVALID,
      path: "a.list[1].value",
      message: expect.stringMatching(`^Session data: a\\.list\\[1\\]\\.value ${why}`) as string,
    });
    expect(refusalOf({ list: [value] })).toMatchObject({ code: INVALID, path: "list[0]" });
  });

  it("is refused in a list also when it is undefined, as JSON would make null of it", () => {
    expect(refusalOf({ list: [1, undefined] })).toMatchObject({ code: INVALID, path: "list[1]" });
    // A hole is undefined too.
    expect(refusalOf({ list: Array(2) })).toMatchObject({ code: INVALID, path: "list[0]" });
    expect(encodeData({ a: undefined, b: 1 }, WIDE)).toBe('{"b":1}');
  });

  it("is refused where a list has names in it, which JSON would drop", () => {
    expect(refusalOf({ found: "abc".match(/b/) })).toMatchObject({ code: INVALID, path: "found" });
    const list = Object.assign([1], { toJSON: "x" });
    expect(refusalOf({ deep: [list] })).toMatchObject({ code: INVALID, path: "deep[0]" });
  });

  it("is refused as the data itself", () => {
    for (const data of [null, undefined, [], "x", 1, new Map(), new Cart(), () => 1]) {
      expect(refusalOf(data)).toMatchObject({ code: INVALID, path: "" });
    }
  });

  it.each(["__proto__", "constructor", "prototype"])("is refused as a name: %s, at any depth", (name) => {
    const named = JSON.parse(`{"deep":[{"${name}":{"isAdmin":true}}]}`) as unknown;
    expect(refusalOf(named)).toMatchObject({ code: INVALID, path: `deep[0].${name}` });
    expect(decodeData(JSON.stringify(named), WIDE)).toBeNull();
    expect(({} as Record<string, unknown>)["isAdmin"]).toBeUndefined();
  });

  it("is a cycle, which is nested too deeply for any bound", () => {
    expect(refusalOf({ cycle })).toMatchObject({ code: TOO_LARGE });
    expect(refusalOf({ list: [cycle] }, BOUNDS)).toMatchObject({ code: TOO_LARGE });
  });

  it("is named by a path that is safe to log, whatever the keys are", () => {
    const { path, message } = refusalOf({ "a b": { "line\nbreak": { ["x".repeat(500)]: Number.NaN } } });
    expect(path).toMatch(/^\["a b"\]\["line\\nbreak"\]\["x{40,60}"?\]$/);
    expect(message).not.toContain("\n");
  });
});

const text = (bytes: number): string => "x".repeat(bytes - '{"a":""}'.length);
const nested = (depth: number): unknown => (depth === 1 ? {} : { a: nested(depth - 1) });
const lists = (depth: number): unknown => (depth === 1 ? {} : { a: listsOf(depth - 1) });
const listsOf = (depth: number): unknown => (depth === 1 ? [] : [listsOf(depth - 1)]);
const keys = (count: number): unknown => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, 1]));

describe("bounds", () => {
  it.each<[string, unknown, unknown]>([
    ["bytes", { a: text(1000) }, { a: text(1001) }],
    ["bytes of more than one", { a: `${text(999 - 1)}\u00e9` }, { a: `${text(999)}\u00e9` }],
    ["bytes of escaped text", { a: "\n".repeat(496) }, { a: "\n".repeat(497) }],
    ["depth of objects", nested(4), nested(5)],
    ["depth of lists", lists(4), lists(5)],
    ["keys", keys(10), keys(11)],
    ["elements", { a: Array(9).fill(1) as unknown }, { a: Array(10).fill(1) as unknown }],
    [
      "keys and elements together",
      { a: [1, 2, 3, 4], b: { c: [1, 2, 3] } },
      { a: [1, 2, 3, 4], b: { c: [1, 2, 3, 4] } },
    ],
  ])("hold to the last one, and refuse one more: %s", (_, within, over) => {
    expect(decodeData(encodeData(within, BOUNDS), BOUNDS)).toEqual(within);
    expect(refusalOf(over, BOUNDS)).toMatchObject({ code: TOO_LARGE });
    // Refused on reading too, except what only UTF-8 makes longer.
    if (!JSON.stringify(over).includes("\u00e9")) expect(decodeData(JSON.stringify(over), BOUNDS)).toBeNull();
  });

  it("do not let depth or length exhaust the stack or the memory", () => {
    const deep = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    expect(decodeData(deep, { ...WIDE, bytes: 16_777_216 })).toBeNull();
    let data: Record<string, unknown> = {};
    for (let depth = 0; depth < 100_000; depth++) data = { a: data };
    expect(refusalOf(data)).toMatchObject({ code: TOO_LARGE });
  });
});

describe("changes", () => {
  it.each<[string, object, object, unknown[]]>([
    ["nothing", { a: { b: [1] } }, { a: { b: [1] } }, []],
    ["a value", { a: 1, b: 1 }, { a: 2, b: 1 }, [{ path: ["a"], value: 2 }]],
    ["a value deep down", { a: { b: { c: 1 } } }, { a: { b: { c: 2 } } }, [{ path: ["a", "b", "c"], value: 2 }]],
    ["a list, whole", { a: [1, 2] }, { a: [1, 3] }, [{ path: ["a"], value: [1, 3] }]],
    ["a removal", { a: 1, b: 1 }, { b: 1 }, [{ path: ["a"], removed: true }]],
    ["a value set to undefined", { a: 1 }, { a: undefined }, [{ path: ["a"], removed: true }]],
    ["an inherited name", {}, { toString: 1 }, [{ path: ["toString"], value: 1 }]],
    ["the order of keys", { a: 1, b: 2 }, { b: 2, a: 1 }, []],
  ])("finds %s", (_, before, after, changes) => {
    expect(findChanges({ ...before }, { ...after })).toEqual(changes);
  });

  it("are replayed in place: what they do not replace keeps its identity", () => {
    const target = { a: { b: 1 }, list: [1], gone: 1 };
    const { a, list } = target;
    applyChanges(target, findChanges({ a: { b: 1 }, gone: 1 }, { a: { b: 2, c: { d: 1 } } }));
    expect(target).toEqual({ a: { b: 2, c: { d: 1 } }, list: [1] });
    expect(target.a).toBe(a);
    expect(target.list).toBe(list);
  });

  it("make the way to where they belong, and remove nothing where there is no way", () => {
    const target: Record<string, unknown> = { a: 5 };
    applyChanges(target, [
      { path: ["a", "b"], value: 1 },
      { path: ["x", "y"], removed: true },
      { path: [], value: 1 },
    ]);
    expect(target).toEqual({ a: { b: 1 } });
  });
});
