/** Tokens of other issuers, as of a provider of identities: verified by the public keys that it publishes. */
import { generateKeyPairSync } from "node:crypto";
import {
  createJwtVerifier,
  type JwksDocument,
  type JwtKey,
  type JwtVerifier,
  type JwtVerifierOptions,
} from "symbolon/jwt";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type Claims, type Header, type Library, overTheWire, pairsOf } from "./libraries.ts";

/** Key pairs of an issuer; RSA takes its time. */
const pairs: Readonly<Record<string, JwtKey>> = Object.fromEntries(
  [
    { alg: "RS256", ...generateKeyPairSync("rsa", { modulusLength: 2048 }) },
    { alg: "PS256", ...generateKeyPairSync("rsa", { modulusLength: 2048 }) },
    { alg: "ES256", ...generateKeyPairSync("ec", { namedCurve: "P-256" }) },
    { alg: "ES384", ...generateKeyPairSync("ec", { namedCurve: "P-384" }) },
    { alg: "EdDSA", ...generateKeyPairSync("ed25519") },
  ].map(({ alg, privateKey }) => [
    alg,
    { ...privateKey.export({ format: "jwk" }), kty: String(privateKey.export({ format: "jwk" }).kty), alg, kid: alg },
  ]),
);

const PUBLIC = ["kty", "crv", "x", "y", "n", "e", "alg", "kid"];

/** What an issuer publishes: more keys than one, and one for another use. */
function documentOf(...algorithms: readonly string[]): JwksDocument {
  const published = algorithms.map((alg) =>
    Object.fromEntries(Object.entries(pairs[alg] ?? {}).filter(([name]) => PUBLIC.includes(name))),
  );
  const enc = { ...published[0], alg: "RSA-OAEP", kid: "enc", use: "enc" };
  return overTheWire({ keys: [...published, enc] as unknown as JwtKey[] });
}

describe.each(pairsOf(["RS256", "PS256", "ES256", "ES384", "EdDSA"]))(
  "tokens that %s issues with %s",
  (_name, alg, library: Library) => {
    const key = pairs[alg] as JwtKey;
    const others = Object.keys(pairs).filter((name) => name !== alg);
    let clock: ManualClock;
    let claims: Claims;

    beforeEach(() => {
      clock = manualClock();
      const now = clock.now() / 1000;
      claims = {
        iss: "https://login.example/",
        aud: ["https://api.example"],
        sub: "248289761001",
        iat: now,
        exp: now + 3600,
        scope: "read write",
        client_id: "s6BhdRkqt3",
      };
    });

    function verifierOf(typ: string, options: Partial<JwtVerifierOptions> = {}): JwtVerifier {
      return createJwtVerifier({
        issuer: "https://login.example/",
        audience: "https://api.example",
        keys: documentOf(alg, ...others),
        typ,
        requires: ["sub"],
        clock,
        ...options,
      });
    }

    const sign = (given: Claims, header: Header, withKey: JwtKey = key): Promise<string> =>
      library.sign(given, withKey, { kid: withKey.kid, ...header });

    it.each(["JWT", "at+jwt"])("are taken as %s, and as nothing else", async (typ) => {
      const token = await sign(claims, { typ });
      expect(await verifierOf(typ).verify(token)).toEqual({ ok: true, claims });
      for (const other of ["sess+jwt", "JWT", "at+jwt"].filter((one) => one !== typ)) {
        expect(await verifierOf(other).verify(token)).toEqual({ ok: false, reason: "wrong-type" });
      }
    });

    it("are refused when they are for others, of others, too old, or less than what is required", async () => {
      const iat = Number(claims["iat"]);
      const reasons: readonly (readonly [string, Claims])[] = [
        ["wrong-issuer", { iss: "https://login.example" }],
        ["wrong-audience", { aud: "https://api.example/" }],
        ["claims-invalid", { sub: undefined }],
        ["claims-invalid", { exp: undefined }],
        ["claims-invalid", { aud: [] }],
        ["too-long-lived", { exp: iat + 3601 }],
        ["expired", { iat: iat - 600, exp: iat - 30 }],
        ["not-yet-valid", { iat: iat + 31, exp: iat + 600 }],
      ];
      const verifier = verifierOf("JWT");
      for (const [reason, change] of reasons) {
        const token = await sign({ ...claims, ...change }, { typ: "JWT" });
        expect([change, await verifier.verify(token)]).toEqual([change, { ok: false, reason }]);
      }
      // Clocks of others may be half a minute off.
      for (const change of [
        { iat: iat - 600, exp: iat - 29 },
        { iat: iat + 30, exp: iat + 600 },
      ]) {
        expect(await verifier.verify(await sign({ ...claims, ...change }, { typ: "JWT" }))).toMatchObject({ ok: true });
      }
    });

    it("say which key is theirs, and by which algorithm; no other is tried", async () => {
      const token = await sign(claims, { typ: "JWT" });
      const only = (...names: string[]): JwtVerifier => verifierOf("JWT", { keys: documentOf(...names) });
      expect(await only(alg).verify(token)).toMatchObject({ ok: true });
      expect(await only(...others).verify(token)).toEqual({ ok: false, reason: "unknown-key" });
      const [other = ""] = others;
      const misnamed = await sign(claims, { typ: "JWT", kid: other });
      expect(await verifierOf("JWT").verify(misnamed)).toEqual({ ok: false, reason: "wrong-algorithm" });
      const unnamed = await sign(claims, { typ: "JWT", kid: undefined });
      expect(await only(alg).verify(unnamed)).toMatchObject({ ok: true });
      expect(await verifierOf("JWT").verify(unnamed)).toEqual({ ok: false, reason: "header-invalid" });
    });

    it("are taken by the keys that the issuer has now", async () => {
      const verifier = verifierOf("JWT", { keys: documentOf(...others) });
      const token = await sign(claims, { typ: "JWT" });
      expect(await verifier.verify(token)).toEqual({ ok: false, reason: "unknown-key" });
      verifier.setKeys(documentOf(alg, ...others));
      expect(await verifier.verify(token)).toEqual({ ok: true, claims });
      expect(() => verifier.setKeys({ keys: [] })).toThrow("there is no key");
      expect(await verifier.verify(token)).toEqual({ ok: true, claims });
      verifier.setKeys(documentOf(...others));
      expect(await verifier.verify(token)).toEqual({ ok: false, reason: "unknown-key" });
    });
  },
);
