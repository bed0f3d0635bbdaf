/** `verification: 'offline'`: tokens that are taken at their word until they expire, or this process knows better. */
import { generateKey, openSession, type Session, type SessionManager } from "symbolon";
import type { IssuedTokens, JwtSessionManager } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { foundBy, jwtsOver, refreshedBy, refreshOf } from "../support/jwt-sessions.ts";
import { manager, type Options } from "../support/sessions.ts";
import { type Intercepted, intercept } from "../support/stores.ts";

const USER = "user-1";
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOME = { ip: "203.0.113.7" };
const NOT_SUPPORTED = { code: "ERR_NOT_SUPPORTED" };
const ONLINE = { verification: "stateful" } as const;

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly jwts: JwtSessionManager;
  /** Another process with the same store, and its JWT sessions. */
  readonly elsewhere: SessionManager;
  readonly other: JwtSessionManager;
  readonly calls: string[];
  /** Stands between this process and the store. */
  readonly stage: { around: (call: Intercepted) => unknown };
}

function world(options: Options = {}): World {
  const clock = manualClock();
  const calls: string[] = [];
  const stage = { around: (call: Intercepted): unknown => call.proceed() };
  const shared = { clock, keys: [generateKey()], ...options };
  const memory = memoryStore();
  const store = intercept(memory, (call) => {
    calls.push(call.method);
    return stage.around(call);
  });
  const [sessions, elsewhere] = [manager({ ...shared, store }), manager({ ...shared, store: memory })];
  const [jwts, other] = [sessions, elsewhere].map((one) => jwtsOver(one, { verification: "offline" })) as [
    JwtSessionManager,
    JwtSessionManager,
  ];
  return { clock, sessions, jwts, elsewhere, other, calls, stage };
}

async function opened(jwts: JwtSessionManager, { accessToken }: IssuedTokens): Promise<Session> {
  const session = await jwts.validate(accessToken);
  if (session === null) throw new Error("The token opens nothing.");
  return session;
}

async function own(sessions: SessionManager, issued: IssuedTokens): Promise<Session> {
  const session = await sessions.validate(refreshOf(issued));
  if (session === null) throw new Error("The token opens nothing.");
  return session;
}

const request = (jwts: JwtSessionManager, token: string) =>
  openSession(jwts, { get: (name) => (name === "authorization" ? `Bearer ${token}` : undefined) });

