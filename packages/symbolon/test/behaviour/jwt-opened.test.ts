/** Sessions of requests and their tokens: issued for them, and what a session can do that an access token opened. */
import { openSession, type Session, type SessionManager } from "symbolon";
import { apiTokens } from "symbolon/auth/api-tokens";
import type { JwtSessionManager } from "symbolon/jwt";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { foundBy, type JwtOptions, jwtsOver, refreshedBy, refreshOf } from "../support/jwt-sessions.ts";
import { listen, manager, type Options } from "../support/sessions.ts";

const USER = "user-1";
const MINUTE = 60_000;
const NOT_ALLOWED = { code: "ERR_NOT_ALLOWED" };
const NOT_SUPPORTED = { code: "ERR_NOT_SUPPORTED" };

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly jwts: JwtSessionManager;
}

function world(options: Options = {}, jwt: JwtOptions = {}): World {
  const clock = manualClock();
  const sessions = manager({ clock, ...options });
  return { clock, sessions, jwts: jwtsOver(sessions, jwt) };
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

describe("tokens are issued for a session that a request has", () => {
  it("after a login, as a pair, and no cookie is set", async () => {
    const { jwts } = world();
    const request = await bearer(jwts);
    await request.session.login(USER, { roles: ["reader"] });
    const issued = await jwts.issue(request.session);
    expect(await request.commit()).toEqual([]);
    expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
    expect(await foundBy(jwts, (await refreshedBy(jwts, issued.refreshToken)).accessToken)).toBe(USER);
  });

  it("after a login in the session of an access token, which takes its place", async () => {
    const { jwts, sessions } = world();
    const before = await jwts.create({ userId: USER });
    const request = await bearer(jwts, before.accessToken);
    await request.session.login(USER);
    const issued = await jwts.issue(request.session);
    expect(await foundBy(jwts, before.accessToken)).toBe("ended: replaced");
    expect([await foundBy(jwts, issued.accessToken), await sessions.count({ userId: USER })]).toEqual([USER, 1]);
  });

  it("and was opened by its own token: an access token, for it has the other", async () => {
    const { jwts, sessions } = world();
    const { refreshToken } = await jwts.create({ userId: USER });
    const own = await sessions.validate(refreshToken ?? "");
    if (own === null) throw new Error("The session does not open.");
    const issued = await jwts.issue(own);
    expect([issued.refreshToken, "refresh_token" in issued.toResponse()]).toEqual([null, false]);
    expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
  });

  it("but neither for nobody's, nor by an access or API token, nor in a pending login, which keeps its token", async () => {
    const { jwts, sessions } = world();
    const { session: nobody } = await bearer(jwts);
    await expect(jwts.issue(nobody)).rejects.toMatchObject(NOT_ALLOWED);
    const { accessToken } = await jwts.create({ userId: USER });
    await expect(jwts.issue(await opened(jwts, accessToken))).rejects.toMatchObject(NOT_ALLOWED);
    const keys = apiTokens(sessions);
    const byKey = await keys.validate((await keys.create(USER, { name: "key" })).token);
    await expect(jwts.issue(byKey as Session)).rejects.toMatchObject(NOT_ALLOWED);
    const { session: pending } = await bearer(jwts);
    await pending.login(USER, { pending: "second-factor" });
    await expect(jwts.issue(pending)).rejects.toMatchObject(NOT_ALLOWED);
    expect(pending.takeToken()).toMatch(/^p1_/);
  });
});

describe("a session that an access token opened", () => {
  it("has data where the server alone opens it, and none where it takes the client's half", async () => {
    const { jwts } = world({ seal: "server" });
    const { accessToken } = await jwts.create({ userId: USER, data: { n: 1 } });
    const session = await opened(jwts, accessToken);
    session.data["m"] = 2;
    expect(await session.save()).toBe("saved");
    expect(await session.update((data) => void (data["n"] = 3))).toBe("saved");
    expect((await opened(jwts, accessToken)).data).toEqual({ n: 3, m: 2 });
    const split = world().jwts;
    const other = await opened(split, (await split.create({ userId: USER, data: { n: 1 } })).accessToken);
    expect(() => other.data).toThrow(expect.objectContaining(NOT_SUPPORTED));
    await expect(other.update(() => undefined)).rejects.toMatchObject(NOT_SUPPORTED);
  });

  it("takes what needs no token of its own", async () => {
    const { jwts, clock } = world({}, { accessTtl: "1h" });
    const issued = await jwts.create({ userId: USER, stamp: "v1" });
    const session = await opened(jwts, issued.accessToken);
    expect([await session.setExtra({ a: 1 }), await session.checkStamp("v1")]).toEqual(["saved", true]);
    session.setDuration("5m");
    session.flash("info", "Hello");
    expect(await session.save()).toBe("saved");
    const again = await opened(jwts, issued.accessToken);
    expect([again.extra, again.flash("info"), again.expiresAt]).toEqual([
      { a: 1 },
      ["Hello"],
      clock.now() + 5 * MINUTE,
    ]);
    expect(await again.checkStamp("v2")).toBe(false);
    expect(await foundBy(jwts, issued.accessToken)).toBe("ended: stamp-changed");
    expect([await jwts.refresh(refreshOf(issued)), await jwts.revoke(issued.accessToken)]).toEqual([null, null]);
  });

  it("is not given another token", async () => {
    const { jwts } = world();
    const issued = await jwts.create({ userId: USER });
    const session = await opened(jwts, issued.accessToken);
    for (const refused of [session.rotate(), session.setRoles(["admin"]), session.keepLogin("v2")]) {
      await expect(refused).rejects.toMatchObject(NOT_SUPPORTED);
    }
    expect(session.takeToken()).toBeNull();
    expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
  });

  it("is fresh as long as its login is", async () => {
    const { jwts, clock } = world();
    const { accessToken } = await jwts.create({ userId: USER });
    const isFresh = async (): Promise<boolean> => (await opened(jwts, accessToken)).isFresh("5m");
    const before = await isFresh();
    clock.advance(5 * MINUTE);
    expect([before, await isFresh()]).toEqual([true, false]);
  });

  it("is gone in the midst of its request when somebody ends it", async () => {
    const { jwts } = world({ seal: "server" });
    const { accessToken } = await jwts.create({ userId: USER });
    const session = await opened(jwts, accessToken);
    await jwts.revoke(accessToken);
    session.data["n"] = 1;
    expect(await session.save()).toBe("gone");
    expect(await foundBy(jwts, accessToken)).toBe("ended: revoked");
  });
});

describe("a pinned session", () => {
  const pin = { ip: "exact", onMismatch: "revoke" } as const;
  const HOME = { ip: "203.0.113.7" };
  const AWAY = { ip: "198.51.100.9" };

  it("is opened by its access token, refreshed and named from where it was begun, and ended from elsewhere", async () => {
    const { jwts, sessions } = world({ pin });
    const heard = listen(sessions);
    const issued = await jwts.create({ userId: USER, client: HOME });
    expect(await foundBy(jwts, issued.accessToken, { client: HOME })).toBe(USER);
    expect(await jwts.userOf(issued.accessToken, { client: HOME })).toBe(USER);
    expect(heard.filter(({ type }) => type === "pin-mismatch")).toEqual([]);
    expect(await jwts.refresh(refreshOf(issued), HOME)).not.toBeNull();
    const other = await jwts.create({ userId: USER, client: HOME });
    expect(await foundBy(jwts, other.accessToken, { client: AWAY })).toBe("pin-mismatch");
    expect(await foundBy(jwts, other.accessToken, { client: HOME })).toBe("ended: pin-mismatch");
  });

  it("of a single token is refreshed from where it was begun only", async () => {
    const { jwts } = world({ pin: { ip: "exact", onMismatch: "deny" }, seal: "server" }, { tokens: "single" });
    const issued = await jwts.create({ userId: USER, client: HOME });
    expect(await jwts.refresh(issued.accessToken, AWAY)).toBeNull();
    expect(await jwts.refresh(issued.accessToken)).toBeNull();
    expect(await jwts.refresh(issued.accessToken, HOME)).not.toBeNull();
  });
});
