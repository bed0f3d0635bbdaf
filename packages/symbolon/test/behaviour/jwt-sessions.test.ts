/** JWT sessions: what their tokens open, for how long, and what is refused. */
import { randomBytes } from "node:crypto";
import { generateKey, openSession, type Session, type SessionManager } from "symbolon";
import { apiTokens } from "symbolon/auth/api-tokens";
import { claimsOf, type IssuedTokens, type JwtSessionManager } from "symbolon/jwt";
import { sealedCookie } from "symbolon/sealed-cookie";
import { cached } from "symbolon/stores/cached";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { foundBy, type JwtOptions, jwtsOver, refreshedBy, refreshOf, resigned } from "../support/jwt-sessions.ts";
import { manager, type Options, untyped } from "../support/sessions.ts";
import { spied, without } from "../support/stores.ts";

const USER = "user-1";
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const INVALID = { code: "ERR_OPTIONS_INVALID" };
const NOT_SUPPORTED = { code: "ERR_NOT_SUPPORTED" };

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly jwts: JwtSessionManager;
  readonly calls: string[];
}

function world(options: Options = {}, jwt: JwtOptions = {}): World {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ clock, store, ...options });
  return { clock, sessions, jwts: jwtsOver(sessions, jwt), calls };
}

const bearer = (jwts: JwtSessionManager, token?: string) =>
  openSession(jwts, {
    get: (name) => (name === "authorization" && token !== undefined ? `Bearer ${token}` : undefined),
  });

async function opened(jwts: JwtSessionManager, token: string): Promise<Session> {
  const session = await jwts.validate(token);
  if (session === null) throw new Error("The token opens nothing.");
  return session;
}

/** The jti of a token, with some of its bytes replaced. */
function jtiWith({ claims }: IssuedTokens, at: number, bytes: Buffer): string {
  const jti = Buffer.from(claims.jti ?? "", "base64url");
  bytes.copy(jti, at);
  return jti.toString("base64url");
}

describe("a JWT session", () => {
  it("costs one write to begin, one read to open, and a read and a write to refresh or to end", async () => {
    const { jwts, calls } = world();
    const first = await jwts.create({ userId: USER });
    expect(calls.splice(0)).toEqual(["admit"]);
    await jwts.validate(first.accessToken);
    expect(calls.splice(0)).toEqual(["read"]);
    const next = await refreshedBy(jwts, first.refreshToken);
    expect(calls.splice(0)).toEqual(["read", "update"]);
    await jwts.revoke(next.accessToken);
    expect(calls.splice(0)).toEqual(["read", "delete"]);
    await jwts.issue(await jwtsIssuable(jwts));
    expect(calls.splice(0)).toEqual(["admit"]);
  });

  it("shows the claims of the token that opened it, and those of no other way in", async () => {
    const { jwts, sessions } = world();
    const { accessToken, refreshToken, claims } = await jwts.create({ userId: USER });
    const session = await opened(jwts, accessToken);
    expect(claimsOf(session)).toEqual(claims);
    expect(Object.isFrozen(claimsOf(session))).toBe(true);
    const own = await sessions.validate(refreshToken ?? "");
    expect(own === null ? undefined : claimsOf(own)).toBeNull();
  });

  it("answers what a client is told, in the members of RFC 6749", async () => {
    const { jwts, clock } = world({}, { accessTtl: "5m" });
    const issued = await jwts.create({ userId: USER });
    expect(issued.toResponse()).toEqual({
      access_token: issued.accessToken,
      token_type: "Bearer",
      expires_in: 300,
      refresh_token: issued.refreshToken,
    });
    expect(issued.expiresAt).toBe(clock.now() + 5 * MINUTE);
  });

  it("cannot begin without a user, nor while a step of the login is missing", async () => {
    const { jwts, calls } = world();
    await expect(untyped(jwts, "create", {})).rejects.toMatchObject(INVALID);
    await expect(untyped(jwts, "create")).rejects.toMatchObject(INVALID);
    await expect(jwts.create({ userId: USER, pending: "second-factor" })).rejects.toMatchObject(INVALID);
    expect(calls).toEqual([]);
  });

  it("is pruned when it has expired", async () => {
    const { jwts, clock } = world({ lifetime: { idle: "1h", absolute: "1h" } });
    await jwts.create({ userId: USER });
    expect(await jwts.prune()).toBe(0);
    clock.advance(62 * MINUTE);
    expect(await jwts.prune()).toBe(1);
  });

  it("is refused where clients are handed the session there is, or carry it themselves, and without a manager", () => {
    const limits = { perUser: 1, onLimit: "reuse" } as const;
    expect(() => jwtsOver(manager({ seal: "server", limits }))).toThrow(expect.objectContaining(INVALID));
    expect(() => jwtsOver(manager({ store: sealedCookie() }))).toThrow(expect.objectContaining(NOT_SUPPORTED));
    expect(() => jwtsOver({ ...manager() })).toThrow(expect.objectContaining(INVALID));
  });
});