describe("a token that is verified offline", () => {
  it("says who somebody is, and never asks the store", async () => {
    const { jwts, calls, clock } = world();
    const issued = await jwts.create({ userId: USER, roles: ["reader"], actor: "admin" });
    calls.length = 0;
    clock.advance(9 * MINUTE);
    for (let round = 0; round < 5; round++) {
      const session = await opened(jwts, issued);
      expect([session.userId, session.roles, session.actor]).toEqual([USER, ["reader"], "admin"]);
      expect([session.id, session.state, session.expiresAt]).toEqual([
        issued.claims.sid,
        "authenticated",
        issued.expiresAt,
      ]);
      expect([session.isFresh("1d"), await session.save()]).toEqual([false, "unchanged"]);
      expect(await jwts.userOf(issued.accessToken)).toBe(USER);
      const asked = await request(jwts, issued.accessToken);
      expect([asked.session.userId, await asked.commit()]).toEqual([USER, []]);
    }
    expect(calls).toEqual([]);
  });

  it("is good no longer than it says, though it was looked at before", async () => {
    const { jwts, clock } = world();
    const { accessToken } = await jwts.create({ userId: USER });
    expect(await foundBy(jwts, accessToken)).toBe(USER);
    clock.advance(10 * MINUTE - 1);
    expect(await foundBy(jwts, accessToken)).toBe(USER);
    clock.advance(1);
    expect(await foundBy(jwts, accessToken)).toBe("expired");
  });

  it("is taken in another process until it expires, and there ends at once when the store is asked", async () => {
    const { jwts, other, clock } = world();
    const issued = await jwts.create({ userId: USER });
    const copy = await jwts.create({ userId: USER });
    for (const one of [issued, copy]) expect(await jwts.revoke(one.accessToken)).toBe(USER);
    expect(await foundBy(jwts, issued.accessToken)).toBe("ended");
    expect(await foundBy(other, issued.accessToken)).toBe(USER);
    expect(await foundBy(other, issued.accessToken, ONLINE)).toBe("ended: revoked");
    // What was asked once is known.
    expect(await foundBy(other, issued.accessToken)).toBe("ended");
    clock.advance(10 * MINUTE - 1);
    expect(await foundBy(other, copy.accessToken)).toBe(USER);
    clock.advance(1);
    expect(await foundBy(other, copy.accessToken)).toBe("expired");
  });

  it("is known to be refreshed away where the store was asked", async () => {
    const { jwts, other } = world();
    const first = await jwts.create({ userId: USER });
    const next = await refreshedBy(jwts, first.refreshToken);
    expect(await foundBy(other, first.accessToken)).toBe(USER);
    expect(await foundBy(other, first.accessToken, ONLINE)).toBe("replaced");
    expect([await foundBy(other, first.accessToken), await foundBy(other, next.accessToken)]).toEqual(["ended", USER]);
  });

  it("opens a session that cannot be read further, nor written", async () => {
    const { jwts, calls } = world({ seal: "server" });
    const issued = await jwts.create({ userId: USER, data: { n: 1 }, stamp: "v1" });
    const session = await opened(jwts, issued);
    calls.length = 0;
    expect(() => session.data).toThrow(expect.objectContaining(NOT_SUPPORTED));
    expect(() => (session.data = {})).toThrow(expect.objectContaining(NOT_SUPPORTED));
    const refused: Readonly<Record<string, () => Promise<unknown>>> = {
      update: () => session.update(() => undefined),
      lock: () => session.lock(() => undefined),
      "checkStamp, of the same": () => session.checkStamp("v1"),
      "checkStamp, of another": () => session.checkStamp("v2"),
      setExtra: () => session.setExtra({ a: 1 }),
      setRoles: () => session.setRoles(["admin"]),
      keepLogin: () => session.keepLogin("v2"),
      rotate: () => session.rotate(),
    };
    for (const [name, call] of Object.entries(refused)) {
      await expect(call(), name).rejects.toMatchObject(NOT_SUPPORTED);
    }
    expect(() => session.flash("info", "Hello")).toThrow(expect.objectContaining(NOT_SUPPORTED));
    expect(() => session.setDuration("1m")).toThrow(expect.objectContaining(NOT_SUPPORTED));
    expect(await session.save()).toBe("unchanged");
    expect(calls).toEqual([]);
    expect(await foundBy(jwts, issued.accessToken, ONLINE)).toBe(USER);
  });

  it("ends its session by logout, in one write", async () => {
    const { jwts, other, calls } = world();
    const issued = await jwts.create({ userId: USER });
    calls.length = 0;
    const asked = await request(jwts, issued.accessToken);
    await asked.session.logout();
    expect([await asked.commit(), asked.session.state]).toEqual([[], "anonymous"]);
    expect(calls).toEqual(["delete"]);
    expect(await foundBy(jwts, issued.accessToken)).toBe("ended");
    expect([await foundBy(other, issued.accessToken, ONLINE), await other.refresh(refreshOf(issued))]).toEqual([
      "ended: logout",
      null,
    ]);
  });

  it("sees everything where the store is asked: data, a touch, other roles", async () => {
    const { jwts, elsewhere, clock } = world({ seal: "server" });
    const issued = await jwts.create({ userId: USER, data: { n: 1 } });
    await elsewhere.update(USER, issued.claims.sid ?? "", { roles: ["admin"] });
    clock.advance(8 * MINUTE);
    expect(await jwts.validate(issued.accessToken)).toMatchObject({ roles: [] });
    const session = await jwts.validate(issued.accessToken, ONLINE);
    expect([session?.data, session?.roles, session?.lastSeenAt]).toEqual([{ n: 1 }, ["admin"], clock.now()]);
  });

  it("is refused wrong options, and lives an hour at most", async () => {
    const { jwts, sessions } = world();
    const { accessToken } = await jwts.create({ userId: USER });
    for (const options of [{ verification: "offline" }, { online: true }] as object[]) {
      await expect(jwts.validate(accessToken, options)).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    }
    const long = { verification: "offline", accessTtl: "61m" } as const;
    expect(() => jwtsOver(sessions, long)).toThrow(expect.objectContaining({ code: "ERR_OPTIONS_INVALID" }));
  });
});

