/** Logins that miss a step, and kinds of token that never pass for one another. */
import { generateKey, type LoginOptions, openSession, type Session, type SessionManager, tokenPattern } from "symbolon";
import { freshGuard, type Guard, loginGuard, pendingGuard, roleGuard, stampGuard } from "symbolon/auth/guards";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, listen, logIn, manager, type Options, opened, taken, untyped, visitor } from "../support/sessions.ts";
import { spied } from "../support/stores.ts";

const SECOND = 1000;
const MINUTE = 60_000;
const HALF_LOGIN = { userId: "user-1", pending: "second-factor" } as const;
const INVALID = { code: "ERR_OPTIONS_INVALID" };

const cookieOf = (token: string) => ({
  get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined),
});

describe("a pending login", () => {
  it("is of nobody and may do nothing, however it was begun", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const created = await sessions.create({ ...HALF_LOGIN, extra: { try: 1 }, tenant: "t" });
    const before = await sessions.create({ data: { x: 1 } });
    const token = await logIn(sessions, before.token, "user-1", { pending: "second-factor", extra: { try: 1 } });
    for (const session of [created, await opened(sessions, created.token), await opened(sessions, token)]) {
      expect(session).toMatchObject({ state: "pending", userId: null, roles: [], authenticatedAt: null, actor: null });
      expect(session).toMatchObject({ extra: { try: 1 }, data: {}, expiresAt: clock.now() + 5 * MINUTE });
      expect(session.pending).toEqual({ userId: "user-1", awaiting: "second-factor" });
      expect(session.isFresh("1h")).toBe(false);
    }
    expect(await found(sessions, before.token)).toBe("ended: replaced");
    expect(token).toMatch(/^p1_/);
  });

  it("is told from others by what only it says", async () => {
    const sessions = manager();
    for (const options of [{}, { userId: "user-1" }, { userId: "user-1", actor: "support-1" }]) {
      expect((await sessions.create(options)).pending).toBeNull();
    }
    expect((await visitor(sessions)).pending).toBeNull();
  });

  it("is never listed, found by its handle, or counted", async () => {
    const sessions = manager({ tenant: "t" });
    const { id, token } = await sessions.create(HALF_LOGIN);
    expect((await sessions.list({ userId: "user-1" })).sessions).toEqual([]);
    expect((await sessions.list({ tenant: "t" })).sessions).toEqual([]);
    expect([await sessions.count(), await sessions.count({ userId: "user-1" })]).toEqual([0, 0]);
    expect([await sessions.count({ tenant: "t" }), await sessions.countUsers()]).toEqual([0, 0]);
    expect(await sessions.get("user-1", id)).toBeNull();
    expect(await sessions.update("user-1", id, { roles: ["admin"] })).toBe("gone");
    expect(await sessions.updateAll("user-1", { roles: ["admin"] })).toBe(0);
    expect(await sessions.revoke("user-1", id)).toBeNull();
    expect(await opened(sessions, token)).toMatchObject({ state: "pending", roles: [] });
  });

  it("neither fills a limit nor meets one", async () => {
    const sessions = manager({ limits: { perUser: 1, total: 1, onLimit: "reject" } });
    for (let round = 0; round < 3; round++) await sessions.create(HALF_LOGIN);
    const own = await sessions.create({ userId: "user-1" });
    const pending = await sessions.create(HALF_LOGIN);
    expect(await found(sessions, own.token)).toBe("authenticated: user-1");
    expect(await found(sessions, pending.token)).toBe("pending");
    await expect(logIn(sessions, pending.token, "user-1")).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
    // Whoever is refused may free a place and try once more.
    expect(await found(sessions, pending.token)).toBe("pending");
    await sessions.revokeToken(own.token);
    expect(await found(sessions, await logIn(sessions, pending.token, "user-1"))).toBe("authenticated: user-1");
  });

  it("is not handed out where sessions are handed out again", async () => {
    const sessions = manager({ seal: "server", limits: { perUser: 1, onLimit: "reuse" } });
    const pending = await sessions.create(HALF_LOGIN);
    expect((await sessions.create(HALF_LOGIN)).token).not.toBe(pending.token);
    const { token } = await sessions.create({ userId: "user-1" });
    expect(await found(sessions, token)).toBe("authenticated: user-1");
    expect(token).not.toBe(pending.token);
  });

  it("lasts five minutes, however it is used", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const [unused, used] = [await sessions.create(HALF_LOGIN), await sessions.create(HALF_LOGIN)];
    const session = await opened(sessions, used.token);
    for (let second = 30; second < 300; second += 30) {
      clock.advance(30 * SECOND);
      expect(await found(sessions, used.token)).toBe("pending");
      expect(await session.update((data) => void (data["at"] = second))).toBe("saved");
      session.setDuration("1h");
      await session.save();
    }
    clock.advance(30 * SECOND - 1);
    for (const { token } of [unused, used]) expect(await found(sessions, token)).toBe("pending");
    clock.advance(1);
    for (const { token } of [unused, used]) expect(await found(sessions, token)).toBe("expired");
    expect(await session.save()).toBe("unchanged");
    expect(await session.update((data) => void (data["at"] = 0))).toBe("gone");
  });

  it("may last less, but no longer", async () => {
    const clock = manualClock();
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ clock, store, lifetime: { idle: "1d", absolute: "30d" } });
    const short = await sessions.create({ ...HALF_LOGIN, lifetime: { absolute: "1m" } });
    const longest = await sessions.create({ ...HALF_LOGIN, lifetime: { idle: "5m", absolute: "5m" } });
    calls.length = 0;
    for (const lifetime of [
      { absolute: 300_001 },
      { absolute: "6m" },
      { idle: "6m" },
      { idle: "1m", absolute: "1d" },
    ] as const) {
      await expect(sessions.create({ ...HALF_LOGIN, lifetime })).rejects.toMatchObject(INVALID);
    }
    expect(calls).toEqual([]);
    clock.advance(MINUTE);
    expect([await found(sessions, short.token), await found(sessions, longest.token)]).toEqual(["expired", "pending"]);
    clock.advance(4 * MINUTE);
    expect(await found(sessions, longest.token)).toBe("expired");
  });

  it.each<[string, LoginOptions]>([
    ["roles", { roles: ["user"] }],
    ["no roles, but says so", { roles: [] }],
    ["remember", { remember: true }],
    ["not remember, but says so", { remember: false }],
    ["an actor", { actor: "support-1" }],
  ])("cannot begin with %s", async (_, options) => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const session = await visitor(sessions);
    await expect(session.login("user-1", { pending: "second-factor", ...options })).rejects.toMatchObject(INVALID);
    await expect(sessions.create({ ...HALF_LOGIN, ...options })).rejects.toMatchObject(INVALID);
    expect([calls, session.state]).toEqual([[], "anonymous"]);
  });

  it.each(["", " ", "second factor", "a/b", "x".repeat(65), "\u00e9", null, 5, true, ["a"]])(
    "cannot wait for %j",
    async (pending) => {
      const sessions = manager();
      await expect(untyped(sessions, "create", { userId: "user-1", pending })).rejects.toMatchObject(INVALID);
      await expect(untyped(sessions, "create", { pending: "second-factor" })).rejects.toMatchObject(INVALID);
    },
  );

  it("cannot be given roles, nor keep a login", async () => {
    const sessions = manager();
    const { token } = await sessions.create(HALF_LOGIN);
    const session = await opened(sessions, token);
    await expect(session.setRoles(["admin"])).rejects.toMatchObject({ code: "ERR_NOT_ALLOWED" });
    await expect(session.keepLogin("2")).rejects.toMatchObject({ code: "ERR_NOT_ALLOWED" });
    expect(session.takeToken()).toBeNull();
    expect(await opened(sessions, token)).toMatchObject({ state: "pending", roles: [] });
  });

  it("keeps data, of which the login carries what is named", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ ...HALF_LOGIN, data: { returnTo: "/cart", challenge: "x" } });
    const session = await opened(sessions, token);
    expect(session.data).toEqual({ returnTo: "/cart", challenge: "x" });
    await session.login("user-1", { carry: ["returnTo"] });
    expect((await opened(sessions, taken(session))).data).toEqual({ returnTo: "/cart" });
  });

  it("is over with the login, with another step, and with a logout", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const first = await sessions.create(HALF_LOGIN);
    clock.advance(4 * MINUTE);
    const second = await logIn(sessions, first.token, "user-1", { pending: "new-password" });
    expect(await found(sessions, first.token)).toBe("ended: replaced");
    expect((await opened(sessions, second)).pending).toEqual({ userId: "user-1", awaiting: "new-password" });
    const third = await logIn(sessions, second, "user-1", { roles: ["user"] });
    expect(await found(sessions, second)).toBe("ended: replaced");
    expect(await opened(sessions, third)).toMatchObject({ state: "authenticated", userId: "user-1", roles: ["user"] });
    const other = await opened(sessions, (await sessions.create(HALF_LOGIN)).token);
    await other.logout();
    expect(other).toMatchObject({ state: "anonymous", pending: null });
    expect(await sessions.count({ userId: "user-1" })).toBe(1);
  });

  it("is never taken for the session it becomes, also where it was just seen", async () => {
    const sessions = manager();
    const { token } = await sessions.create(HALF_LOGIN);
    const seen = await Promise.all(Array.from({ length: 5 }, () => opened(sessions, token)));
    const next = await logIn(sessions, token, "user-1");
    for (let round = 0; round < 5; round++) {
      expect(await found(sessions, token)).toBe("ended: replaced");
      expect(await found(sessions, next)).toBe("authenticated: user-1");
    }
    for (const session of seen) expect(session).toMatchObject({ state: "pending", userId: null });
  });

  const ends: Readonly<Record<string, (sessions: SessionManager) => Promise<unknown>>> = {
    revokeAll: (sessions) => sessions.revokeAll("user-1", { reason: "ending" }),
    revokeTenant: (sessions) => sessions.revokeTenant("tenant-1", "ending"),
    revokeEverything: (sessions) => sessions.revokeEverything("ending"),
  };

  it.each(Object.entries(ends))("is ended, and counted, by %s", async (_, end) => {
    const sessions = manager({ tenant: "tenant-1" });
    const tokens = [await sessions.create(HALF_LOGIN), await sessions.create(HALF_LOGIN)].map(({ token }) => token);
    tokens.push((await sessions.create({ userId: "user-1" })).token);
    expect(await end(sessions)).toBe(3);
    for (const token of tokens) expect(await found(sessions, token)).toBe("ended: ending");
    expect(await end(sessions)).toBe(0);
  });

  it("is not spared by what spares the user's own session, nor ended with another's", async () => {
    const sessions = manager();
    const own = await sessions.create({ userId: "user-1", stamp: "1" });
    const [first, second] = [await sessions.create(HALF_LOGIN), await sessions.create(HALF_LOGIN)];
    const others = await sessions.create({ userId: "user-2", pending: "second-factor", tenant: "t" });
    expect(await sessions.revokeAll("user-1", { except: [own.id, first.id] })).toBe(2);
    for (const { token } of [first, second]) expect(await found(sessions, token)).toBe("ended: revoked");
    const third = await sessions.create(HALF_LOGIN);
    await (await opened(sessions, own.token)).keepLogin("2");
    expect(await found(sessions, third.token)).toBe("ended: stamp-changed");
    await sessions.revokeTenant("another");
    expect(await found(sessions, others.token)).toBe("pending");
  });

  it("is refreshed into another pending login: same step, same data, same end", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const created = await sessions.create({ ...HALF_LOGIN, data: { x: 1 }, extra: { y: 2 } });
    clock.advance(MINUTE);
    const next = await sessions.refresh(created.token);
    const token = next?.token ?? "";
    expect(token).toMatch(/^p1_/);
    const late = await opened(sessions, created.token);
    expect([late.state, taken(late)]).toEqual(["pending", token]);
    const session = await opened(sessions, token);
    expect(session).toMatchObject({ state: "pending", userId: null, id: created.id, data: { x: 1 }, extra: { y: 2 } });
    expect(session.pending).toEqual({ userId: "user-1", awaiting: "second-factor" });
    expect(session.expiresAt).toBe((created.createdAt ?? 0) + 5 * MINUTE);
    expect(await found(sessions, `s1_${token.slice(3)}`)).toBe("forged");
  });

  it("passes no guard but the one of its step", async () => {
    const sessions = manager();
    const { token } = await sessions.create(HALF_LOGIN);
    const closed: Guard[] = [loginGuard(), roleGuard("user"), freshGuard("1h"), stampGuard(() => null)];
    closed.push(pendingGuard("new-password"), pendingGuard("second"));
    for (const guard of closed) expect(await guard(await opened(sessions, token))).toMatchObject({ status: 401 });
    const step = pendingGuard("second-factor");
    expect(await step(await opened(sessions, token))).toBeNull();
    for (const options of [{}, { userId: "user-1" }]) {
      expect(await step(await sessions.create(options))).toMatchObject({ code: "pending-login-required" });
    }
    expect(await step(await visitor(sessions))).toMatchObject({ code: "pending-login-required" });
  });

  it("raises one event when it begins, and is no login", async () => {
    const sessions = manager();
    const heard = listen(sessions);
    const { id, token } = await sessions.create(HALF_LOGIN);
    expect(heard).toMatchObject([{ type: "created", id, userId: "user-1", state: "pending" }]);
    heard.length = 0;
    await logIn(sessions, token, "user-1");
    expect(heard).toMatchObject([
      { type: "created", state: "authenticated" },
      { type: "login", replaced: id },
    ]);
  });
});