/** A session that was begun by its own token in a request. */
async function jwtsIssuable(jwts: JwtSessionManager): Promise<Session> {
  const { session } = await bearer(jwts);
  await session.login(USER);
  return session;
}

describe("an access token opens nothing", () => {
  it("that was never issued, though its signature is right", async () => {
    const { jwts } = world();
    const mine = await jwts.create({ userId: USER });
    const other = await jwts.create({ userId: "user-2" });
    const stranger = jtiWith(mine, 2, randomBytes(16));
    const sid = Buffer.from(stranger, "base64url").toString("base64url", 0, 18);
    const forged: Readonly<Record<string, [Readonly<Record<string, unknown>>, string]>> = {
      "of a session that never was": [{ jti: stranger, sid }, "unknown"],
      "of another's session": [{ jti: other.claims.jti, sid: other.claims.sid }, "unknown"],
      "for another user": [{ sub: "user-2" }, "unknown"],
      "whose sid is not that of its jti": [{ sid: other.claims.sid }, "unknown"],
      "of a later generation": [{ jti: jtiWith(mine, 21, Buffer.from([0, 0, 0, 2])) }, "replaced"],
      "of an earlier generation": [{ jti: jtiWith(mine, 21, Buffer.from([0, 0, 0, 0])) }, "replaced"],
      "under another key of the server": [{ jti: jtiWith(mine, 0, Buffer.from([0, 0])) }, "unknown"],
      "whose jti is another text": [{ jti: "a-random-uuid" }, "unknown"],
      "whose jti has a byte more": [{ jti: `${mine.claims.jti}AAAA` }, "unknown"],
    };
    for (const [name, [changes, reason]] of Object.entries(forged)) {
      expect([name, await foundBy(jwts, await resigned(mine, changes))]).toEqual([name, reason]);
      expect([name, await jwts.refresh(await resigned(mine, changes))]).toEqual([name, null]);
    }
    // Resigned as it was, it is good: nothing else was wrong with them.
    expect(await foundBy(jwts, await resigned(mine, {}))).toBe(USER);
    expect(await foundBy(jwts, mine.accessToken)).toBe(USER);
  });

  it("that was logged out, refreshed away, revoked with the user, or of a session whose roles were changed", async () => {
    const { jwts, sessions } = world();
    const out = await jwts.create({ userId: USER });
    await (await opened(jwts, out.accessToken)).logout();
    const away = await jwts.create({ userId: USER });
    await jwts.refresh(refreshOf(away));
    const roles = await jwts.create({ userId: USER });
    expect(await (await sessions.validate(refreshOf(roles)))?.setRoles(["admin"])).toBe("saved");
    const all = await jwts.create({ userId: "user-2" });
    await sessions.revokeAll("user-2");
    const found = [out, away, roles, all].map(({ accessToken }) => foundBy(jwts, accessToken));
    expect(await Promise.all(found)).toEqual(["ended: logout", "replaced", "replaced", "ended: revoked"]);
  });

  it("whose server key was removed, and goes on while it is kept", async () => {
    const [key, next] = [generateKey(), generateKey()];
    const { jwts, sessions } = world({ keys: [key], indexKey: key });
    const first = await jwts.create({ userId: USER });
    sessions.setKeys([next, key]);
    expect(await foundBy(jwts, first.accessToken)).toBe(USER);
    const second = await refreshedBy(jwts, first.refreshToken);
    expect(await foundBy(jwts, second.accessToken)).toBe(USER);
    sessions.setKeys([next]);
    expect(await foundBy(jwts, second.accessToken)).toBe("unknown");
    expect([await jwts.refresh(refreshOf(second)), await jwts.revoke(second.accessToken)]).toEqual([null, null]);
  });

  it("of another manager in the same process, where it is for somebody else", async () => {
    const { sessions } = world();
    const [web, app] = [jwtsOver(sessions, { audience: "web" }), jwtsOver(sessions, { audience: ["app", "tv"] })];
    const issued = await web.create({ userId: USER });
    const other = await app.create({ userId: USER });
    expect([await foundBy(web, issued.accessToken), await foundBy(app, other.accessToken)]).toEqual([USER, USER]);
    expect(await foundBy(app, issued.accessToken)).toBe("wrong-audience");
    expect([await app.revoke(issued.accessToken), await web.count({ userId: USER })]).toEqual([null, 2]);
    expect(await foundBy(jwtsOver(sessions, { audience: "tv" }), other.accessToken)).toBe(USER);
  });

  it("of a process whose clock is 6 s ahead; 3 s are taken", async () => {
    const { sessions, clock } = world();
    for (const [seconds, found] of [
      [3, USER],
      [6, "not-yet-valid"],
    ] as const) {
      const ahead = manualClock(clock.now() + seconds * SECOND + 999);
      clock.advance(999);
      const store = memoryStore();
      const keys = [generateKey()];
      const theirs = jwtsOver(manager({ clock: ahead, store, keys }));
      const issued = await theirs.create({ userId: USER });
      expect(await foundBy(jwtsOver(manager({ clock, store, keys })), issued.accessToken)).toBe(found);
    }
    expect(await sessions.count({ userId: USER })).toBe(0);
  });

  it("where the clock was set back behind its time of issue, by more than clocks may differ", async () => {
    const { jwts, clock } = world();
    const issued = await jwts.create({ userId: USER });
    clock.advance(-5 * SECOND);
    expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
    clock.advance(-1);
    expect(await foundBy(jwts, issued.accessToken)).toBe("not-yet-valid");
    expect(await foundBy(jwts, (await refreshedBy(jwts, issued.refreshToken)).accessToken)).toBe(USER);
  });

  it("that was ended in another process, though a near cache has its session still", async () => {
    const far = memoryStore();
    const keys = [generateKey()];
    const jwts = jwtsOver(manager({ store: cached({ staleness: 10_000 }, without(far, "subscribe")), keys }));
    const issued = await jwts.create({ userId: USER });
    expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
    await jwtsOver(manager({ store: far, keys })).revoke(issued.accessToken);
    expect(await foundBy(jwts, issued.accessToken)).toBe("ended: revoked");
  });

  it("when it has expired, to the millisecond; the session goes on", async () => {
    const { jwts, clock } = world();
    const issued = await jwts.create({ userId: USER });
    clock.advance(10 * MINUTE - 1);
    expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
    clock.advance(1);
    expect(await foundBy(jwts, issued.accessToken)).toBe("expired");
    const next = await refreshedBy(jwts, issued.refreshToken);
    expect(await foundBy(jwts, next.accessToken)).toBe(USER);
    expect([await jwts.revoke(issued.accessToken), await foundBy(jwts, next.accessToken)]).toEqual([
      USER,
      "ended: revoked",
    ]);
  });
});

