import { describe, expect, it } from "vitest";
import { CookieError } from "../../src/errors.ts";
import {
  type CookieAttributes,
  cookieWriter,
  MAX_COOKIE_AGE_SECONDS,
  MAX_COOKIE_BYTES,
  MAX_COOKIE_HEADER_BYTES,
  MAX_COOKIE_PAIRS,
  readCookie,
  writeCookie,
} from "../../src/http/cookie.ts";
import readVectors from "../vectors/cookie-header.json" with { type: "json" };
import writeVectors from "../vectors/set-cookie.json" with { type: "json" };

const NAME = "__Host-sid";
/** The grammar of the tokens spelt out in the vectors. */
const VECTOR_TOKEN = /^s1_[A-Za-z0-9_-]{64}$/;
const ATTRIBUTES: CookieAttributes = { path: "/", secure: true, httpOnly: true, sameSite: "Lax" };

/** Calls as JavaScript would: no types hold it back. */
function untyped(target: (...values: never[]) => unknown, ...values: unknown[]): unknown {
  return Reflect.apply(target, undefined, values);
}

/** What a session layer makes of a header: a token, or why there is none. */
function outcome(header: string): string {
  const reading = readCookie(header, NAME);
  if (reading.kind !== "value") return reading.kind;
  return VECTOR_TOKEN.test(reading.value) ? reading.value : "none";
}

describe("reading the Cookie header: vectors", () => {
  const { genuine, attacker, cases } = readVectors;
  const allowed: Readonly<Record<string, readonly string[]>> = {
    T: [genuine],
    none: ["none"],
    ambiguous: ["ambiguous"],
    "T-or-none": [genuine, "none"],
    "none-or-T-like": ["none", attacker],
  };

  it.each(cases)("$name: $why", ({ headers, expect: expected }) => {
    expect(allowed[expected]).toContain(outcome(headers.join("; ")));
  });
});

describe("reading the Cookie header", () => {
  it("answers none without a header, an empty one, or something that is no string", () => {
    for (const header of [undefined, null, "", 7, ["a=1"], {}]) {
      expect(untyped(readCookie, header, NAME)).toEqual({ kind: "none" });
    }
  });

  it("shares the answers none and ambiguous, which nobody can change", () => {
    expect(readCookie("", NAME)).toBe(readCookie("a=1", NAME));
    expect(Object.isFrozen(readCookie("", NAME))).toBe(true);
    expect(Object.isFrozen(readCookie("a=1; a=2", "a"))).toBe(true);
  });

  it("removes only spaces and tabs around a pair", () => {
    expect(readCookie(" \t a=1 \t ;b=2", "a")).toEqual({ kind: "value", value: "1" });
    expect(readCookie("a=1\u00a0", "a")).toEqual({ kind: "value", value: "1\u00a0" });
    expect(readCookie("a= 1", "a")).toEqual({ kind: "value", value: " 1" });
    expect(readCookie("\u000ba=1", "a")).toEqual({ kind: "none" });
  });

  it("does not take a name with a space before the equals sign for the name", () => {
    expect(readCookie("a =planted", "a")).toEqual({ kind: "none" });
    expect(readCookie("a =planted; a=1", "a")).toEqual({ kind: "value", value: "1" });
  });

  it("does not take a longer or shorter name for the name", () => {
    expect(readCookie("aa=1; a.0=2; b=a=3; a; =a=4", "a")).toEqual({ kind: "none" });
  });

  it("ignores nameless pairs even when asked for the empty name", () => {
    expect(readCookie("=1", "")).toEqual({ kind: "none" });
  });

  it("keeps everything after the first equals sign", () => {
    expect(readCookie('a="b=c",\\d', "a")).toEqual({ kind: "value", value: '"b=c",\\d' });
  });

  it("counts an empty and a non-empty value as two different ones, in either order", () => {
    expect(readCookie("a=; a=1", "a")).toEqual({ kind: "ambiguous" });
    expect(readCookie("a=1; a=", "a")).toEqual({ kind: "ambiguous" });
    expect(readCookie("a=; a= ", "a")).toEqual({ kind: "none" });
  });

  it("tells a third, different copy from two identical ones", () => {
    expect(readCookie("a=1; a=1; a=2", "a")).toEqual({ kind: "ambiguous" });
  });

  it("reads a header of the largest size and refuses one that is a byte longer", () => {
    const header = `a=1; b=${"x".repeat(MAX_COOKIE_HEADER_BYTES - 7)}`;
    expect(header).toHaveLength(MAX_COOKIE_HEADER_BYTES);
    expect(readCookie(header, "a")).toEqual({ kind: "value", value: "1" });
    expect(readCookie(`${header}x`, "a")).toEqual({ kind: "none" });
  });

  it("reads the last pair it may look at and refuses a header with one more", () => {
    const others = Array.from({ length: MAX_COOKIE_PAIRS - 1 }, (_, index) => `c${index}=1`).join("; ");
    expect(readCookie(`${others}; a=1`, "a")).toEqual({ kind: "value", value: "1" });
    expect(readCookie(`a=1; ${others}; b=1`, "a")).toEqual({ kind: "none" });
  });

  it("does not accept a planted cookie when the genuine one was pushed over the bound", () => {
    const others = Array.from({ length: MAX_COOKIE_PAIRS }, (_, index) => `c${index}=1`).join("; ");
    expect(readCookie(`a=planted; ${others}; a=genuine`, "a")).toEqual({ kind: "none" });
  });
});

