import { describe, expect, it } from "vitest";
import type { CookieOptions } from "../../src/core/options.ts";
import { CookieError, OptionsError } from "../../src/errors.ts";
import { type CookieCarrier, cookieCarrier, type HeaderSource, readBearer } from "../../src/http/carrier.ts";

const PRODUCTION = false;
const DEVELOPMENT = true;

function headers(entries: Readonly<Record<string, string>>): HeaderSource {
  return { get: (name) => entries[name] };
}

/** Builds as JavaScript would: no types hold it back. */
function untyped(options: unknown): CookieCarrier {
  return Reflect.apply(cookieCarrier, undefined, [options, PRODUCTION]);
}

describe("the cookie carrier", () => {
  it("writes a __Host- cookie that is Secure, HttpOnly and Lax unless told otherwise", () => {
    const carrier = cookieCarrier(undefined, PRODUCTION);
    expect(carrier.name).toBe("__Host-sid");
    expect(carrier.persistent).toBe(false);
    expect(carrier.set("abc")).toBe("__Host-sid=abc; Path=/; Secure; HttpOnly; SameSite=Lax");
    expect(carrier.set("abc", 60)).toBe("__Host-sid=abc; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60");
    expect(carrier.clear()).toBe("__Host-sid=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
  });

  it("reads its own cookie from Web Headers and from any object with a get", () => {
    const carrier = cookieCarrier({}, PRODUCTION);
    const cookie = "a=1; __Host-sid=abc";
    expect(carrier.read(new Headers({ cookie }))).toEqual({ kind: "value", value: "abc" });
    expect(carrier.read(headers({ cookie }))).toEqual({ kind: "value", value: "abc" });
    expect(carrier.read(new Headers())).toEqual({ kind: "none" });
    expect(carrier.read(headers({ cookie: `${cookie}; __Host-sid=def` }))).toEqual({ kind: "ambiguous" });
  });

  it("does not take the token from another cookie, nor from the query or another header", () => {
    const carrier = cookieCarrier({}, PRODUCTION);
    const elsewhere = { cookie: "sid=abc; __Secure-sid=abc", authorization: "Bearer abc", "x-session": "abc" };
    expect(carrier.read(headers(elsewhere))).toEqual({ kind: "none" });
  });

  it("changes to __Secure-sid when a domain or a path forbids __Host-", () => {
    expect(cookieCarrier({ domain: "example.com" }, PRODUCTION).set("x")).toBe(
      "__Secure-sid=x; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax",
    );
    expect(cookieCarrier({ path: "/app" }, PRODUCTION).name).toBe("__Secure-sid");
    expect(cookieCarrier({ path: "/" }, PRODUCTION).name).toBe("__Host-sid");
  });

  it("keeps Secure and HttpOnly under a name without a prefix", () => {
    expect(cookieCarrier({ name: "sid" }, PRODUCTION).set("x")).toBe("sid=x; Path=/; Secure; HttpOnly; SameSite=Lax");
  });

  it("accepts __Host-Http- as a name", () => {
    expect(cookieCarrier({ name: "__Host-Http-sid" }, PRODUCTION).name).toBe("__Host-Http-sid");
  });

  it("writes SameSite=None for a partitioned cookie unless another value is asked for", () => {
    expect(cookieCarrier({ partitioned: true }, PRODUCTION).set("x")).toBe(
      "__Host-sid=x; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
    );
    expect(cookieCarrier({ partitioned: true, sameSite: "Lax" }, PRODUCTION).set("x")).toContain("SameSite=Lax");
  });

  it("passes priority and persistence on", () => {
    const carrier = cookieCarrier({ priority: "High", persistent: true }, PRODUCTION);
    expect(carrier.persistent).toBe(true);
    expect(carrier.set("x")).toContain("; Priority=High");
  });

  it("takes an option that is undefined for one that was left out", () => {
    expect(untyped({ domain: undefined, name: undefined, path: undefined }).set("x")).toBe(
      cookieCarrier({}, PRODUCTION).set("x"),
    );
  });

  it("is not changed by options that change afterwards", () => {
    const options = { name: "sid", persistent: false };
    const carrier = cookieCarrier(options, PRODUCTION);
    options.name = "other";
    expect(carrier.set("x")).toMatch(/^sid=x; /);
  });

  it.each<[CookieOptions, RegExp]>([
    [{ name: "__Host-sid", domain: "example.com" }, /that prefix/],
    [{ name: "__host-sid", path: "/app" }, /that prefix/],
    [{ name: "a b" }, /cookie name/],
    [{ path: "app" }, /cookie path/],
    [{ domain: "https://example.com" }, /cookie domain/],
  ])("refuses %j at construction", (options, message) => {
    expect(() => cookieCarrier(options, PRODUCTION)).toThrow(CookieError);
    expect(() => cookieCarrier(options, PRODUCTION)).toThrow(message);
  });

  it.each(["httpOnly", "secure", "maxAge", "samesite", "toString", "__proto__"])(
    "names the unknown option %s and lists those there are",
    (key) => {
      const options: unknown = JSON.parse(`{"${key}": true}`);
      expect(() => untyped(options)).toThrow(OptionsError);
      expect(() => untyped(options)).toThrow(
        new RegExp(`cookie\\.${key}\\b.*name, path, domain, sameSite, partitioned, priority, persistent`),
      );
    },
  );

  it.each<[object, RegExp]>([
    [{ name: 7 }, /A cookie name is an RFC 9110 token/],
    [{ path: null }, /A cookie path starts with \//],
    [{ domain: ["example.com"] }, /A cookie domain is a host name such as example\.com/],
    [{ sameSite: "lax" }, /SameSite is one of Lax, Strict, None/],
    [{ sameSite: true }, /SameSite is one of Lax, Strict, None/],
    [{ partitioned: "yes" }, /cookie\.partitioned: write true or false/],
    [{ priority: "high" }, /Priority is one of Low, Medium, High/],
    [{ persistent: 1 }, /cookie\.persistent: write true or false/],
  ])("says what to write instead of %j", (options, message) => {
    expect(() => untyped(options)).toThrow(message);
  });

  it("refuses options that are no object", () => {
    for (const options of ["sid", null, true]) {
      expect(() => untyped(options)).toThrow(OptionsError);
    }
  });
});

describe("the cookie carrier in development mode", () => {
  it("is not Secure and loses the prefix, and keeps everything else", () => {
    const carrier = cookieCarrier(undefined, DEVELOPMENT);
    expect(carrier.name).toBe("sid");
    expect(carrier.set("x")).toBe("sid=x; Path=/; HttpOnly; SameSite=Lax");
    expect(carrier.clear()).toBe("sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    expect(carrier.read(headers({ cookie: "sid=x" }))).toEqual({ kind: "value", value: "x" });
  });

  it.each(["__Host-cart", "__Secure-cart", "__Http-cart", "__Host-Http-cart", "__host-cart", "cart"])(
    "calls a cookie named %s cart",
    (name) => {
      expect(cookieCarrier({ name }, DEVELOPMENT).name).toBe("cart");
    },
  );

  it("calls the cookie of a domain or path sid", () => {
    expect(cookieCarrier({ domain: "localhost", path: "/app" }, DEVELOPMENT).set("x")).toBe(
      "sid=x; Path=/app; Domain=localhost; HttpOnly; SameSite=Lax",
    );
  });

  it("refuses what cannot work over plain http", () => {
    expect(() => cookieCarrier({ partitioned: true }, DEVELOPMENT)).toThrow(/need Secure \(https\)/);
    expect(() => cookieCarrier({ sameSite: "None" }, DEVELOPMENT)).toThrow(CookieError);
  });
});

function read(authorization: string): string | null {
  return readBearer(headers({ authorization }));
}

describe("the bearer header", () => {
  it("yields the token, whatever the case of the scheme", () => {
    expect(read("Bearer s1_abc-_~+/.=")).toBe("s1_abc-_~+/.=");
    expect(read("bearer abc")).toBe("abc");
    expect(read("BEARER  abc")).toBe("abc");
    expect(readBearer(new Headers({ authorization: "Bearer abc" }))).toBe("abc");
  });

  it("yields null without the header", () => {
    expect(readBearer(headers({}))).toBeNull();
    expect(readBearer(new Headers())).toBeNull();
  });

  it.each([
    "",
    "Bearer",
    "Bearer ",
    "Bearerabc",
    "Basic abc",
    "Digest Bearer abc",
    "abc",
    "Bearer a b",
    "Bearer a,b",
    "Bearer a, Bearer b",
    "Bearer\tabc",
    "Bearer abc ",
    " Bearer abc",
    'Bearer "abc"',
    "Bearer a=b",
    "Bearer =",
    "Bearer abc\n",
    "Bearer a\u0000",
    "Bearer \u00e9",
    "Bearer\u00a0abc",
  ])("yields null for %j", (authorization) => {
    expect(read(authorization)).toBeNull();
  });

  it("joins several headers to a list, and yields null for it", () => {
    const several = new Headers({ authorization: "Bearer abc" });
    several.append("authorization", "Bearer def");
    expect(readBearer(several)).toBeNull();
  });

  it("yields null for a header longer than its bound", () => {
    expect(read(`Bearer ${"a".repeat(8192)}`)).toHaveLength(8192);
    expect(read(`Bearer ${"a".repeat(8193)}`)).toBeNull();
  });
});
