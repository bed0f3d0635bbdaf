/** Logging in, out, and anew: what is issued, what is dead at once, what is kept and what is dropped. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createSessionManager, generateKey, type LoginOptions, openSession } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore, manualClock } from "symbolon/testing";
import { found, listen, logIn, manager, opened, taken, untyped, visitor } from "../support/sessions.ts";
import { intercept, spied } from "../support/stores.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const INVALID = { code: "ERR_OPTIONS_INVALID" };

const cookieOf = (token: string) => ({
  get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined),
});

describe("login", () => {
  it("gives a new session under a new token, and the token of before is dead at once", async () => {
    const sessions = manager();
    const before = await sessions.create({ data: { x: 1 } });
    const session = await opened(sessions, before.token);
    await session.login("user-1");
    expect(await found(sessions, before.token)).toBe("ended: replaced");
    const token = taken(session);
    expect(session).toMatchObject({ state: "authenticated", userId: "user-1", isNew: true, isModified: false });
    expect(session.id).not.toBe(before.id);
    expect(token).not.toBe(before.token);
    expect(await opened(sessions, token)).toMatchObject({ id: session.id, userId: "user-1", data: {} });
  });

  it("notes when it was, and is found by its own handle only", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const { token, id } = await sessions.create();
    clock.advance(MINUTE);
    const session = await opened(sessions, token);
    await session.login("user-1");
    const now = clock.now();
    const times = { createdAt: now, authenticatedAt: now, lastSeenAt: now, expiresAt: now + HOUR };
    expect(session).toMatchObject(times);
    expect(await sessions.get("user-1", session.id ?? "")).toMatchObject(times);
    expect(await sessions.get("user-1", id)).toBeNull();
    expect((await sessions.list({ userId: "user-1" })).sessions.map((info) => info.id)).toEqual([session.id]);
  });

  // What each write leaves: how many sessions the user has, and whether the one before still opens.
  it.each<[string, object, object, [string, number, boolean][]]>([
    [
      "a visitor's",
      {},
      {},
      [
        ["admit", 1, true],
        ["delete", 1, false],
      ],
    ],
    [
      "another user's",
      { userId: "user-2" },
      {},
      [
        ["admit", 1, true],
        ["delete", 1, false],
      ],
    ],
    // Both in one atomic step, so that a limit of one is never in its own way.
    ["the user's own", { userId: "user-1" }, {}, [["admit", 1, false]]],
    [
      "a visitor's, uncounted",
      {},
      { limits: { perUser: false } },
      [
        ["create", 1, true],
        ["delete", 1, false],
      ],
    ],
    [
      "the user's own, uncounted",
      { userId: "user-1" },
      { limits: { perUser: false } },
      [
        ["create", 2, true],
        ["delete", 1, false],
      ],
    ],
  ])("stores the new session first, and then ends the one before: %s", async (_, begun, options, expected) => {
    const inner = memoryStore();
    const keys = [generateKey()];
    const elsewhere = manager({ store: inner, keys });
    const before = await elsewhere.create(begun);
    const writes: [string, number, boolean][] = [];
    const store = intercept(inner, async (call) => {
      const answer = await call.proceed();
      if (call.method === "read") return answer;
      const count = await elsewhere.count({ userId: "user-1" });
      writes.push([call.method, count, (await elsewhere.validate(before.token)) !== null]);
      return answer;
    });
    const session = await opened(manager({ store, keys, ...options }), before.token);
    await session.login("user-1");
    expect(writes).toEqual(expected);
    expect(await found(elsewhere, before.token)).toBe("ended: replaced");
    expect(await found(elsewhere, taken(session))).toBe("authenticated: user-1");
  });

  it("of a visitor who had no session needs one write", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const session = await visitor(sessions);
    session.data["x"] = 1;
    await session.login("user-1");
    expect(calls).toEqual(["admit"]);
    expect((await opened(sessions, taken(session))).data).toEqual({});
    expect(await session.save()).toBe("unchanged");
  });

  it.each<[unknown]>([
    [""],
    [null],
    [undefined],
    [{}],
    [0],
    [["a"]],
    [true],
    ["\ud800"],
    ["a\udc00"],
    ["x".repeat(513)],
  ])("refuses %j for a user id, and writes nothing", async (userId) => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const { token } = await sessions.create({ data: { x: 1 } });
    const session = await opened(sessions, token);
    calls.length = 0;
    await expect(untyped(session, "login", userId)).rejects.toMatchObject({ ...INVALID, message: /^userId: / });
    expect(calls).toEqual([]);
    expect(session.takeToken()).toBeNull();
    expect(session).toMatchObject({ state: "anonymous", userId: null, data: { x: 1 } });
    expect(await found(sessions, token)).toBe("anonymous");
  });

  it.each<[string, unknown]>([
    ["an unknown option", { userId: "user-2" }],
    ["data", { data: { admin: true } }],
    ["a handle", { id: "x" }],
    ["a misspelt option", { rememberMe: true }],
    ["no options at all", null],
    ["a text", "admin"],
    ["roles that are no list", { roles: "admin" }],
    ["an empty role", { roles: [""] }],
    ["an empty tenant", { tenant: "" }],
    ["an empty stamp", { stamp: "" }],
    ["a number for remember", { remember: 1 }],
    ["an idle timeout over the absolute one", { lifetime: { idle: "2h", absolute: "1h" } }],
    ["an unknown timeout", { lifetime: { never: "2h" } }],
    ["a device with more than is shown", { device: { name: "Phone", serial: "1" } }],
    ["a device that is no text", { device: { name: 5 } }],
    ["an actor that is nobody", { actor: "" }],
    ["a step without a name", { pending: "" }],
    ["one key to carry", { carry: "cart" }],
    ["a number to carry", { carry: [1] }],
    ["a flag to carry", { carry: true }],
  ])("refuses %s, and writes nothing", async (_, options) => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const { token } = await sessions.create({ data: { cart: ["tea"] } });
    const session = await opened(sessions, token);
    calls.length = 0;
    await expect(untyped(session, "login", "user-1", options)).rejects.toMatchObject(INVALID);
    expect(calls).toEqual([]);
    expect([session.state, session.takeToken()]).toEqual(["anonymous", null]);
    expect(await found(sessions, token)).toBe("anonymous");
  });

  it("keeps what it was given, whatever the caller changes afterwards", async () => {
    const sessions = manager();
    const session = await visitor(sessions);
    const [roles, extra, device] = [["a", "b"], { plan: { free: true } }, { name: "Phone" }];
    await session.login("user-1", { roles, extra, device, tenant: "tenant-1" });
    roles.push("admin");
    extra.plan.free = false;
    device.name = "Tablet";
    const expected = { roles: ["a", "b"], extra: { plan: { free: true } }, device: { name: "Phone" } };
    for (const one of [session, await opened(sessions, taken(session))]) {
      expect(one).toMatchObject({ ...expected, tenant: "tenant-1" });
    }
    const [info] = (await sessions.list({ tenant: "tenant-1" })).sessions;
    expect(info).toMatchObject({ ...expected, userId: "user-1" });
  });

  it("notes the client in reduced form, unless it is told the device", async () => {
    const sessions = manager({ nameDevice: (agent) => `A ${agent}` });
    const client = { ip: "203.0.113.77", userAgent: "Browser" };
    const session = await visitor(sessions);
    await session.login("user-1", { client });
    expect(session.device).toEqual({ name: "A Browser", network: "203.0.113.0/24" });
    await session.login("user-1", { client, device: { name: "Kitchen" } });
    expect(session.device).toEqual({ name: "Kitchen" });
    await session.login("user-1");
    expect(session.device).toBeNull();
  });

  it("takes the manager's tenant where it names none", async () => {
    const sessions = manager({ tenant: "home" });
    const session = await visitor(sessions);
    await session.login("user-1");
    expect(session.tenant).toBe("home");
    await session.login("user-1", { tenant: "other" });
    expect(await sessions.count({ tenant: "home" })).toBe(0);
    expect(await sessions.count({ tenant: "other" })).toBe(1);
  });

  it.each<[string, LoginOptions, number, number]>([
    ["by default", {}, HOUR, DAY],
    ["remembered", { remember: true }, 14 * DAY, 30 * DAY],
    ["not remembered", { remember: false }, HOUR, DAY],
    ["with timeouts of its own", { lifetime: { idle: "2h", absolute: "48h" } }, 2 * HOUR, 2 * DAY],
    ["with timeouts of its own, remembered", { remember: true, lifetime: { idle: "1d" } }, DAY, 30 * DAY],
  ])("lives as long as asked, idle and in all: %s", async (_, options, idle, absolute) => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const begin = async (): Promise<string> => {
      const session = await visitor(sessions);
      await session.login("user-1", options);
      return taken(session);
    };
    const [unused, used] = [await begin(), await begin()];
    const start = clock.now();
    clock.advance(idle - 1);
    expect(await found(sessions, used)).toBe("authenticated: user-1");
    clock.advance(1);
    expect(await found(sessions, unused)).toBe("expired");
    const rest = idle - MINUTE;
    while (clock.now() + rest < start + absolute) {
      clock.advance(rest);
      expect(await found(sessions, used)).toBe("authenticated: user-1");
    }
    clock.set(start + absolute - 1);
    expect(await found(sessions, used)).toBe("authenticated: user-1");
    clock.advance(1);
    expect(await found(sessions, used)).toBe("expired");
  });

  it("begins a new absolute lifetime, which nothing else does", async () => {
    const clock = manualClock();
    const sessions = manager({ clock, lifetime: { idle: "24h", absolute: "24h" } });
    const { token } = await sessions.create({ userId: "user-1" });
    clock.advance(DAY - 1);
    const next = await logIn(sessions, token, "user-1");
    clock.advance(DAY - 1);
    expect(await found(sessions, next)).toBe("authenticated: user-1");
  });

  it("hands out its token once", async () => {
    const session = await visitor(manager());
    expect(session.takeToken()).toBeNull();
    await session.login("user-1");
    expect(session.takeToken()).toMatch(/^s1_/);
    expect(session.takeToken()).toBeNull();
    await session.login("user-1");
    await session.logout();
    expect(session.takeToken()).toBeNull();
  });

  it("is fresh for a while, but not by being remembered", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const session = await visitor(sessions);
    expect(session.isFresh("5m")).toBe(false);
    await session.login("user-1");
    expect(session.isFresh("5m")).toBe(true);
    clock.advance(5 * MINUTE);
    expect(session.isFresh("5m")).toBe(false);
    await session.login("user-1");
    expect(session.isFresh("5m")).toBe(true);
    const remembered = await visitor(sessions);
    await remembered.login("user-1", { remember: true });
    expect(remembered.isFresh("5m")).toBe(false);
    // Logging in again in a session that is the user's own proves who it is.
    await remembered.login("user-1", { remember: true });
    expect(remembered.isFresh("5m")).toBe(true);
    await remembered.login("user-2", { remember: true });
    expect(remembered.isFresh("5m")).toBe(false);
  });
});

describe("what a login keeps of the data", () => {
  it("is nothing", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ data: { x: 1, state: "oauth" } });
    const session = await opened(sessions, token);
    session.data["y"] = 2;
    session.flash("info", "Of this request.");
    await session.login("user-1");
    expect(session.data).toEqual({});
    const next = await opened(sessions, taken(session));
    expect(next.data).toEqual({});
    // What was said in this very request is for the next page.
    expect(next.flash("info")).toEqual(["Of this request."]);
  });

  it("is not the extra values, nor the roles, nor an older message", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", roles: ["admin"], extra: { x: 1 } });
    const session = await opened(sessions, token);
    session.flash("info", "Of another request.");
    await session.save();
    const next = await opened(sessions, await logIn(sessions, token, "user-1"));
    expect(next).toMatchObject({ roles: [], extra: {}, data: {} });
    expect(next.flash("info")).toEqual([]);
  });

  it.each<[string[], object]>([
    [["cart"], { cart: { items: ["tea", "milk"] } }],
    [["cart", "theme"], { cart: { items: ["tea", "milk"] }, theme: "dark" }],
    [["cart", "cart", "absent", "toString", "__proto__", ""], { cart: { items: ["tea", "milk"] } }],
    [[], {}],
  ])("are the keys %j, as they are now", async (carry, expected) => {
    const sessions = manager();
    const { token } = await sessions.create({ data: { cart: { items: ["tea"] }, theme: "dark", csrf: "x" } });
    const session = await opened(sessions, token);
    (session.data["cart"] as { items: string[] }).items.push("milk");
    await session.login("user-1", { carry });
    expect(session.data).toEqual(expected);
    expect(session.isModified).toBe(false);
    expect((await opened(sessions, taken(session))).data).toEqual(expected);
    expect(await found(sessions, token)).toBe("ended: replaced");
  });

  it("is sealed for the new token alone", async () => {
    for (const seal of ["split", "server"] as const) {
      const sessions = manager({ seal });
      const { token } = await sessions.create({ data: { cart: ["tea"] } });
      const next = await opened(sessions, await logIn(sessions, token, "user-1", { carry: ["cart"] }));
      expect(await next.update((data) => void (data["more"] = 1))).toBe("saved");
      expect(next.data).toEqual({ cart: ["tea"], more: 1 });
    }
  });

  it("may be all of it for the session's own user", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    session.data["y"] = 2;
    await session.login("user-1", { carry: "all" });
    expect((await opened(sessions, taken(session))).data).toEqual({ x: 1, y: 2 });
  });

  it.each([
    ["a visitor's session", {}],
    ["another user's session", { userId: "user-2" }],
  ])("may not be all of it in %s", async (_, begun) => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const { token } = await sessions.create({ ...begun, data: { x: 1 } });
    const before = await found(sessions, token);
    const session = await opened(sessions, token);
    calls.length = 0;
    await expect(session.login("user-1", { carry: "all" })).rejects.toMatchObject(INVALID);
    expect(calls).toEqual([]);
    expect(session.data).toEqual({ x: 1 });
    expect(await found(sessions, token)).toBe(before);
  });

  it("may not be all of it once the session was reset, or had no record at all", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    session.reset();
    await expect(session.login("user-1", { carry: "all" })).rejects.toMatchObject(INVALID);
    await expect((await visitor(sessions)).login("user-1", { carry: "all" })).rejects.toMatchObject(INVALID);
  });

  it("is what was named, also where another user logs in", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { private: "of user-1", shared: 1 } });
    const session = await opened(sessions, token);
    await session.login("user-2", { carry: ["shared"] });
    expect((await opened(sessions, taken(session))).data).toEqual({ shared: 1 });
  });

  it("fits the schema, with its defaults, or nobody is logged in", async () => {
    const { store, calls } = spied(memoryStore());
    const open = z.object({ cart: z.array(z.string()).default([]), theme: z.string().optional() }).strict();
    const schema = open.refine(({ cart, theme }) => cart.length === 0 || theme !== undefined);
    const sessions = createSessionManager({ store, keys: [generateKey()], schema, pruneEvery: false });
    const { token } = await sessions.create({ data: { cart: ["tea"], theme: "dark" } });
    const session = await sessions.validate(token);
    if (session === null) throw new Error("The session does not open.");
    calls.length = 0;
    // Either alone would do without the other; the cart alone does not.
    await expect(session.login("user-1", { carry: ["cart"] })).rejects.toMatchObject({ code: "ERR_DATA_INVALID" });
    expect(calls).toEqual([]);
    expect(session).toMatchObject({ state: "anonymous", data: { cart: ["tea"], theme: "dark" } });
    await session.login("user-1", { carry: ["theme"] });
    expect((await sessions.validate(session.takeToken() ?? ""))?.data).toEqual({ cart: [], theme: "dark" });
    await session.login("user-2");
    expect((await sessions.validate(session.takeToken() ?? ""))?.data).toEqual({ cart: [] });
  });
});

describe("a session that is logged in again", () => {
  it("replaces itself, and leaves one session", async () => {
    const sessions = manager();
    const session = await visitor(sessions);
    await session.login("user-1", { roles: ["admin"] });
    const first = taken(session);
    await session.login("user-1");
    expect(session.roles).toEqual([]);
    expect(await found(sessions, first)).toBe("ended: replaced");
    expect(await found(sessions, taken(session))).toBe("authenticated: user-1");
    expect(await sessions.count({ userId: "user-1" })).toBe(1);
  });

  it("as another user has nothing of the user before", async () => {
    const sessions = manager();
    const begun = { userId: "user-1", roles: ["admin"], extra: { x: 1 }, tenant: "t", data: { x: 1 } };
    const { token } = await sessions.create(begun);
    const session = await opened(sessions, token);
    expect(session.data).toEqual({ x: 1 });
    await session.login("user-2");
    for (const one of [session, await opened(sessions, taken(session))]) {
      expect(one).toMatchObject({ userId: "user-2", roles: [], extra: {}, tenant: null, data: {} });
    }
    expect(await found(sessions, token)).toBe("ended: replaced");
    expect([await sessions.count({ userId: "user-1" }), await sessions.count({ userId: "user-2" })]).toEqual([0, 1]);
  });

  it("many times at once ends up with the last, and no other lives", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ data: { x: 1 } });
    const session = await opened(sessions, token);
    const ids: string[] = [];
    sessions.on("login", ({ id }) => ids.push(id));
    const users = Array.from({ length: 10 }, (_, index) => `user-${index}`);
    await Promise.all(users.map((userId) => session.login(userId)));
    expect(session.userId).toBe("user-9");
    expect(new Set(ids).size).toBe(10);
    expect(await sessions.count()).toBe(1);
    expect(await found(sessions, taken(session))).toBe("authenticated: user-9");
    expect(await found(sessions, token)).toBe("ended: replaced");
  });

  it("at once with a save, an update and a logout is in one state, and so is the store", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ data: { x: 1 } });
    const session = await opened(sessions, token);
    session.data["y"] = 2;
    const saved = session.save();
    const login = session.login("user-1");
    const updated = session.update((data) => void (data["z"] = 3));
    const logout = session.logout();
    const again = session.login("user-2", { carry: ["z"] });
    await Promise.all([login, logout, again]);
    expect([await saved, await updated]).toEqual(["saved", "saved"]);
    expect(session).toMatchObject({ userId: "user-2", data: {} });
    expect(await sessions.count()).toBe(1);
    expect(await found(sessions, taken(session))).toBe("authenticated: user-2");
  });
});

describe("a login in a session that ended meanwhile", () => {
  it("succeeds, and does not bring the ended one back", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const session = await opened(sessions, token);
    await sessions.revokeAll("user-1");
    await session.login("user-2");
    expect(await found(sessions, token)).toBe("ended: revoked");
    expect(await found(sessions, taken(session))).toBe("authenticated: user-2");
  });

  it("succeeds where that was noticed, and carries nothing that was written after the end", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    session.data["x"] = 2;
    await sessions.revokeToken(token);
    expect(await session.save()).toBe("gone");
    session.data["x"] = 3;
    await session.login("user-1", { carry: ["x"] });
    expect(session).toMatchObject({ state: "authenticated", data: {} });
    expect((await opened(sessions, taken(session))).data).toEqual({});
    expect(await found(sessions, token)).toBe("ended: revoked");
    session.data["y"] = 1;
    expect(await session.save()).toBe("saved");
  });
});

describe("logout", () => {
  it("ends the session, and is the same done twice", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const heard = listen(sessions);
    const { token, id } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    [calls.length, heard.length] = [0, 0];
    await Promise.all([session.logout(), session.logout()]);
    await session.logout();
    expect(calls).toEqual(["delete"]);
    expect(heard).toMatchObject([{ type: "logout", id, userId: "user-1" }]);
    expect(session).toMatchObject({ state: "anonymous", userId: null, id: null, data: {} });
    expect(await session.save()).toBe("unchanged");
    expect(await found(sessions, token)).toBe("ended: logout");
  });

  it("of a visitor without a session does nothing at all", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const heard = listen(sessions);
    const session = await visitor(sessions);
    await session.logout();
    expect([calls, heard, session.takeToken()]).toEqual([[], [], null]);
  });

  it("of a session that ended meanwhile leaves the first reason, and raises no event", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const session = await opened(sessions, token);
    await sessions.revokeToken(token, "stolen");
    const heard = listen(sessions);
    await session.logout();
    expect(heard).toEqual([]);
    expect(await found(sessions, token)).toBe("ended: stolen");
  });

  it("may be followed by another session: of nobody, or of a user", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    await session.logout();
    session.data["y"] = 2;
    expect(await session.save()).toBe("saved");
    const anonymous = taken(session);
    expect(await opened(sessions, anonymous)).toMatchObject({ state: "anonymous", data: { y: 2 } });
    await session.logout();
    await session.login("user-2");
    expect(await found(sessions, token)).toBe("ended: logout");
    expect(await found(sessions, anonymous)).toBe("ended: logout");
    expect(await found(sessions, taken(session))).toBe("authenticated: user-2");
  });
});

describe("reset", () => {
  it("begins anew at once, and ends the session of before with the next save", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const { token, id } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    const heard = listen(sessions);
    session.data["x"] = 2;
    session.setDuration("1m");
    session.flash("info", "Gone.");
    session.reset();
    session.reset();
    expect(session).toMatchObject({ state: "anonymous", userId: null, id: null, isNew: true, data: {} });
    expect(await found(sessions, token)).toBe("authenticated: user-1");
    calls.length = 0;
    await session.save();
    expect(await found(sessions, token)).toBe("ended: reset");
    expect(heard).toContainEqual(expect.objectContaining({ type: "revoked", id, userId: "user-1", reason: "reset" }));
    expect(session.userId).toBeNull();
  });

  it("stores nothing in its place unless something is written", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const { token } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    session.reset();
    calls.length = 0;
    expect(await session.save()).toBe("unchanged");
    expect(await session.save()).toBe("unchanged");
    expect([calls, session.takeToken()]).toEqual([["delete"], null]);
  });

  it("may be followed by data, in a new session of nobody", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const { token } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    session.reset();
    session.data["y"] = 2;
    calls.length = 0;
    expect(await session.save()).toBe("saved");
    expect(calls).toEqual(["delete", "create"]);
    const next = taken(session);
    expect(await opened(sessions, next)).toMatchObject({ state: "anonymous", data: { y: 2 } });
    expect(await found(sessions, token)).toBe("ended: reset");
  });

  it("may be followed by a login, in whose place the session of before ends", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store, limits: { perUser: 1, onLimit: "reject" } });
    const { token, id } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const session = await opened(sessions, token);
    const replaced: unknown[] = [];
    sessions.on("login", (event) => replaced.push(event.replaced));
    session.reset();
    await session.login("user-1", { carry: ["x"] });
    expect(session.data).toEqual({});
    calls.length = 0;
    expect(await session.save()).toBe("unchanged");
    expect([calls, replaced]).toEqual([[], [id]]);
    expect(await found(sessions, token)).toBe("ended: replaced");
    expect(await found(sessions, taken(session))).toBe("authenticated: user-1");
  });

  it("may be followed by a logout, which ends the session of before", async () => {
    const sessions = manager();
    const { token, id } = await sessions.create({ userId: "user-1" });
    const session = await opened(sessions, token);
    const heard = listen(sessions);
    session.reset();
    await session.logout();
    expect(await found(sessions, token)).toBe("ended: logout");
    expect(heard).toMatchObject([{ type: "logout", id, userId: "user-1" }]);
    expect(await session.save()).toBe("unchanged");
    expect(heard).toHaveLength(1);
  });

  it("of a session that ended meanwhile stays without effect on it", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const session = await opened(sessions, token);
    session.reset();
    await sessions.revokeToken(token, "stolen");
    const heard = listen(sessions);
    expect(await session.save()).toBe("unchanged");
    expect(heard).toEqual([]);
    expect(await found(sessions, token)).toBe("ended: stolen");
  });

  it("that could not be saved leaves the session of before as it was", async () => {
    const faulty = faultyStore(memoryStore());
    const sessions = manager({ store: faulty.store });
    const { token, id } = await sessions.create({ userId: "user-1", data: { x: 1 } });
    const request = await openSession(sessions, cookieOf(token));
    request.session.reset();
    request.session.data["y"] = 2;
    faulty.fail();
    await expect(request.commit()).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
    faulty.heal();
    request.discard();
    expect(request.session).toMatchObject({ userId: "user-1", id, isModified: false, isNew: false, data: { x: 1 } });
    expect(request.cookies()).toEqual([]);
    expect(await found(sessions, token)).toBe("authenticated: user-1");
  });

  it("that is discarded still asks for a new login where the pin does not fit", async () => {
    const pin = { userAgent: true, onMismatch: "step-up" } as const;
    const sessions = manager({ pin });
    const { token } = await sessions.create({ userId: "user-1", client: { userAgent: "One" } });
    const request = await openSession(sessions, cookieOf(token));
    expect(request.session.isFresh("5m")).toBe(false);
    request.session.reset();
    request.discard();
    expect(request.session).toMatchObject({ userId: "user-1" });
    expect(request.session.isFresh("5m")).toBe(false);
  });

  it("that is discarded does not keep the cookie of a login in the same request", async () => {
    const sessions = manager();
    const request = await openSession(sessions, { get: () => undefined });
    await request.session.login("user-1");
    request.session.reset();
    request.discard();
    const [cookie = ""] = request.cookies();
    const token = /^__Host-sid=([^;]+)/.exec(cookie)?.[1] ?? "";
    expect(await found(sessions, token)).toBe("authenticated: user-1");
  });
});

describe("acting as a user", () => {
  it("is a session of the user that names who acts, beside the user's own", async () => {
    const sessions = manager();
    const own = await sessions.create({ userId: "user-1" });
    const support = await sessions.create({ userId: "support-1" });
    const logins: unknown[] = [];
    sessions.on("login", (event) => logins.push(event));
    const token = await logIn(sessions, support.token, "user-1", { actor: "support-1", roles: ["user"] });
    const session = await opened(sessions, token);
    expect(session).toMatchObject({ state: "authenticated", userId: "user-1", actor: "support-1", roles: ["user"] });
    expect(logins).toMatchObject([{ userId: "user-1", actor: "support-1", replaced: support.id, remember: false }]);
    expect((await opened(sessions, own.token)).actor).toBeNull();
    // Who acts gave up the own session for it, and gets it back by logging in again.
    expect(await found(sessions, support.token)).toBe("ended: replaced");
    const back = await logIn(sessions, token, "support-1");
    expect((await opened(sessions, back)).actor).toBeNull();
    expect(await found(sessions, token)).toBe("ended: replaced");
    expect(await found(sessions, own.token)).toBe("authenticated: user-1");
  });

  it("lasts an hour at most, however it is used, and a quarter of one unused", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const begin = async (options: LoginOptions = {}): Promise<string> => {
      const session = await visitor(sessions);
      await session.login("user-1", { actor: "support-1", ...options });
      return taken(session);
    };
    const [unused, used] = [await begin(), await begin()];
    const short = await begin({ lifetime: { absolute: "2m" } });
    const long = await begin({ lifetime: { idle: "1h", absolute: "1h" } });
    for (const lifetime of [{ absolute: "61m" }, { idle: "61m" }, { idle: "5m", absolute: "1d" }] as const) {
      await expect(begin({ lifetime })).rejects.toMatchObject(INVALID);
    }
    clock.advance(2 * MINUTE);
    expect(await found(sessions, short)).toBe("expired");
    clock.advance(13 * MINUTE - 1);
    for (const token of [used, long]) expect(await found(sessions, token)).toBe("authenticated: user-1");
    clock.advance(1);
    expect(await found(sessions, unused)).toBe("expired");
    for (let minute = 15; minute < 59; minute++) {
      clock.advance(MINUTE);
      expect(await found(sessions, used)).toBe("authenticated: user-1");
    }
    clock.advance(MINUTE);
    for (const token of [used, long]) expect(await found(sessions, token)).toBe("expired");
  });

  it("is never fresh, not even in a session that is the user's own", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const session = await opened(sessions, token);
    expect(session.isFresh("5m")).toBe(true);
    await session.login("user-1", { actor: "support-1" });
    expect(session.isFresh("5m")).toBe(false);
    expect((await opened(sessions, taken(session))).isFresh("5m")).toBe(false);
  });

  it.each<[string, LoginOptions]>([
    ["remembered", { remember: true }],
    ["pending", { pending: "second-factor" }],
  ])("cannot be %s", async (_, options) => {
    const { store, calls } = spied(memoryStore());
    const session = await visitor(manager({ store }));
    await expect(session.login("user-1", { actor: "support-1", ...options })).rejects.toMatchObject(INVALID);
    expect([calls, session.state]).toEqual([[], "anonymous"]);
  });

  it("cannot change the user's credentials", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const own = await sessions.create({ userId: "user-1", stamp: "1" });
    const acting = await sessions.create({ userId: "user-1", actor: "support-1", stamp: "1" });
    const session = await opened(sessions, acting.token);
    calls.length = 0;
    await expect(session.keepLogin("2")).rejects.toMatchObject({ code: "ERR_NOT_ALLOWED", status: 403 });
    expect([calls, session.takeToken()]).toEqual([[], null]);
    for (const { token } of [own, acting]) {
      expect(await (await opened(sessions, token)).checkStamp("1")).toBe(true);
    }
  });

  it("is not what the user is handed again where sessions are handed out again", async () => {
    const sessions = manager({ seal: "server", limits: { perUser: 1, onLimit: "reuse" } });
    const acting = await sessions.create({ userId: "user-1", actor: "support-1" });
    const own = await sessions.create({ userId: "user-1" });
    expect([own.token === acting.token, own.actor]).toEqual([false, null]);
    expect(await found(sessions, acting.token)).toBe("ended: evicted");
    expect((await sessions.create({ userId: "user-1" })).token).toBe(own.token);
  });

  it("ends by itself, for a reason of its own", async () => {
    const sessions = manager();
    const own = await sessions.create({ userId: "user-1" });
    const acting = await sessions.create({ userId: "user-1", actor: "support-1" });
    await (await opened(sessions, acting.token)).logout();
    expect(await found(sessions, acting.token)).toBe("ended: logout");
    const again = await sessions.create({ userId: "user-1", actor: "support-1" });
    expect(await sessions.revokeToken(again.token, "enough")).toBe("user-1");
    expect(await found(sessions, again.token)).toBe("ended: enough");
    expect(await found(sessions, own.token)).toBe("authenticated: user-1");
  });

  it.each<[string, (acted: { sessions: ReturnType<typeof manager>; token: string }) => Promise<unknown>]>([
    ["revokeAll of the user", ({ sessions }) => sessions.revokeAll("user-1")],
    ["revokeTenant", ({ sessions }) => sessions.revokeTenant("tenant-1")],
    ["revokeEverything", ({ sessions }) => sessions.revokeEverything()],
    ["keepLogin of the user", async ({ sessions, token }) => (await opened(sessions, token)).keepLogin("2")],
  ])("is ended by %s", async (_, end) => {
    const sessions = manager({ tenant: "tenant-1" });
    const { token } = await sessions.create({ userId: "user-1", stamp: "1" });
    const acting = await sessions.create({ userId: "user-1", actor: "support-1" });
    await end({ sessions, token });
    expect(await found(sessions, acting.token)).toMatch(/^ended: /);
  });
});
