/** The signature algorithms that are spoken, and what a key of each has to be. */

/** Algorithms that tokens are issued with: EdDSA unless something speaks against it; HS256 and HS512 within one process. */
export type SigningAlgorithm = "EdDSA" | "ES256" | "HS256" | "HS512";

/** Algorithms that tokens of other issuers are verified with; none is ever issued with the last three. */
export type VerifyingAlgorithm = SigningAlgorithm | "ES384" | "RS256" | "PS256";

/** What a key of an algorithm has to be. */
export interface KeyShape {
  readonly kty: "OKP" | "EC" | "RSA" | "oct";
  readonly crv?: string;
  /** Least length: of the secret in bytes, of an RSA modulus in bits. */
  readonly least?: number;
}

/** An HMAC secret is as long as the hash (RFC 7518 section 3.2), an RSA modulus 2048 bits (section 3.3). */
export const KEY_SHAPES: Readonly<Record<VerifyingAlgorithm, KeyShape>> = {
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  HS256: { kty: "oct", least: 32 },
  HS512: { kty: "oct", least: 64 },
  RS256: { kty: "RSA", least: 2048 },
  PS256: { kty: "RSA", least: 2048 },
};

export const SIGNING_ALGORITHMS: readonly SigningAlgorithm[] = ["EdDSA", "ES256", "HS256", "HS512"];

/** Tells an algorithm's name from everything else, `constructor` and `none` included. */
export function isAlgorithm(value: unknown): value is VerifyingAlgorithm {
  return typeof value === "string" && Object.hasOwn(KEY_SHAPES, value);
}

/** Order of P-256 (SEC 2 section 2.4.2), and the half of it. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const HALF = ORDER >> 1n;

/**
 * Whether an ES256 signature is the one of two that we issue: of (r, s) and (r, n - s), both valid, the one with the
 * smaller s. So that a token of ours has one spelling, whoever copies it.
 */
export function isLowS(signature: Buffer): boolean {
  return signature.length === 64 && bigIntOf(signature.subarray(32)) <= HALF;
}

/** The spelling of an ES256 signature that we issue. */
export function toLowS(signature: Buffer): Buffer {
  if (isLowS(signature)) return signature;
  const low = (ORDER - bigIntOf(signature.subarray(32))).toString(16).padStart(64, "0");
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(low, "hex")]);
}

function bigIntOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}

/** Points of small order on edwards25519, by their y in every spelling: under such a key anybody signs. */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/** Whether an Ed25519 public key is a point of small order, as all zeros are. */
export function isSmallOrder(point: Buffer): boolean {
  const y = Buffer.from(point);
  y.writeUInt8(y.readUInt8(31) & 0x7f, 31);
  return SMALL_ORDER.has(y.toString("hex"));
}
