/**
 * Keys of JWTs: JWKs that name their algorithm and themselves, checked once.
 *
 * Nothing is guessed from the text of a key, and none serves two algorithms: a token's header chooses among keys by
 * `kid`, never how a key is used.
 */
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, generateSecret } from "jose";
import { looksChosen } from "../crypto/keyring.ts";
import { publicRandom } from "../crypto/random.ts";
import { KeyError } from "../errors.ts";
import {
  isAlgorithm,
  isSmallOrder,
  KEY_SHAPES,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
  type VerifyingAlgorithm,
} from "./algorithms.ts";

/** A key as JWK (RFC 7517): private or secret for signing, public for verifying. `generateJwtKey` makes one to sign with. */
export interface JwtKey {
  readonly kty: string;
  readonly alg: string;
  /** Names the key in the header of its tokens; required for signing, and wherever there are several. */
  readonly kid?: string;
  readonly use?: string;
  readonly [member: string]: unknown;
}

/** A JWKS document (RFC 7517 section 5): the public keys that verify tokens. */
export interface JwksDocument {
  readonly keys: JwtKey[];
}

/** A key that verifies. */
export interface VerifyingKey {
  readonly kid: string | undefined;
  readonly alg: VerifyingAlgorithm;
  readonly key: KeyObject;
}

/** A key that signs, and verifies what it has signed. */
export interface SigningKey extends VerifyingKey {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly signer: KeyObject;
  /** What others may know of it; null for a secret. */
  readonly published: JwtKey | null;
}

/** Keys in force, found by their `kid`. */
export interface VerifyingKeys {
  readonly byKid: ReadonlyMap<string | undefined, VerifyingKey>;
}

/** The keys of an issuer: the first signs, all verify. */
export interface SigningKeys extends VerifyingKeys {
  readonly primary: SigningKey;
  readonly all: readonly SigningKey[];
}

const HOW_TO_MAKE_ONE = "generateJwtKey() makes one.";
/** FIPS 186-5 section 5.1: with 1 anybody signs, with the small ones whoever finds a lenient reader. */
const LEAST_EXPONENT = 65_537n;
const KID = /^[\x21-\x7e]{1,128}$/;

const PROBE = Buffer.from("symbolon/jwt");

/** Keys printed in RFCs 7515, 7517, 7520 and 8037, by `k` or `x`: everybody has them. */
const EXAMPLE_KEYS: ReadonlySet<unknown> = new Set([
  "AyM1SysPpbyfDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
  "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
  "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
  "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
]);

/**
 * Makes a key to sign with, as JWK; the `kid` of a key pair is its thumbprint (RFC 7638). Keep it like every secret: as
 * JSON in a file or an environment variable, which `signing` takes as it is.
 */
export async function generateJwtKey(alg: SigningAlgorithm = "EdDSA"): Promise<JwtKey> {
  if (!SIGNING_ALGORITHMS.includes(alg)) {
    throw new KeyError(`generateJwtKey: write one of ${SIGNING_ALGORITHMS.join(", ")}.`);
  }
  const options = { extractable: true };
  const isSecret = KEY_SHAPES[alg].kty === "oct";
  const key = isSecret ? await generateSecret(alg, options) : (await generateKeyPair(alg, options)).privateKey;
  const jwk = await exportJWK(key);
  // The thumbprint of a secret would tell of it.
  const kid = isSecret ? publicRandom(16).toString("base64url") : await calculateJwkThumbprint(jwk);
  return { ...jwk, kty: KEY_SHAPES[alg].kty, alg, kid, use: "sig" };
}

/** Checks the keys of an issuer, newest first; no message shows a key. */
export function readSigningKeys(keys: readonly (JwtKey | string | undefined)[]): SigningKeys {
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new KeyError(`signing: pass at least one key, newest first. ${HOW_TO_MAKE_ONE}`);
  }
  const all = keys.map((key: JwtKey | string | undefined, place) => readSigningKey(key, `signing[${place}]`));
  return { primary: all[0] as SigningKey, all, byKid: byKidOf(all, "signing") };
}

/** Checks the public keys of another issuer. Such documents hold other keys, too: those for encryption are left out. */
export function readVerifyingKeys(document: JwksDocument): VerifyingKeys {
  const keys = (document as Partial<JwksDocument> | null | undefined)?.keys;
  if (!Array.isArray(keys)) throw new KeyError("keys: pass a JWKS document, as { keys: [...] }.");
  const used = keys.filter((key: JwtKey) => key?.use !== "enc");
  if (used.length === 0) throw new KeyError("keys: there is no key to verify with.");
  const all = used.map((key: JwtKey, place) => readVerifyingKey(key, `keys[${place}]`));
  return { byKid: byKidOf(all, "keys") };
}

/** The key that a header names: by exact match, or the only one when it names none. */
export function findKey({ byKid }: VerifyingKeys, kid: unknown): VerifyingKey | null {
  if (kid === undefined) return byKid.size === 1 ? (byKid.values().next().value ?? null) : null;
  return typeof kid === "string" ? (byKid.get(kid) ?? null) : null;
}

/** What others may know: public members, by name. */
export function publishedKeys({ all }: SigningKeys): JwksDocument {
  return { keys: all.flatMap(({ published }) => published ?? []) };
}

function byKidOf<Key extends VerifyingKey>(all: readonly Key[], name: string): ReadonlyMap<string | undefined, Key> {
  const byKid = new Map(all.map((key) => [key.kid, key]));
  if (byKid.size !== all.length) throw new KeyError(`${name}: two keys have the same kid.`);
  if (all.length > 1 && byKid.has(undefined)) throw new KeyError(`${name}: where there are several, each needs a kid.`);
  const isAgain = all.some(({ key }, place) => all.slice(0, place).some((other) => other.key.equals(key)));
  if (isAgain) throw new KeyError(`${name}: the same key is there twice; a key has one kid and one algorithm.`);
  return byKid;
}

