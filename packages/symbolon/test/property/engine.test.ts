import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyChanges, findChanges } from "../../src/core/changes.ts";
import { decodeData, encodeData } from "../../src/core/data.ts";
import { deadlineOf, isExpired, isTouchDue, MAX_LIFETIME, parseDuration } from "../../src/core/lifetime.ts";
import { fingerprint, lookupOfHandle, mintToken, readToken, remintToken, secretOf } from "../../src/core/token.ts";
import { createKeyring, generateKey } from "../../src/crypto/keyring.ts";
import { open, seal } from "../../src/crypto/seal.ts";
import { isSymbolonError } from "../../src/errors.ts";
import { propertyOptions } from "./seed.ts";

type Json = Record<string, unknown>;

const ring = createKeyring([generateKey(), generateKey()]);
const other = createKeyring([generateKey()]);
const space = fc.string({ unit: fc.constantFrom("a", "b", "Z", "0", "9", "-", "_"), minLength: 11, maxLength: 11 });
const route = fc.nat({ max: 2 ** 24 - 1 });

describe("tokens", () => {
  it("say what they were made of, to those who have the key and the namespace, and nothing to others", () => {
    const property = fc.property(space, space, route, fc.boolean(), (one, elsewhere, number, newest) => {
      const key = newest ? ring.primary : ([...ring.byId.values()][1] ?? ring.primary);
      const { text, secret, ...claims } = mintToken("s1", key, one, number);
      expect(text).toMatch(/^s1_[A-Za-z0-9_-]{80}$/);
      expect(readToken("s1", ring, one, text)).toEqual(claims);
      expect(secretOf(text)).toEqual(secret);
      expect(lookupOfHandle("s1", ring, one, claims.handle)).toBe(claims.lookup);
      if (one !== elsewhere) expect(readToken("s1", ring, elsewhere, text)).toBe("forged");
      expect(readToken("s1", other, one, text)).toBe("unknown-key");
      const next = remintToken("s1", ring, one, claims.handle, number);
      expect(next).toMatchObject({ handle: claims.handle, lookup: claims.lookup, route: number, keyId: key.id });
      expect(next?.secret.equals(secret)).toBe(false);
      expect(fingerprint(next?.text ?? "")).not.toBe(fingerprint(text));
    });
    fc.assert(property, { numRuns: 500, ...propertyOptions() });
  });

  it("are no arbitrary text, and no bytes of anybody's choice", () => {
    const bytes = fc.uint8Array({ minLength: 60, maxLength: 60 });
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 100 }),
      fc.anything(),
      bytes.map((array) => `s1_${Buffer.from(array).toString("base64url")}`),
      bytes.map((array) => {
        const body = Buffer.from(array);
        body.writeUInt16BE(ring.primary.id);
        return `s1_${body.toString("base64url")}`;
      }),
    );
    const property = fc.property(text, space, (value, one) => {
      expect(["malformed", "unknown-key", "forged"]).toContain(readToken("s1", ring, one, value));
      expect(lookupOfHandle("s1", ring, one, value)).toSatisfy((found) => found === null || typeof value === "string");
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });
});

describe("sealing", () => {
  it("gives back every text under the same key and context, and null when any bit or any of them differs", () => {
    const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((array) => Buffer.from(array));
    const header = fc.uint8Array({ maxLength: 4 }).map((array) => Buffer.from(array));
    const context = fc.string({ unit: "grapheme-ascii", maxLength: 30 });
    const text = fc.string({ unit: "grapheme", maxLength: 300 });
    const property = fc.property(key, header, context, text, fc.nat(), (own, head, where, plain, at) => {
      const sealed = seal(own, head, where, plain);
      expect(open(own, head.length, where, sealed)).toBe(plain);
      expect(open(own, head.length, `${where}.`, sealed)).toBeNull();
      expect(open(Buffer.from(own.map((byte) => byte ^ 1)), head.length, where, sealed)).toBeNull();
      const changed = Buffer.from(sealed);
      const index = at % changed.length;
      changed.writeUInt8((changed[index] ?? 0) ^ (1 << (at % 8)), index);
      expect(open(own, head.length, where, changed)).toBeNull();
      expect(open(own, head.length, where, sealed.subarray(0, at % sealed.length))).toBeNull();
      expect(open(own, head.length, where, Buffer.concat([sealed, Buffer.from([at % 256])]))).toBeNull();
    });
    fc.assert(property, { numRuns: 1000, ...propertyOptions() });
  });
});

