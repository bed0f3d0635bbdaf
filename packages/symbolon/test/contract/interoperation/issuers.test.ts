/** Tokens that other libraries sign with our key: what we would have issued is taken, whoever has signed it. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import {
  createJwtSessionManager,
  createJwtVerifier,
  generateJwtKey,
  type JwtClaims,
  type JwtKey,
  type JwtSessionManager,
  type SigningAlgorithm,
} from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type Claims, type Header, type Library, pairsOf } from "./libraries.ts";

const PARTIES = { issuer: "https://api.example", audience: "shop" };
/** Half of the order of P-256, rounded down (SEC 2 section 2.4.2). */
const HALF = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n;

/** The second half of an ES256 signature. */
function sOf(token: string): bigint {
  const signature = Buffer.from(token.slice(token.lastIndexOf(".") + 1), "base64url");
  return BigInt(`0x${signature.toString("hex", 32)}`);
}

const algorithms: readonly SigningAlgorithm[] = ["EdDSA", "ES256", "HS256", "HS512"];

describe.each(pairsOf(algorithms))("with our key, %s signs by %s", (_name, alg, library: Library) => {
  let clock: ManualClock;
  let sessions: SessionManager;
  let key: JwtKey;
  let jwts: JwtSessionManager;
  let claims: JwtClaims;
  let header: Header;

  beforeEach(async () => {
    clock = manualClock();
    sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false });
    key = await generateJwtKey(alg as SigningAlgorithm);
    jwts = createJwtSessionManager({ ...PARTIES, sessions, signing: [key] });
    ({ claims } = await jwts.create({ userId: "ann" }));
    header = { typ: "sess+jwt", kid: key.kid };
  });

  /** Signs until the signature is the one of two that we issue; of other algorithms there is one. */
  async function sign(given: Claims, by: Header = header, withKey: JwtKey = key): Promise<string> {
    for (let tries = 0; tries < 100; tries++) {
      const token = await library.sign(given, withKey, by);
      if (withKey.alg !== "ES256" || sOf(token) <= HALF) return token;
    }
    throw new Error("A hundred signatures of which none has the smaller s.");
  }

  async function reasonOf(given: Claims, by?: Header, withKey?: JwtKey): Promise<string> {
    const found = await jwts.inspect(await sign(given, by, withKey));
    return found.ok ? "taken" : found.reason;
  }

  it("what we would have issued, which opens the session, for as long as that lives", async () => {
    const token = await sign(claims);
    const session = await jwts.validate(token);
    expect(session).toMatchObject({ userId: "ann", id: claims.sid });
    // Of members nobody knows, one takes no notice (RFC 7515 section 4, RFC 7519 section 4).
    expect(await reasonOf({ ...claims, theme: "dark" }, { ...header, "x-trace": "1" })).toBe("taken");
    expect(await jwts.revoke(token)).toBe("ann");
    const ended = { ok: false, reason: "ended" };
    for (const text of [token, await sign(claims)]) expect(await jwts.inspect(text)).toMatchObject(ended);
  });

  it("claims that were never issued, which open nothing", async () => {
    const other = await jwts.create({ userId: "bob" });
    const elsewhere = createJwtSessionManager({
      ...PARTIES,
      sessions: createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false }),
      signing: [key],
    });
    const foreign = await elsewhere.create({ userId: "ann" });
    const untracked: readonly Claims[] = [
      { ...claims, jti: crypto.randomUUID() },
      { ...claims, jti: "A".repeat(44) },
      { ...claims, sub: "root" },
      { ...claims, sid: other.claims.sid },
      { ...claims, jti: other.claims.jti },
      { ...other.claims, sub: "ann" },
      { ...foreign.claims },
    ];
    for (const given of untracked) expect(await reasonOf(given)).toBe("unknown");
    // A generation that there is not yet is none that was refreshed away, and ends nothing.
    const ahead = Buffer.from(claims.jti ?? "", "base64url");
    ahead.writeUInt32BE(2, 21);
    expect(await reasonOf({ ...claims, jti: ahead.toString("base64url") })).toBe("replaced");
    expect(await reasonOf(claims)).toBe("taken");
  });

  it("headers of other kinds, which are refused, with the reason", async () => {
    const reasons: readonly (readonly [string, Header])[] = [
      ["wrong-type", { ...header, typ: "JWT" }],
      ["wrong-type", { ...header, typ: "at+jwt" }],
      ["wrong-type", { ...header, typ: "SESS+JWT" }],
      ["wrong-type", { kid: key.kid, typ: undefined }],
      ["unknown-key", { ...header, kid: "other" }],
      ["header-invalid", { ...header, kid: "" }],
      ["header-invalid", { ...header, kid: "k".repeat(129) }],
      ["key-in-header", { ...header, jku: "https://api.example/jwks.json" }],
      ["key-in-header", { ...header, jwk: { kty: "oct" } }],
      ["key-in-header", { ...header, x5c: ["MIIB"] }],
      ["extension", { ...header, cty: "JWT" }],
      ["extension", { ...header, zip: "DEF" }],
    ];
    for (const [reason, by] of reasons) expect([by, await reasonOf(claims, by)]).toEqual([by, reason]);
    // One key needs no name, of two each does.
    const unnamed: Header = { typ: "sess+jwt" };
    expect(await reasonOf(claims, unnamed)).toBe("taken");
    jwts.setKeys([key, await generateJwtKey(alg as SigningAlgorithm)]);
    expect(await reasonOf(claims, unnamed)).toBe("header-invalid");
    expect(await reasonOf(claims)).toBe("taken");
  });

  it("claims that are not as they should be, which are refused, with the reason", async () => {
    const { iat, exp } = claims;
    const without = (name: string): Claims => ({ ...claims, [name]: undefined });
    const reasons: readonly (readonly [string, Claims])[] = [
      // Two of the three add an `iat` where there is none.
      ...["iss", "aud", "sub", "jti", "sid", "exp"].map((name) => ["claims-invalid", without(name)] as const),
      ["claims-invalid", { ...claims, sid: 7 }],
      ["claims-invalid", { ...claims, auth: "admin" }],
      ["claims-invalid", { ...claims, auth_time: "now" }],
      ["claims-invalid", { ...claims, exp: iat }],
      ["wrong-issuer", { ...claims, iss: "https://api.example/" }],
      ["wrong-audience", { ...claims, aud: "shop.other" }],
      ["wrong-audience", { ...claims, aud: ["wiki"] }],
      ["too-long-lived", { ...claims, exp: exp + 1 }],
      ["not-yet-valid", { ...claims, iat: iat + 6, exp: exp + 6 }],
      ["not-yet-valid", { ...claims, nbf: iat + 6 }],
      ["expired", { ...claims, iat: iat - 600, exp: iat }],
    ];
    for (const [reason, given] of reasons) expect([given, await reasonOf(given)]).toEqual([given, reason]);
    // Within the five seconds that the clocks of our own processes may be apart; and for one of several.
    for (const given of [{ nbf: iat + 5 }, { iat: iat + 5, exp: exp + 5 }, { aud: ["wiki", "shop"] }]) {
      expect(await reasonOf({ ...claims, ...given })).toBe("taken");
    }
  });

  it("by other keys of that name, which prove nothing", async () => {
    const { kid } = key;
    const stranger = { ...(await generateJwtKey(alg as SigningAlgorithm)), kid: kid ?? "" };
    expect(await reasonOf(claims, header, stranger)).toBe("bad-signature");
    for (const other of algorithms.filter((one) => one !== alg && library.algorithms.includes(one))) {
      expect(await reasonOf(claims, header, { ...(await generateJwtKey(other)), kid: kid ?? "" })).toBe(
        "wrong-algorithm",
      );
    }
    // The public key as the secret of an HMAC, and the secret of one as that of the other.
    const text = JSON.stringify(jwts.jwks().keys[0] ?? {});
    const k = alg.startsWith("HS") ? String(key["k"]) : Buffer.from(text.padEnd(64)).toString("base64url");
    const confused = { kty: "oct", alg: alg === "HS256" ? "HS512" : "HS256", k };
    expect(await reasonOf(claims, header, confused)).toBe("wrong-algorithm");
  });
});

