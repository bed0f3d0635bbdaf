/** Being remembered: a longer life and a cookie that outlives the browser, and never a fresh login. */
import {
  createSessionManager,
  generateKey,
  type LoginOptions,
  openSession,
  type OpenedSession,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, opened, untyped } from "../support/sessions.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

const USER = "user-1";
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

interface World {
  readonly sessions: SessionManager;
  readonly clock: ManualClock;
}

function world(options: Options = {}): World {
  const clock = manualClock();
  const store = memoryStore();
  return {
    clock,
    sessions: createSessionManager({ store, keys: [generateKey()], clock, pruneEvery: false, ...options }),
  };
}

function request(
  sessions: SessionManager,
  token: string | null = null,
): Promise<OpenedSession<Record<string, unknown>>> {
  return openSession(sessions, new Headers(token === null ? {} : { Cookie: `__Host-sid=${token}` }));
}

interface Cookie {
  readonly token: string;
  /** Seconds; null for a cookie that ends with the browser. */
  readonly maxAge: number | null;
}

/** The one cookie of a response, null for none. */
async function respond(one: OpenedSession<Record<string, unknown>>): Promise<Cookie | null> {
  const [cookie, ...more] = await one.commit();
  expect(more).toEqual([]);
  if (cookie === undefined) return null;
  const maxAge = /; Max-Age=(\d+)/.exec(cookie)?.[1];
  expect(cookie).not.toContain("Expires");
  return { token: /=(s1_[\w-]+)/.exec(cookie)?.[1] ?? "", maxAge: maxAge === undefined ? null : Number(maxAge) };
}

/** Logs in through a request; answers the cookie. */
async function logIn(sessions: SessionManager, options: LoginOptions, token: string | null = null): Promise<Cookie> {
  const one = await request(sessions, token);
  await one.session.login(USER, options);
  const cookie = await respond(one);
  if (cookie === null) throw new Error("The login sent no cookie.");
  return cookie;
}

describe("session.remember", () => {
  it("says whether the user asked to be remembered", async () => {
    const { sessions } = world();
    const visitor = await request(sessions);
    expect(visitor.session.remember).toBe(false);
    await visitor.session.login(USER, { remember: true });
    expect(visitor.session.remember).toBe(true);
    await visitor.session.login(USER);
    expect(visitor.session.remember).toBe(false);
  });
});

describe("a remembered session", () => {
  it("lives 14 days unused, 30 days in all, instead of an hour and a day", async () => {
    const { sessions, clock } = world();
    const [remembered, usual] = [await logIn(sessions, { remember: true }), await logIn(sessions, {})];
    clock.advance(HOUR);
    expect(await found(sessions, usual.token)).toBe("expired");
    clock.advance(14 * DAY - HOUR - 1);
    expect(await found(sessions, remembered.token)).toBe("authenticated: user-1");
    clock.advance(14 * DAY - 1);
    expect(await found(sessions, remembered.token)).toBe("authenticated: user-1");
    clock.advance(2 * DAY + 1);
    expect(await found(sessions, remembered.token)).toBe("authenticated: user-1");
    clock.advance(1);
    expect(await found(sessions, remembered.token)).toBe("expired");
  });

  it("ends to the millisecond when it was not used", async () => {
    const { sessions, clock } = world();
    const [first, second] = [await logIn(sessions, { remember: true }), await logIn(sessions, { remember: true })];
    clock.advance(14 * DAY - 1);
    expect(await found(sessions, first.token)).toBe("authenticated: user-1");
    clock.advance(1);
    expect(await found(sessions, second.token)).toBe("expired");
  });

  it("lives as long as the manager, or the login itself, says", async () => {
    const lifetime = { idle: "5m", absolute: "1h", remember: { idle: "2d", absolute: "7d" } } as const;
    const { sessions, clock } = world({ lifetime });
    const start = clock.now();
    const [usual, remembered, own] = [
      await opened(sessions, (await logIn(sessions, {})).token),
      await opened(sessions, (await logIn(sessions, { remember: true })).token),
      await opened(sessions, (await logIn(sessions, { remember: true, lifetime: { idle: "3d" } })).token),
    ];
    expect(usual.expiresAt).toBe(start + 5 * MINUTE);
    expect(remembered.expiresAt).toBe(start + 2 * DAY);
    expect(own.expiresAt).toBe(start + 3 * DAY);
    clock.advance(3 * DAY - 1);
    await own.update((data) => void (data["n"] = 1));
    clock.advance(3 * DAY - 1);
    await own.update((data) => void (data["n"] = 2));
    expect(own.expiresAt).toBe(start + 7 * DAY);
  });

  it("is shown as remembered in lists", async () => {
    const { sessions } = world();
    await logIn(sessions, { remember: true });
    await logIn(sessions, {});
    const { sessions: listed } = await sessions.list({ userId: USER });
    expect(new Set(listed.map(({ remember }) => remember))).toEqual(new Set([true, false]));
  });

  it("is told of with the login", async () => {
    const { sessions } = world();
    const heard: boolean[] = [];
    sessions.on("login", ({ remember }) => heard.push(remember));
    await logIn(sessions, { remember: true });
    await logIn(sessions, {});
    expect(heard).toEqual([true, false]);
  });

  it("is refused for what has a short life of its own, and for anything but true or false", async () => {
    const { sessions } = world();
    const invalid = { code: "ERR_OPTIONS_INVALID" };
    const { session } = await request(sessions);
    await expect(session.login(USER, { remember: true, pending: "code" })).rejects.toMatchObject(invalid);
    await expect(session.login(USER, { remember: true, actor: "admin" })).rejects.toMatchObject(invalid);
    await expect(untyped(session, "login", USER, { remember: "yes" })).rejects.toMatchObject(invalid);
    await expect(untyped(sessions, "create", { userId: USER, remember: 1 })).rejects.toMatchObject(invalid);
    expect(await sessions.count()).toBe(0);
  });
});

