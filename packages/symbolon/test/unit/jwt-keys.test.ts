/** Keys of JWTs: what is refused at start, and what others get to see. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { KeyError } from "symbolon";
import { createJwtSessionManager, createJwtVerifier, generateJwtKey, type JwtKey } from "symbolon/jwt";
import { describe, expect, it } from "vitest";
import { AUDIENCE, ISSUER, SIGNING, VERIFYING } from "../support/jwt-doors.ts";
import { type ForgeKey, forgeKey } from "../support/jwt-forge.ts";
import { manager } from "../support/sessions.ts";

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const flip = (text: unknown): string => {
  const bytes = Buffer.from(text as string, "base64url");
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  return base64url(bytes);
};

const KEYS = Object.fromEntries([...SIGNING, ...VERIFYING].map((alg) => [alg, forgeKey(alg)])) as Record<
  (typeof SIGNING)[number] | (typeof VERIFYING)[number],
  ForgeKey
>;
const { EdDSA, ES256, ES384, HS256, HS512, RS256 } = KEYS;
const publicOf = ({ shared }: ForgeKey): JwtKey => shared ?? expect.fail("A secret has no public half.");

/** As JavaScript would call it. */
function signWith(...signing: readonly unknown[]): void {
  createJwtSessionManager({ sessions: manager(), issuer: ISSUER, audience: AUDIENCE, signing: signing as JwtKey[] });
}

function verifyWith(...keys: readonly unknown[]): void {
  createJwtVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: { keys: keys as JwtKey[] } });
}

/** The keys that others get to see. */
function jwksOf(...signing: readonly JwtKey[]): readonly JwtKey[] {
  return createJwtSessionManager({ sessions: manager(), issuer: ISSUER, audience: AUDIENCE, signing }).jwks().keys;
}

/** The message that a key is refused with; it never shows a key. */
function refusal(attempt: () => void): string {
  try {
    attempt();
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    const secrets = Object.values(KEYS).flatMap(({ jwk }) => [jwk["d"], jwk["k"], jwk["x"], jwk["n"]] as string[]);
    expect(secrets.filter((secret) => secret !== undefined && error.message.includes(secret))).toEqual([]);
    return error.message;
  }
  return "taken";
}

const rsa = (modulusLength: number, more: object = {}): object => ({
  ...generateKeyPairSync("rsa", { modulusLength }).publicKey.export({ format: "jwk" }),
  alg: "RS256",
  ...more,
});