/** Every way in which a session, or a token of it, ends in a process. */
const endings: Readonly<Record<string, (world: World, issued: IssuedTokens) => Promise<unknown>>> = {
  "a logout with another token of it": async ({ sessions }, issued) => (await own(sessions, issued)).logout(),
  "a reset with another token of it": async ({ sessions }, issued) => {
    const session = await own(sessions, issued);
    session.reset();
    await session.save();
  },
  "revocation by token": ({ jwts }, { accessToken }) => jwts.revoke(accessToken),
  "revocation by jti": ({ jwts }, { claims }) => jwts.revoke({ jti: claims.jti ?? "" }),
  "revocation by handle": ({ sessions }, { claims }) => sessions.revoke(USER, claims.sid ?? ""),
  "revocation by refresh token": ({ jwts }, issued) => jwts.revoke(refreshOf(issued)),
  "revocation by a token, when it has ended elsewhere": async ({ jwts, other }, { accessToken }) => {
    await other.revoke(accessToken);
    expect(await jwts.revoke(accessToken)).toBeNull();
  },
  "revocation with all of the user": ({ sessions }) => sessions.revokeAll(USER),
  "revocation with all of the tenant": ({ sessions }) => sessions.revokeTenant("t"),
  "revocation with everything": ({ sessions }) => sessions.revokeEverything(),
  "a newer session where there is room for two": async ({ jwts, clock }) => {
    for (let count = 0; count < 2; count++) {
      clock.advance(1);
      await jwts.create({ userId: USER });
    }
  },
  "another login in its request": async ({ jwts }, issued) => (await opened(jwts, issued)).login(USER),
  "a login as another user in its request": async ({ jwts }, issued) => (await opened(jwts, issued)).login("user-2"),
  "a login in its request that misses a step": async ({ sessions }, issued) =>
    (await own(sessions, issued)).login(USER, { pending: "second-factor" }),
  "a refresh": ({ jwts }, { refreshToken }) => refreshedBy(jwts, refreshToken),
  "reuse of a refresh token": async ({ jwts, other, clock }, issued) => {
    await refreshedBy(other, issued.refreshToken);
    clock.advance(10 * SECOND);
    expect(await jwts.refresh(refreshOf(issued))).toBeNull();
  },
  "other credentials": async ({ sessions }, issued) => (await own(sessions, issued)).checkStamp("v2"),
  "other credentials that were changed with another session": async ({ jwts, sessions }) => {
    const session = await own(sessions, await jwts.create({ userId: USER }));
    expect(await session.keepLogin("v2")).toBe("saved");
  },
  "other roles": async ({ sessions }, issued) => (await own(sessions, issued)).setRoles(["admin"]),
  "other roles, by handle": ({ sessions }, { claims }) => sessions.update(USER, claims.sid ?? "", { roles: ["admin"] }),
  "other roles of all sessions of the user": ({ sessions }) => sessions.updateAll(USER, { roles: ["admin"] }),
  "a client that does not fit its pin": async ({ sessions }, issued) => {
    expect(await sessions.validate(refreshOf(issued), { ip: "198.51.100.9" })).toBeNull();
  },
};

describe("a token that is verified offline ends at once in the process that sees", () => {
  const options: Options = { tenant: "t", limits: { perUser: 2 } };
  const pin = { ip: "exact", onMismatch: "revoke" } as const;

  it.each(Object.keys(endings))("%s", async (name) => {
    const one = world(name.includes("pin") ? { ...options, pin } : options);
    const issued = await one.jwts.create({ userId: USER, stamp: "v1", client: HOME });
    const bystander = await one.other.create({ userId: "user-3", tenant: "t2" });
    one.clock.advance(SECOND);
    expect(await foundBy(one.jwts, issued.accessToken)).toBe(USER);
    await endings[name]?.(one, issued);
    expect(await foundBy(one.jwts, issued.accessToken)).toBe("ended");
    const isOfAll = name.includes("tenant") || name.includes("everything");
    expect(await foundBy(one.jwts, bystander.accessToken)).toBe(isOfAll ? "ended" : "user-3");
    one.clock.advance(9 * MINUTE);
    expect(await foundBy(one.jwts, issued.accessToken)).toBe("ended");
  });
});

