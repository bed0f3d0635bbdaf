import * as fc from "fast-check";
import { Cookie, CookieJar } from "tough-cookie";
import { describe, expect, it } from "vitest";
import { CookieError } from "../../src/errors.ts";
import { cookieCarrier, readBearer } from "../../src/http/carrier.ts";
import {
  COOKIE_PRIORITY,
  type CookieAttributes,
  type CookieReading,
  cookieWriter,
  MAX_COOKIE_AGE_SECONDS,
  MAX_COOKIE_HEADER_BYTES,
  MAX_COOKIE_PAIRS,
  readCookie,
  SAME_SITE,
  writeCookie,
} from "../../src/http/cookie.ts";
import { propertyOptions } from "./seed.ts";

const PLAIN: CookieAttributes = { path: "/", secure: true, httpOnly: true, sameSite: "Lax" };

const TOKEN_CHARACTERS = characters((code) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)));
const COOKIE_OCTETS = characters((code) => code > 0x20 && code < 0x7f && !'",;\\'.includes(String.fromCharCode(code)));

function characters(accepts: (code: number) => boolean): readonly string[] {
  const codes = Array.from({ length: 128 }, (_, code) => code);
  return codes.filter(accepts).map((code) => String.fromCharCode(code));
}

function textOf(alphabet: readonly string[], minLength: number, maxLength = 60): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });
}

const name = textOf(TOKEN_CHARACTERS, 1).filter((text) => !/^__(?:host|http|secure)-/i.test(text));
const value = textOf(COOKIE_OCTETS, 1);

describe("reading the Cookie header", () => {
  it("gives back what was written, among any other cookies", () => {
    const others = fc.array(fc.tuple(name, textOf(COOKIE_OCTETS, 0)), { maxLength: 20 });
    const property = fc.property(name, value, others, others, (own, text, before, after) => {
      const pair = writeCookie(own, text, PLAIN).split("; ", 1);
      const rest = (pairs: readonly [string, string][]): string[] =>
        pairs.filter(([other]) => other !== own).map(([other, its]) => `${other}=${its}`);
      const header = [...rest(before), ...pair, ...rest(after)].join("; ");
      expect(readCookie(header, own)).toEqual({ kind: "value", value: text });
    });
    fc.assert(property, { numRuns: 2000, ...propertyOptions() });
  });

  it("never throws on arbitrary bytes or characters", () => {
    const bytes = fc
      .uint8Array({ maxLength: MAX_COOKIE_HEADER_BYTES + 10, size: "max" })
      .map((array) => Buffer.from(array).toString("latin1"));
    const header = fc.oneof(bytes, fc.string({ unit: "binary", maxLength: 500 }));
    const property = fc.property(header, name, (text, own) => {
      expect(["none", "value", "ambiguous"]).toContain(readCookie(text, own).kind);
    });
    fc.assert(property, { numRuns: 1000, ...propertyOptions() });
  });

  it("answers like a reader that splits the whole header first", () => {
    const piece = fc.constantFrom("a", "a=", "=", ";", "; ", " ", "\t", "b", "aa", "A", '"', ",", "\u00a0", "%61", "1");
    const header = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
    const property = fc.property(header, (text) => {
      expect(readCookie(text, "a")).toEqual(readSplitting(text, "a"));
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });

  it("answers the same whatever the order of the pairs", () => {
    const pairs = fc.array(fc.constantFrom("a=1", "a=2", "a=", "b=1", "=a=1", "a"), { maxLength: 6 });
    const shuffled = pairs.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    );
    const property = fc.property(shuffled, ([one, other]) => {
      expect(readCookie(one.join("; "), "a")).toEqual(readCookie(other.join("; "), "a"));
    });
    fc.assert(property, { numRuns: 1000, ...propertyOptions() });
  });

  it.each<[string, (size: number) => string]>([
    ["blanks", (size) => " ".repeat(size)],
    ["one long value with blanks behind it", (size) => `name=${"x".repeat(size / 2)}${" ".repeat(size / 2 - 5)}`],
    ["the name over and over", (size) => "name".repeat(size / 4)],
    ["equals signs", (size) => "=".repeat(size)],
    ["pairs with blanks in front", (size) => `${" ".repeat(size / 64 - 1)};`.repeat(64)],
    ["identical copies", (size) => `name=${"x".repeat(size / 64 - 6)};`.repeat(64)],
  ])("takes time linear in the header: %s", (_, make) => {
    const growth = 8;
    const small = make(MAX_COOKIE_HEADER_BYTES / growth);
    const large = make(MAX_COOKIE_HEADER_BYTES);
    expect(large).toHaveLength(MAX_COOKIE_HEADER_BYTES);
    bestTime(large);
    // Quadratic work would take 64 times as long.
    expect(bestTime(large) / bestTime(small)).toBeLessThan(growth * 5);
  });
});

/** The same rules in the most obvious way. */
function readSplitting(header: string, own: string): CookieReading {
  const pairs = header.split(";");
  if (pairs.at(-1) === "") pairs.pop();
  if (pairs.length > MAX_COOKIE_PAIRS) return { kind: "none" };
  const values = pairs
    .map((pair) => pair.replace(/^[ \t]+/, "").replace(/[ \t]+$/, ""))
    .filter((pair) => pair.startsWith(`${own}=`))
    .map((pair) => pair.slice(own.length + 1));
  const [first, second] = new Set(values);
  if (second !== undefined) return { kind: "ambiguous" };
  return first === undefined || first === "" ? { kind: "none" } : { kind: "value", value: first };
}

/** The best of many rounds, which a busy machine disturbs least. */
function bestTime(header: string): number {
  const rounds = Array.from({ length: 20 }, () => {
    const start = performance.now();
    for (let call = 0; call < 200; call++) readCookie(header, "name");
    return performance.now() - start;
  });
  return Math.min(...rounds);
}

type Words = "sameSite" | "priority";

/** Arguments of `writeCookie`, with any text where the types allow a few words. */
interface Asked {
  readonly name: string;
  readonly value: string;
  readonly attributes: Omit<CookieAttributes, Words> & { readonly sameSite: string; readonly priority?: string };
}

/** What another implementation reads from the header, in full. */
function readBack(header: string): unknown {
  const cookie = Cookie.parse(header);
  const { key, value: text, path, domain, secure, httpOnly, sameSite, maxAge, expires, extensions } = cookie ?? {};
  return { key, value: text, path, domain, secure, httpOnly, sameSite, maxAge, expires, extensions };
}

function asReadBack({ name: key, value: text, attributes }: Asked): unknown {
  const { path, domain, secure, httpOnly, sameSite, partitioned, priority, maxAge } = attributes;
  const extensions = [...(partitioned ? ["Partitioned"] : []), ...(priority ? [`Priority=${priority}`] : [])];
  return {
    key,
    value: text,
    path,
    domain: domain?.toLowerCase() ?? null,
    secure,
    httpOnly,
    sameSite: sameSite.toLowerCase(),
    maxAge: maxAge === undefined ? null : Math.min(maxAge, MAX_COOKIE_AGE_SECONDS) + 0,
    expires: "Infinity",
    extensions: extensions.length === 0 ? null : extensions,
  };
}

const SEPARATORS = [
  "; Domain=evil.test",
  "\r\nSet-Cookie: a=b",
  "\u0000",
  "=",
  ",",
  '"',
  "\\",
  " ",
  "é",
  "\u2028",
  "/",
  ".",
];
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 40 }),
  fc.array(fc.constantFrom("a", "Z", "9", "-", ...SEPARATORS), { maxLength: 8 }).map((parts) => parts.join("")),
);
const prefixed = fc
  .tuple(fc.constantFrom("", "__Host-", "__hOST-", "__Secure-", "__Http-", "__Host-Http-"), name)
  .map(([prefix, rest]) => prefix + rest);