function attempt({ name, value, ...attributes }: { name: string; value: string }): string {
  try {
    return String(untyped(writeCookie, name, value, attributes));
  } catch (error) {
    expect(error).toBeInstanceOf(CookieError);
    return "throws";
  }
}

describe("writing the Set-Cookie header: vectors", () => {
  it.each(writeVectors.cases)("$name: $why", ({ args, expect: expected }) => {
    const written = attempt(args);
    if (expected === "throws-or-clamps") return expect(written).toContain(`; Max-Age=${MAX_COOKIE_AGE_SECONDS}`);
    if (expected === "ok") return expect(written).toContain(`${args.name}=${args.value}; `);
    // Nothing is ever encoded, and 4096 octets are over the limit of this library.
    expect(["throws", "throws-or-encodes", "ok-or-throws"]).toContain(expected);
    expect(written).toBe("throws");
  });
});

describe("writing the Set-Cookie header", () => {
  it("writes each attribute once, in one fixed form", () => {
    expect(writeCookie(NAME, "abc", ATTRIBUTES)).toBe("__Host-sid=abc; Path=/; Secure; HttpOnly; SameSite=Lax");
    expect(
      writeCookie("__Secure-sid", "abc", {
        path: "/app",
        domain: "example.com",
        secure: true,
        httpOnly: false,
        sameSite: "None",
        partitioned: true,
        priority: "High",
        maxAge: 60,
      }),
    ).toBe(
      "__Secure-sid=abc; Path=/app; Domain=example.com; Secure; SameSite=None; Partitioned; Priority=High; Max-Age=60",
    );
  });

  it("writes SameSite also on a cookie that is neither Secure nor HttpOnly", () => {
    const bare = { path: "/", secure: false, httpOnly: false, sameSite: "Strict" } as const;
    expect(writeCookie("sid", "", bare)).toBe("sid=; Path=/; SameSite=Strict");
  });

  it("repeats every attribute in the deletion", () => {
    const attributes = {
      ...ATTRIBUTES,
      path: "/app",
      domain: "example.com",
      sameSite: "None",
      partitioned: true,
    } as const;
    expect(cookieWriter("__Secure-sid", { ...attributes, maxAge: 60 }).clear()).toBe(
      "__Secure-sid=; Path=/app; Domain=example.com; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=0",
    );
  });

  it("lets the age of one call take the place of the age of all", () => {
    const writer = cookieWriter("sid", { ...ATTRIBUTES, maxAge: 60 });
    expect(writer.set("x")).toMatch(/; Max-Age=60$/);
    expect(writer.set("x", 5)).toMatch(/; Max-Age=5$/);
    expect(cookieWriter("sid", ATTRIBUTES).set("x")).not.toContain("Max-Age");
  });

  it("refuses an age that is no whole number of seconds also in a single call", () => {
    const writer = cookieWriter("sid", ATTRIBUTES);
    for (const maxAge of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => writer.set("x", maxAge)).toThrow(CookieError);
    }
  });

  it.each(["__Host-", "__Secure-", "__Http-", "__Host-Http-", "__hOST-hTTP-", "__SECURE-"])(
    "holds the prefix %s to Secure, whatever its case",
    (prefix) => {
      expect(() => cookieWriter(`${prefix}sid`, { ...ATTRIBUTES, secure: false })).toThrow(/needs Secure/);
      expect(writeCookie(`${prefix}sid`, "x", ATTRIBUTES)).toContain("; Secure");
    },
  );

  it("holds __Host-Http- to the rules of both its parts", () => {
    expect(() => cookieWriter("__Host-Http-sid", { ...ATTRIBUTES, path: "/app" })).toThrow(CookieError);
    expect(() => cookieWriter("__Host-Http-sid", { ...ATTRIBUTES, domain: "example.com" })).toThrow(CookieError);
    expect(() => cookieWriter("__host-http-sid", { ...ATTRIBUTES, httpOnly: false })).toThrow(CookieError);
  });

  it("lets __Http- and __Secure- have a path and a domain", () => {
    const wide = { ...ATTRIBUTES, path: "/app", domain: "example.com" };
    expect(writeCookie("__Http-sid", "x", wide)).toContain("; Path=/app; Domain=example.com");
    expect(writeCookie("__Secure-sid", "x", wide)).toContain("; Path=/app; Domain=example.com");
  });

  it("refuses a priority it does not know", () => {
    expect(() => untyped(cookieWriter, "sid", { ...ATTRIBUTES, priority: "high" })).toThrow(CookieError);
  });

  it.each(["app", "", "/a b", '/"', "/a,b", "/a\\b", "/a?b", "/a#b", "/\u00e9", `/${"a".repeat(1024)}`])(
    "refuses the path %j",
    (path) => {
      expect(() => cookieWriter("sid", { ...ATTRIBUTES, path })).toThrow(CookieError);
    },
  );

  it("takes a path of the largest size", () => {
    const path = `/${"a".repeat(1023)}`;
    expect(writeCookie("sid", "x", { ...ATTRIBUTES, path })).toContain(`; Path=${path}; `);
  });

  it.each([".example.com", "example.com.", "a..b", "-a.com", "a-.com", "a_b.com", `${"a".repeat(64)}.com`, "[::1]"])(
    "refuses the domain %j",
    (domain) => {
      expect(() => cookieWriter("sid", { ...ATTRIBUTES, domain })).toThrow(CookieError);
    },
  );

  it.each(["localhost", "127.0.0.1", "xn--bcher-kva.example", "a-b.c1.EXAMPLE"])("takes the domain %j", (domain) => {
    expect(writeCookie("sid", "x", { ...ATTRIBUTES, domain })).toContain(`; Domain=${domain}; `);
  });

  it("refuses a domain longer than a host name can be", () => {
    expect(() => cookieWriter("sid", { ...ATTRIBUTES, domain: "a.".repeat(126) + "ab" })).toThrow(CookieError);
    expect(writeCookie("sid", "x", { ...ATTRIBUTES, domain: "a.".repeat(126) + "a" })).toContain("; Domain=a.a.");
  });

  it("writes name and value up to its own limit and not one octet more", () => {
    const writer = cookieWriter("sid", ATTRIBUTES);
    const largest = "x".repeat(MAX_COOKIE_BYTES - 3);
    expect(writer.set(largest)).toContain(`sid=${largest}; `);
    expect(() => writer.set(`${largest}x`)).toThrow(CookieError);
    expect(() => cookieWriter("n".repeat(MAX_COOKIE_BYTES + 1), ATTRIBUTES)).toThrow(CookieError);
  });

  it("refuses a name, value, path or domain that is no string instead of spelling it", () => {
    for (const wrong of [undefined, null, 7, Symbol("x"), ["x"], { toString: () => "/x" }]) {
      expect(() => untyped(writeCookie, wrong, "x", ATTRIBUTES)).toThrow(CookieError);
      expect(() => untyped(writeCookie, "sid", wrong, ATTRIBUTES)).toThrow(CookieError);
      expect(() => untyped(cookieWriter, "sid", { ...ATTRIBUTES, path: wrong })).toThrow(CookieError);
      expect(() => untyped(cookieWriter, "sid", { ...ATTRIBUTES, domain: wrong ?? null })).toThrow(CookieError);
    }
  });

  it("never shows the value in an error", () => {
    for (const value of ["hush hush", `hush${"x".repeat(MAX_COOKIE_BYTES)}`]) {
      expect(() => writeCookie("sid", value, ATTRIBUTES)).toThrow(/^(?!.*hush)/s);
    }
  });
});
