/** The settings of a verifier: texts compared as wholes, bounds that hold, and tokens of other issuers. */
import { OptionsError } from "symbolon";
import {
  createJwtSessionManager,
  createJwtVerifier,
  type JwtVerifier,
  type JwtVerifierOptions,
  unsafeDecodeJwt,
} from "symbolon/jwt";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { AUDIENCE, ISSUER } from "../support/jwt-doors.ts";
import {
  ecdsaOf,
  forge,
  type ForgeKey,
  forgeKey,
  numbersOf,
  signatureOf,
  withSignature,
} from "../support/jwt-forge.ts";
import { manager } from "../support/sessions.ts";

const KEY = forgeKey("ES256");
const keysOf = ({ shared }: ForgeKey): JwtVerifierOptions["keys"] => ({ keys: shared === null ? [] : [shared] });

/** A verifier with some options as JavaScript would write them. */
function make(options: Readonly<Record<string, unknown>> = {}): JwtVerifier {
  return createJwtVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: keysOf(KEY), ...options });
}

const clock = manualClock();
const NOW = clock.now() / 1000;
const CLAIMS = { iss: ISSUER, aud: AUDIENCE, sub: "user-1", sid: "session", jti: "token", iat: NOW, exp: NOW + 300 };
const HEADER = { alg: "ES256", kid: KEY.kid, typ: "sess+jwt" };

async function reasonOf(verifier: JwtVerifier, claims: object = {}, header: object = {}): Promise<string> {
  const found = await verifier.verify(forge(KEY, { ...HEADER, ...header }, { ...CLAIMS, ...claims }));
  return found.ok ? "taken" : found.reason;
}

/** What a verifier makes of the token so many milliseconds after it was issued. */
async function reasonAfter(offset: number, tolerance: unknown): Promise<string> {
  return reasonOf(make({ clock: manualClock(clock.now() + offset), tolerance }));
}

/** What a verifier makes of a token for so many seconds. */
async function reasonOfLasting(seconds: number, options: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return reasonOf(make({ clock, ...options }), { exp: NOW + seconds });
}

const NO_PARTY: readonly unknown[] = [
  /./,
  /^https:/g,
  new RegExp(ISSUER),
  "",
  1,
  null,
  {},
  () => true,
  "x".repeat(513),
];

describe("issuer, audience, typ and requires are texts", () => {
  it.each(NO_PARTY)("%s is none, in a verifier", (value) => {
    expect(() => make({ issuer: value })).toThrow(OptionsError);
    expect(() => make({ issuer: [ISSUER, value] })).toThrow(OptionsError);
    expect(() => make({ audience: value })).toThrow(OptionsError);
    expect(() => make({ audience: [AUDIENCE, value] })).toThrow(OptionsError);
    expect(() => make({ requires: ["sub", value] })).toThrow(OptionsError);
    if (value !== null) expect(() => make({ typ: value })).toThrow(OptionsError);
  });

  it.each(NO_PARTY)("%s is none, in a manager", (value) => {
    const sessions = manager();
    const options = { sessions, issuer: ISSUER, audience: AUDIENCE, signing: [KEY.jwk] };
    expect(() => createJwtSessionManager({ ...options, issuer: value as string })).toThrow("it is compared as a whole");
    expect(() => createJwtSessionManager({ ...options, audience: value as string })).toThrow(OptionsError);
    expect(() => createJwtSessionManager({ ...options, audience: [AUDIENCE, value as string] })).toThrow(OptionsError);
  });

  it("and there is at least one audience, and no other option", () => {
    expect(() => make({ audience: [] })).toThrow("audience: name at least one");
    expect(() => make({ audience: undefined })).toThrow(OptionsError);
    expect(() => make({ algorithms: ["none"] })).toThrow("algorithms: there is no such option");
    expect(() => make({ jwksUri: "https://id.example" })).toThrow(OptionsError);
  });

  it("so that one with the signs of a pattern is that text, and nothing else", async () => {
    const verifier = make({ clock, issuer: "https://.*", audience: "^.*$" });
    expect(await reasonOf(verifier)).toBe("wrong-issuer");
    expect(await reasonOf(verifier, { iss: "https://.*" })).toBe("wrong-audience");
    expect(await reasonOf(verifier, { iss: "https://.*", aud: "^.*$" })).toBe("taken");
  });
});