describe("a refresh", () => {
  it("is for sessions of users, and whose token does not serve keeps it", async () => {
    const { jwts, sessions } = world();
    const nobody = await sessions.create({ data: { n: 1 } });
    const pending = await sessions.create({ userId: USER, pending: "second-factor" });
    const { token: key } = await apiTokens(sessions).create(USER, { name: "key" });
    const { accessToken } = await jwts.create({ userId: USER });
    for (const token of [nobody.token, pending.token, key, accessToken, "", `${nobody.token}A`]) {
      expect(await jwts.refresh(token)).toBeNull();
    }
    expect((await sessions.validate(nobody.token))?.takeToken()).toBeNull();
    expect((await sessions.validate(pending.token))?.pending?.userId).toBe(USER);
    expect(await foundBy(jwts, accessToken)).toBe(USER);
  });

  it("moves no absolute end, and keeps roles, actor and the time of the login", async () => {
    const { jwts, clock } = world({ lifetime: { idle: "1h", absolute: "2h" } }, { accessTtl: "1h" });
    const first = await jwts.create({ userId: USER, roles: ["a", "b"], actor: "admin", lifetime: { idle: "1h" } });
    const loggedInAt = clock.now() / SECOND;
    clock.advance(10 * MINUTE);
    const next = await refreshedBy(jwts, first.refreshToken);
    expect(next.claims).toMatchObject({ auth: ["a", "b"], act: { sub: "admin" }, auth_time: loggedInAt });
    const session = await opened(jwts, next.accessToken);
    expect([session.roles, session.actor]).toEqual([["a", "b"], "admin"]);
    clock.advance(40 * MINUTE);
    const last = await refreshedBy(jwts, next.refreshToken);
    // An impersonation lasts an hour, whatever anybody does.
    expect(last.claims.exp).toBe(loggedInAt + 3600);
  });
});
