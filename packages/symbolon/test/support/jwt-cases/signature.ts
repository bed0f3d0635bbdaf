/** Tokens that nobody with a key signed: in order but for their signature. */
import {
  ecdsaOf,
  forge,
  type ForgeKey,
  forgeKey,
  hmacOf,
  numbersOf,
  signatureOf,
  withSignature,
} from "../jwt-forge.ts";
import { casesOf, type HostileCase, type Stage } from "./case.ts";

const OTHERS = { HS256: "HS512", HS512: "HS256" } as const;
const NOT_ES256 = ["EdDSA", "ES384", "HS256", "HS512", "RS256", "PS256"] as const;

/** The genuine token with its signature rewritten. */
function resigned(write: (signature: Buffer, stage: Stage) => string | Uint8Array): (stage: Stage) => string {
  return (stage) => withSignature(stage.token, write(signatureOf(stage.token), stage));
}

function flipped(signature: Buffer, at: number, bit: number): Buffer {
  const copy = Buffer.from(signature);
  copy.writeUInt8(copy.readUInt8(at) ^ bit, at);
  return copy;
}

/** The genuine signature over something else. */
function grafted(stage: Stage, token: string): string {
  return withSignature(token, signatureOf(stage.token));
}

const ANY_CASES: readonly HostileCase[] = casesOf("R-112", "bad-signature", {
  "another user in the claims": (stage) => grafted(stage, stage.signed({}, { sub: "user-2" })),
  "a role more in the claims": (stage) => grafted(stage, stage.signed({}, { auth: ["admin"] })),
  "a later exp": (stage) => grafted(stage, stage.signed({}, { exp: stage.claims.exp - 1 })),
  "another member in the header": (stage) => grafted(stage, stage.signed({ x: 1 })),
  "the claims in another order": (stage) =>
    grafted(stage, stage.spelt(null, Object.fromEntries(Object.entries(stage.claims).toReversed()))),
  "a blank more in the claims": (stage) => grafted(stage, stage.spelt(null, `${JSON.stringify(stage.claims)} `)),
  "another key of the same kid": ({ key, header, claims }) => forge(forgeKey(key.alg), header, claims),
  "this key under the kid of the other": ({ key, other, header, claims }) =>
    forge(key, { ...header, alg: other.alg, kid: other.kid }, claims),
  "nothing signed": ({ key, token }) => withSignature(token, key.sign("")),
  "the claims alone signed": ({ key, token }) => withSignature(token, key.sign(token.split(".")[1] as string)),
  "the parts signed without a dot": ({ key, token }) =>
    withSignature(token, key.sign(token.split(".").slice(0, 2).join(""))),
  "the token signed, its signature included": ({ key, token }) => withSignature(token, key.sign(token)),
  "the decoded parts signed": ({ key, header, claims, token }) =>
    withSignature(token, key.sign(`${JSON.stringify(header)}.${JSON.stringify(claims)}`)),
  "the first bit flipped": resigned((signature) => flipped(signature, 0, 0x80)),
  "the lowest bit of the first byte flipped": resigned((signature) => flipped(signature, 0, 1)),
  "a bit in the middle flipped": resigned((signature) => flipped(signature, signature.length >> 1, 1)),
});

/** Signatures of another form: for ES256 that alone tells that they are none of ours. */
const FORM_BUILDERS: Readonly<Record<string, HostileCase["build"]>> = {
  "a byte less": resigned((signature) => signature.subarray(0, -1)),
  "a byte less at the start": resigned((signature) => signature.subarray(1)),
  "half of it": resigned((signature) => signature.subarray(0, signature.length / 2)),
  "16 bytes of it": resigned((signature) => signature.subarray(0, 16)),
  "one byte": resigned((signature) => signature.subarray(0, 1)),
  "a zero more": resigned((signature) => Buffer.concat([signature, Buffer.alloc(1)])),
  "a zero more at the start": resigned((signature) => Buffer.concat([Buffer.alloc(1), signature])),
  "it twice": resigned((signature) => Buffer.concat([signature, signature])),
  "all ones": resigned((signature) => Buffer.alloc(signature.length, 0xff)),
  "as hex": resigned((signature) => Buffer.from(signature.toString("hex"))),
  "as base64url of base64url": resigned((signature) => Buffer.from(signature.toString("base64url"))),
  "as long as a token may be": resigned((_, { token }) => Buffer.alloc(Math.floor((8192 - token.length) / 2), 1)),
  "the algorithm's name": resigned((_, { key }) => Buffer.from(key.alg)),
};

const FORM_CASES: readonly HostileCase[] = [
  ...casesOf("R-112", "bad-signature", FORM_BUILDERS, { algs: NOT_ES256 }),
  ...casesOf("R-111", "not-canonical", FORM_BUILDERS, { algs: ["ES256"], verifier: "bad-signature", isLate: false }),
  ...casesOf("R-112", "bad-signature", {
    "all zeros": resigned((signature) => Buffer.alloc(signature.length)),
  }),
  ...casesOf(
    "R-112",
    "bad-signature",
    { "its bytes reversed": resigned((signature) => signature.toReversed()) },
    { algs: NOT_ES256 },
  ),
];

