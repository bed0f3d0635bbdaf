import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { returnTarget } from "../../src/auth/return-target.ts";
import { propertyOptions } from "./seed.ts";

const APP = "https://app.test";
const PARTNER = "https://partner.test:8443";
const origins = [APP, PARTNER];

// The pieces from which addresses are built that one parser reads otherwise than the next.
const PIECES: readonly string[] = [
  ["/", "\\", "//", "///", ".", "..", "/..", "?", "#", "@", ":", ";", "&", "=", "%", "*", "[", "]", "|", "~"],
  ["%2f", "%2F", "%5c", "%2e", "%252f", "%255c", "%252e", "%25", "%25%32%66", "%%32%66", "%3f", "%23", "%40", "%3a"],
  ["%00", "%09", "%0a", "%0d", "%20", "%7f", "%2509", "%c0%af", "%e2%80%a8", "%u002f", "%C3%A4"],
  [" ", "\t", "\n", "\r", "\0", "\u007f", "\u00a0", "\u2028", "\ufeff", "\u00ad", "\ud800", "\udc00", "\u{1f36a}"],
  ["\uff0f", "\uff0e", "\u3002", "\uff3c", "\u2044", "\u00df", "\u0130"],
  ["https:", "http:", "HTTPS:", "javascript:", "data:", "blob:", "https://", "http://"],
  ["app.test", "APP.test", "partner.test", "evil.test", ":443", ":8443", "user:pw@", "a", "b1", "nowhere.invalid"],
].flat();

const PLAIN = Array.from("abcXYZ019-._~:@!$&'()*+,;=");

const built = fc.array(fc.constantFrom(...PIECES), { maxLength: 10 }).map((pieces) => pieces.join(""));
const begun = fc
  .tuple(fc.constantFrom("/", "?", "//", APP, `${APP}/`, PARTNER, `${APP}:443/`, "https://", "/a/"), built)
  .map(([start, rest]) => start + rest);
const address = fc.oneof(
  built,
  begun,
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  fc.webPath().map((path) => `/${path}`),
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ maxLength: 60 }),
);

/** Decodes every escape that is one, as careless code does, and leaves the others. */
function decoded(text: string): string {
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (escapes) =>
    Buffer.from(escapes.replaceAll("%", ""), "hex").toString("utf8"),
  );
}

/** What the steps between a login and a browser may make of an address. */
const HANDLINGS: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => decoded(text),
  (text) => decoded(decoded(text)),
];

function withoutBreaks(text: string): string {
  return text.replaceAll(/[\t\n\r]/g, "");
}

function expectListed(target: string): void {
  const reached = [target, withoutBreaks(target)].map((text) => new URL(text, APP).origin);
  expect(reached.filter((origin) => !origins.includes(origin))).toEqual([]);
}

describe("the return target", () => {
  it("is on a listed origin, also when the value or the target is decoded once or twice, or loses its line breaks", () => {
    const property = fc.property(address, (value) => {
      for (const handle of HANDLINGS) {
        for (const given of [handle(value), withoutBreaks(handle(value))]) {
          const target = returnTarget(given, { origins });
          for (const after of HANDLINGS) expectListed(after(target));
        }
      }
    });
    fc.assert(property, { numRuns: 3000, ...propertyOptions() });
  });

  it("is a path of the answering host for every relative value, and for every value when no origin is listed", () => {
    const property = fc.property(address, (value) => {
      const target = returnTarget(value, { origins: [] });
      for (const host of ["https://own.test", "http://localhost:3000"]) {
        for (const after of HANDLINGS) {
          expect(new URL(after(target), host).origin).toBe(host);
          // A careless base: everything stands behind the host.
          expect(new URL(host + after(target)).origin).toBe(host);
        }
      }
      if (value.startsWith("/") || value.startsWith("?")) expect(returnTarget(value, { origins })).toBe(target);
    });
    fc.assert(property, { numRuns: 10_000, ...propertyOptions() });
  });

  it("fits into a Location header, and stays as it is when judged again", () => {
    const property = fc.property(address, (value) => {
      const target = returnTarget(value, { origins });
      expect(target).toMatch(/^(?:\/(?![/\\])|https:\/\/(?:app\.test|partner\.test:8443)\/)[!-~]*$/);
      expect(target.length).toBeLessThanOrEqual(2048);
      expect(returnTarget(target, { origins, fallback: "/fallback" })).toBe(target);
      expect(new Headers({ Location: target }).get("Location")).toBe(target);
    });
    fc.assert(property, { numRuns: 10_000, ...propertyOptions() });
  });

  it("is where a browser would have gone, or the fallback", () => {
    const property = fc.property(address, (value) => {
      const target = returnTarget(value, { origins, fallback: "/fallback" });
      if (target !== "/fallback") expect(new URL(target, APP).href).toBe(new URL(value, APP).href);
    });
    fc.assert(property, { numRuns: 10_000, ...propertyOptions() });
  });

  it("takes every plain path and every plain URL of a listed origin", () => {
    const segment = fc.string({ unit: fc.constantFrom(...PLAIN), minLength: 1, maxLength: 10 });
    const path = fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join("/")}`);
    const rest = fc.constantFrom("", "?", "?a=b&c=%2F%2Fd", "#f", "?u=https://x.test//y#z");
    const property = fc.property(fc.constantFrom("", ...origins), path, rest, (origin, own, behind) => {
      const { href } = new URL(origin + own + behind, APP);
      const expected = origin === "" ? href.slice(APP.length) : href;
      expect(returnTarget(origin + own + behind, { origins, fallback: "/fallback" })).toBe(expected);
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });

  it("is there for every value of whatever kind", () => {
    const property = fc.property(fc.oneof(fc.anything(), fc.string({ unit: "binary", maxLength: 4000 })), (value) => {
      expectListed(returnTarget(value, { origins }));
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });
});
