/** Forges JWTs from any bytes, with node:crypto alone: so that whatever no library would write can be spelt. */
import {
  constants,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import type { JwtKey } from "symbolon/jwt";

export type ForgedAlgorithm = "EdDSA" | "ES256" | "ES384" | "HS256" | "HS512" | "RS256" | "PS256";

/** A key to forge with. */
export interface ForgeKey {
  readonly alg: ForgedAlgorithm;
  readonly kid: string;
  /** With its private members. */
  readonly jwk: JwtKey;
  /** What others may know; null for a secret. */
  readonly shared: JwtKey | null;
  readonly sign: (input: string | Buffer) => Buffer;
}

/** The text of a header or of claims, as it is; an object is written as JSON. */
export type Spelling = string | Uint8Array | Readonly<Record<string, unknown>>;

const OPTIONS = {
  EdDSA: () => generateKeyPairSync("ed25519"),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
} as const;

/** Makes a key of an algorithm. */
export function forgeKey(alg: ForgedAlgorithm): ForgeKey {
  const kid = `${alg}-${randomBytes(6).toString("hex")}`;
  if (alg === "HS256" || alg === "HS512") {
    const secret = randomBytes(64);
    const jwk = { kty: "oct", k: secret.toString("base64url"), alg, kid };
    return { alg, kid, jwk, shared: null, sign: (input) => hmacOf(alg, secret, input) };
  }
  const { privateKey, publicKey } = OPTIONS[alg]();
  return {
    alg,
    kid,
    jwk: { ...jwkOf(privateKey), alg, kid },
    shared: { ...jwkOf(publicKey), alg, kid },
    sign: (input) => signWith(alg, privateKey, input),
  };
}

/** A key that signs as another algorithm than it was made for. */
export function asAlgorithm({ jwk }: ForgeKey, alg: ForgedAlgorithm): (input: string | Buffer) => Buffer {
  const key = createPrivateKey({ key: jwk as JsonWebKey, format: "jwk" });
  return (input) => signWith(alg, key, input);
}

/** An HMAC under any secret, an empty one and a public key included. */
export function hmacOf(alg: "HS256" | "HS512", secret: string | Buffer, input: string | Buffer): Buffer {
  return createHmac(alg === "HS256" ? "sha256" : "sha512", secret)
    .update(input)
    .digest();
}

/** A part of a token. */
export function partOf(spelling: Spelling): string {
  const isText = typeof spelling === "string" || spelling instanceof Uint8Array;
  return Buffer.from(isText ? spelling : JSON.stringify(spelling)).toString("base64url");
}

/** A token of any header and claims, signed by whatever signs. */
export function forge(signer: Pick<ForgeKey, "sign">, header: Spelling, claims: Spelling): string {
  const input = `${partOf(header)}.${partOf(claims)}`;
  return `${input}.${partOf(signer.sign(input))}`;
}

/** The same token with another signature. */
export function withSignature(token: string, signature: string | Uint8Array): string {
  const text = typeof signature === "string" ? signature : partOf(signature);
  return token.slice(0, token.lastIndexOf(".") + 1) + text;
}

/** The signature of a token. */
export function signatureOf(token: string): Buffer {
  return Buffer.from(token.slice(token.lastIndexOf(".") + 1), "base64url");
}

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** An ES256 signature of two numbers. */
export function ecdsaOf(r: bigint, s: bigint): Buffer {
  return Buffer.from([r, s].map((number) => number.toString(16).padStart(64, "0")).join(""), "hex");
}

/** The numbers of an ES256 signature, and the order of the curve. */
export function numbersOf(signature: Buffer): { readonly r: bigint; readonly s: bigint; readonly order: bigint } {
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)].map((half) => BigInt(`0x${half.toString("hex")}`));
  return { r: r as bigint, s: s as bigint, order: ORDER };
}

function signWith(alg: ForgedAlgorithm, key: KeyObject, input: string | Buffer): Buffer {
  const bytes = Buffer.from(input);
  switch (alg) {
    case "EdDSA":
      return sign(null, bytes, key);
    case "ES256":
      return lowS(sign("sha256", bytes, { key, dsaEncoding: "ieee-p1363" }));
    case "ES384":
      return sign("sha384", bytes, { key, dsaEncoding: "ieee-p1363" });
    case "PS256":
      return sign("sha256", bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    default:
      return sign("sha256", bytes, key);
  }
}

/** As issuers of sessions write it: of two valid numbers, the smaller. */
function lowS(signature: Buffer): Buffer {
  const { r, s } = numbersOf(signature);
  return ecdsaOf(r, s > ORDER / 2n ? ORDER - s : s);
}

function jwkOf(key: KeyObject): JwtKey {
  return key.export({ format: "jwk" }) as unknown as JwtKey;
}