interface Place {
  readonly sessions: SessionManager;
  readonly tokens: ReturnType<typeof oneTimeTokens>;
}

/** Every kind of token, each fresh from a manager. */
const kinds: Readonly<Record<string, (place: Place) => Promise<string>>> = {
  "a user's session": async ({ sessions }) => (await sessions.create({ userId: "user-1", data: { x: 1 } })).token,
  "a visitor's session": async ({ sessions }) => (await sessions.create({ data: { x: 1 } })).token,
  "a pending login": async ({ sessions }) => (await sessions.create({ ...HALF_LOGIN, data: { x: 1 } })).token,
  "a token for one use": ({ tokens }) => tokens.issue("reset-password", { userId: "user-1" }),
  "a token for another use": ({ tokens }) => tokens.issue("confirm-address", { userId: "user-1" }),
  "a CSRF token": async ({ sessions }) => (await opened(sessions, await begun(sessions))).csrfToken(),
};

async function begun(sessions: SessionManager): Promise<string> {
  return (await sessions.create({ userId: "user-1" })).token;
}

/** What a token is taken for; null when it is refused. */
type Consumer = (place: Place, token: string) => Promise<string | null>;

const stateOf = (session: Session | null): string | null => session && `${session.state} session`;

const consumers: Readonly<Record<string, Consumer>> = {
  validate: async ({ sessions }, token) => stateOf(await sessions.validate(token)),
  inspect: async ({ sessions }, token) => {
    const answer = await sessions.inspect(token);
    return answer.ok ? stateOf(answer.session) : null;
  },
  refresh: async ({ sessions }, token) => stateOf(await sessions.refresh(token)),
  revokeToken: async ({ sessions }, token) => {
    const ended: string[] = [];
    const stop = sessions.on("revoked", ({ id }) => ended.push(id));
    await sessions.revokeToken(token);
    stop();
    return ended.length === 0 ? null : "ended";
  },
  cookie: async ({ sessions }, token) => sentIn(sessions, cookieOf(token)),
  bearer: async ({ sessions }, token) => {
    return sentIn(sessions, { get: (name: string) => (name === "authorization" ? `Bearer ${token}` : undefined) });
  },
  "peek for the use": async ({ tokens }, token) => (await tokens.peek("reset-password", token)) && "use",
  "consume for the use": async ({ tokens }, token) => (await tokens.consume("reset-password", token)) && "use",
  "peek for the other use": async ({ tokens }, token) => (await tokens.peek("confirm-address", token)) && "other use",
  "consume for the other use": async ({ tokens }, token) =>
    (await tokens.consume("confirm-address", token)) && "other use",
  // A CSRF token is one session's own, and this is another of the same user.
  csrf: async ({ sessions }, token) => ((await passes(sessions, await begun(sessions), token)) ? "form" : null),
};