const { order } = numbersOf(Buffer.alloc(64));

/** ES256: every pair of numbers that has fooled somebody (CVE-2022-21449 and its kind). */
const ECDSA_CASES: readonly HostileCase[] = [
  ...Object.entries({
    "r and s are 0": [0n, 0n],
    "r is 0": [0n, 1n],
    "s is 0": [1n, 0n],
    "r and s are 1": [1n, 1n],
    "r is the order": [order, 1n],
    "r is the order, s is 0": [order, 0n],
    "r is beyond the order": [order + 1n, 1n],
  } as const).flatMap(([name, [r, s]]) =>
    casesOf("R-112", "bad-signature", { [name]: resigned(() => ecdsaOf(r, s)) }, { algs: ["ES256"] }),
  ),
  ...Object.entries({
    "s is the order": [0n, order],
    "r and s are the order": [order, order],
    "s is the order less one": [1n, order - 1n],
    "r and s are beyond everything": [2n ** 256n - 1n, 2n ** 256n - 1n],
  } as const).flatMap(([name, [r, s]]) =>
    casesOf(
      "R-112",
      "not-canonical",
      { [name]: resigned(() => ecdsaOf(r, s)) },
      { algs: ["ES256"], verifier: "bad-signature" },
    ),
  ),
  ...casesOf(
    "R-112",
    "not-canonical",
    {
      "the other s that is valid": resigned((signature) => {
        const { r, s } = numbersOf(signature);
        return ecdsaOf(r, order - s);
      }),
    },
    // Other issuers write either, so that whoever verifies for them has to take both.
    { algs: ["ES256"], verifier: null },
  ),
  ...casesOf("R-112", "not-canonical", { "as DER": resigned(derOf) }, { algs: ["ES256"], verifier: "bad-signature" }),
];

function derOf(signature: Buffer): Buffer {
  const numbers = [signature.subarray(0, 32), signature.subarray(32)].map((half) =>
    Buffer.concat([Buffer.from([2, 33, 0]), half]),
  );
  const body = Buffer.concat(numbers);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

/** The order of the base point of Ed25519 (RFC 8032 section 5.1). */
const ED_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function littleEndian(number: bigint): Buffer {
  return Buffer.from(Buffer.from(number.toString(16).padStart(64, "0"), "hex").toReversed());
}

const EDDSA_CASES: readonly HostileCase[] = casesOf(
  "R-112",
  "bad-signature",
  {
    "S and the order": resigned((signature) => {
      const s = BigInt(`0x${Buffer.from(signature.subarray(32).toReversed()).toString("hex")}`);
      return Buffer.concat([signature.subarray(0, 32), littleEndian(s + ED_ORDER)]);
    }),
    "S is the order": resigned((signature) => Buffer.concat([signature.subarray(0, 32), littleEndian(ED_ORDER)])),
    "R is the neutral point, S is 0": resigned(() => Buffer.concat([littleEndian(1n), Buffer.alloc(32)])),
    "R spelt another way": resigned((signature) => flipped(signature, 31, 0x80)),
  },
  { algs: ["EdDSA"] },
);

const SECRET_CASES: readonly HostileCase[] = casesOf(
  "R-112",
  "bad-signature",
  {
    "an HMAC under nothing": withSecret(() => ""),
    "an HMAC under the text of the secret": withSecret((secret) => secret.toString("base64url")),
    "an HMAC under the kid": withSecret((_, { key }) => key.kid),
    "an HMAC under the secret cut short": withSecret((secret) => secret.subarray(0, 16)),
    "an HMAC under zeros": withSecret((secret) => Buffer.alloc(secret.length)),
    "an HMAC under the word secret": withSecret(() => "secret"),
    "an HMAC with the other hash": ({ key, header, claims }) =>
      forge({ sign: (input) => hmacOf(OTHERS[key.alg as "HS256"], secretOf(key), input) }, header, claims),
  },
  { algs: ["HS256", "HS512"] },
);

function secretOf({ jwk }: ForgeKey): Buffer {
  return Buffer.from(jwk["k"] as string, "base64url");
}

function withSecret(choose: (secret: Buffer, stage: Stage) => string | Buffer): (stage: Stage) => string {
  return (stage) => {
    const { key, header, claims } = stage;
    const secret = choose(secretOf(key), stage);
    return forge({ sign: (input) => hmacOf(key.alg as "HS256", secret, input) }, header, claims);
  };
}

const RSA_CASES: readonly HostileCase[] = casesOf(
  "R-112",
  "bad-signature",
  {
    "the number 1": resigned((signature) => Buffer.concat([Buffer.alloc(signature.length - 1), Buffer.from([1])])),
    "the modulus": resigned((_, { key }) => Buffer.from(key.jwk["n"] as string, "base64url")),
  },
  { algs: ["RS256", "PS256"] },
);

export const SIGNATURE_CASES: readonly HostileCase[] = [
  ...ANY_CASES,
  ...FORM_CASES,
  ...ECDSA_CASES,
  ...EDDSA_CASES,
  ...SECRET_CASES,
  ...RSA_CASES,
];