describe("the cookie of a remembered session", () => {
  it("outlives the browser, for as long as the session may be unused", async () => {
    const { sessions } = world();
    expect((await logIn(sessions, { remember: true })).maxAge).toBe((14 * DAY) / SECOND);
    expect((await logIn(sessions, {})).maxAge).toBeNull();
    expect((await logIn(sessions, { remember: false })).maxAge).toBeNull();
  });

  it("is sent again, with the new end, whenever the server notes that the session was used, and only then", async () => {
    const { sessions, clock } = world({ rotation: { every: false } });
    const { token } = await logIn(sessions, { remember: true });
    expect(await respond(await request(sessions, token))).toBeNull();
    clock.advance(DAY);
    expect(await respond(await request(sessions, token))).toEqual({ token, maxAge: (14 * DAY) / SECOND });
    expect(await respond(await request(sessions, token))).toBeNull();
  });

  it("is sent again with the next token, with the end that the session then has, and when that has arrived", async () => {
    const { sessions, clock } = world();
    const { token } = await logIn(sessions, { remember: true });
    clock.advance(DAY);
    const rotated = await respond(await request(sessions, token));
    expect(rotated).toEqual({ token: expect.not.stringMatching(token) as string, maxAge: (14 * DAY) / SECOND });
    clock.advance(MINUTE);
    expect(await respond(await request(sessions, rotated?.token))).toEqual({ ...rotated, maxAge: (14 * DAY) / SECOND });
    expect(await respond(await request(sessions, rotated?.token))).toBeNull();
  });

  it("never promises more than the session has left, in whole seconds", async () => {
    const lifetime = { remember: { idle: "10d", absolute: "10d" } } as const;
    const { sessions, clock } = world({ lifetime });
    const { token } = await logIn(sessions, { remember: true });
    clock.advance(10 * DAY - 1500);
    expect((await respond(await request(sessions, token)))?.maxAge).toBe(1);
    clock.advance(1500 - 1);
    const last = await request(sessions, token);
    last.session.data["n"] = 1;
    expect((await respond(last))?.maxAge).toBe(1);
  });

  it("is shortened with the session", async () => {
    const { sessions } = world();
    const { token } = await logIn(sessions, { remember: true });
    const one = await request(sessions, token);
    one.session.setDuration("5m");
    expect(await respond(one)).toEqual({ token, maxAge: (5 * MINUTE) / SECOND });
  });

  it("stays persistent with a new token, and ends with a login that is not remembered", async () => {
    const { sessions } = world();
    const { token } = await logIn(sessions, { remember: true });
    const one = await request(sessions, token);
    await one.session.setRoles(["a"]);
    const rotated = await respond(one);
    expect(rotated?.maxAge).toBe((14 * DAY) / SECOND);
    expect((await logIn(sessions, {}, rotated?.token ?? "")).maxAge).toBeNull();
  });

  it("is deleted at logout, and what comes then ends with the browser", async () => {
    const { sessions } = world();
    const { token } = await logIn(sessions, { remember: true });
    const one = await request(sessions, token);
    await one.session.logout();
    const [cookie = ""] = await one.commit();
    expect(cookie).toMatch(/^__Host-sid=;.*Max-Age=0/);
    const next = await request(sessions);
    next.session.data["n"] = 1;
    expect((await respond(next))?.maxAge).toBeNull();
  });
});

