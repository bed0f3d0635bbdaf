/** What a session's access token says: ours, what the application adds, and when it ends. */
import { type JwtClaims, type JwtSessionManager, unsafeDecodeJwt } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import {
  AUDIENCE,
  foundBy,
  ISSUER,
  jwtKey,
  type JwtOptions,
  jwtsOver,
  refreshedBy,
  refreshOf,
} from "../support/jwt-sessions.ts";
import { manager, type Options } from "../support/sessions.ts";

const USER = "user-1";
const SECOND = 1000;
const MINUTE = 60 * SECOND;

interface World {
  readonly clock: ManualClock;
  readonly jwts: JwtSessionManager;
}

function world(options: Options = {}, jwt: JwtOptions = {}): World {
  const clock = manualClock();
  return { clock, jwts: jwtsOver(manager({ clock, store: memoryStore(), ...options }), jwt) };
}

describe("the claims of an access token", () => {
  it("are these, and no others", async () => {
    const { jwts, clock } = world();
    clock.advance(1234);
    const { accessToken, claims } = await jwts.create({
      userId: USER,
      roles: ["reader"],
      extra: { a: 1 },
      tenant: "t",
    });
    const now = Math.floor(clock.now() / SECOND);
    expect(claims).toEqual({
      iss: ISSUER,
      aud: AUDIENCE,
      sub: USER,
      iat: now,
      exp: now + 600,
      jti: expect.stringMatching(/^[A-Za-z0-9_-]{44}$/) as string,
      sid: expect.stringMatching(/^[A-Za-z0-9_-]{24}$/) as string,
      auth: ["reader"],
      auth_time: now,
    } satisfies JwtClaims);
    expect(unsafeDecodeJwt(accessToken)).toEqual({
      trusted: false,
      header: { alg: "EdDSA", kid: jwtKey.kid, typ: "sess+jwt" },
      payload: claims,
    });
  });

  it("name each token: no two have one jti, though they are of one session and one moment", async () => {
    const { jwts } = world();
    const first = await jwts.create({ userId: USER });
    const answers = await Promise.all(Array.from({ length: 20 }, () => refreshedBy(jwts, first.refreshToken)));
    const all = [first, ...answers].map(({ claims }) => claims);
    expect(new Set(all.map(({ jti }) => jti)).size).toBe(21);
    expect(new Set(all.map(({ sid }) => sid)).size).toBe(1);
  });

  it("say several audiences as a list", async () => {
    const { jwts } = world({}, { audience: ["app", "tv"] });
    expect((await jwts.create({ userId: USER })).claims.aud).toEqual(["app", "tv"]);
  });

  it("say who acts as the user", async () => {
    const { jwts } = world();
    expect((await jwts.create({ userId: USER, actor: "admin" })).claims.act).toEqual({ sub: "admin" });
  });

  it("end with the session: with its idle, its absolute, or a shortened end", async () => {
    const lifetime = { idle: "5m", absolute: "7m" } as const;
    const { jwts, clock } = world({ lifetime });
    const start = clock.now();
    const first = await jwts.create({ userId: USER });
    expect(first.expiresAt).toBe(start + 5 * MINUTE);
    clock.advance(4 * MINUTE);
    const next = await refreshedBy(jwts, first.refreshToken);
    expect(next.expiresAt).toBe(start + 7 * MINUTE);
    const session = await jwts.validate(next.accessToken);
    session?.setDuration("30s");
    await session?.save();
    expect((await refreshedBy(jwts, next.refreshToken)).expiresAt).toBe(start + 4.5 * MINUTE);
  });

  it("are good for as long as was asked for, whatever part of a second that is", async () => {
    for (const accessTtl of [1000, 1500, 1999, 90_001]) {
      const { jwts, clock } = world({}, { accessTtl });
      for (let times = 0; times < 12; times++) {
        clock.advance(97);
        const { accessToken, claims } = await jwts.create({ userId: USER });
        expect([await foundBy(jwts, accessToken), claims.exp - claims.iat]).toEqual([
          USER,
          Math.floor(accessTtl / SECOND),
        ]);
      }
    }
  });

  it("never outlive the session by the rest of a second", async () => {
    const { jwts, clock } = world({ lifetime: { idle: "90s", absolute: "90s" } });
    for (const offset of [1, 250, 998]) {
      clock.advance(offset);
      const deadline = clock.now() + 90 * SECOND;
      const { expiresAt } = await jwts.create({ userId: USER });
      expect(expiresAt).toBeLessThanOrEqual(deadline);
      expect(expiresAt).toBeGreaterThan(deadline - SECOND);
    }
  });
});

