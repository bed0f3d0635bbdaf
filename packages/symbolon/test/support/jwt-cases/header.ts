/** Tokens whose header says what no header of ours says. */
import { createPublicKey, type JsonWebKey, randomBytes } from "node:crypto";
import { asAlgorithm, forge, forgeKey, hmacOf, partOf, withSignature } from "../jwt-forge.ts";
import { casesOf, casesOfValues, type HostileCase, type Members, type Stage } from "./case.ts";

const ATTACKER = forgeKey("ES256");

/** A token signed by somebody else, whose header says so. */
function attackers({ header, claims }: Stage, more: Members): string {
  return forge(ATTACKER, { ...header, alg: "ES256", ...more }, claims);
}

/** A token signed as if what everybody knows of a key were a secret. */
function signedWithPublicKey(
  stage: Stage,
  spell: (key: JsonWebKey) => string | Buffer,
  alg: "HS256" | "HS512",
): string {
  const secret = spell(stage.key.shared as JsonWebKey);
  return forge({ sign: (input) => hmacOf(alg, secret, input) }, { ...stage.header, alg }, stage.claims);
}

const asPem = (jwk: JsonWebKey, type: "spki" | "pkcs1" = "spki"): string =>
  createPublicKey({ key: jwk, format: "jwk" }).export({ format: "pem", type }) as string;
const asDer = (jwk: JsonWebKey): Buffer =>
  createPublicKey({ key: jwk, format: "jwk" }).export({ format: "der", type: "spki" });

const PAIRS = ["EdDSA", "ES256", "ES384", "RS256", "PS256"] as const;

const ALGORITHM_CASES: readonly HostileCase[] = [
  ...casesOfValues(
    "R-112",
    "header-invalid",
    "alg",
    [undefined, null, true, 0, 256, {}, [], ["none"], ["EdDSA"], { alg: "EdDSA" }],
    ({ signed }, alg) => signed({ alg }),
  ),
  ...casesOfValues(
    "R-112",
    "wrong-algorithm",
    "alg",
    [
      ["none", "None", "NONE", "nOnE", "none ", " none", "none\0", "n\u00f6ne", "\uff4eone", ""],
      ["eddsa", "es256", "hs256", "rs256", "EdDSA ", "ES256\n", "HS-256", "Ed25519", "Ed448", "HMAC", "SHA256"],
      ["HS384", "RS384", "RS512", "PS384", "PS512", "ES512", "ES256K", "HS1", "RS1", "ML-DSA-44"],
      ["RSA1_5", "RSA-OAEP", "dir", "A256KW", "A256GCM", "ECDH-ES", "PBES2-HS256+A128KW"],
      ["constructor", "__proto__", "toString", "hasOwnProperty", "prototype", "undefined", "*", "HS256,EdDSA"],
      ["http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"],
    ].flat(),
    ({ signed }, alg) => signed({ alg }),
  ),
  ...casesOf("R-112", "wrong-algorithm", {
    "none, with another word for a signature": ({ signed }) => withSignature(signed({ alg: "none" }), "none"),
    "the algorithm of the other key": ({ signed, other }) => signed({ alg: other.alg }),
    "the other key's token under this key's kid": ({ key, other, header, claims }) =>
      forge(other, { ...header, alg: other.alg, kid: key.kid }, claims),
    "the algorithm of this key under the other's kid": ({ other, signed }) => signed({ kid: other.kid }),
    "a secret of nothing": ({ header, claims, key }) => {
      const alg = key.alg === "HS256" ? "HS512" : "HS256";
      return forge({ sign: (input) => hmacOf(alg, "", input) }, { ...header, alg }, claims);
    },
  }),
  ...casesOf(
    "R-112",
    "wrong-algorithm",
    {
      "HS256 with the public key as JWK": (stage) => signedWithPublicKey(stage, (jwk) => JSON.stringify(jwk), "HS256"),
      "HS256 with the public key as PEM": (stage) => signedWithPublicKey(stage, asPem, "HS256"),
      "HS256 with the public key as PEM, trimmed": (stage) =>
        signedWithPublicKey(stage, (jwk) => asPem(jwk).trim(), "HS256"),
      "HS512 with the public key as PEM": (stage) => signedWithPublicKey(stage, asPem, "HS512"),
      "HS256 with the public key as DER": (stage) => signedWithPublicKey(stage, asDer, "HS256"),
      "HS256 with the x or n of the public key": (stage) =>
        signedWithPublicKey(stage, ({ x, n }) => Buffer.from(x ?? n ?? "", "base64url"), "HS256"),
      "HS256 with the text of x or n": (stage) => signedWithPublicKey(stage, ({ x, n }) => x ?? n ?? "", "HS256"),
    },
    { algs: PAIRS },
  ),
  ...casesOf(
    "R-112",
    "wrong-algorithm",
    {
      "HS256 with the public key as PKCS #1": (stage) =>
        signedWithPublicKey(stage, (jwk) => asPem(jwk, "pkcs1"), "HS256"),
    },
    { algs: ["RS256", "PS256"] },
  ),
  ...casesOf(
    "R-112",
    "wrong-algorithm",
    {
      "PS256, by the key of RS256": ({ key, header, claims }) =>
        forge({ sign: asAlgorithm(key, "PS256") }, { ...header, alg: "PS256" }, claims),
    },
    { algs: ["RS256"] },
  ),
  ...casesOf(
    "R-112",
    "wrong-algorithm",
    {
      "RS256, by the key of PS256": ({ key, header, claims }) =>
        forge({ sign: asAlgorithm(key, "RS256") }, { ...header, alg: "RS256" }, claims),
    },
    { algs: ["PS256"] },
  ),
  ...casesOf(
    "R-112",
    "wrong-algorithm",
    {
      "HS256, by the secret of HS512": ({ key, header, claims }) =>
        forge(
          { sign: (input) => hmacOf("HS256", Buffer.from(key.jwk["k"] as string, "base64url"), input) },
          { ...header, alg: "HS256" },
          claims,
        ),
    },
    { algs: ["HS512"] },
  ),
];