describe("isFresh", () => {
  it("is true of a login that is younger than asked for, to the millisecond", async () => {
    const { sessions, clock } = world();
    const { token } = await logIn(sessions, {});
    const session = await opened(sessions, token);
    expect(session.isFresh(1)).toBe(true);
    clock.advance(5 * MINUTE - 1);
    expect([session.isFresh("5m"), session.isFresh(5 * MINUTE - 1), session.isFresh("6m")]).toEqual([
      true,
      false,
      true,
    ]);
    clock.advance(1);
    expect(session.isFresh("5m")).toBe(false);
    expect((await opened(sessions, token)).isFresh("5m")).toBe(false);
  });

  it("is not made true again by use, by a new token or by new roles", async () => {
    const { sessions, clock } = world();
    const { token } = await logIn(sessions, { stamp: "v1" });
    clock.advance(10 * MINUTE);
    const session = await opened(sessions, token);
    await session.update((data) => void (data["n"] = 1));
    await session.setRoles(["a"]);
    await session.keepLogin("v2");
    expect([session.isFresh("10m"), session.isFresh("11m")]).toEqual([false, true]);
    const refreshed = await sessions.refresh(session.takeToken() ?? "");
    expect([refreshed?.isFresh("10m"), refreshed?.isFresh("11m")]).toEqual([false, true]);
  });

  it("is made true by logging in again", async () => {
    const { sessions, clock } = world();
    const { token } = await logIn(sessions, {});
    clock.advance(10 * MINUTE);
    const again = await opened(sessions, (await logIn(sessions, {}, token)).token);
    expect(again.isFresh(1)).toBe(true);
    expect(again.authenticatedAt).toBe(clock.now());
  });

  it("is never true of being remembered, however young", async () => {
    const { sessions } = world();
    const { token } = await logIn(sessions, { remember: true });
    const created = await sessions.create({ userId: USER, remember: true });
    for (const session of [await opened(sessions, token), created]) {
      expect([session.state, session.isFresh("400d")]).toEqual(["authenticated", false]);
    }
  });

  it("is true of a login in the user's own session, also when that one is remembered", async () => {
    const { sessions, clock } = world();
    for (const before of [{ remember: true }, {}]) {
      const { token } = await logIn(sessions, before);
      clock.advance(10 * MINUTE);
      const again = await logIn(sessions, { remember: true }, token);
      const session = await opened(sessions, again.token);
      expect([session.isFresh("1m"), again.maxAge]).toEqual([true, (14 * DAY) / SECOND]);
      clock.advance(MINUTE);
      expect(session.isFresh("1m")).toBe(false);
    }
  });

  it.each<[string, (sessions: SessionManager) => Promise<string | null>]>([
    ["no session", async () => null],
    ["a visitor's", async (sessions) => (await sessions.create({ data: { n: 1 } })).token],
    ["another user's", async (sessions) => (await sessions.create({ userId: "user-2" })).token],
    ["a pending login", async (sessions) => (await sessions.create({ userId: USER, pending: "code" })).token],
    [
      "one that has ended",
      async (sessions) => {
        const { token, id } = await sessions.create({ userId: USER });
        await sessions.revoke(USER, id);
        return token;
      },
    ],
  ])("is not true of a remembered login in the place of %s", async (_, before) => {
    const { sessions } = world();
    const { token } = await logIn(sessions, { remember: true }, await before(sessions));
    expect((await opened(sessions, token)).isFresh("1m")).toBe(false);
  });

  it("is true of the session that follows a pending login, unless it is remembered", async () => {
    const { sessions } = world();
    const pending = await sessions.create({ userId: USER, pending: "code" });
    expect((await opened(sessions, (await logIn(sessions, {}, pending.token)).token)).isFresh("1m")).toBe(true);
  });

  it("is never true of a visitor, of a pending login or of somebody who acts as the user", async () => {
    const { sessions } = world();
    const some: readonly Session[] = [
      (await request(sessions)).session,
      await sessions.create({ data: { n: 1 } }),
      await sessions.create({ userId: USER, pending: "code" }),
      await sessions.create({ userId: USER, actor: "admin-1" }),
    ];
    for (const session of some) expect(session.isFresh("400d")).toBe(false);
  });

  it("is false once the session has ended in this request", async () => {
    const { sessions } = world();
    const session = await opened(sessions, (await logIn(sessions, {})).token);
    expect(session.isFresh("1m")).toBe(true);
    await session.logout();
    expect(session.isFresh("1m")).toBe(false);
  });

  it.each([["5 minutes"], [0], [-1], [1.5], ["401d"], [null], [Number.NaN]])("refuses %j as an age", async (age) => {
    const { sessions } = world();
    const session = await opened(sessions, (await logIn(sessions, {})).token);
    expect(() => session.isFresh(age as number)).toThrowError(expect.objectContaining({ code: "ERR_OPTIONS_INVALID" }));
  });
});
