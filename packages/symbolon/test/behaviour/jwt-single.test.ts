/** Sessions whose only token is a JWT (`tokens: 'single'`): replaced by a refresh, given once more, and copied. */
import { type JwtSessionManager } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { foundBy, generationOf, type JwtOptions, jwtsOver, refreshedBy, resigned } from "../support/jwt-sessions.ts";
import { listen, manager, type Options } from "../support/sessions.ts";
import { type Intercepted, intercept } from "../support/stores.ts";

const USER = "user-1";
const SECOND = 1000;
const MINUTE = 60 * SECOND;

interface World {
  readonly clock: ManualClock;
  readonly jwts: JwtSessionManager;
  readonly heard: { readonly type: string }[];
  readonly stage: { around: (call: Intercepted) => unknown };
}

function world(options: Options = {}, jwt: JwtOptions = {}): World {
  const clock = manualClock();
  const stage = { around: (call: Intercepted): unknown => call.proceed() };
  const store = intercept(memoryStore(), (call) => stage.around(call));
  const sessions = manager({ clock, store, seal: "server", ...options });
  return { clock, stage, jwts: jwtsOver(sessions, { tokens: "single", ...jwt }), heard: listen(sessions) };
}

const typesOf = ({ heard }: World, type: string): number => heard.filter((event) => event.type === type).length;

describe("a session whose only token is a JWT", () => {
  it("keeps its data, its roles and its ends through many refreshes", async () => {
    const { jwts, clock } = world({ lifetime: { idle: "10m", absolute: "1h" } }, { accessTtl: "8m" });
    let current = await jwts.create({ userId: USER, roles: ["reader"], data: { n: 0 } });
    const end = clock.now() + 60 * MINUTE;
    for (let n = 0; n < 9; n++) {
      clock.advance(6 * MINUTE);
      current = await refreshedBy(jwts, current.accessToken);
      const session = await jwts.validate(current.accessToken);
      expect([session?.data["n"], session?.roles]).toEqual([n, ["reader"]]);
      await session?.update((data) => void (data["n"] = n + 1));
    }
    expect([generationOf(current.accessToken), current.expiresAt]).toEqual([10, end]);
    clock.set(end - 1);
    expect(await foundBy(jwts, current.accessToken)).toBe(USER);
    clock.set(end);
    expect([await foundBy(jwts, current.accessToken), await jwts.refresh(current.accessToken)]).toEqual([
      "expired",
      null,
    ]);
  });

  it("is not refreshed by a token that has expired", async () => {
    const { jwts, clock } = world();
    const issued = await jwts.create({ userId: USER });
    clock.advance(10 * MINUTE);
    expect(await jwts.refresh(issued.accessToken)).toBeNull();
    expect(await jwts.count({ userId: USER })).toBe(1);
  });

  it("is not refreshed by the opaque token that stands behind it, nor by a token that was never issued", async () => {
    const one = world();
    const issued = await one.jwts.create({ userId: USER });
    const { token } = issued.session as unknown as { readonly token: string };
    const jti = Buffer.from(issued.claims.jti ?? "", "base64url");
    jti.writeUInt32BE(7, 21);
    const ahead = await resigned(issued, { jti: jti.toString("base64url") });
    expect([await one.jwts.refresh(token), await one.jwts.refresh(ahead)]).toEqual([null, null]);
    expect(await foundBy(one.jwts, issued.accessToken)).toBe(USER);
    expect(typesOf(one, "reuse-detected")).toBe(0);
  });

  it("is given the same generation again where the answer was lost, and not after its grace", async () => {
    const one = world();
    const first = await one.jwts.create({ userId: USER });
    const lost = await refreshedBy(one.jwts, first.accessToken);
    one.clock.advance(9 * SECOND);
    const again = await refreshedBy(one.jwts, first.accessToken);
    expect([generationOf(lost.accessToken), generationOf(again.accessToken)]).toEqual([2, 2]);
    // The window does not slide.
    one.clock.advance(1 * SECOND);
    expect(await one.jwts.refresh(first.accessToken)).toBeNull();
    expect([typesOf(one, "reuse-detected"), await foundBy(one.jwts, again.accessToken)]).toEqual([
      1,
      "ended: reuse-detected",
    ]);
  });

  it("ends when a token comes back that is older than the one before", async () => {
    const one = world();
    const first = await one.jwts.create({ userId: USER });
    const second = await refreshedBy(one.jwts, first.accessToken);
    const third = await refreshedBy(one.jwts, second.accessToken);
    expect(await one.jwts.refresh(first.accessToken, { userAgent: "thief" })).toBeNull();
    expect(await foundBy(one.jwts, third.accessToken)).toBe("ended: reuse-detected");
    expect(one.heard.filter(({ type }) => type === "reuse-detected")).toEqual([
      expect.objectContaining({ id: first.claims.sid, userId: USER }),
    ]);
  });

  it("is not ended by an old token that is only shown", async () => {
    const one = world();
    const first = await one.jwts.create({ userId: USER });
    const second = await refreshedBy(one.jwts, first.accessToken);
    one.clock.advance(MINUTE);
    expect(await foundBy(one.jwts, first.accessToken)).toBe("replaced");
    expect(await foundBy(one.jwts, second.accessToken)).toBe(USER);
  });

  it("stays ended when it is logged out while it is refreshed", async () => {
    const one = world();
    const { accessToken } = await one.jwts.create({ userId: USER });
    one.stage.around = async (call) => {
      one.stage.around = (other) => other.proceed();
      const answer = await call.proceed();
      await (await one.jwts.validate(accessToken))?.logout();
      return answer;
    };
    expect(await one.jwts.refresh(accessToken)).toBeNull();
    expect([await foundBy(one.jwts, accessToken), typesOf(one, "rotated")]).toEqual(["ended: logout", 0]);
  });

  it("keeps what another request writes while it is refreshed", async () => {
    const one = world();
    const first = await one.jwts.create({ userId: USER, data: { n: 1 } });
    const session = await one.jwts.validate(first.accessToken);
    if (session === null) throw new Error("The session does not open.");
    session.data["m"] = 2;
    const [next] = await Promise.all([refreshedBy(one.jwts, first.accessToken), session.save()]);
    const kept = (await one.jwts.validate(next.accessToken))?.data;
    // What was read by a token that is dead by now may be refused, but never half.
    expect([{ n: 1, m: 2 }, { n: 1 }]).toContainEqual(kept);
  });

  it("is issued for a login in a request, too", async () => {
    const { jwts } = world();
    const session = (await jwts.validate((await jwts.create({ userId: USER, data: { cart: 1 } })).accessToken))!;
    await session.login(USER, { carry: ["cart"] });
    const issued = await jwts.issue(session);
    expect(issued.refreshToken).toBeNull();
    expect((await jwts.validate(issued.accessToken))?.data).toEqual({ cart: 1 });
    expect(await foundBy(jwts, (await refreshedBy(jwts, issued.accessToken)).accessToken)).toBe(USER);
  });

  it("cannot be had where it could not work", () => {
    const invalid = { code: "ERR_OPTIONS_INVALID" };
    expect(() => world({ seal: "split" })).toThrow(expect.objectContaining(invalid));
    for (const jwt of [{ verification: "offline" }, { carrier: "cookie" }] as const) {
      expect(() => world({}, jwt)).toThrow(expect.objectContaining(invalid));
    }
  });
});