function readSigningKey(given: JwtKey | string | undefined, name: string): SigningKey {
  const jwk = parseJwk(given, name);
  const { kid } = jwk;
  if (kid === undefined) throw new KeyError(`${name}.kid: a key to sign with needs one. ${HOW_TO_MAKE_ONE}`);
  const alg = SIGNING_ALGORITHMS.find((one) => one === jwk.alg);
  if (alg === undefined) throw new KeyError(`${name}.alg: write one of ${SIGNING_ALGORITHMS.join(", ")}.`);
  checkShape(jwk, alg, name);
  if (alg === "HS256" || alg === "HS512") return { kid, alg, ...secretOf(jwk, alg, name) };
  if (typeof jwk["d"] !== "string") throw new KeyError(`${name}: is no private key. ${HOW_TO_MAKE_ONE}`);
  const signer = imported(() => createPrivateKey({ key: jwk as JsonWebKey, format: "jwk" }), name);
  const key = createPublicKey(signer);
  const { crv, x, y } = key.export({ format: "jwk" });
  // Whoever believed the public half beside it would verify with another key.
  if (x !== jwk["x"] || y !== jwk["y"] || !imported(() => isPair(signer, key), name)) {
    throw new KeyError(`${name}: its public half belongs to another key.`);
  }
  const published = { kty: jwk.kty, crv, x, ...(y !== undefined && { y }), alg, kid, use: "sig" };
  return { kid, alg, signer, key, published };
}

function readVerifyingKey(given: JwtKey, name: string): VerifyingKey {
  const jwk = parseJwk(given, name);
  const { kid, alg } = jwk;
  if (!isAlgorithm(alg) || KEY_SHAPES[alg].kty === "oct") {
    throw new KeyError(`${name}.alg: say which the key is for: EdDSA, ES256, ES384, RS256 or PS256.`);
  }
  if ("d" in jwk || "k" in jwk) throw new KeyError(`${name}: is a private key; to verify, pass the public one.`);
  checkShape(jwk, alg, name);
  const key = imported(() => createPublicKey({ key: jwk as JsonWebKey, format: "jwk" }), name);
  if (alg === "EdDSA" && isSmallOrder(Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url"))) {
    throw new KeyError(`${name}: is a point of small order, under which anybody could sign.`);
  }
  const { least = 0 } = KEY_SHAPES[alg];
  const { modulusLength = least, publicExponent = LEAST_EXPONENT } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < least || publicExponent < LEAST_EXPONENT) {
    throw new KeyError(`${name}: an RSA key needs ${least} bits and the exponent ${LEAST_EXPONENT} at least.`);
  }
  return { kid, alg, key };
}

function secretOf(jwk: JwtKey, alg: "HS256" | "HS512", name: string): Omit<SigningKey, "kid" | "alg"> {
  const text = jwk["k"];
  const bytes = typeof text === "string" && /^[A-Za-z0-9_-]+$/.test(text) ? Buffer.from(text, "base64url") : null;
  const { least = 0 } = KEY_SHAPES[alg];
  if (bytes === null || bytes.length < least) {
    throw new KeyError(`${name}.k: ${alg} needs ${least} random bytes at least, as base64url. ${HOW_TO_MAKE_ONE}`);
  }
  if (looksChosen(text as string, bytes)) throw new KeyError(`${name}.k: does not look random. ${HOW_TO_MAKE_ONE}`);
  const key = createSecretKey(bytes);
  return { signer: key, key, published: null };
}

function parseJwk(given: unknown, name: string): JwtKey {
  if (given === undefined) {
    throw new KeyError(`${name}: is undefined; is the environment variable set? ${HOW_TO_MAKE_ONE}`);
  }
  const jwk = typeof given === "string" ? parsed(given) : given;
  if (typeof jwk !== "object" || jwk === null) throw new KeyError(`${name}: is no JWK. ${HOW_TO_MAKE_ONE}`);
  const { kid, use, key_ops: uses } = jwk as JwtKey;
  if (kid !== undefined && !(typeof kid === "string" && KID.test(kid))) {
    throw new KeyError(`${name}.kid: use 1 to 128 printable characters.`);
  }
  const isForSignatures = use === undefined || use === "sig";
  const mayBeUsed = uses === undefined || (Array.isArray(uses) && (uses.includes("sign") || uses.includes("verify")));
  if (!isForSignatures || !mayBeUsed) throw new KeyError(`${name}: is not for signatures, by its use or key_ops.`);
  return jwk as JwtKey;
}

function checkShape(jwk: JwtKey, alg: VerifyingAlgorithm, name: string): void {
  const { kty, crv } = KEY_SHAPES[alg];
  if (jwk.kty !== kty || (crv !== undefined && jwk["crv"] !== crv)) {
    throw new KeyError(`${name}: ${alg} needs a key of type ${[kty, crv ?? []].flat().join(", ")}.`);
  }
  if (EXAMPLE_KEYS.has(jwk["k"] ?? jwk["x"]))
    throw new KeyError(`${name}: is an example of an RFC. ${HOW_TO_MAKE_ONE}`);
}

/** An EC key is imported with whatever public half is beside it. */
function isPair(signer: KeyObject, key: KeyObject): boolean {
  const digest = signer.asymmetricKeyType === "ec" ? "sha256" : null;
  return verify(digest, PROBE, key, sign(digest, PROBE, signer));
}

function imported<T>(read: () => T, name: string): T {
  try {
    return read();
  } catch {
    // The reader's own error could show the key.
    throw new KeyError(`${name}: is no valid key of its type.`);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