const host = fc.domain().filter((text) => text.length <= 253);
const path = textOf([...COOKIE_OCTETS, "/"], 0).map((text) => `/${text}`);

describe("writing the Set-Cookie header", () => {
  const fields: readonly [string, fc.Arbitrary<Asked>][] = [
    ["name", fc.oneof(hostile, prefixed).map((text) => asked({ name: text }))],
    ["value", fc.oneof(hostile, value).map((text) => asked({ value: text }))],
    ["path", fc.oneof(hostile, path).map((text) => asked({}, { path: text }))],
    ["domain", fc.oneof(hostile, host).map((text) => asked({}, { domain: text }))],
    ["SameSite", fc.oneof(hostile, fc.constantFrom(...SAME_SITE)).map((text) => asked({}, { sameSite: text }))],
    ["Priority", fc.oneof(hostile, fc.constantFrom(...COOKIE_PRIORITY)).map((text) => asked({}, { priority: text }))],
    ["Max-Age", fc.oneof(fc.double(), fc.maxSafeInteger(), fc.nat()).map((maxAge) => asked({}, { maxAge }))],
    ["attributes together", everything()],
  ];

  it.each(fields)("says exactly what was asked, or throws a CookieError: %s", (_, arbitrary) => {
    const property = fc.property(arbitrary, (wish) => {
      const header = attempt(wish);
      if (header === null) return;
      expect(readBack(header)).toEqual(asReadBack(wish));
      expect(header).toMatch(/^[\x20-\x7e]+$/);
    });
    fc.assert(property, { numRuns: 3000, ...propertyOptions() });
  });

  it("takes every name, value, path, domain and age that the grammar allows", () => {
    const legal = fc
      .tuple(name, textOf(COOKIE_OCTETS, 0), textOf(TOKEN_CHARACTERS, 0), host, fc.nat())
      .map(([own, text, tail, domain, maxAge]) => {
        const attributes = { path: `/${tail.replaceAll("#", "")}`, domain, maxAge };
        return asked({ name: own, value: text }, attributes);
      });
    const property = fc.property(legal, (wish) => {
      expect(attempt(wish)).not.toBeNull();
    });
    fc.assert(property, { numRuns: 1000, ...propertyOptions() });
  });
});

