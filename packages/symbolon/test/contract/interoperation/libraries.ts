/** Three libraries that know nothing of us, in one shape: they read our tokens, and issue tokens of their own. */
import { createPrivateKey, createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { type Algorithm as FastAlgorithm, createDecoder, createSigner, createVerifier } from "fast-jwt";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify, SignJWT } from "jose";
import jsonwebtoken from "jsonwebtoken";
import type { JwksDocument, JwtKey } from "symbolon/jwt";

/** What a reader is told: all of it is checked by the library itself, but for the type, which one of them leaves to us. */
export interface Expected {
  /** As it came over the wire. */
  readonly jwks: JwksDocument;
  /** Of HS256 and HS512, which no document has. */
  readonly secret?: JwtKey;
  readonly alg: string;
  readonly issuer: string;
  readonly audience: string;
  readonly typ: string;
  /** In ms. */
  readonly now: number;
}

export type Claims = Readonly<Record<string, unknown>>;

/** A token's header besides `alg`, which is the key's; what is undefined is not there. */
export type Header = Readonly<Record<string, unknown>>;

export interface Library {
  readonly name: string;
  readonly algorithms: readonly string[];
  /** Rejects, or throws, when the token is refused. */
  read(token: string, expected: Expected): Promise<Claims>;
  sign(claims: Claims, key: JwtKey, header: Header): Promise<string>;
}

const ALL = ["EdDSA", "ES256", "ES384", "RS256", "PS256", "HS256", "HS512"];

const jose: Library = {
  name: "jose",
  algorithms: ALL,
  async read(token, { jwks, secret, alg, issuer, audience, typ, now }) {
    const options = { algorithms: [alg], issuer, audience, typ, currentDate: new Date(now), clockTolerance: 0 };
    const read =
      secret === undefined
        ? jwtVerify(token, createLocalJWKSet(jwks as JSONWebKeySet), options)
        : jwtVerify(token, secretOf(secret), options);
    return (await read).payload;
  },
  sign(claims, key, header) {
    return new SignJWT(claims).setProtectedHeader({ ...header, alg: key.alg }).sign(signerOf(key));
  },
};

/** It has no EdDSA. */
const jsonWebToken: Library = {
  name: "jsonwebtoken",
  algorithms: ALL.filter((alg) => alg !== "EdDSA"),
  async read(token, expected) {
    const { issuer, audience, typ, now } = expected;
    const decoded = jsonwebtoken.decode(token, { complete: true });
    const key = keyOf(expected, decoded?.header.kid);
    const read = jsonwebtoken.verify(token, key, {
      algorithms: [expected.alg as jsonwebtoken.Algorithm],
      issuer,
      audience,
      clockTimestamp: Math.floor(now / 1000),
      complete: true,
    });
    // It has no option for this.
    if (read.header.typ !== typ) throw new Error("wrong type");
    return read.payload as Claims;
  },
  async sign(claims, key, header) {
    const options = { algorithm: key.alg as jsonwebtoken.Algorithm, header: { ...header, alg: key.alg } };
    // It refuses to sign what is there and undefined.
    const present = JSON.parse(JSON.stringify(claims)) as Claims;
    return jsonwebtoken.sign({ ...present }, signerOf(key), options);
  },
};

const fastJwt: Library = {
  name: "fast-jwt",
  algorithms: ALL,
  async read(token, expected) {
    const { issuer, audience, typ, now, alg } = expected;
    const { header } = createDecoder({ complete: true })(token) as { header: { kid?: string } };
    const read = createVerifier({
      key: exported(keyOf(expected, header.kid)),
      algorithms: [alg as FastAlgorithm],
      allowedIss: issuer,
      allowedAud: audience,
      checkTyp: typ,
      clockTimestamp: now,
    });
    return read(token) as Claims;
  },
  async sign(claims, key, header) {
    const algorithm = key.alg as FastAlgorithm;
    const sign = createSigner({ key: exported(signerOf(key)), algorithm, header: { ...header, alg: algorithm } });
    return sign({ ...claims });
  },
};

export const libraries: readonly Library[] = [jose, jsonWebToken, fastJwt];

/** Every library with every one of these algorithms that it has. */
export function pairsOf(algorithms: readonly string[]): readonly (readonly [string, string, Library])[] {
  return libraries.flatMap((library) =>
    algorithms
      .filter((alg) => library.algorithms.includes(alg))
      .map((alg): readonly [string, string, Library] => [library.name, alg, library]),
  );
}

/** As a document is after it went over the wire. */
export function overTheWire(jwks: JwksDocument): JwksDocument {
  return JSON.parse(JSON.stringify(jwks)) as JwksDocument;
}

function keyOf({ jwks, secret }: Expected, kid: string | undefined): KeyObject {
  if (secret !== undefined) return secretOf(secret);
  const key = jwks.keys.find((one) => one.kid === kid);
  if (key === undefined) throw new Error("unknown key");
  return createPublicKey({ key: key as JsonWebKey, format: "jwk" });
}

function signerOf(key: JwtKey): KeyObject {
  return key.kty === "oct" ? secretOf(key) : createPrivateKey({ key: key as JsonWebKey, format: "jwk" });
}

function secretOf({ k }: JwtKey): KeyObject {
  return createSecretKey(Buffer.from(String(k), "base64url"));
}

/** A key as bytes or as PEM. */
function exported(key: KeyObject): Buffer | string {
  if (key.type === "secret") return key.export();
  return key.export({ type: key.type === "public" ? "spki" : "pkcs8", format: "pem" });
}
