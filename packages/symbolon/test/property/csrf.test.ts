import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { csrfTokenMatches, mintCsrfToken } from "../../src/core/csrf-token.ts";
import { resolveOrigins } from "../../src/core/origins.ts";
import { createKeyring, generateKey } from "../../src/crypto/keyring.ts";
import { isSymbolonError } from "../../src/errors.ts";
import { readBearer } from "../../src/http/carrier.ts";
import { isCsrfRelevant, judgeCsrf } from "../../src/http/csrf.ts";
import { propertyOptions } from "./seed.ts";

const APP = "https://app.test";
const ORIGINS = new Set([APP, "https://partner.test"]);
const REFUSALS = [null, "cross-site", "foreign-origin", "malformed", "token-missing", "token-wrong"];

const { csrf: key } = createKeyring([generateKey()]).primary;
const otherKey = createKeyring([generateKey()]).primary.csrf;

const lookup = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("base64url"));
const characters = fc.string({ unit: "binary", maxLength: 60 });
const surrogates = fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "a", ",", " "), maxLength: 20 });
const hostile = fc.oneof(fc.string({ maxLength: 60 }), characters, surrogates);

const site = fc.oneof(
  fc.constantFrom("same-origin", "none", "same-site", "cross-site", "future", "SAME-ORIGIN", "same-origin, none", ""),
  hostile,
);
const foreignOrigin = fc
  .oneof(
    fc.constantFrom("null", "", "http://app.test", `${APP}:8443`, `${APP}/`, `${APP}.evil.test`, "https://APP.test"),
    fc.webUrl(),
    fc.webAuthority().map((authority) => `https://${authority}`),
    fc.tuple(hostile, hostile).map(([before, behind]) => `${before}${APP}${behind}`),
    hostile,
  )
  .filter((text) => !ORIGINS.has(text));
const unsafeMethod = fc
  .oneof(fc.constantFrom("POST", "PUT", "PATCH", "DELETE", "PURGE", "get", "Head", "CONNECT", "TRACE"), hostile)
  .filter((method) => !["GET", "HEAD", "OPTIONS"].includes(method));

const OTHER_HEADERS = {
  authorization: fc.oneof(
    fc.constantFrom("Bearer x", "bearer x", "Basic eDp5", "Bearer", "Bearer a, Bearer b"),
    hostile,
  ),
  upgrade: fc.oneof(fc.constantFrom("websocket", "h2c, WebSocket", "h2c"), hostile),
  accept: fc.oneof(fc.constantFrom("text/event-stream", "*/*"), hostile),
  "x-csrf-token": fc.oneof(fc.constantFrom("right", "wrong"), hostile),
  "content-type": fc.oneof(fc.constantFrom("text/plain", "application/json"), hostile),
  host: fc.constantFrom("app.test", "evil.test"),
  "x-forwarded-host": fc.constantFrom("app.test", "evil.test"),
  referer: fc.constantFrom(`${APP}/`, "https://evil.test/"),
  "x-http-method-override": fc.constantFrom("GET", "POST"),
};

type Lines = Readonly<Record<string, string | undefined>>;

function source(lines: Lines): { get(name: string): string | undefined } {
  return { get: (name) => lines[name] };
}