const ownOf = (session: { readonly userId: string | null; readonly extra: object }): Record<string, unknown> => ({
  plan: "pro",
  nested: { list: [1, "two", { three: true }], nothing: null },
  text: "\u00fc\u{1f600}\u2028</script>",
  for: session.userId,
  ...session.extra,
});

describe("claims of the application", () => {
  it("are in the token, made of the session as it is at each issue", async () => {
    const { jwts } = world({}, { claims: ownOf });
    const first = await jwts.create({ userId: USER, extra: { seats: 1 } });
    const session = await jwts.validate(first.accessToken);
    expect(first.claims).toMatchObject({ ...ownOf({ userId: USER, extra: { seats: 1 } }), sub: USER });
    await session?.setExtra({ seats: 2 });
    const next = await refreshedBy(jwts, first.refreshToken);
    expect(next.claims["seats"]).toBe(2);
    const found = await jwts.inspect(next.accessToken);
    expect(found).toMatchObject({ ok: true, claims: next.claims });
  });

  it("are a copy, which nobody changes afterwards", async () => {
    const own = { list: [1] };
    const { jwts } = world({}, { claims: () => own });
    const { claims } = await jwts.create({ userId: USER });
    own.list.push(2);
    expect(claims["list"]).toEqual([1]);
  });

  it("may be as deep as any that is accepted", async () => {
    for (let levels = 1; levels <= 40; levels++) {
      const deep = Array.from({ length: levels }).reduce((inner: unknown) => ({ inner }), 1) as Record<string, unknown>;
      const { jwts } = world({}, { claims: () => deep });
      const issued = await jwts.create({ userId: USER }).catch(() => null);
      if (issued !== null) expect([levels, await foundBy(jwts, issued.accessToken)]).toEqual([levels, USER]);
    }
  });

  const broken: Readonly<Record<string, () => unknown>> = {
    "are none": () => null,
    "are a list": () => ["plan"],
    "are a promise of some": async () => ({ plan: "pro" }),
    "are no JSON": () => ({ when: new Date() }),
    "hold what JSON has no number for": () => ({ n: Number.NaN }),
    "make the token too large": () => ({ text: "x".repeat(7000) }),
    "make the data too large": () => ({ text: "x".repeat(100_000) }),
    "go round in a circle": () => {
      const circle: Record<string, unknown> = {};
      circle["self"] = circle;
      return circle;
    },
    "are not to be had": () => {
      throw new Error("The list of plans is gone.");
    },
  };

  it.each(Object.keys(broken))("that %s are refused, and no session is left behind", async (name) => {
    const claims = broken[name] as () => Record<string, unknown>;
    const { jwts } = world({}, { claims });
    await expect(jwts.create({ userId: USER })).rejects.toThrow();
    expect([await jwts.count({ userId: USER }), await jwts.count()]).toEqual([0, 0]);
  });

  it.each("iss sub aud exp nbf iat jti sid auth auth_time act cnf".split(" "))(
    "cannot say %s, which is ours, and no session is left behind",
    async (name) => {
      const { jwts } = world({}, { claims: () => ({ [name]: 1 }) });
      await expect(jwts.create({ userId: USER })).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
      expect(await jwts.count({ userId: USER })).toBe(0);
    },
  );

  it("that fail at a refresh let it be tried again within the grace, and end nothing", async () => {
    let fails = false;
    const claims = (): Record<string, unknown> => {
      if (fails) throw new Error("Not now.");
      return {};
    };
    const { jwts } = world({}, { claims });
    const first = await jwts.create({ userId: USER });
    fails = true;
    await expect(jwts.refresh(refreshOf(first))).rejects.toThrow("Not now.");
    fails = false;
    const next = await refreshedBy(jwts, first.refreshToken);
    expect(await foundBy(jwts, next.accessToken)).toBe(USER);
  });
});
