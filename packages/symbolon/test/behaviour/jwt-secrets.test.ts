/** No token of a JWT session is in an event, an error, a log, or the JSON of anything but the answer to the client. */
import { generateKey, openSession, tokenPattern } from "symbolon";
import { generateJwtKey, type IssuedTokens, type JwtSessionManager } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { foundBy, type JwtOptions, jwtsOver, refreshedBy, refreshOf } from "../support/jwt-sessions.ts";
import { listen, manager, type Options } from "../support/sessions.ts";
import { expectSilent, shown } from "../support/spellings.ts";
import { intercept } from "../support/stores.ts";

const USER = "user-1";

/** What must not be seen: of a JWT its signature, without which it is worth nothing; the other token whole. */
const secretsOf = ({ accessToken, refreshToken }: IssuedTokens): string[] => [
  accessToken.slice(accessToken.lastIndexOf(".") + 1),
  ...(refreshToken === null ? [] : [refreshToken]),
];

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.unreachable("It did not fail."),
    (error: unknown) => error,
  );
}

/** Everything that can be done with tokens, rightly and wrongly; answers the tokens that were there. */
async function live(jwts: JwtSessionManager): Promise<IssuedTokens[]> {
  const first = await jwts.create({ userId: USER, roles: ["reader"] });
  const token = first.refreshToken ?? first.accessToken;
  const second = await refreshedBy(jwts, token);
  const third = await refreshedBy(jwts, second.refreshToken ?? second.accessToken);
  await foundBy(jwts, first.accessToken);
  await (await jwts.validate(third.accessToken))?.logout();
  const stolen = await jwts.create({ userId: USER });
  const next = await refreshedBy(jwts, stolen.refreshToken ?? stolen.accessToken);
  await refreshedBy(jwts, next.refreshToken ?? next.accessToken);
  await jwts.refresh(stolen.refreshToken ?? stolen.accessToken);
  const ended = await jwts.create({ userId: USER });
  await jwts.revoke(ended.accessToken);
  for (const altered of [`${ended.accessToken} `, `${ended.accessToken.slice(0, -2)}AA`]) await foundBy(jwts, altered);
  return [first, second, third, stolen, next, ended];
}

describe("tokens of JWT sessions", () => {
  const variants: Readonly<Record<string, readonly [JwtOptions, Options]>> = {
    "in pairs": [{}, {}],
    single: [{ tokens: "single" }, { seal: "server" }],
    "verified offline": [{ verification: "offline" }, {}],
  };

  it.each(Object.keys(variants))("are in no event and no log of what holds them (%s)", async (name) => {
    const [jwt, options] = variants[name] ?? [{}, {}];
    const sessions = manager({ clock: manualClock(), ...options });
    const heard = listen(sessions);
    const jwts = jwtsOver(sessions, jwt);
    const held = await live(jwts);
    const secrets = held.flatMap(secretsOf);
    expect(heard.length).toBeGreaterThan(8);
    expectSilent(shown(heard), secrets);
    expectSilent(shown(jwts), secrets);
    for (const issued of held) {
      expectSilent(shown(issued), secretsOf(issued));
      expectSilent(shown(Object.entries(issued)), secretsOf(issued));
      expectSilent(shown(await jwts.inspect(issued.accessToken)), secrets);
      // Where they are meant to be, the search finds them.
      expect(() => expectSilent(shown(issued.toResponse()), secretsOf(issued).slice(0, 1))).toThrow();
    }
    // The handle and the claims may be seen.
    expect(JSON.parse(JSON.stringify(held[0]))).toMatchObject({ claims: { sub: USER, auth: ["reader"] } });
  });

  it("are found by the pattern for logs, whole", async () => {
    const jwts = jwtsOver(manager());
    for (let round = 0; round < 20; round++) {
      const { accessToken, refreshToken } = await jwts.create({ userId: USER });
      for (const token of [accessToken, refreshToken ?? ""]) {
        for (const line of [
          token,
          `Authorization: Bearer ${token}`,
          `{"access_token":"${token}"}`,
          `a=${token}; b=1`,
        ]) {
          expect(line.replace(tokenPattern, "[token]")).toBe(line.replace(token, "[token]"));
        }
      }
    }
  });

  it("are in no error", async () => {
    const faulty = faultyStore(memoryStore());
    let isBroken = false;
    const claims = (): Record<string, unknown> => (isBroken ? { sub: "other" } : {});
    const sessions = manager({ store: faulty.store });
    const jwts = jwtsOver(sessions, { claims });
    const issued = await jwts.create({ userId: USER });
    const session = await jwts.validate(issued.accessToken);
    if (session === null) throw new Error("The token opens nothing.");
    const headers = { get: (name: string) => (name === "authorization" ? `Bearer ${issued.accessToken}` : undefined) };
    isBroken = true;
    const errors = [
      await errorOf(jwts.issue(session)),
      await errorOf(session.rotate()),
      await errorOf(jwts.refresh(refreshOf(issued))),
      await errorOf(jwts.validate(issued.accessToken, { verification: issued.accessToken } as never)),
      await errorOf(jwts.revoke(issued.accessToken, `${issued.accessToken}\n`)),
    ];
    faulty.fail();
    for (const call of [
      jwts.validate(issued.accessToken),
      jwts.refresh(refreshOf(issued)),
      openSession(jwts, headers),
    ]) {
      errors.push(await errorOf(call));
    }
    expect(errors).toHaveLength(8);
    for (const error of errors) expectSilent(shown(error), secretsOf(issued));
  });

  it("are not in the store, and neither are the keys", async () => {
    const written: unknown[] = [];
    const store = intercept(memoryStore(), async (call) => {
      const answer = await call.proceed();
      written.push(call.args, answer);
      return answer;
    });
    const signing = [await generateJwtKey("HS256")];
    const held = await live(jwtsOver(manager({ store, keys: [generateKey()] }), { signing }));
    expect(written.length).toBeGreaterThan(20);
    const text = shown(written) + Buffer.from(shown(written)).toString("base64url");
    expectSilent(text, [...held.flatMap(secretsOf), String(signing[0]?.["k"])]);
    for (const { claims } of held) expect(text).not.toContain(claims.jti);
  });

  it("and keys are not in what a manager shows", async () => {
    const keys = [await generateJwtKey(), await generateJwtKey("HS512"), await generateJwtKey("ES256")];
    const jwts = jwtsOver(manager(), { signing: keys });
    const secrets = keys.map((key) => String(key["d"] ?? key["k"]));
    expectSilent(shown(jwts) + shown(jwts.jwks()), secrets);
    for (const key of keys) {
      const error = await errorOf((async () => jwts.setKeys([key, key]))());
      const cut = await errorOf((async () => jwts.setKeys([{ ...key, d: "AAAA", k: "AAAA" }]))());
      expectSilent(shown(error) + shown(cut), secrets);
    }
  });
});