describe("the CSRF decision", () => {
  it("lets no request of a foreign origin pass that may change something, but one with a bearer token alone", () => {
    const headers = fc.record(
      { ...OTHER_HEADERS, "sec-fetch-site": site, origin: foreignOrigin },
      {
        requiredKeys: ["origin"],
      },
    );
    const form = fc.constantFrom("right", "wrong", "", undefined);
    const property = fc.property(
      fc.oneof(
        unsafeMethod.map((method) => ({ method })),
        fc.constant({ method: "GET", upgrade: "websocket" }),
      ),
      headers,
      form,
      fc.boolean(),
      fc.boolean(),
      ({ method, ...upgrade }, lines, formToken, hasCookie, tokenAlways) => {
        // A form of an own page that sends no referrer.
        fc.pre(lines["sec-fetch-site"] !== "same-origin" || lines.origin !== "null");
        const get = source({ ...lines, ...upgrade });
        const session = { hasCookie, tokenMatches: (token: string) => token === "right" };
        const refusal = judgeCsrf({ method, headers: get, formToken }, session, ORIGINS, tokenAlways);
        const isBearerOnly = !hasCookie && readBearer(get) !== null;
        expect(refusal === null).toBe(isBearerOnly);
        if (!isBearerOnly) expect(["cross-site", "foreign-origin", "malformed"]).toContain(refusal);
      },
    );
    fc.assert(property, { numRuns: 10_000, ...propertyOptions() });
  });

  it("lets nothing with the cookie pass that may change something, but what is vouched for or has the token", () => {
    const origin = fc.oneof(fc.constantFrom(...ORIGINS), foreignOrigin);
    const headers = fc.record({ ...OTHER_HEADERS, "sec-fetch-site": site, origin }, { requiredKeys: [] });
    const form = fc.constantFrom("right", "wrong", "", undefined);
    const property = fc.property(unsafeMethod, headers, form, (method, lines, formToken) => {
      const session = { hasCookie: true, tokenMatches: (token: string) => token === "right" };
      const request = { method, headers: source(lines), formToken };
      const isOwnSite = ["same-origin", "none"].includes(lines["sec-fetch-site"] ?? "");
      const isVouchedFor = isOwnSite || ORIGINS.has(lines.origin ?? "");
      const hasToken = (lines["x-csrf-token"] ?? formToken) === "right";
      if (judgeCsrf(request, session, ORIGINS, false) === null) expect(isVouchedFor || hasToken).toBe(true);
      if (judgeCsrf(request, session, ORIGINS, true) === null) {
        expect(hasToken || (isVouchedFor && /websocket/i.test(lines.upgrade ?? ""))).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 10_000, ...propertyOptions() });
  });

  it("is stricter with a token at every request, never laxer", () => {
    const origin = fc.oneof(fc.constantFrom(...ORIGINS), foreignOrigin);
    const headers = fc.record({ ...OTHER_HEADERS, "sec-fetch-site": site, origin }, { requiredKeys: [] });
    const method = fc.constantFrom("GET", "HEAD", "OPTIONS", "POST", "DELETE");
    const property = fc.property(method, headers, fc.boolean(), (name, lines, hasCookie) => {
      const session = { hasCookie, tokenMatches: (token: string) => token === "right" };
      const request = { method: name, headers: source(lines) };
      if (judgeCsrf(request, session, ORIGINS, true) === null) {
        expect(judgeCsrf(request, session, ORIGINS, false)).toBeNull();
      }
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });

  it("depends on the headers it names, on what tells the kind of request, on the token, and on nothing else", () => {
    const { host, referer, "content-type": type, ...judged } = OTHER_HEADERS;
    const forwarded = judged["x-forwarded-host"];
    const origin = fc.oneof(fc.constantFrom(...ORIGINS), foreignOrigin);
    const headers = fc.record({ ...judged, "sec-fetch-site": site, origin }, { requiredKeys: [] });
    const others = fc.record({ host, referer, "content-type": type, "x-forwarded-host": forwarded, cookie: hostile });
    const property = fc.property(unsafeMethod, headers, others, others, (method, lines, some, more) => {
      const session = { hasCookie: true, tokenMatches: (token: string) => token === "right" };
      const judge = (added: Lines): unknown =>
        judgeCsrf({ method, headers: source({ ...lines, ...added }) }, session, ORIGINS, false);
      expect(judge(some)).toBe(judge(more));
    });
    fc.assert(property, { numRuns: 2000, ...propertyOptions() });
  });

  it("never throws, whatever stands in the headers", () => {
    const value = fc.oneof(hostile, fc.array(hostile, { maxLength: 4 }), fc.anything());
    const headers = fc.dictionary(
      fc.constantFrom("authorization", "upgrade", "accept", "sec-fetch-site", "origin", "x-csrf-token"),
      value,
    );
    const property = fc.property(hostile, headers, value, fc.boolean(), (method, lines, formToken, hasCookie) => {
      const get = { get: (name: string) => lines[name] };
      const session = { hasCookie, tokenMatches: (token: string) => csrfTokenMatches(key, "lookup", token) };
      const request = { method, headers: get, formToken };
      expect(REFUSALS).toContain(Reflect.apply(judgeCsrf, undefined, [request, session, ORIGINS, true]));
      expect([true, false]).toContain(Reflect.apply(isCsrfRelevant, undefined, [method, get]));
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });
});

describe("the option origins", () => {
  it("takes what a browser writes, and says of everything else what to write", () => {
    const entry = fc.oneof(
      fc.webUrl(),
      fc.webUrl().map((url) => new URL(url).origin),
      fc.webAuthority({ withPort: true, withIPv6: true }).map((authority) => `http://${authority}`),
      hostile,
      fc.anything(),
    );
    const property = fc.property(entry, (text) => {
      try {
        const [origin] = resolveOrigins([text]);
        expect(origin).toBe(text);
        expect(origin).toBe(new URL(origin ?? "").origin);
        expect(origin).toMatch(/^https?:\/\/[!-~]+$/);
      } catch (error) {
        expect(isSymbolonError(error) && error.code).toBe("ERR_OPTIONS_INVALID");
        const advice = /write '(http[^']+)'/.exec((error as Error).message)?.[1];
        if (advice !== undefined) expect([...resolveOrigins([advice])]).toEqual([advice]);
      }
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });
});

describe("CSRF tokens", () => {
  it("match their session and key, and no other", () => {
    const property = fc.property(lookup, lookup, (one, other) => {
      const token = mintCsrfToken(key, one);
      expect(csrfTokenMatches(key, one, token)).toBe(true);
      expect(csrfTokenMatches(key, other, token)).toBe(one === other);
      expect(csrfTokenMatches(otherKey, one, token)).toBe(false);
      expect(mintCsrfToken(key, one)).not.toBe(token);
    });
    fc.assert(property, { numRuns: 1000, ...propertyOptions() });
  });

  it("are no arbitrary value, and no bytes of anybody's choice", () => {
    const bytes = fc
      .uint8Array({ minLength: 96, maxLength: 96 })
      .map((array) => `x1_${Buffer.from(array).toString("base64url")}`);
    const long = fc.string({ unit: "binary", minLength: 131, maxLength: 131 });
    const property = fc.property(fc.oneof(bytes, long, hostile, fc.anything()), characters, (value, one) => {
      expect(csrfTokenMatches(key, one, value)).toBe(false);
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });
});
