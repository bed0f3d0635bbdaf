/** Our tokens, read by libraries that have nothing of us but the JWKS document, or for HS256 and HS512 the secret. */
import { createSessionManager, generateKey } from "symbolon";
import {
  createJwtSessionManager,
  generateJwtKey,
  type JwtKey,
  type JwtSessionManager,
  type SigningAlgorithm,
} from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type Expected, libraries, overTheWire, pairsOf } from "./libraries.ts";

const ISSUER = "https://api.example";
const TYP = "sess+jwt";

describe("tokens of ours", () => {
  let clock: ManualClock;

  beforeEach(() => {
    clock = manualClock();
  });

  function issuerWith(signing: readonly JwtKey[]): JwtSessionManager {
    return createJwtSessionManager({
      sessions: createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false }),
      issuer: ISSUER,
      audience: ["shop", "wiki"],
      signing,
      claims: ({ tenant }) => ({ tenant, name: "Žofie 🍀" }),
    });
  }

  /** What a service knows of an issuer that has one key. */
  function expectedOf(jwts: JwtSessionManager, key: JwtKey): Expected {
    const jwks = overTheWire(jwts.jwks());
    return {
      jwks,
      ...(key.kty === "oct" && { secret: key }),
      alg: key.alg,
      issuer: ISSUER,
      audience: "wiki",
      typ: TYP,
      now: clock.now(),
    };
  }

  describe.each(pairsOf(["EdDSA", "ES256", "HS256", "HS512"]))("read by %s, with %s", (_name, alg, library) => {
    let jwts: JwtSessionManager;
    let expected: Expected;

    beforeEach(async () => {
      const key = await generateJwtKey(alg as SigningAlgorithm);
      jwts = issuerWith([key]);
      expected = expectedOf(jwts, key);
    });

    it("say there what they say here", async () => {
      const options = { userId: "ann", roles: ["editor", "tester"], tenant: "acme", actor: "support-1" };
      const { accessToken, claims } = await jwts.create(options);
      const read = await library.read(accessToken, expected);
      expect(read).toEqual(claims);
      expect(read).toMatchObject({
        iss: ISSUER,
        aud: ["shop", "wiki"],
        sub: "ann",
        auth: ["editor", "tester"],
        act: { sub: "support-1" },
        iat: clock.now() / 1000,
        exp: clock.now() / 1000 + 600,
        tenant: "acme",
        name: "Žofie 🍀",
      });
      expect(jwts.jwks().keys).toHaveLength(alg.startsWith("HS") ? 0 : 1);
    });

    it("are read for whom they are, of whom they are, as what they are, and while they are good", async () => {
      const { accessToken, expiresAt } = await jwts.create({ userId: "ann" });
      const refused: readonly Partial<Expected>[] = [
        { audience: "other" },
        { issuer: "https://other.example" },
        { typ: "JWT" },
        // One of the three takes a token in the very second of its end, too.
        { now: expiresAt + 1000 },
        { alg: alg === "ES256" ? "ES384" : "ES256" },
      ];
      for (const wrong of refused) {
        await expect(library.read(accessToken, { ...expected, ...wrong })).rejects.toThrow(Error);
      }
      await library.read(accessToken, { ...expected, now: expiresAt - 1000 });
    });

    it("are refused when a single character is another", async () => {
      const { accessToken } = await jwts.create({ userId: "ann" });
      const [header = "", claims = "", signature = ""] = accessToken.split(".");
      const forged = Buffer.from(JSON.stringify({ ...jsonOf(claims), sub: "root" })).toString("base64url");
      const other = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
      for (const text of [`${header}.${forged}.${signature}`, `${header}.${claims}.${other}`]) {
        await expect(library.read(text, expected)).rejects.toThrow(Error);
        expect(await jwts.inspect(text)).toEqual({ ok: false, reason: "bad-signature" });
      }
    });
  });

  it.each(libraries.map((library) => [library.name, library] as const))(
    "never meet a key that %s does not have, while keys are changed in three steps",
    async (_name, library) => {
      const [first, second] = [await generateJwtKey("ES256"), await generateJwtKey("ES256")];
      const jwts = issuerWith([first]);
      const issued: string[] = [];
      // A service has the document of the step before, and may get this one at any time.
      let known = overTheWire(jwts.jwks());
      for (const signing of [[first], [first, second], [second, first], [second]]) {
        jwts.setKeys(signing);
        issued.push((await jwts.create({ userId: "ann" })).accessToken);
        const present = overTheWire(jwts.jwks());
        for (const jwks of [known, present]) {
          await library.read(issued.at(-1) ?? "", { ...expectedOf(jwts, first), jwks });
        }
        known = present;
        // Long enough for services to fetch the document, and for the last token under the old key.
        clock.advance(600_000);
      }
      expect(known.keys.map(({ kid }) => kid)).toEqual([second.kid]);
      const old = library.read(issued[1] ?? "", { ...expectedOf(jwts, first), now: clock.now() - 1_800_000 });
      await expect(old).rejects.toThrow(Error);
    },
  );
});

function jsonOf(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
}