describe("a token that is issued offline in the very moment of an end is good", () => {
  it("after other roles", async () => {
    const { jwts, other, sessions } = world();
    const session = await own(sessions, await jwts.create({ userId: USER }));
    await session.setRoles(["admin"]);
    const issued = await jwts.issue(session);
    for (const process of [jwts, other]) expect(await foundBy(process, issued.accessToken)).toBe(USER);
    await sessions.update(USER, issued.claims.sid ?? "", { roles: ["reader"] });
    const next = await refreshedBy(jwts, issued.refreshToken);
    expect([await foundBy(jwts, next.accessToken), next.claims.auth]).toEqual([USER, ["reader"]]);
  });

  it("of all sessions of the user, for a new one", async () => {
    const { jwts, sessions } = world();
    const before = await jwts.create({ userId: USER });
    for (let times = 0; times < 3; times++) {
      await sessions.revokeAll(USER);
      const issued = await jwts.create({ userId: USER });
      expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
      await sessions.revokeAll(USER);
      expect(await foundBy(jwts, issued.accessToken)).toBe("ended");
      await sessions.revokeEverything();
      expect(await foundBy(jwts, (await jwts.create({ userId: USER })).accessToken)).toBe(USER);
    }
    expect(await foundBy(jwts, before.accessToken)).toBe("ended");
  });

  it("of all other sessions of the user, for the one that is kept", async () => {
    const { jwts, sessions, calls } = world();
    const issued = await jwts.create({ userId: USER });
    await sessions.revokeAll(USER, { except: issued.claims.sid ?? "" });
    // More than must be: the process does not know which token is of which time.
    expect(await foundBy(jwts, issued.accessToken)).toBe("ended");
    expect(await foundBy(jwts, issued.accessToken, ONLINE)).toBe(USER);
    calls.length = 0;
    const next = await refreshedBy(jwts, issued.refreshToken);
    // Once more, for the session was read before it may have ended.
    expect(calls).toEqual(["read", "update", "read"]);
    expect(await foundBy(jwts, next.accessToken)).toBe(USER);
  });

  it("of all other sessions of the user, in the cookie of the one that is kept", async () => {
    const { jwts, sessions, calls } = world();
    const inCookie = jwtsOver(sessions, { verification: "offline", carrier: "cookie" });
    const issued = await jwts.create({ userId: USER });
    let cookie = `__Host-sid=${refreshOf(issued)}`;
    const visit = async (): Promise<string[]> => {
      calls.length = 0;
      const asked = await openSession(inCookie, { get: (name) => (name === "cookie" ? cookie : undefined) });
      expect(asked.session.userId).toBe(USER);
      const [access, ...others] = await asked.commit();
      expect(others).toEqual([]);
      if (access !== undefined) cookie = `__Host-sid=${refreshOf(issued)}; ${access.split(";")[0]}`;
      return [...calls];
    };
    expect([await visit(), await visit()]).toEqual([["read"], []]);
    await sessions.revokeAll(USER, { except: issued.claims.sid ?? "" });
    // Once by the session's own cookie, and then by a new access token.
    expect([await visit(), await visit()]).toEqual([["read", "read"], []]);
  });

  it("by other credentials, for the session that is kept after all", async () => {
    const { jwts, sessions } = world();
    const issued = await jwts.create({ userId: USER, stamp: "v1" });
    const [changing, asking] = [await own(sessions, issued), await own(sessions, issued)];
    expect(await asking.checkStamp("v2")).toBe(false);
    expect(await foundBy(jwts, issued.accessToken)).toBe("ended");
    expect(await changing.keepLogin("v2")).toBe("saved");
    const kept = await jwts.issue(changing);
    expect([await foundBy(jwts, kept.accessToken), await foundBy(jwts, issued.accessToken)]).toEqual([USER, "ended"]);
    expect(await foundBy(jwts, (await refreshedBy(jwts, kept.refreshToken)).accessToken)).toBe(USER);
  });
});

describe("no token is issued offline for a session that ended meanwhile", () => {
  const ends: Readonly<Record<string, (one: World, issued: IssuedTokens) => Promise<unknown>>> = {
    "all of the user": ({ sessions }) => sessions.revokeAll(USER),
    everything: ({ sessions }) => sessions.revokeEverything(),
    "the session": ({ sessions }, { claims }) => sessions.revoke(USER, claims.sid ?? ""),
  };

  it.each(Object.keys(ends))("%s, while its refresh was on its way", async (name) => {
    const one = world();
    const issued = await one.jwts.create({ userId: USER });
    one.stage.around = async (call) => {
      const answer = await call.proceed();
      if (call.method !== "update") return answer;
      one.stage.around = (other) => other.proceed();
      await ends[name]?.(one, issued);
      one.clock.advance(1);
      return answer;
    };
    expect(await one.jwts.refresh(refreshOf(issued))).toBeNull();
  });

  it.each(Object.keys(ends))("%s, after the request had opened it", async (name) => {
    const one = world();
    const issued = await one.jwts.create({ userId: USER });
    const session = await own(one.sessions, issued);
    await ends[name]?.(one, issued);
    one.clock.advance(1);
    await expect(one.jwts.issue(session)).rejects.toMatchObject({ code: "ERR_SESSION_ENDED" });
  });

  it.each(Object.keys(ends))("%s, before the response set its cookie", async (name) => {
    const one = world();
    const issued = await one.jwts.create({ userId: USER });
    const inCookie = jwtsOver(one.sessions, { verification: "offline", carrier: "cookie" });
    const cookie = `__Host-sid=${refreshOf(issued)}`;
    const open = () => openSession(inCookie, { get: (header) => (header === "cookie" ? cookie : undefined) });
    expect(await (await open()).commit()).toEqual([expect.stringContaining("__Host-access=") as string]);
    const asked = await open();
    expect(asked.session.userId).toBe(USER);
    await ends[name]?.(one, issued);
    one.clock.advance(1);
    expect(await asked.commit()).toEqual([]);
  });
});