describe("a verifier", () => {
  it("takes a token for any of its audiences, and for no piece of one", async () => {
    const verifier = make({ clock, audience: ["a", "b"] });
    expect(await reasonOf(verifier, { aud: "b" })).toBe("taken");
    expect(await reasonOf(verifier, { aud: ["c", "a"] })).toBe("taken");
    expect(await reasonOf(verifier, { aud: ["c", "ab"] })).toBe("wrong-audience");
    expect(await reasonOf(verifier, { aud: "a,b" })).toBe("wrong-audience");
  });

  it("takes the kind of token it was made for, and no other", async () => {
    const verifier = make({ clock, typ: "at+jwt", requires: ["client_id"] });
    expect(await reasonOf(verifier, { client_id: "app" })).toBe("wrong-type");
    expect(await reasonOf(verifier, { client_id: "app" }, { typ: "at+jwt" })).toBe("taken");
    expect(await reasonOf(verifier, {}, { typ: "at+jwt" })).toBe("claims-invalid");
  });

  it("finds no claim it requires among what every object has", async () => {
    expect(await reasonOf(make({ clock, requires: ["constructor"] }))).toBe("claims-invalid");
    expect(await reasonOf(make({ clock, requires: ["constructor"] }), { constructor: "x" })).toBe("taken");
  });

  it("checks the type of a claim that it does not require", async () => {
    const verifier = make({ clock, requires: [] });
    expect(await reasonOf(verifier, { sub: undefined, sid: undefined, jti: undefined })).toBe("taken");
    expect(await reasonOf(verifier, { sub: 1 })).toBe("claims-invalid");
  });

  it("takes tokens of its own time to the second, with the leeway it was given", async () => {
    expect(await Promise.all([reasonAfter(299_999, 0), reasonAfter(300_000, 0)])).toEqual(["taken", "expired"]);
    expect(await Promise.all([reasonAfter(0, 0), reasonAfter(-1, 0)])).toEqual(["taken", "not-yet-valid"]);
    expect(await Promise.all([reasonAfter(359_999, "60s"), reasonAfter(360_000, "60s")])).toEqual(["taken", "expired"]);
    expect(await Promise.all([reasonAfter(-60_000, "60s"), reasonAfter(-60_001, "60s")])).toEqual([
      "taken",
      "not-yet-valid",
    ]);
    expect(await Promise.all([reasonAfter(329_999, undefined), reasonAfter(330_000, undefined)])).toEqual([
      "taken",
      "expired",
    ]);
    expect(() => make({ tolerance: "61s" })).toThrow("tolerance: at most 60 s.");
  });

  it("takes no token that is valid for longer than it allows, an hour unless told", async () => {
    expect([await reasonOfLasting(3600), await reasonOfLasting(3601)]).toEqual(["taken", "too-long-lived"]);
    expect([await reasonOfLasting(60, { maxTtl: "1m" }), await reasonOfLasting(61, { maxTtl: "1m" })]).toEqual([
      "taken",
      "too-long-lived",
    ]);
  });

  it("takes both spellings of an ES256 signature, for other issuers write either, and no third", async () => {
    const token = forge(KEY, HEADER, CLAIMS);
    const { r, s, order } = numbersOf(signatureOf(token));
    const verifier = make({ clock });
    const [other, third] = [order - s, s + order].map((one) => withSignature(token, ecdsaOf(r, one)));
    expect(await verifier.verify(other as string)).toMatchObject({ ok: true });
    expect(await verifier.verify(third as string)).toEqual({ ok: false, reason: "bad-signature" });
  });

  it("with one key takes tokens that name none, and none that name another", async () => {
    const verifier = make({ clock });
    expect(await reasonOf(verifier, {}, { kid: undefined })).toBe("taken");
    expect(await reasonOf(verifier, {}, { kid: "another" })).toBe("unknown-key");
    const unnamed = make({ clock, keys: { keys: [{ ...KEY.shared, kid: undefined }] } });
    expect(await reasonOf(unnamed, {}, { kid: undefined })).toBe("taken");
    expect(await reasonOf(unnamed)).toBe("unknown-key");
  });

  it("answers claims that nobody can change", async () => {
    const found = await make({ clock }).verify(forge(KEY, HEADER, { ...CLAIMS, deep: { list: [{}] } }));
    const claims = found.ok ? found.claims : expect.fail("The token is not taken.");
    expect(Object.isFrozen(claims)).toBe(true);
    const { list } = claims["deep"] as { list: object[] };
    expect([list, list[0]].every((value) => Object.isFrozen(value))).toBe(true);
  });
});