function asked(changes: { name?: string; value?: string }, attributes: Partial<Asked["attributes"]> = {}): Asked {
  return { name: "sid", value: "x", ...changes, attributes: { ...PLAIN, ...attributes } };
}

function everything(): fc.Arbitrary<Asked> {
  const attributes = fc.record(
    {
      path: fc.constantFrom("/", "/app"),
      domain: fc.constantFrom("example.com", "localhost"),
      secure: fc.boolean(),
      httpOnly: fc.boolean(),
      sameSite: fc.constantFrom(...SAME_SITE),
      partitioned: fc.boolean(),
      priority: fc.constantFrom(...COOKIE_PRIORITY),
      maxAge: fc.nat(),
    },
    { requiredKeys: ["path", "secure", "httpOnly", "sameSite"] },
  );
  return fc.record({ name: prefixed, value, attributes });
}

/** The header, or null when it was refused; any other error fails the test. */
function attempt(wish: Asked): string | null {
  try {
    // Called as JavaScript would: no types hold it back.
    return Reflect.apply(writeCookie, undefined, [wish.name, wish.value, wish.attributes]);
  } catch (error) {
    if (error instanceof CookieError) return null;
    throw error;
  }
}

describe("the deletion cookie", () => {
  const url = "https://app.example.com/app/page";

  it("leaves nothing in the jar, whatever the attributes were", () => {
    const kept = combinations().map(({ name: own, attributes }) => {
      const jar = new CookieJar(undefined, { prefixSecurity: "strict" });
      const writer = cookieWriter(own, attributes);
      jar.setCookieSync(writer.set("token"), url);
      expect(jar.getCookieStringSync(url)).toBe(`${own}=token`);
      jar.setCookieSync(writer.clear(), url);
      return jar.getCookieStringSync(url);
    });
    expect(kept.length).toBeGreaterThan(500);
    expect(new Set(kept)).toEqual(new Set([""]));
  });

  it("leaves the cookie in the jar when it does not repeat the path", () => {
    const jar = new CookieJar();
    jar.setCookieSync(cookieWriter("sid", { ...PLAIN, path: "/app" }).set("token"), url);
    jar.setCookieSync(cookieWriter("sid", PLAIN).clear(), url);
    expect(jar.getCookieStringSync(url)).toBe("sid=token");
  });

  it("deletes the cookie of every carrier, in production and in development", () => {
    for (const options of [{}, { domain: "example.com" }, { path: "/app" }, { name: "sid", persistent: true }]) {
      for (const address of [url, "http://app.example.com/app/page"]) {
        const carrier = cookieCarrier(options, address.startsWith("http:"));
        const jar = new CookieJar(undefined, { prefixSecurity: "strict" });
        jar.setCookieSync(carrier.set("token", 3600), address);
        const header = jar.getCookieStringSync(address);
        expect(carrier.read({ get: () => header })).toEqual({ kind: "value", value: "token" });
        jar.setCookieSync(carrier.clear(), address);
        expect(jar.getCookieStringSync(address)).toBe("");
      }
    }
  });
});

/** Every combination of attributes that is not refused. */
function combinations(): { name: string; attributes: CookieAttributes }[] {
  const names = ["sid", "__Host-sid", "__Secure-sid", "__Http-sid", "__Host-Http-sid"];
  let all: { name: string; attributes: CookieAttributes }[] = names.map((own) => ({ name: own, attributes: PLAIN }));
  const vary = (changes: readonly Partial<CookieAttributes>[]): void => {
    all = all.flatMap(({ name: own, attributes }) =>
      changes.map((change) => ({ name: own, attributes: { ...attributes, ...change } })),
    );
  };
  vary([{ path: "/" }, { path: "/app" }]);
  vary([{}, { domain: "example.com" }, { domain: "app.example.com" }]);
  vary([{ secure: true }, { secure: false }]);
  vary([{ httpOnly: true }, { httpOnly: false }]);
  vary(SAME_SITE.map((sameSite) => ({ sameSite })));
  vary([{}, { partitioned: true }]);
  vary([{}, ...COOKIE_PRIORITY.map((priority) => ({ priority }))]);
  vary([{}, { maxAge: 3600 }]);
  return all.filter(({ name: own, attributes }) => attempt({ name: own, value: "x", attributes }) !== null);
}

describe("reading the bearer header", () => {
  it("yields one token of the grammar or null, and never throws", () => {
    const part = fc.constantFrom("Bearer", "bearer", " ", "\t", "a", "=", ",", "-", "é", "\n", '"');
    const header = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(part, { maxLength: 8 }).map((parts) => parts.join("")),
    );
    const property = fc.property(header, (authorization) => {
      const token = readBearer({ get: () => authorization });
      if (token === null) return;
      expect(token).toMatch(/^[A-Za-z0-9\-._~+/]+=*$/);
      expect(authorization.toLowerCase().replace(/^bearer +/, "")).toBe(token.toLowerCase());
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });
});