/** Whether a form may be sent with a session, by a browser that says nothing of where it comes from. */
async function passes(sessions: SessionManager, token: string, csrf: string): Promise<boolean> {
  const headers = { get: (name: string) => (name === "x-csrf-token" ? csrf : cookieOf(token).get(name)) };
  return (await openSession(sessions, headers)).csrfRefusal({ method: "POST" }) === null;
}

async function sentIn(sessions: SessionManager, headers: Parameters<typeof openSession>[1]): Promise<string | null> {
  const { session, refusal } = await openSession(sessions, headers);
  return refusal === null ? stateOf(session) : null;
}

const asSession = (state: string): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(["validate", "inspect", "refresh", "cookie", "bearer"].map((name) => [name, state])),
  revokeToken: "ended",
});

/** The diagonal: what each kind is taken for, and where; everywhere else it is refused. */
const diagonal: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "a user's session": asSession("authenticated session"),
  "a visitor's session": asSession("anonymous session"),
  "a pending login": asSession("pending session"),
  "a token for one use": { "peek for the use": "use", "consume for the use": "use" },
  "a token for another use": { "peek for the other use": "other use", "consume for the other use": "other use" },
  // Only with the session it was made for: below.
  "a CSRF token": {},
};

const keys = [generateKey()];

function place(options: Options = {}): Place {
  const sessions = manager({ keys, bearer: true, csrf: "token", ...options });
  return { sessions, tokens: oneTimeTokens(sessions) };
}