describe.each(pairsOf(["ES256"]))("%s signs by %s", (_name, _alg, library) => {
  it("with either of two signatures: our sessions have one spelling, readers of other issuers take both", async () => {
    const clock = manualClock();
    const key = await generateJwtKey("ES256");
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false });
    const jwts = createJwtSessionManager({ ...PARTIES, sessions, signing: [key] });
    const verifier = createJwtVerifier({ ...PARTIES, keys: jwts.jwks(), clock });
    const { claims } = await jwts.create({ userId: "ann" });
    const outcomes = new Set<string>();
    for (let tries = 0; tries < 100 && outcomes.size < 2; tries++) {
      const token = await library.sign(claims, key, { typ: "sess+jwt", kid: key.kid });
      expect(await verifier.verify(token)).toEqual({ ok: true, claims });
      const found = await jwts.inspect(token);
      expect(found).toMatchObject(sOf(token) <= HALF ? { ok: true } : { ok: false, reason: "not-canonical" });
      outcomes.add(found.ok ? "taken" : found.reason);
    }
    expect([...outcomes].toSorted()).toEqual(["not-canonical", "taken"]);
    for (let count = 0; count < 20; count++) {
      expect(sOf((await jwts.create({ userId: "ann" })).accessToken) <= HALF).toBe(true);
    }
  });
});