describe("a session's token", () => {
  it("lives as long as it is told to, to the millisecond of any second it was issued in", async () => {
    const moved = manualClock(clock.now() + 900);
    const sessions = manager({ clock: moved });
    const options = { sessions, issuer: ISSUER, audience: AUDIENCE, signing: [KEY.jwk] };
    const jwts = createJwtSessionManager({ ...options, accessTtl: 1500 });
    const { accessToken } = await jwts.create({ userId: "user-1" });
    expect(await jwts.inspect(accessToken)).toMatchObject({ ok: true });
  });

  it.each([
    ["half a character", { note: "\ud800" }, /well-formed text/],
    ["half a character deep inside", { note: [{ deep: "\ude00" }] }, /well-formed text/],
    ["too much", { note: "x".repeat(7000) }, /longer than 8192/],
  ])(
    "is not issued with %s in it, which no reader would take; nor is there a session then",
    async (_, claims, message) => {
      const sessions = manager({ clock });
      const options = { sessions, issuer: ISSUER, audience: AUDIENCE, signing: [KEY.jwk], claims: () => claims };
      await expect(createJwtSessionManager(options).create({ userId: "user-1" })).rejects.toThrow(message);
      expect(await sessions.count()).toBe(0);
    },
  );

  it("is not issued with more levels than a reader takes, whatever session data may have", async () => {
    const nested = (levels: number): object => (levels === 1 ? {} : { x: nested(levels - 1) });
    const sessions = manager({ clock, bounds: { depth: 64 } });
    const options = { sessions, issuer: ISSUER, audience: AUDIENCE, signing: [KEY.jwk] };
    const issue = async (levels: number): Promise<string> => {
      const jwts = createJwtSessionManager({ ...options, claims: () => nested(levels) as Record<string, unknown> });
      const { accessToken } = await jwts.create({ userId: "user-1" });
      return (await jwts.userOf(accessToken)) ?? "refused";
    };
    expect(await issue(32)).toBe("user-1");
    await expect(issue(33)).rejects.toThrow("32 levels");
  });
});

describe("unsafeDecodeJwt", () => {
  it("says what a token says, and that nobody vouches for it", () => {
    const token = withSignature(forge(KEY, HEADER, CLAIMS), "AAAA");
    expect(unsafeDecodeJwt(token)).toEqual({ trusted: false, header: HEADER, payload: CLAIMS });
  });

  it.each(["", "a.b.c", "..", `${forge(KEY, HEADER, CLAIMS)}\n`, forge(KEY, HEADER, '{"a":1,"a":2}')])(
    "takes nothing that is no token: %j",
    (text) => {
      expect(unsafeDecodeJwt(text)).toBeNull();
    },
  );
});