const KID_CASES: readonly HostileCase[] = [
  ...casesOfValues(
    "R-114",
    "header-invalid",
    "kid",
    [undefined, null, "", 0, 1, true, {}, [], ["kid"], "k".repeat(129), "k".repeat(500)],
    ({ signed }, kid) => signed({ kid }),
  ),
  ...casesOf("R-114", "header-invalid", { "the kid in a list": ({ signed, key }) => signed({ kid: [key.kid] }) }),
  ...casesOfValues(
    "R-114",
    "unknown-key",
    "kid",
    [
      ["unknown", "k".repeat(128), "0", "undefined", "null", "*", ".*", "%", "default", "\0", " "],
      ["../../../../dev/null", "/dev/null", "/proc/sys/kernel/randomize_va_space", "file:///etc/passwd"],
      ["' OR '1'='1", "x' UNION SELECT 'a'; --", "$(id)", "|id", "\u{1f511}", "\u202e"],
      ["__proto__", "constructor", "toString", "hasOwnProperty"],
    ].flat(),
    ({ signed }, kid) => signed({ kid }),
  ),
  ...casesOf("R-114", "unknown-key", {
    "a blank behind the kid": ({ signed, key }) => signed({ kid: `${key.kid} ` }),
    "NUL behind the kid": ({ signed, key }) => signed({ kid: `${key.kid}\0` }),
    "the kid in upper case": ({ signed, key }) => signed({ kid: `${key.kid.toUpperCase()}X` }),
    "the kid but for its end": ({ signed, key }) => signed({ kid: key.kid.slice(0, -1) }),
    "both kids": ({ signed, key, other }) => signed({ kid: `${key.kid},${other.kid}` }),
    "a kid to fetch": ({ signed, trap }) => signed({ kid: trap }),
    "an unknown kid, and a secret of nothing": ({ header, claims }) =>
      forge({ sign: (input) => hmacOf("HS256", "", input) }, { ...header, alg: "HS256", kid: "/dev/null" }, claims),
  }),
];

