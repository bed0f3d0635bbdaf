import { afterEach, describe, expect, it, vi } from "vitest";
import { createSessionManager } from "../../src/core/manager.ts";
import { resolveOptions } from "../../src/core/options.ts";
import { generateKey } from "../../src/crypto/keyring.ts";
import { sealedCookie } from "../../src/http/sealed-cookie.ts";
import { memoryStore } from "../../src/stores/memory.ts";

const GOOD = { store: memoryStore(), keys: [generateKey()], pruneEvery: false };

/** Makes a manager as JavaScript would: no types hold it back. */
function make(options: object): unknown {
  return Reflect.apply(createSessionManager, undefined, [{ ...GOOD, ...options }]);
}

function messageOf(options: object): string {
  try {
    make(options);
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(OPTIONS|KEY)_INVALID$/) as string });
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(options)} was accepted.`);
}

const CARRIED = { store: sealedCookie(), rotation: { every: "15m" } };
const REUSE = { seal: "server", limits: { perUser: 1, onLimit: "reuse" } };
const SHARED = { ...REUSE, rotation: { every: "request" } };

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("a wrong option", () => {
  it.each<[string, object, RegExp]>([
    ["one that does not exist", { idle: "1h" }, /^idle: there is no such option; the options are store, keys,/],
    ["a misspelt one", { lifetimes: {} }, /^lifetimes: there is no such option/],
    [
      "a misspelt part of one",
      { lifetime: { Idle: "1h" } },
      /^lifetime\.Idle: there is no such option; .*idle, absolute/,
    ],
    ["a misspelt part of remember", { lifetime: { remember: { ilde: 1 } } }, /^lifetime\.remember\.ilde: there is no/],
    ["a misspelt bound", { bounds: { size: 1 } }, /^bounds\.size: there is no such option/],
    ["no store", { store: undefined }, /^store: pass a store such as memoryStore\(\)/],
    ["something else for a store", { store: {} }, /^store: pass a store/],
    ["no keys", { keys: [] }, /^keys: pass at least one key/],
    [
      "a bare number of seconds as text",
      { lifetime: { idle: "3600" } },
      /^lifetime\.idle: write a duration such as '30m'/,
    ],
    ["a fraction", { lifetime: { idle: 1.5 } }, /^lifetime\.idle: write a duration/],
    ["a negative one", { lifetime: { absolute: -1 } }, /^lifetime\.absolute: write a duration/],
    ["none at all", { lifetime: { absolute: 0 } }, /^lifetime\.absolute: write a duration/],
    ["401 days", { lifetime: { absolute: "401d" } }, /400 days at most/],
    [
      "an idle longer than absolute",
      { lifetime: { idle: "2h", absolute: "1h" } },
      /^lifetime: idle must not be longer than absolute/,
    ],
    ["a lazy touch", { lifetime: { touchEvery: "7m" } }, /^lifetime\.touchEvery: at most a tenth/],
    ["an unknown seal", { seal: "none" }, /^seal: write one of 'split', 'server'/],
    ["an unknown way with conflicts", { conflicts: "last" }, /^conflicts: write one of 'merge', 'strict'/],
    ["an unknown way with failures", { onStoreFailure: "allow" }, /^onStoreFailure: write one of 'deny', 'anonymous'/],
    ["a schema that is none", { schema: {} }, /^schema: pass a Standard Schema/],
    ["a schema of null", { schema: null }, /^schema: pass a Standard Schema/],
    ["a clock that is none", { clock: {} }, /^clock: pass an object with now\(\)/],
    ["the date for a clock", { clock: Date.now }, /^clock: pass an object/],
    ["an upgrade that is none", { upgrade: "v2" }, /^upgrade: must be a function/],
    ["no depth", { bounds: { depth: 0 } }, /^bounds\.depth: write a whole number from 1 to 256/],
    ["too many bytes", { bounds: { bytes: 1e9 } }, /^bounds\.bytes: write a whole number/],
    ["a bound as text", { bounds: { keys: "10" } }, /^bounds\.keys: write a whole number/],
    ["no time for the store", { storeTimeout: 0 }, /^storeTimeout: write a duration/],
    ["no time between prunes", { pruneEvery: 0 }, /^pruneEvery: write a duration/],
    ["true for a time", { pruneEvery: true }, /^pruneEvery: write a duration/],
    ["a flag as text", { bearer: "yes" }, /^bearer: write true, false, 'api-tokens' or 'any'/],
    ["a flag as a number", { development: 1 }, /^development: write true or false/],
    ["a proxy as text", { trustProxy: "10.0.0.1" }, /^trustProxy: write true, false, or a list/],
    ["a proxy list of numbers", { trustProxy: [10] }, /^trustProxy: write true, false, or a list/],
    ["a namespace with a glob in it", { namespace: "a*" }, /^namespace: use 1 to 64 letters/],
    ["an empty namespace", { namespace: "" }, /^namespace: use 1 to 64 letters/],
    ["an empty tenant", { tenant: "" }, /^tenant: must be well-formed text/],
    ["a tenant that is no text", { tenant: 5 }, /^tenant: must be well-formed text/],
    ["a misspelt part of rotation", { rotation: { after: "1h" } }, /^rotation\.after: .*options are every, grace/],
    ["a rotation that is no object", { rotation: "15m" }, /^rotation/],
    ["a rotation always", { rotation: { every: true } }, /^rotation\.every: write a duration such as/],
    ["a rotation of no time", { rotation: { every: 0 } }, /^rotation\.every: write a duration such as/],
    ["an unknown word for rotation", { rotation: { every: "never" } }, /^rotation\.every: write a duration such as/],
    ["a grace over a minute", { rotation: { grace: "61s" } }, /^rotation\.grace: at most 60 s/],
    ["a negative grace", { rotation: { grace: -1 } }, /^rotation\.grace: write a duration such as/],
    ["no grace in a word", { rotation: { grace: false } }, /^rotation\.grace: write a duration such as/],
    ["a rotation of sealed cookies", CARRIED, /^rotation\.every: without a store .*; write false\.$/],
    ["a rotation of tokens that are shared", SHARED, /^rotation\.every: limits\.onLimit 'reuse' .*; write false\.$/],
    ["no object at all for a part", { lifetime: "1h" }, /^lifetime\.: pass an object|^lifetime/],
  ])("is refused at once, with a message that says what to write: %s", (_, options, message) => {
    expect(messageOf(options)).toMatch(message);
  });

  it.each([[undefined], [null], ["options"], [5]])("is refused when it is %j instead of options", (options) => {
    expect(() => Reflect.apply(createSessionManager, undefined, [options]) as unknown).toThrow(/pass an object/);
  });

  it("is development in production", () => {
    vi.stubEnv("NODE_ENV", "production");
    expect(messageOf({ development: true })).toMatch(/^development: refused when NODE_ENV is production/);
    expect(() => make({ development: false })).not.toThrow();
  });
});

const lifetimes = (lifetime: object): object => resolveOptions({ ...GOOD, pruneEvery: false, lifetime }).lifetime;

const rotations = (rotation: object): unknown =>
  Reflect.apply(resolveOptions, undefined, [{ ...GOOD, rotation }]).rotation;

describe("options", () => {
  it("have the documented defaults", () => {
    const { clock, ...resolved } = resolveOptions({ store: memoryStore(), keys: [generateKey()] });
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1000);
    expect(resolved).toMatchObject({
      lifetime: { idle: 3_600_000, absolute: 86_400_000 },
      remember: { idle: 14 * 86_400_000, absolute: 30 * 86_400_000 },
      touchEvery: 360_000,
      rotation: { every: 900_000, grace: 10_000 },
      seal: "split",
      strict: false,
      schema: null,
      upgrade: null,
      bounds: { bytes: 65_536, depth: 32, keys: 1000 },
      onStoreFailure: "deny",
      storeTimeout: 3000,
      pruneEvery: 300_000,
      bearer: false,
      trustProxy: false,
      development: false,
      namespace: "default",
      tenant: null,
    });
  });

  it("rotate no token by itself that clients carry with its record, or share", () => {
    const never = { every: null, grace: 10_000 };
    for (const options of [
      { ...GOOD, store: sealedCookie() },
      { ...GOOD, ...REUSE },
    ]) {
      for (const rotation of [undefined, { every: false }, { grace: "10s" }]) {
        expect(Reflect.apply(resolveOptions, undefined, [{ ...options, rotation }]).rotation).toEqual(never);
      }
    }
  });

  it("take every grace up to a minute, and none, and every way to say how often", () => {
    expect(rotations({ every: "request", grace: 0 })).toEqual({ every: 0, grace: 0 });
    expect(rotations({ every: false, grace: "60s" })).toEqual({ every: null, grace: 60_000 });
    expect(rotations({ every: 1, grace: 1 })).toEqual({ every: 1, grace: 1 });
  });

  it("are frozen: what the caller changes afterwards changes nothing", () => {
    const trustProxy = ["10.0.0.0/8"];
    const bounds = { bytes: 100 };
    const resolved = resolveOptions({ store: memoryStore(), keys: [generateKey()], trustProxy, bounds });
    trustProxy.push("0.0.0.0/0");
    bounds.bytes = 1e6;
    expect(resolved).toMatchObject({ trustProxy: ["10.0.0.0/8"], bounds: { bytes: 100 } });
    expect(Object.isFrozen(resolved) && Object.isFrozen(resolved.bounds)).toBe(true);
  });

  it("fit a lifetime of which only one half is given", () => {
    expect(lifetimes({ idle: "2d" })).toEqual({ idle: 2 * 86_400_000, absolute: 2 * 86_400_000 });
    expect(lifetimes({ absolute: "10m" })).toEqual({ idle: 600_000, absolute: 600_000 });
    expect(lifetimes({ idle: "1m" })).toEqual({ idle: 60_000, absolute: 86_400_000 });
  });
});
