import { describe, expect, it } from "vitest";
import { returnTarget, type ReturnTargetOptions } from "../../src/auth/return-target.ts";
import { OptionsError } from "../../src/errors.ts";
import vectors from "../vectors/redirect-targets.json" with { type: "json" };

const APP = "https://app.test";
const FALLBACK = "/signed-in";
const options: ReturnTargetOptions = { origins: [APP], fallback: FALLBACK };

function untyped(value: unknown, wrong: unknown): unknown {
  return Reflect.apply(returnTarget, undefined, [value, wrong]);
}

describe("the return target: vectors", () => {
  it.each(vectors.cases.map((one) => [JSON.stringify(one.returnTo), one.why, one] as const))("%s: %s", (_, __, one) => {
    const target = returnTarget(one.returnTo, options);
    expect(target === FALLBACK ? "deny" : "allow").toBe(one.expect);
    expect(new URL(target, APP).origin).toBe(APP);
  });

  it("are all there", () => {
    expect(vectors.cases).toHaveLength(44);
  });
});

describe("the return target", () => {
  it.each<[value: string, target: string]>([
    ["/", "/"],
    ["/a/b?x=1#f", "/a/b?x=1#f"],
    ["?x=1", "/?x=1"],
    ["?", "/?"],
    ["/a?#", "/a?#"],
    ["/a/../b", "/b"],
    ["/%2e%2e/x", "/x"],
    ["/a%20b", "/a%20b"],
    ["/a%2Fb", "/a%2Fb"],
    ["/100%25", "/100%25"],
    ["/100%", "/100%"],
    ["/stra\u00dfe?q=\u00fc#\u00e4", "/stra%C3%9Fe?q=%C3%BC#%C3%A4"],
    ["/%C3%84", "/%C3%84"],
    ["/a?next=https://x.test//y", "/a?next=https://x.test//y"],
    ["/a?next=%2F%2Fx.test%5C", "/a?next=%2F%2Fx.test%5C"],
    ["/@evil.test", "/@evil.test"],
    ["/evil.test:443", "/evil.test:443"],
    ["https://app.test", "https://app.test/"],
    ["https://app.test?x", "https://app.test/?x"],
    ["https://app.test#x", "https://app.test/#x"],
    ["https://app.test:443/x", "https://app.test/x"],
    ["HTTPS://APP.TEST/X", "https://app.test/X"],
    ["https://app.test/a/../b?c#d", "https://app.test/b?c#d"],
  ])("of %j is %j", (value, target) => {
    expect(returnTarget(value, options)).toBe(target);
  });

  it.each([
    "a",
    "a/b",
    "./a",
    "../a",
    "#f",
    "app.test/x",
    "//app.test/x",
    "///app.test/x",
    "//nowhere.invalid/x",
    "https://nowhere.invalid/x",
    "https:/app.test/x",
    "https:app.test/x",
    "https:///app.test/x",
    "https:\\\\app.test/x",
    "https://@app.test/x",
    "https://:@app.test/x",
    "https://user@app.test/x",
    "https://evil.test@app.test/x",
    "https://evil.test:pw@app.test/x",
    "https://app%2etest/x",
    "https://app.test%00.evil.test",
    "https://app.test%23.evil.test",
    "https://app.test./x",
    "https://\uff41pp.test/x",
    "https://app\u3002test/x",
    "https://app.test\u00ad/x",
    "https://app.test:0/x",
    "https://app.test:99999/x",
    "https://app.test:443:443/x",
    "https://[::ffff:7f00:1]/x",
    "https://app.test]/x",
    "https://",
    "http://app.test:443/x",
    "wss://app.test/x",
    "ftp://app.test/x",
    "file:///x",
    "about:blank",
    "view-source:https://app.test/",
    "feed:https://app.test/",
    "java\nscript:alert(1)",
    "https://app.test//evil.test",
    "/a//evil.test",
    "/a/..//evil.test",
    "/.//evil.test",
    "/%2e//evil.test",
    "/.%2E//evil.test",
    "/%2f/evil.test",
    "/%2F%2Fevil.test",
    "/%5cevil.test",
    "/%5C%5Cevil.test",
    "/%252fevil.test/../%252f",
    "/%252f/evil.test",
    "/%255cevil.test",
    "/%25%32%66/evil.test",
    "/%%32%66/evil.test",
    "/%2%66/evil.test",
    "/%252e%252e%252f%252fevil.test",
    "/a%00",
    "/a%0d%0aLocation:%20x",
    "/a%250d%250aLocation:%20x",
    "/a%7f",
    "/%09/evil.test",
    "/%2509/evil.test",
    "/a b",
    " /a",
    "/a ",
    "/a\u00a0",
    "/a\u0085",
    "/a\u2028",
    "\ufeff/a",
    "/a\ud800",
    "/a?\udc00",
    "/a#\ud83c",
    "https://app.test/\ud800",
    "/a?\\",
    "/a#\n",
    "/a\u007f",
  ])("of %j is the fallback", (value) => {
    expect(returnTarget(value, options)).toBe(FALLBACK);
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a number", 7],
    ["a list, as of a query with the name twice", ["/a", "/b"]],
    ["an object", { toString: () => "/a" }],
    ["an object without prototype", Object.create(null)],
    ["an object that throws", { toString: () => expect.unreachable() }],
    ["a URL", new URL(`${APP}/a`)],
    ["a String object", Object("/a")],
    ["a symbol", Symbol("/a")],
  ])("of %s is the fallback", (_, value) => {
    expect(returnTarget(value, options)).toBe(FALLBACK);
    expect(returnTarget(value, { origins: [] })).toBe("/");
  });

  it("is at most 2048 characters, before and after it was parsed", () => {
    expect(returnTarget(`/${"a".repeat(2047)}`, options)).toHaveLength(2048);
    expect(returnTarget(`/${"a".repeat(2048)}`, options)).toBe(FALLBACK);
    expect(returnTarget(`/${"\u00e4".repeat(341)}`, options)).toHaveLength(2047);
    expect(returnTarget(`/${"\u00e4".repeat(342)}`, options)).toBe(FALLBACK);
  });

  it.each(["/", "//", "%2f", "%25", "/..", "/a", "\\", " ", "?", "\ud800", "https://app.test/"])(
    "takes no time for ten million characters of %j",
    (piece) => {
      const value = piece.repeat(1e7 / piece.length);
      const start = performance.now();
      expect(returnTarget(value, options)).toBe(FALLBACK);
      expect(performance.now() - start).toBeLessThan(50);
    },
  );

  it("leads to every listed origin and to no other", () => {
    const origins = [APP, "https://shop.test:8443", "http://localhost:3000"];
    for (const origin of origins) expect(returnTarget(`${origin}/x`, { origins })).toBe(`${origin}/x`);
    for (const other of ["https://shop.test", "http://shop.test:8443", "https://localhost:3000", "http://localhost"]) {
      expect(returnTarget(`${other}/x`, { origins })).toBe("/");
    }
  });

  it("is a path when no origin is listed", () => {
    expect(returnTarget("/a?b#c", { origins: [] })).toBe("/a?b#c");
    expect(returnTarget(`${APP}/a`, { origins: [] })).toBe("/");
    expect(returnTarget("//app.test/a", { origins: [] })).toBe("/");
  });

  it("of a target is the same target", () => {
    for (const value of ["/", "/a/../b?x=1#f", "?x", "/\u00e4", "https://app.test"]) {
      const target = returnTarget(value, options);
      expect(returnTarget(target, options)).toBe(target);
    }
  });
});