async function makeOf(kind: string, at: Place): Promise<string> {
  const make = kinds[kind];
  if (make === undefined) throw new Error("There is no such kind.");
  return make(at);
}

describe.each(Object.keys(kinds))("%s", (kind) => {
  it.each(Object.entries(consumers))("is taken by %s for what it is, or refused", async (name, consume) => {
    const at = place();
    expect(await consume(at, await makeOf(kind, at))).toBe(diagonal[kind]?.[name] ?? null);
  });

  it.each(Object.entries(consumers))("is refused by %s with the prefix of another kind", async (_, consume) => {
    const at = place();
    for (const prefix of ["s1_", "p1_", "o1_", "x1_", "S1_", "s2_", "s1-", ""]) {
      const token = await makeOf(kind, at);
      if (token.startsWith(prefix) && prefix !== "") continue;
      const body = token.slice(3);
      for (const disguised of [prefix + body, prefix + body.slice(0, 80), prefix + body.padEnd(128, "A")]) {
        expect(await consume(at, disguised), prefix).toBeNull();
      }
    }
  });

  it.each(Object.entries(consumers))("is refused by %s of another namespace, and of other keys", async (_, consume) => {
    const store = memoryStore();
    const home = place({ store });
    for (const other of [place({ store, namespace: "other" }), place({ store, keys: [generateKey()] })]) {
      expect(await consume(other, await makeOf(kind, home))).toBeNull();
    }
    // Names that would be the spaces of the other kinds, if the parts were only strung together.
    for (const namespace of ["default.pending", "default.one-time", "default-pending", "pending", "one-time"]) {
      expect(await consume(place({ store, namespace }), await makeOf(kind, home)), namespace).toBeNull();
    }
  });

  it("is as good as before after everything refused it", async () => {
    const at = place();
    const token = await makeOf(kind, at);
    const own = diagonal[kind] ?? {};
    for (const [name, consume] of Object.entries(consumers)) {
      if (own[name] === undefined) expect(await consume(at, token), name).toBeNull();
    }
    for (const name of ["validate", "peek for the use", "peek for the other use"]) {
      expect(await consumers[name]?.(at, token)).toBe(own[name] ?? null);
    }
  });

  it("is matched by the published pattern, as a whole", async () => {
    const at = place();
    for (let round = 0; round < 50; round++) {
      const token = await makeOf(kind, at);
      expect(`a=${token}; b`.match(tokenPattern)).toEqual([token]);
      expect(`${token}A`.replace(tokenPattern, "")).toBe(`${token}A`);
    }
  });
});

describe("a CSRF token", () => {
  it("is one session's own, of each kind of session", async () => {
    const { sessions } = place();
    const made = [
      await sessions.create(),
      await sessions.create({ userId: "user-1" }),
      await sessions.create(HALF_LOGIN),
    ];
    const tokens = made.map(({ token }) => token);
    const csrf = await Promise.all(tokens.map(async (token) => (await opened(sessions, token)).csrfToken()));
    for (const [row, token] of tokens.entries()) {
      for (const [column, text] of csrf.entries()) {
        expect(await passes(sessions, token, text), `${row} ${column}`).toBe(row === column);
      }
    }
  });

  it("is dead with the pending login that it was made in", async () => {
    const { sessions } = place();
    const { token } = await sessions.create(HALF_LOGIN);
    const csrf = (await opened(sessions, token)).csrfToken();
    expect(await passes(sessions, token, csrf)).toBe(true);
    const next = await logIn(sessions, token, "user-1");
    expect(await passes(sessions, next, csrf)).toBe(false);
    expect(await passes(sessions, token, csrf)).toBe(false);
  });
});