describe("lifetimes", () => {
  const instant = fc.integer({ min: 0, max: 4e12 });
  const span = fc.integer({ min: 1, max: MAX_LIFETIME });
  const times = fc
    .record({ createdAt: instant, sinceCreation: span, idle: span, absolute: span })
    .map(({ createdAt, sinceCreation, idle, absolute }) => {
      return { createdAt, lastSeenAt: createdAt + sinceCreation, idle, absoluteAt: createdAt + absolute };
    });

  it("end at the earlier of idle and absolute end, once and for good", () => {
    const property = fc.property(times, instant, span, (one, now, later) => {
      const deadline = deadlineOf(one);
      expect(deadline).toBeLessThanOrEqual(one.absoluteAt);
      expect(deadline).toBeLessThanOrEqual(one.lastSeenAt + one.idle);
      expect(isExpired(one, now)).toBe(now >= deadline);
      if (isExpired(one, now)) expect(isExpired(one, now + later)).toBe(true);
    });
    fc.assert(property, { numRuns: 2000, ...propertyOptions() });
  });

  it("are never made longer than absolute by any number of touches", () => {
    const property = fc.property(times, fc.array(span, { maxLength: 50 }), span, (one, steps, touchEvery) => {
      let [current, now, touches] = [one, one.createdAt, 0];
      for (const step of steps) {
        now += step;
        if (isExpired(current, now)) break;
        if (!isTouchDue(current, now, touchEvery)) continue;
        expect(now - current.lastSeenAt).toBeGreaterThanOrEqual(Math.min(touchEvery, current.idle / 10));
        current = { ...current, lastSeenAt: now };
        touches++;
      }
      expect(deadlineOf(current)).toBeLessThanOrEqual(one.absoluteAt);
      expect(touches).toBeLessThanOrEqual(steps.length);
    });
    fc.assert(property, { numRuns: 1000, ...propertyOptions() });
  });

  it("are read from text and numbers alike, or refused with a typed error", () => {
    const unit = fc.constantFrom(
      ...([
        ["ms", 1],
        ["s", 1000],
        ["m", 60_000],
        ["h", 3_600_000],
        ["d", 86_400_000],
      ] as const),
    );
    const good = fc.property(fc.nat({ max: 400 }), unit, (count, [name, size]) => {
      const read = (): number => parseDuration(`${count}${name}`, "x");
      if (count === 0) expect(read).toThrow(/^x: write a duration/);
      else expect(read()).toBe(parseDuration(count * size, "x"));
    });
    fc.assert(good, { numRuns: 1000, ...propertyOptions() });
    const any = fc.property(fc.oneof(fc.anything(), fc.string(), fc.double()), (value) => {
      try {
        const read = parseDuration(value, "x");
        expect(Number.isSafeInteger(read) && read > 0 && read <= MAX_LIFETIME).toBe(true);
      } catch (error) {
        expect(isSymbolonError(error)).toBe(true);
      }
    });
    fc.assert(any, { numRuns: 3000, ...propertyOptions() });
  });
});

const key = fc.constantFrom("a", "b", "c", "toString", "then", "");
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, 1, "", "x", -1.5),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.dictionary(key, tie("json"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));
const data = fc.dictionary(key, json, { maxKeys: 5, noNullPrototype: true });

describe("changes", () => {
  it("found between two versions and replayed on the first give the second", () => {
    const property = fc.property(data, data, (before, after) => {
      const target = structuredClone(before);
      applyChanges(target, findChanges(before, after));
      expect(target).toEqual(after);
      expect(findChanges(target, after)).toEqual([]);
      expect(findChanges(before, before)).toEqual([]);
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });

  it("of two requests commute when they touch different keys, and give both", () => {
    const property = fc.property(data, data, data, (before, mine, theirs) => {
      const onlyMine = { ...before, ...rename(mine, "m-") };
      const onlyTheirs = { ...before, ...rename(theirs, "t-") };
      const [first, second] = [findChanges(before, onlyMine), findChanges(before, onlyTheirs)];
      const [one, two] = [structuredClone(before), structuredClone(before)];
      for (const changes of [first, second]) applyChanges(one, structuredClone(changes));
      for (const changes of [second, first]) applyChanges(two, structuredClone(changes));
      expect(one).toEqual(two);
      expect(one).toEqual({ ...before, ...rename(mine, "m-"), ...rename(theirs, "t-") });
    });
    fc.assert(property, { numRuns: 2000, ...propertyOptions() });
  });

  it("never touch what they do not name, nor anything's prototype", () => {
    const property = fc.property(data, data, data, (before, mine, current) => {
      const target = structuredClone({ ...current, kept: before });
      applyChanges(target, findChanges(before, mine));
      expect(target["kept"]).toEqual(before);
      expect(Object.keys(Object.prototype)).toEqual([]);
    });
    fc.assert(property, { numRuns: 2000, ...propertyOptions() });
  });
});

function rename(object: Json, prefix: string): Json {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [prefix + name, value]));
}

describe("data", () => {
  const bounds = { bytes: 65_536, depth: 32, keys: 1000 };

  it("of JSON's kinds come back as they were", () => {
    const property = fc.property(data, (value) => {
      expect(decodeData(encodeData(value, bounds), bounds)).toEqual(value);
    });
    fc.assert(property, { numRuns: 2000, ...propertyOptions() });
  });

  it("of any other kind are refused with a typed error, never stored as something else", () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
    });
    const property = fc.property(fc.dictionary(key, anything, { maxKeys: 3 }), (value) => {
      let text: string;
      try {
        text = encodeData(value, bounds);
      } catch (error) {
        expect(isSymbolonError(error)).toBe(true);
        return;
      }
      // Undefined values are absent ones, and JSON knows no negative zero.
      expect(decodeData(text, bounds)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(JSON.stringify(JSON.parse(text))).toBe(text);
      expect(findChanges(JSON.parse(text) as Json, value)).toEqual([]);
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });

  it("are read from arbitrary text or bytes without an exception", () => {
    const property = fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json()), (text) => {
      const value = decodeData(text, bounds);
      if (value !== null) expect(value).toEqual(JSON.parse(text));
    });
    fc.assert(property, { numRuns: 5000, ...propertyOptions() });
  });
});
