/** JWT sessions while the store is down, slow, or loses its answers: refused with the reason, or as they were. */
import { generateKey, type SessionManager, StoreUnavailableError } from "symbolon";
import type { JwtSessionManager } from "symbolon/jwt";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { type FaultyStore, faultyStore, type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { foundBy, generationOf, type JwtOptions, jwtsOver, refreshedBy, refreshOf } from "../support/jwt-sessions.ts";
import { listen, manager, type Options } from "../support/sessions.ts";

const USER = "user-1";
const MINUTE = 60_000;
const UNAVAILABLE = { code: "ERR_STORE_UNAVAILABLE" };
const ONLINE = { verification: "stateful" } as const;

interface World {
  readonly clock: ManualClock;
  readonly faulty: FaultyStore<MemoryStore>;
  readonly sessions: SessionManager;
  readonly jwts: JwtSessionManager;
}

function world(jwt: JwtOptions = {}, options: Options = {}): World {
  const clock = manualClock();
  const faulty = faultyStore(memoryStore());
  const sessions = manager({ store: faulty.store, keys: [generateKey()], clock, ...options });
  return { clock, faulty, sessions, jwts: jwtsOver(sessions, jwt) };
}

describe("while the store is down", () => {
  it("no token opens a session, and none is issued, refreshed or revoked; afterwards all are as they were", async () => {
    const { jwts, faulty } = world();
    const issued = await jwts.create({ userId: USER });
    faulty.fail();
    const { accessToken, claims } = issued;
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      validate: () => jwts.validate(accessToken),
      inspect: () => jwts.inspect(accessToken),
      userOf: () => jwts.userOf(accessToken),
      refresh: () => jwts.refresh(refreshOf(issued)),
      "revoke by token": () => jwts.revoke(accessToken),
      "revoke by jti": () => jwts.revoke({ jti: claims.jti ?? "" }),
      "revoke by handle": () => jwts.revoke({ userId: USER, sid: claims.sid ?? "" }),
      create: () => jwts.create({ userId: USER }),
    };
    for (const [name, call] of Object.entries(calls)) await expect(call(), name).rejects.toMatchObject(UNAVAILABLE);
    // What proves nothing needs no store to be refused.
    expect(await foundBy(jwts, `${accessToken.slice(0, -4)}AAAA`)).toMatch(/^(bad-signature|not-canonical)$/);
    faulty.heal();
    expect([await foundBy(jwts, accessToken), await jwts.count({ userId: USER })]).toEqual([USER, 1]);
    expect(await jwts.refresh(refreshOf(issued))).not.toBeNull();
  });

  it("a token that is verified offline goes on, but is neither looked up nor logged out", async () => {
    const { jwts, faulty } = world({ verification: "offline" });
    const { accessToken } = await jwts.create({ userId: USER });
    faulty.fail();
    expect(await foundBy(jwts, accessToken)).toBe(USER);
    await expect(jwts.validate(accessToken, ONLINE)).rejects.toMatchObject(UNAVAILABLE);
    const session = await jwts.validate(accessToken);
    await expect(session?.logout()).rejects.toMatchObject(UNAVAILABLE);
    expect(await foundBy(jwts, accessToken)).toBe(USER);
    faulty.heal();
    expect(await foundBy(jwts, accessToken, ONLINE)).toBe(USER);
  });

  it("no token is issued offline for a session that may have ended with others", async () => {
    const { jwts, sessions, faulty } = world({ verification: "offline" });
    const { refreshToken } = await jwts.create({ userId: USER });
    const session = await sessions.validate(refreshToken ?? "");
    if (session === null) throw new Error("The session does not open.");
    await sessions.revokeAll(USER, { except: session.id ?? "" });
    faulty.fail();
    await expect(jwts.issue(session)).rejects.toMatchObject(UNAVAILABLE);
    faulty.heal();
    expect(await foundBy(jwts, (await jwts.issue(session)).accessToken)).toBe(USER);
  });

  it("claims that cannot be had are told of, not that their session could not be ended", async () => {
    const { faulty, jwts, clock } = world({
      claims: () => {
        faulty.fail();
        throw new RangeError("No plan.");
      },
    });
    await expect(jwts.create({ userId: USER })).rejects.toThrow("No plan.");
    faulty.heal();
    // It is nobody's, and ends by itself.
    expect(await jwts.count({ userId: USER })).toBe(1);
    clock.advance(60 * MINUTE);
    expect(await jwts.count({ userId: USER })).toBe(0);
  });
});

describe("while the store hangs", () => {
  it("a token is not answered at all when the time is over", async () => {
    const { jwts, faulty } = world({}, { storeTimeout: "50ms" });
    const { accessToken } = await jwts.create({ userId: USER });
    faulty.hang({ deaf: true });
    await expect(jwts.validate(accessToken)).rejects.toMatchObject({ code: "ERR_STORE_TIMEOUT" });
    faulty.heal();
    expect(await foundBy(jwts, accessToken)).toBe(USER);
  });
});

describe("when only writes fail", () => {
  it("a token opens its session, whose use is noted another time", async () => {
    const { jwts, faulty, clock } = world();
    const { accessToken } = await jwts.create({ userId: USER });
    const begun = clock.now();
    clock.advance(8 * MINUTE);
    faulty.before((method) => {
      if (method === "update") throw new StoreUnavailableError("No writes.");
    });
    expect(await jwts.validate(accessToken)).toMatchObject({ userId: USER, lastSeenAt: begun });
    faulty.heal();
    expect(await jwts.validate(accessToken)).toMatchObject({ userId: USER, lastSeenAt: clock.now() });
  });
});

describe("when the answer to a write is lost", () => {
  it.each(["pair", "single"] as const)("a refresh is done, once (%s)", async (tokens) => {
    const { jwts, sessions, faulty } = world({ tokens }, { seal: "server" });
    const heard = listen(sessions);
    const first = await jwts.create({ userId: USER, data: { n: 1 } });
    const token = first.refreshToken ?? first.accessToken;
    faulty.lose(1);
    const next = await refreshedBy(jwts, token);
    expect([generationOf(next.accessToken), (await jwts.validate(next.accessToken))?.data]).toEqual([2, { n: 1 }]);
    const again = await refreshedBy(jwts, token);
    expect([generationOf(again.accessToken), again.refreshToken]).toEqual([2, next.refreshToken]);
    expect(heard.filter(({ type }) => type === "rotated")).toHaveLength(1);
  });

  it("a session is begun, or ended, once", async () => {
    const { jwts, faulty } = world();
    faulty.lose(1);
    const { accessToken } = await jwts.create({ userId: USER });
    expect([await foundBy(jwts, accessToken), await jwts.count({ userId: USER })]).toEqual([USER, 1]);
    faulty.lose(1);
    expect([await jwts.revoke(accessToken, "gone"), await foundBy(jwts, accessToken)]).toEqual([USER, "ended: gone"]);
  });
});