const SMALL_ORDER = [
  "00".repeat(32),
  `${"00".repeat(31)}80`,
  `01${"00".repeat(31)}`,
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}ff`,
  `ee${"ff".repeat(30)}7f`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
].map((hex) => ({ ...publicOf(EdDSA), x: Buffer.from(hex, "hex").toString("base64url") }));

const { kid: _, ...unnamed } = EdDSA.jwk;
const none: readonly unknown[] = [];

const BAD_TO_SIGN: Readonly<Record<string, readonly [keys: readonly unknown[], message: RegExp]>> = {
  "no key": [none, /at least one key/],
  "undefined, as of a variable that is not set": [[undefined], /signing\[0\]: is undefined; is the environment/],
  null: [[null], /is no JWK/],
  "an empty text": [[""], /is no JWK/],
  "a text that is no JSON": [["secret"], /is no JWK/],
  "a PEM": [["-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----"], /is no JWK/],
  "a number": [[1], /is no JWK/],
  "a list": [[[]], /kid: a key to sign with needs one/],
  "a JWKS document": [[{ keys: [EdDSA.jwk] }], /kid/],
  "the bytes of a key": [[randomBytes(32)], /kid/],
  "no kid": [[unnamed], /signing\[0\]\.kid: a key to sign with needs one/],
  "an empty kid": [[{ ...EdDSA.jwk, kid: "" }], /kid: use 1 to 128 printable/],
  "a kid of 129 characters": [[{ ...EdDSA.jwk, kid: "k".repeat(129) }], /kid: use 1 to 128/],
  "a kid with a newline": [[{ ...EdDSA.jwk, kid: "a\nb" }], /kid: use 1 to 128/],
  "a kid that is a number": [[{ ...EdDSA.jwk, kid: 1 }], /kid: use 1 to 128/],
  "two keys of one kid": [[EdDSA.jwk, { ...ES256.jwk, kid: EdDSA.kid }], /two keys have the same kid/],
  "one key under two kids": [[EdDSA.jwk, { ...EdDSA.jwk, kid: "again" }], /the same key is there twice/],
  "one secret for two algorithms": [[HS512.jwk, { ...HS512.jwk, alg: "HS256", kid: "again" }], /the same key is there/],
  "no alg": [[{ ...EdDSA.jwk, alg: undefined }], /alg: write one of EdDSA, ES256, HS256, HS512/],
  "the alg none": [[{ ...EdDSA.jwk, alg: "none" }], /alg: write one of/],
  "the alg constructor": [[{ ...EdDSA.jwk, alg: "constructor" }], /alg: write one of/],
  "an alg in a list": [[{ ...EdDSA.jwk, alg: ["EdDSA"] }], /alg: write one of/],
  RS256: [[RS256.jwk], /alg: write one of/],
  ES384: [[ES384.jwk], /alg: write one of/],
  "a public key": [[publicOf(EdDSA)], /is no private key/],
  "a public EC key": [[publicOf(ES256)], /is no private key/],
  "a key for encryption": [[{ ...EdDSA.jwk, use: "enc" }], /is not for signatures/],
  "a key to derive keys": [[{ ...EdDSA.jwk, key_ops: ["deriveBits"] }], /is not for signatures/],
  "key_ops that are no list": [[{ ...EdDSA.jwk, key_ops: "sign" }], /is not for signatures/],
  "an EC key as EdDSA": [[{ ...ES256.jwk, alg: "EdDSA" }], /EdDSA needs a key of type OKP, Ed25519/],
  "an Ed25519 key as ES256": [[{ ...EdDSA.jwk, alg: "ES256" }], /ES256 needs a key of type EC, P-256/],
  "an Ed25519 key as HS256": [[{ ...EdDSA.jwk, alg: "HS256" }], /HS256 needs a key of type oct/],
  "a secret as EdDSA": [[{ ...HS256.jwk, alg: "EdDSA" }], /EdDSA needs a key/],
  "a P-384 key as ES256": [[{ ...ES384.jwk, alg: "ES256" }], /ES256 needs a key of type EC, P-256/],
  "a P-384 key that says it is of P-256": [[{ ...ES384.jwk, alg: "ES256", crv: "P-256" }], /is no valid key/],
  "an X25519 key": [[{ ...EdDSA.jwk, crv: "X25519" }], /needs a key of type OKP, Ed25519/],
  "a point off the curve": [[{ ...ES256.jwk, y: flip(ES256.jwk["y"]) }], /is no valid key/],
  "a public half of another key": [[{ ...EdDSA.jwk, x: flip(EdDSA.jwk["x"]) }], /public half belongs to another key/],
  "an EC public half of another key": [
    [{ ...ES256.jwk, ...publicOf(forgeKey("ES256")), kid: "k" }],
    /public half belongs to another key|is no valid key/,
  ],
  "an EC private half of another key": [[{ ...ES256.jwk, d: flip(ES256.jwk["d"]) }], /belongs to another|no valid key/],
  "an EC private half of 0": [[{ ...ES256.jwk, d: base64url(Buffer.alloc(32)) }], /belongs to another|no valid key/],
  "a private half that is cut short": [[{ ...EdDSA.jwk, d: (EdDSA.jwk["d"] as string).slice(0, 20) }], /no valid key/],
  "a secret of 31 bytes": [[{ ...HS256.jwk, k: base64url(randomBytes(31)) }], /HS256 needs 32 random bytes/],
  "a secret of 63 bytes for HS512": [[{ ...HS512.jwk, k: base64url(randomBytes(63)) }], /HS512 needs 64 random bytes/],
  "no secret": [[{ ...HS256.jwk, k: undefined }], /HS256 needs 32 random bytes/],
  "an empty secret": [[{ ...HS256.jwk, k: "" }], /HS256 needs 32 random bytes/],
  "a secret that is no base64url": [[{ ...HS256.jwk, k: "+".repeat(43) }], /HS256 needs 32 random bytes/],
  "a secret of zeros": [[{ ...HS256.jwk, k: base64url(Buffer.alloc(32)) }], /does not look random/],
  "a secret that counts": [
    [{ ...HS256.jwk, k: base64url(Buffer.from([...Array(32).keys()])) }],
    /does not look random/,
  ],
  "a sentence": [
    [{ ...HS256.jwk, k: base64url(Buffer.from("correct horse battery staple, they said")) }],
    /does not look random/,
  ],
  "the secret of RFC 7515": [
    [{ ...HS256.jwk, k: "AyM1SysPpbyfDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" }],
    /is an example of an RFC/,
  ],
  "the secret of RFC 7520": [
    [{ ...HS256.jwk, k: "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg" }],
    /is an example of an RFC/,
  ],
  "the key of RFC 8037": [
    [
      {
        ...EdDSA.jwk,
        x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
      },
    ],
    /is an example of an RFC/,
  ],
  "a good key, and a bad one": [[EdDSA.jwk, undefined], /signing\[1\]: is undefined/],
};

const BAD_TO_VERIFY: Readonly<Record<string, readonly [keys: readonly unknown[], message: RegExp]>> = {
  "no key": [none, /there is no key to verify with/],
  "keys for encryption only": [[rsa(2048, { use: "enc" })], /there is no key to verify with/],
  undefined: [[undefined], /keys\[0\]: is undefined/],
  null: [[null], /is no JWK/],
  "a secret": [[HS256.jwk], /alg: say which the key is for/],
  "a secret under another alg": [[{ ...HS256.jwk, alg: "EdDSA" }], /is a private key|needs a key of type OKP/],
  "a private key": [[EdDSA.jwk], /is a private key; to verify, pass the public one/],
  "a private RSA key": [[RS256.jwk], /is a private key/],
  "no alg": [[{ ...publicOf(EdDSA), alg: undefined }], /alg: say which the key is for/],
  "the alg none": [[{ ...publicOf(EdDSA), alg: "none" }], /alg: say which the key is for/],
  "the alg __proto__": [[{ ...publicOf(EdDSA), alg: "__proto__" }], /alg: say which the key is for/],
  RS512: [[{ ...publicOf(RS256), alg: "RS512" }], /alg: say which the key is for/],
  "an RSA key as EdDSA": [[{ ...publicOf(RS256), alg: "EdDSA" }], /EdDSA needs a key of type OKP/],
  "an EC key as RS256": [[{ ...publicOf(ES256), alg: "RS256" }], /RS256 needs a key of type RSA/],
  "a P-256 key as ES384": [[{ ...publicOf(ES256), alg: "ES384" }], /ES384 needs a key of type EC, P-384/],
  "RSA of 1024 bits": [[rsa(1024)], /an RSA key needs 2048 bits/],
  "RSA of 2040 bits": [[rsa(2040)], /an RSA key needs 2048 bits/],
  "RSA with the exponent 1": [[rsa(2048, { e: "AQ" })], /the exponent 65537 at least/],
  "RSA with the exponent 3": [[rsa(2048, { e: "Aw" })], /the exponent 65537 at least/],
  "RSA without a modulus": [[{ ...publicOf(RS256), n: "" }], /an RSA key needs 2048 bits/],
  "a point off the curve": [[{ ...publicOf(ES256), y: flip(ES256.jwk["y"]) }], /is no valid key/],
  "a point at the origin": [
    [{ ...publicOf(ES256), x: base64url(Buffer.alloc(32)), y: base64url(Buffer.alloc(32)) }],
    /is no valid key/,
  ],
  "half a point": [[{ ...publicOf(ES256), y: undefined }], /is no valid key/],
  "an Ed25519 key of 31 bytes": [[{ ...publicOf(EdDSA), x: base64url(randomBytes(31)) }], /is no valid key/],
  "the key of RFC 8037": [
    [{ ...publicOf(EdDSA), x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }],
    /is an example of an RFC/,
  ],
  "the key of RFC 7515": [[{ ...publicOf(ES256), x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU" }], /an example/],
  "two keys of one kid": [[publicOf(EdDSA), { ...publicOf(ES256), kid: EdDSA.kid }], /two keys have the same kid/],
  "two keys, one without a kid": [[publicOf(EdDSA), { ...publicOf(ES256), kid: undefined }], /each needs a kid/],
  "one key for two algorithms": [
    [publicOf(RS256), { ...publicOf(RS256), alg: "PS256", kid: "again" }],
    /the same key is there twice/,
  ],
};

describe("a key to sign with", () => {
  it.each(Object.entries(BAD_TO_SIGN))("is refused: %s", (_name, [keys, message]) => {
    expect(refusal(() => signWith(...keys))).toMatch(message);
  });

  it.each(SIGNING)("of %s is taken as JWK and as its JSON", (alg) => {
    expect(refusal(() => signWith(KEYS[alg].jwk))).toBe("taken");
    expect(refusal(() => signWith(JSON.stringify({ ...KEYS[alg].jwk, use: "sig", key_ops: ["sign"] })))).toBe("taken");
  });

  it.each(SIGNING)("of %s is made by generateJwtKey, another each time", async (alg) => {
    const [one, other] = [await generateJwtKey(alg), await generateJwtKey(alg)];
    expect(refusal(() => signWith(one, other))).toBe("taken");
    expect(one).toMatchObject({ alg, use: "sig", kty: KEYS[alg].jwk.kty });
    expect(one.kid).not.toBe(other.kid);
    expect(JSON.stringify(one["k"] ?? "")).not.toContain(one.kid);
  });

  it.each(["RS256", "none", "constructor", null, 1])("is not made for %s", async (alg) => {
    await expect(generateJwtKey(alg as "EdDSA")).rejects.toThrow(KeyError);
  });
});

describe("a key to verify with", () => {
  it.each(Object.entries(BAD_TO_VERIFY))("is refused: %s", (_name, [keys, message]) => {
    expect(refusal(() => verifyWith(...keys))).toMatch(message);
  });

  it.each(SMALL_ORDER)("is refused when anybody could sign under it: $x", (key) => {
    expect(refusal(() => verifyWith(key))).toMatch(/point of small order/);
  });

  it.each(VERIFYING)("of %s is taken, with a kid or, alone, without", (alg) => {
    expect(refusal(() => verifyWith(publicOf(KEYS[alg])))).toBe("taken");
    expect(refusal(() => verifyWith({ ...publicOf(KEYS[alg]), kid: undefined, use: "sig" }))).toBe("taken");
  });

  it.each([undefined, null, [], {}, { keys: {} }, { keys: "keys" }, "jwks"])("is in a document: %j is none", (keys) => {
    const make = (): unknown => createJwtVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: keys as never });
    expect(make).toThrow(KeyError);
    expect(make).toThrow("pass a JWKS document");
  });
});

describe("what others get to see of the keys", () => {
  it("is the public half by named members, whatever else is in the key", () => {
    const more = { note: "internal", x5u: "http://127.0.0.1", oth: [], key_ops: ["sign"], ext: true, p: "1", q: "2" };
    const { x, y } = ES256.jwk;
    const named = { alg: "ES256", kid: ES256.kid, use: "sig" };
    expect(jwksOf({ ...ES256.jwk, ...more })).toEqual([{ kty: "EC", crv: "P-256", x, y, ...named }]);
    expect(jwksOf({ ...EdDSA.jwk, ...more })).toEqual([
      { kty: "OKP", crv: "Ed25519", x: EdDSA.jwk["x"], alg: "EdDSA", kid: EdDSA.kid, use: "sig" },
    ]);
  });

  it("is nothing of a secret, and all other keys in force", () => {
    expect(jwksOf(HS256.jwk, HS512.jwk)).toEqual([]);
    expect(jwksOf(EdDSA.jwk, HS256.jwk, ES256.jwk).map(({ kid }) => kid)).toEqual([EdDSA.kid, ES256.kid]);
  });

  it("is enough to verify with", () => {
    expect(refusal(() => verifyWith(...jwksOf(EdDSA.jwk, ES256.jwk)))).toBe("taken");
  });
});