describe("the options of the return target", () => {
  it("have / as the fallback, and take a path or a listed URL for it", () => {
    expect(returnTarget("", { origins: [APP] })).toBe("/");
    expect(returnTarget("", { origins: [APP], fallback: "/home?x" })).toBe("/home?x");
    expect(returnTarget("", { origins: [APP], fallback: `${APP}/home` })).toBe(`${APP}/home`);
  });

  it.each<[string, unknown, RegExp]>([
    ["none", undefined, /^options: pass an object/],
    ["null", null, /^options: pass an object/],
    ["a misspelt name", { origin: APP }, /^origin: there is no such option/],
    ["origins that are no list", { origins: APP }, /^origins: write a list/],
    ["an origin with a path", { origins: [`${APP}/x`] }, /^origins\[0\]: write 'https:\/\/app\.test'/],
    ["an origin of another scheme", { origins: ["javascript:x"] }, /^origins\[0\]: write a scheme/],
    ["a fallback elsewhere", { origins: [APP], fallback: "https://evil.test/" }, /^fallback: write a path/],
    ["a fallback without a scheme", { origins: [APP], fallback: "//app.test" }, /^fallback: write a path/],
    ["an empty fallback", { origins: [APP], fallback: "" }, /^fallback: write a path/],
    ["a fallback that is no text", { origins: [APP], fallback: 7 }, /^fallback: write a path/],
    ["a fallback that is false", { origins: [APP], fallback: false }, /^fallback: write a path/],
  ])("are checked before the value: %s", (_, wrong, message) => {
    for (const value of ["/a", "//evil.test", undefined]) {
      expect(() => untyped(value, wrong)).toThrow(OptionsError);
      expect(() => untyped(value, wrong)).toThrow(message);
    }
  });
});