const KEY_CASES: readonly HostileCase[] = casesOf("R-113", "key-in-header", {
  "jwk, and signed by it": (stage) => attackers(stage, { jwk: ATTACKER.shared }),
  "jwk, and no kid": (stage) => attackers(stage, { jwk: ATTACKER.shared, kid: undefined }),
  "jwk with the secret": (stage) => attackers(stage, { jwk: ATTACKER.jwk }),
  "jwk, and well signed": ({ signed }) => signed({ jwk: ATTACKER.shared }),
  "jwk of the genuine key": ({ signed, key }) => signed({ jwk: { ...(key.shared ?? { kty: "oct", kid: key.kid }) } }),
  "jwk that is null": ({ signed }) => signed({ jwk: null }),
  "jku, and signed by what is there": (stage) => attackers(stage, { jku: `${stage.trap}/jwks.json` }),
  "jku, and well signed": ({ signed, trap }) => signed({ jku: `${trap}/jwks.json` }),
  "jku to a file": ({ signed }) => signed({ jku: "file:///etc/passwd" }),
  "jku that is null": ({ signed }) => signed({ jku: null }),
  "x5u, and signed by what is there": (stage) => attackers(stage, { x5u: `${stage.trap}/chain.pem` }),
  "x5u, and well signed": ({ signed, trap }) => signed({ x5u: `${trap}/chain.pem` }),
  "x5c, and well signed": ({ signed }) => signed({ x5c: [randomBytes(300).toString("base64")] }),
  "x5c of nothing": ({ signed }) => signed({ x5c: [] }),
  "x5t, and well signed": ({ signed }) => signed({ x5t: randomBytes(20).toString("base64url") }),
  "x5t#S256, and well signed": ({ signed }) => signed({ "x5t#S256": randomBytes(32).toString("base64url") }),
  "all of them at once": ({ signed, trap }) => signed({ jku: trap, x5u: trap, jwk: ATTACKER.shared, x5t: "" }),
  "jwk beside crit": ({ signed }) => signed({ crit: ["jwk"], jwk: ATTACKER.shared }),
  "jwk beside none": ({ signed }) => signed({ alg: "none", jwk: ATTACKER.shared }),
});

const EXTENSION_CASES: readonly HostileCase[] = [
  ...casesOfValues(
    "R-115",
    "extension",
    "crit",
    [["exp"], ["b64"], ["x"], ["alg"], ["crit"], [], [""], [1], ["x", "x"], ["__proto__"], null, "x", true, {}],
    ({ signed }, crit) => signed({ crit, x: 1 }),
  ),
  ...casesOfValues("R-115", "extension", "b64", [true, false, null, "false"], ({ signed }, b64) => signed({ b64 })),
  ...casesOfValues("R-115", "extension", "zip", ["DEF", "GZ", "", null], ({ signed }, zip) => signed({ zip })),
  ...casesOfValues("R-115", "extension", "cty", ["JWT", "jwt", "JSON", "", null], ({ signed }, cty) => signed({ cty })),
  ...casesOf("R-115", "extension", {
    "crit with b64, and a payload as it is": ({ key, header, claims }) => {
      const before = partOf({ ...header, b64: false, crit: ["b64"] });
      const signature = partOf(key.sign(`${before}.${JSON.stringify(claims)}`));
      return `${before}.${partOf(claims)}.${signature}`;
    },
    "cty, and a token in the claims": ({ signed, token }) => signed({ cty: "JWT" }, { jwt: token }),
  }),
  ...casesOf("R-115", "malformed", {
    "a token in a token": ({ spelt, token }) => spelt(null, token),
    "a token in a token, with cty": ({ spelt, token, header }) => spelt({ ...header, cty: "JWT" }, token),
  }),
  ...casesOf("R-124", "extension", {
    "enc, in three parts": ({ signed }) => signed({ enc: "A256GCM" }),
    "enc and a password, in three parts": ({ signed }) =>
      signed({ alg: "PBES2-HS256+A128KW", enc: "A128GCM", p2c: 2_000_000_000, p2s: "c2FsdHNhbHQ" }),
  }),
  ...casesOf("R-124", "wrong-algorithm", {
    "a password and two billion rounds, in three parts": ({ signed }) =>
      signed({ alg: "PBES2-HS256+A128KW", p2c: 2_000_000_000, p2s: "c2FsdHNhbHQ" }),
  }),
];

const TYPE_CASES: readonly HostileCase[] = casesOfValues(
  "R-116",
  "wrong-type",
  "typ",
  [
    [undefined, null, "", 1, true, {}, [], ["sess+jwt"]],
    ["JWT", "jwt", "JOSE", "at+jwt", "logout+jwt", "id_token+jwt", "secevent+jwt", "dpop+jwt", "refresh+jwt"],
    ["SESS+JWT", "Sess+jwt", "application/sess+jwt", "sess+jwt ", " sess+jwt", "sess jwt", "sess+jwt\0"],
    ["sess", "sess+jwts", "xsess+jwt", "sess+jwt;v=1", "sess.jwt", "s\u00e9ss+jwt"],
  ].flat(),
  ({ signed }, typ) => signed({ typ }),
);

export const HEADER_CASES: readonly HostileCase[] = [
  ...ALGORITHM_CASES,
  ...KID_CASES,
  ...KEY_CASES,
  ...EXTENSION_CASES,
  ...TYPE_CASES,
];
