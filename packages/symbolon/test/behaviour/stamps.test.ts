/** The credential stamp: what it ends when it changes, and what outlives the change. */
import { createHash } from "node:crypto";
import {
  createSessionManager,
  generateKey,
  type OpenedSession,
  openSession,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
  type Store,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, listen, opened, taken, untyped } from "../support/sessions.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { type FullStore, spied } from "../support/stores.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

const USER = "user-1";
const MINUTE = 60_000;

interface World {
  readonly sessions: SessionManager;
  readonly clock: ManualClock;
  /** The names of all store calls so far. */
  readonly calls: string[];
  readonly heard: readonly { readonly type: string }[];
}

function world(options: Options = {}): World {
  const clock = manualClock();
  const { store, calls } = spied<Store>(options.store ?? memoryStore());
  const keys = [generateKey()];
  const sessions = createSessionManager({ keys, clock, pruneEvery: false, ...options, store });
  return { sessions, clock, calls, heard: listen(sessions) };
}

/** A store that can do no more than it must. */
function bare(inner: Store): Store {
  return {
    read: (key, call) => inner.read(key, call),
    create: (record, call) => inner.create(record, call),
    update: (key, version, change, call) => inner.update(key, version, change, call),
    delete: (key, ending, call) => inner.delete(key, ending, call),
  };
}

function cookieOf(token: string): Headers {
  return new Headers({ Cookie: `__Host-sid=${token}` });
}

interface RequestParts {
  readonly session: Session;
  readonly commit: () => Promise<string[]>;
}

function requestOf(request: OpenedSession<Record<string, unknown>>): RequestParts {
  return { session: request.session, commit: () => request.commit() };
}

/** What was told of one kind of event. */
function eventsOf({ heard }: World, type: string): readonly { readonly type: string }[] {
  return heard.filter((event) => event.type === type);
}

async function anonymous(sessions: SessionManager): Promise<Session> {
  return (await openSession(sessions, new Headers())).session;
}

describe("checkStamp, while the stamps agree", () => {
  it("answers true, asks the store nothing and changes nothing", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: USER, stamp: "v1", data: { n: 1 } });
    const session = await opened(one.sessions, token);
    one.calls.length = 0;
    for (let round = 0; round < 3; round++) expect(await session.checkStamp("v1")).toBe(true);
    expect(one.calls).toEqual([]);
    expect(session).toMatchObject({ userId: USER, isModified: false });
    expect(session.takeToken()).toBeNull();
    expect(await found(one.sessions, token)).toBe("authenticated: user-1");
  });

  it("answers true where neither the user nor the session has a stamp", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: USER });
    const session = await opened(one.sessions, token);
    one.calls.length = 0;
    expect(await session.checkStamp(null)).toBe(true);
    expect(one.calls).toEqual([]);
    expect(await found(one.sessions, token)).toBe("authenticated: user-1");
  });

  it("tells apart stamps that begin alike, differ in case or only in what cannot be seen", async () => {
    for (const other of ["v1 ", "V1", "v", "v11", "v1\u0000", "v\u0661"]) {
      const one = world();
      const { token } = await one.sessions.create({ userId: USER, stamp: "v1" });
      expect(await (await opened(one.sessions, token)).checkStamp(other), JSON.stringify(other)).toBe(false);
      expect(await found(one.sessions, token)).toBe("ended: stamp-changed");
    }
  });
});

describe("checkStamp, when the user's stamp is another", () => {
  it("ends the session, says so, and is nobody's from then on", async () => {
    const one = world();
    const { token, id } = await one.sessions.create({ userId: USER, stamp: "v1", roles: ["a"], data: { n: 1 } });
    const session = await opened(one.sessions, token);
    expect(await session.checkStamp("v2")).toBe(false);
    expect(session).toMatchObject({ state: "anonymous", userId: null, id: null, roles: [], isModified: false });
    expect(session.data).toEqual({});
    expect(await found(one.sessions, token)).toBe("ended: stamp-changed");
    expect(eventsOf(one, "stamp-changed")).toEqual([{ type: "stamp-changed", at: one.clock.now(), id, userId: USER }]);
    // It was not the user who logged out.
    expect(eventsOf(one, "logout")).toEqual([]);
  });

  it("sends no cookie at all: the change may have been made in another tab of this browser, which has a newer one", async () => {
    for (const begun of [{}, { remember: true }, { pending: "second-factor" }]) {
      const { sessions } = world({ cookie: { persistent: true } });
      const { token } = await sessions.create({ userId: USER, stamp: "v1", data: { n: 1 }, ...begun });
      const request = await openSession(sessions, cookieOf(token));
      expect(await request.session.checkStamp("v2")).toBe(false);
      request.session.data["notice"] = "Please log in again.";
      request.session.flash("notice", "Please log in again.");
      request.session.setDuration("5m");
      request.session.csrfToken();
      await request.session.logout();
      expect([request.needsCommit(), await request.commit()]).toEqual([false, []]);
      // The answer depends on the cookie all the same.
      expect(request.isUsed).toBe(true);
      // There is this one session, and nothing was begun.
      expect(await sessions.revokeEverything()).toBe(1);
    }
  });

  it("has nothing to write to any more, and begins nothing but a login", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: USER, stamp: "v1", data: { n: 1 }, roles: ["a"] });
    const { session, commit } = requestOf(await openSession(one.sessions, cookieOf(token)));
    one.calls.length = 0;
    await session.checkStamp("v2");
    session.data["n"] = 2;
    const answers = [
      await session.save(),
      await session.update((data) => void (data["n"] = 3)),
      await session.setRoles(["b"]),
      await session.setExtra({ e: 1 }),
      await session.keepLogin("v2"),
    ];
    expect(answers).toEqual(Array(5).fill("gone"));
    expect(one.calls).toEqual(["update"]);
    await session.login(USER, { stamp: "v2", carry: ["n"] });
    session.data["m"] = 1;
    const [cookie = ""] = await commit();
    const after = await opened(one.sessions, /^__Host-sid=(s1_[\w-]+);/.exec(cookie)?.[1] ?? "");
    expect([after.userId, after.data, await after.checkStamp("v2")]).toEqual([USER, { m: 1 }, true]);
    expect(await one.sessions.count({ userId: USER })).toBe(1);
  });

  it("tells the next request why, for a minute; then the session has expired, and it is pruned like any", async () => {
    const one = world();
    const { sessions, clock } = one;
    const { token } = await sessions.create({ userId: USER, stamp: "v1" });
    clock.advance(MINUTE);
    await (await opened(sessions, token)).checkStamp("v2");
    const ended = { reason: "ended", ended: { reason: "stamp-changed", at: clock.now() } };
    for (const moment of [0, MINUTE - 1]) {
      clock.advance(moment);
      expect((await openSession(sessions, cookieOf(token))).refusal).toEqual(ended);
      expect(await sessions.prune()).toBe(0);
    }
    clock.advance(1);
    expect((await openSession(sessions, cookieOf(token))).refusal).toEqual({ reason: "expired" });
    expect(await sessions.prune()).toBe(1);
    expect(await found(sessions, token)).toBe("unknown");
    // It ended once.
    expect(eventsOf(one, "stamp-changed")).toHaveLength(1);
    expect(eventsOf(one, "expired")).toEqual([]);
  });

  it("does not let a session live longer that was about to end", async () => {
    for (const lifetime of [{ absolute: "1m" } as const, { idle: "30s" } as const]) {
      const { sessions, clock } = world();
      const { token } = await sessions.create({ userId: USER, stamp: "v1", lifetime });
      clock.advance(20_000);
      await (await opened(sessions, token)).checkStamp("v2");
      clock.advance(29_999);
      expect(await found(sessions, token)).toBe("ended: stamp-changed");
      clock.advance(10_001);
      expect(await found(sessions, token)).toBe("expired");
    }
  });

  it("ends this session only; the user's others are ended by their own checks", async () => {
    const { sessions } = world();
    const [first, second] = [
      await sessions.create({ userId: USER, stamp: "v1" }),
      await sessions.create({ userId: USER, stamp: "v1" }),
    ];
    await first.checkStamp("v2");
    expect(await found(sessions, second.token)).toBe("authenticated: user-1");
    expect(await (await opened(sessions, second.token)).checkStamp("v2")).toBe(false);
    expect(await sessions.count({ userId: USER })).toBe(0);
  });

  it("ends the session of a user who is no more", async () => {
    const { sessions } = world();
    const { token } = await sessions.create({ userId: USER, stamp: "v1" });
    expect(await (await opened(sessions, token)).checkStamp(null)).toBe(false);
    expect(await found(sessions, token)).toBe("ended: stamp-changed");
  });

  it("ends a session that was begun without a stamp, once the user has one", async () => {
    const { sessions } = world();
    const { token } = await sessions.create({ userId: USER });
    expect(await (await opened(sessions, token)).checkStamp("v1")).toBe(false);
    expect(await found(sessions, token)).toBe("ended: stamp-changed");
  });

  it("ends a pending login and an impersonation as well", async () => {
    for (const special of [{ pending: "second-factor" }, { actor: "admin-1" }]) {
      const { sessions } = world();
      const { token } = await sessions.create({ userId: USER, stamp: "v1", ...special });
      const session = await opened(sessions, token);
      expect(await session.checkStamp("v1")).toBe(true);
      expect(await session.checkStamp("v2")).toBe(false);
      expect(await found(sessions, token)).toBe("ended: stamp-changed");
    }
  });

  it("answers false ever after, and ends nothing twice", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: USER, stamp: "v1" });
    const [session, other] = [await opened(one.sessions, token), await opened(one.sessions, token)];
    expect(await session.checkStamp("v2")).toBe(false);
    expect(await other.checkStamp("v2")).toBe(false);
    expect(await session.checkStamp("v2")).toBe(false);
    expect(await other.checkStamp("v1")).toBe(false);
    expect(eventsOf(one, "stamp-changed")).toHaveLength(1);
    expect(other).toMatchObject({ state: "anonymous", userId: null });
  });

  it("sends no cookie where somebody else ended the session first", async () => {
    const { sessions } = world();
    const { token, id } = await sessions.create({ userId: USER, stamp: "v1" });
    const request = await openSession(sessions, cookieOf(token));
    await sessions.revoke(USER, id);
    expect(await request.session.checkStamp("v2")).toBe(false);
    expect(await request.commit()).toEqual([]);
    expect(await found(sessions, token)).toBe("ended: revoked");
  });
});

/** What a request that opened the session before may try with it. */
const attempts: readonly (readonly [name: string, attempt: (request: RequestParts) => Promise<unknown>])[] = [
  ["a save", ({ session }) => changed(session).save()],
  ["an update", ({ session }) => session.update((data) => void (data["n"] = 2))],
  ["a message", ({ session }) => flashed(session).save()],
  ["a shorter life", ({ session }) => shortened(session).save()],
  ["other roles", ({ session }) => session.setRoles(["admin"])],
  ["extra values", ({ session }) => session.setExtra({ e: 1 })],
];

function changed(session: Session): Session {
  session.data["n"] = 2;
  return session;
}

function flashed(session: Session): Session {
  session.flash("notice", "text");
  return session;
}

function shortened(session: Session): Session {
  session.setDuration("5m");
  return session;
}

interface Shut extends World, RequestParts {
  readonly token: string;
  readonly id: string;
  /** Of one more such request: the one that changes the credentials. */
  readonly keeper: Session;
}

/** A session that was found outdated, and a request that opened it before. */
async function shutSession(options: Options = {}): Promise<Shut> {
  const one = world(options);
  const { token, id } = await one.sessions.create({ userId: USER, stamp: "v1", tenant: "t1", data: { n: 1 } });
  const request = requestOf(await openSession(one.sessions, cookieOf(token)));
  const [keeper, checker] = [await opened(one.sessions, token), await opened(one.sessions, token)];
  expect(await checker.checkStamp("v2")).toBe(false);
  return { ...one, ...request, token, id, keeper };
}

async function endedByReset(session: Session): Promise<void> {
  session.reset();
  await session.save();
}

describe("a session whose stamp changed", () => {
  it.each(attempts)("is not revived by %s of a request that opened it before", async (_, attempt) => {
    const { sessions, token, session, commit } = await shutSession();
    expect(await attempt({ session, commit })).toBe("gone");
    expect(session).toMatchObject({ state: "anonymous", userId: null, id: null });
    expect([session.takeToken(), await commit()]).toEqual([null, []]);
    expect(await found(sessions, token)).toBe("ended: stamp-changed");
    expect(await sessions.count()).toBe(0);
  });

  it("is not revived by use: neither when a request is answered, nor by validate and refresh", async () => {
    const lifetime = { idle: "5m" } as const;
    const { sessions, clock, token, session, commit } = await shutSession({ lifetime });
    clock.advance(30_000);
    // It is time to write down that the session is in use.
    expect(await commit()).toEqual([]);
    expect(session.userId).toBeNull();
    expect([await sessions.validate(token), await sessions.refresh(token)]).toEqual([null, null]);
    clock.advance(30_000);
    expect(await found(sessions, token)).toBe("expired");
  });

  it.each([
    ["memory", () => memoryStore()],
    ["sqlite", () => sqliteStore(sqliteFile().connect())],
  ])("is neither listed nor counted, nor found or changed by its handle, on %s", async (_, make) => {
    const { sessions, id } = await shutSession({ store: make(), seal: "server" });
    const other = await sessions.create({ userId: USER, stamp: "v2", tenant: "t1" });
    for (const options of [{ userId: USER }, { tenant: "t1" }, { userId: USER, tenant: "t1" }]) {
      expect((await sessions.list(options)).sessions.map((info) => info.id)).toEqual([other.id]);
      expect(await sessions.count(options)).toBe(1);
    }
    expect(await sessions.count()).toBe(1);
    expect(await sessions.get(USER, id)).toBeNull();
    const changes = [{ roles: ["admin"] }, { extra: { e: 1 } }, { data: () => undefined }];
    for (const change of changes) expect(await sessions.update(USER, id, change)).toBe("gone");
    expect(await sessions.updateAll(USER, { roles: ["b"] })).toBe(1);
    expect(await sessions.revoke(USER, other.id)).toBe(USER);
    expect([await sessions.count(), await sessions.countUsers()]).toEqual([0, 0]);
  });

  it.each([
    ["memory", () => memoryStore()],
    ["sqlite", () => sqliteStore(sqliteFile().connect())],
  ])(
    "holds no place in a limit, on %s: its user logs in again at once, and nobody gives way to it",
    async (_, make) => {
      for (const limits of [{ perUser: 1, onLimit: "reject" }, { total: 1 }] as const) {
        const { sessions } = await shutSession({ store: make(), limits });
        const again = await anonymous(sessions);
        await again.login(USER, { stamp: "v2" });
        expect(await found(sessions, taken(again))).toBe("authenticated: user-1");
        const further = await anonymous(sessions);
        await expect(further.login(USER)).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
      }
      for (const onLimit of ["evict-oldest", "evict-idle"] as const) {
        const { sessions, heard } = await shutSession({ store: make(), limits: { perUser: 2, onLimit } });
        const both = [await sessions.create({ userId: USER }), await sessions.create({ userId: USER })];
        for (const { token } of both) expect(await found(sessions, token)).toBe("authenticated: user-1");
        expect(heard.filter(({ type }) => type === "evicted")).toEqual([]);
      }
    },
  );

  it("is not handed out again by a limit that reuses sessions", async () => {
    const { sessions, id, token } = await shutSession({ seal: "server", limits: { perUser: 1, onLimit: "reuse" } });
    const again = await sessions.create({ userId: USER, stamp: "v2" });
    expect([again.id === id, again.token === token]).toEqual([false, false]);
    expect(await found(sessions, token)).toBe("ended: stamp-changed");
  });

  it.each<[string, (one: Shut) => Promise<unknown>]>([
    ["a logout", ({ session }) => session.logout()],
    ["a revocation", ({ sessions, id }) => sessions.revoke(USER, id)],
    ["the end of all the user's sessions", ({ sessions }) => sessions.revokeAll(USER)],
    ["the end of all sessions of the tenant", ({ sessions }) => sessions.revokeTenant("t1")],
    ["the end of all sessions", ({ sessions }) => sessions.revokeEverything()],
    ["a reset", ({ session }) => endedByReset(session)],
    ["a login of another user in its place", ({ session }) => session.login("user-2")],
  ])("can still be ended, by %s, and is then gone for ever", async (_, end) => {
    const one = await shutSession();
    await end(one);
    // Nobody is told why: what remains of a record is kept no longer than the record would have been.
    expect(await found(one.sessions, one.token)).toBe("unknown");
    expect([await one.keeper.keepLogin("v2"), one.keeper.takeToken()]).toEqual(["gone", null]);
    expect(await found(one.sessions, one.token)).toBe("unknown");
    expect(await one.sessions.count({ userId: USER })).toBe(0);
  });
});

describe("checkStamp, where nobody is logged in", () => {
  it("agrees with null only, and ends nothing", async () => {
    const one = world();
    const { token } = await one.sessions.create({ data: { cart: ["tea"] } });
    one.calls.length = 0;
    for (const session of [await anonymous(one.sessions), await opened(one.sessions, token)]) {
      expect(await session.checkStamp(null)).toBe(true);
      expect(await session.checkStamp("v1")).toBe(false);
      expect(await session.checkStamp(null)).toBe(true);
    }
    expect(one.calls).toEqual(["read"]);
    expect((await opened(one.sessions, token)).data).toEqual({ cart: ["tea"] });
    expect(eventsOf(one, "stamp-changed")).toEqual([]);
  });

  it("agrees with null after a logout", async () => {
    const { sessions } = world();
    const session = await opened(sessions, (await sessions.create({ userId: USER, stamp: "v1" })).token);
    await session.logout();
    expect(await session.checkStamp("v1")).toBe(false);
    expect(await session.checkStamp(null)).toBe(true);
  });
});

const badStamps: readonly unknown[] = ["", "x".repeat(513), "\ud800", 5, undefined, {}, ["v1"], true];

describe("a stamp that is none", () => {
  it.each(badStamps.map((stamp) => [stamp]))(
    "%j is refused by login, create, checkStamp and keepLogin",
    async (stamp) => {
      const { sessions } = world();
      const refused = { code: "ERR_OPTIONS_INVALID" };
      const { token } = await sessions.create({ userId: USER, stamp: "v1" });
      const session = await opened(sessions, token);
      await expect(untyped(session, "checkStamp", stamp)).rejects.toMatchObject(refused);
      await expect(untyped(session, "keepLogin", stamp)).rejects.toMatchObject(refused);
      if (stamp !== undefined) {
        await expect(untyped(session, "login", USER, { stamp })).rejects.toMatchObject(refused);
        await expect(untyped(sessions, "create", { userId: USER, stamp })).rejects.toMatchObject(refused);
      }
      // Nothing was changed.
      expect(session.takeToken()).toBeNull();
      expect(await (await opened(sessions, token)).checkStamp("v1")).toBe(true);
      expect(await sessions.count({ userId: USER })).toBe(1);
    },
  );

  it("null is refused where a stamp is to be kept", async () => {
    const { sessions } = world();
    const session = await sessions.create({ userId: USER, stamp: "v1" });
    await expect(untyped(session, "keepLogin", null)).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    await expect(untyped(sessions, "create", { userId: USER, stamp: null })).rejects.toMatchObject({
      code: "ERR_OPTIONS_INVALID",
    });
  });
});

describe("keepLogin", () => {
  it("goes on with the session and its data under a new token; the old one is dead at once", async () => {
    const one = world();
    const claims = { roles: ["a", "b"], extra: { method: "password" }, tenant: "t1", device: { name: "Phone" } };
    const made = await one.sessions.create({ userId: USER, stamp: "v1", ...claims, data: { deep: { list: [1] } } });
    one.clock.advance(MINUTE);
    const session = await opened(one.sessions, made.token);
    expect(await session.keepLogin("v2")).toBe("saved");
    const token = taken(session);
    expect(token).not.toBe(made.token);
    expect(await found(one.sessions, made.token)).toBe("wrong-secret");
    const after = await opened(one.sessions, token);
    expect(after).toMatchObject({ ...claims, id: made.id, userId: USER, state: "authenticated" });
    expect(after).toMatchObject({ createdAt: made.createdAt, authenticatedAt: made.authenticatedAt });
    expect(after.data).toEqual({ deep: { list: [1] } });
    expect(session.data).toEqual({ deep: { list: [1] } });
    expect(eventsOf(one, "rotated")).toEqual([
      { type: "rotated", at: one.clock.now(), id: made.id, userId: USER, reason: "stamp-changed", generation: 2 },
    ]);
  });

  it("sends the new token as the response's cookie", async () => {
    const { sessions } = world();
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: { n: 1 } });
    const request = await openSession(sessions, cookieOf(token));
    await request.session.keepLogin("v2");
    const cookies = await request.commit();
    expect(cookies).toHaveLength(1);
    const next = /^__Host-sid=(s1_[\w-]+);/.exec(cookies[0] ?? "")?.[1] ?? "";
    expect((await opened(sessions, next)).data).toEqual({ n: 1 });
  });

  it("makes the new stamp the session's, in every process that opens it later", async () => {
    const file = sqliteFile();
    const keys = [generateKey()];
    const start = (): SessionManager =>
      createSessionManager({ store: sqliteStore(file.connect()), keys, pruneEvery: false });
    const before = start();
    const session = await opened(before, (await before.create({ userId: USER, stamp: "v1", data: { n: 1 } })).token);
    await session.keepLogin("v2");
    const token = taken(session);
    const after = await opened(start(), token);
    expect(await after.checkStamp("v2")).toBe(true);
    expect(after.data).toEqual({ n: 1 });
    expect(await (await opened(start(), token)).checkStamp("v1")).toBe(false);
  });

  it("does not move the session's end, and a login that was old stays so", async () => {
    const one = world();
    const { token, expiresAt } = await one.sessions.create({
      userId: USER,
      stamp: "v1",
      lifetime: { idle: "30m", absolute: "30m" },
    });
    one.clock.advance(20 * MINUTE);
    const session = await opened(one.sessions, token);
    await session.keepLogin("v2");
    expect(session.expiresAt).toBe(expiresAt);
    expect([session.isFresh("20m"), session.isFresh("21m")]).toEqual([false, true]);
  });

  it("gives a stamp to a session that had none", async () => {
    const { sessions } = world();
    const session = await sessions.create({ userId: USER });
    expect(await session.keepLogin("v1")).toBe("saved");
    const after = await opened(sessions, taken(session));
    expect([await after.checkStamp("v1"), await after.checkStamp(null)]).toEqual([true, false]);
  });

  it("rotates even where the stamp is the one it has: the others are ended all the same", async () => {
    const { sessions } = world();
    const made = await sessions.create({ userId: USER, stamp: "v1" });
    const other = await sessions.create({ userId: USER, stamp: "v1" });
    const session = await opened(sessions, made.token);
    expect(await session.keepLogin("v1")).toBe("saved");
    expect(taken(session)).not.toBe(made.token);
    expect(await found(sessions, made.token)).toBe("wrong-secret");
    expect(await found(sessions, other.token)).toBe("ended: stamp-changed");
  });

  it("ends all other sessions and pending logins of the user, and nobody else's", async () => {
    const one = world();
    const { sessions } = one;
    const mine = await sessions.create({ userId: USER, stamp: "v1" });
    const others = [
      await sessions.create({ userId: USER, stamp: "v1" }),
      await sessions.create({ userId: USER, tenant: "t1", remember: true }),
      await sessions.create({ userId: USER, actor: "admin-1" }),
      await sessions.create({ userId: USER, stamp: "v1", pending: "second-factor" }),
      await sessions.create({ userId: USER, pending: "new-password" }),
    ];
    const strangers = [
      await sessions.create({ userId: "user-2", stamp: "v1" }),
      await sessions.create({ userId: "user-2", pending: "second-factor" }),
      await sessions.create({ data: { cart: [] } }),
    ];
    const session = await opened(sessions, mine.token);
    expect(await session.keepLogin("v2")).toBe("saved");
    for (const { token } of others) expect(await found(sessions, token)).toBe("ended: stamp-changed");
    for (const { token } of strangers) expect(await found(sessions, token)).not.toMatch(/^ended/);
    expect(await sessions.count({ userId: USER })).toBe(1);
    expect(await found(sessions, taken(session))).toBe("authenticated: user-1");
    expect(eventsOf(one, "revoked-many")).toEqual([
      { type: "revoked-many", at: one.clock.now(), userId: USER, tenant: null, reason: "stamp-changed", count: 5 },
    ]);
  });

  it("keeps what the request changed and has yet to save", async () => {
    const { sessions } = world();
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: { n: 1, kept: true } });
    const request = await openSession(sessions, cookieOf(token));
    request.session.data["n"] = 2;
    request.session.flash("notice", "Your password was changed.");
    request.session.setDuration("5m");
    await request.session.keepLogin("v2");
    request.session.data["later"] = "yes";
    const [cookie = ""] = await request.commit();
    const after = await opened(sessions, /(s1_[\w-]+)/.exec(cookie)?.[1] ?? "");
    expect(after.data).toEqual({ n: 2, kept: true, later: "yes" });
    expect(after.flash("notice")).toEqual(["Your password was changed."]);
    expect((after.expiresAt ?? 0) - (after.createdAt ?? 0)).toBe(5 * MINUTE);
  });

  it("works twice in one request; the last token and the last stamp are the session's", async () => {
    const { sessions } = world();
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: { n: 1 } });
    const request = await openSession(sessions, cookieOf(token));
    await request.session.keepLogin("v2");
    await request.session.keepLogin("v3");
    const [cookie = "", ...more] = await request.commit();
    expect(more).toEqual([]);
    const after = await opened(sessions, /(s1_[\w-]+)/.exec(cookie)?.[1] ?? "");
    expect(await after.checkStamp("v3")).toBe(true);
    expect(after.data).toEqual({ n: 1 });
  });

  it("keeps a remembered session's longer life, and its cookie's", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: USER, stamp: "v1", remember: true });
    const request = await openSession(one.sessions, cookieOf(token));
    await request.session.keepLogin("v2");
    const [cookie = ""] = await request.commit();
    expect(cookie).toContain("Max-Age=1209600");
  });
});

describe("keepLogin of a session that somebody else ended", () => {
  it("answers gone, as often as it is called, and also when another call was told first", async () => {
    const { sessions } = world();
    for (const first of ["keepLogin", "save"]) {
      const { token, id } = await sessions.create({ userId: USER, stamp: "v1" });
      const session = await opened(sessions, token);
      await sessions.revoke(USER, id);
      if (first === "save") {
        session.data["n"] = 1;
        expect(await session.save()).toBe("gone");
      }
      expect([await session.keepLogin("v2"), await session.keepLogin("v2")]).toEqual(["gone", "gone"]);
      expect(session.takeToken()).toBeNull();
    }
    expect(await sessions.count()).toBe(0);
  });
});

describe("keepLogin is refused", () => {
  const notAllowed = { code: "ERR_NOT_ALLOWED", status: 403 };

  it("after a logout in the same request", async () => {
    const { sessions } = world();
    const session = await opened(sessions, (await sessions.create({ userId: USER, stamp: "v1" })).token);
    await session.logout();
    await expect(session.keepLogin("v2")).rejects.toMatchObject(notAllowed);
    expect(await sessions.count()).toBe(0);
  });

  it("where nobody is logged in, and stores nothing", async () => {
    const one = world();
    const visitor = await anonymous(one.sessions);
    await expect(visitor.keepLogin("v1")).rejects.toMatchObject(notAllowed);
    expect(one.calls).toEqual([]);
    const stored = await one.sessions.create({ data: { n: 1 } });
    await expect(stored.keepLogin("v1")).rejects.toMatchObject(notAllowed);
    expect(await found(one.sessions, stored.token)).toBe("anonymous");
  });

  it("for a pending login and for an impersonation, and the user's sessions stay as they are", async () => {
    for (const special of [{ pending: "second-factor" }, { actor: "admin-1" }]) {
      const { sessions } = world();
      const mine = await sessions.create({ userId: USER, stamp: "v1" });
      const { token } = await sessions.create({ userId: USER, stamp: "v1", ...special });
      const session = await opened(sessions, token);
      await expect(session.keepLogin("v2")).rejects.toMatchObject(notAllowed);
      expect(session.takeToken()).toBeNull();
      expect(await (await opened(sessions, token)).checkStamp("v1")).toBe(true);
      expect(await (await opened(sessions, mine.token)).checkStamp("v1")).toBe(true);
    }
  });

  it("once the headers have left, because the new token could not be sent", async () => {
    const { sessions } = world();
    const { token } = await sessions.create({ userId: USER, stamp: "v1" });
    const request = await openSession(sessions, cookieOf(token));
    await request.commit();
    await expect(request.session.keepLogin("v2")).rejects.toMatchObject({ code: "ERR_HEADERS_SENT" });
    expect(await (await opened(sessions, token)).checkStamp("v1")).toBe(true);
  });
});

describe("on a store that cannot find a user's sessions", () => {
  it("the login is kept, and the others die by their own checks", async () => {
    const one = world({ store: bare(memoryStore()) });
    const { sessions } = one;
    const mine = await sessions.create({ userId: USER, stamp: "v1", data: { n: 1 } });
    const other = await sessions.create({ userId: USER, stamp: "v1" });
    const session = await opened(sessions, mine.token);
    expect(await session.keepLogin("v2")).toBe("saved");
    const after = await opened(sessions, taken(session));
    expect(await after.checkStamp("v2")).toBe(true);
    expect(after.data).toEqual({ n: 1 });
    expect(await found(sessions, mine.token)).toBe("wrong-secret");
    expect(await found(sessions, other.token)).toBe("authenticated: user-1");
    expect(await (await opened(sessions, other.token)).checkStamp("v2")).toBe(false);
    expect(await found(sessions, other.token)).toBe("ended: stamp-changed");
    // Nobody was told of an end that did not happen.
    expect(eventsOf(one, "revoked-many")).toEqual([]);
  });
});

/** Everything in a store, and all its texts once more as the bytes they may stand for. */
async function dumpOf(store: FullStore): Promise<Buffer> {
  const call = { now: 0, signal: new AbortController().signal };
  const { entries } = await store.scan({ cursor: null, limit: 1000 }, call);
  const values = entries.flatMap((entry) => Object.values(entry) as unknown[]);
  const parts = values.map((value) => {
    if (value instanceof Uint8Array) return Buffer.from(value);
    const text = String(value);
    return Buffer.concat([Buffer.from(text), Buffer.from(text, "base64url"), Buffer.from(text, "hex")]);
  });
  return Buffer.concat(parts);
}

/** A stamp and its plain digest in the spellings somebody would look for; of the digests, beginnings are enough. */
function spellingsOf(stamp: string): readonly Buffer[] {
  const digest = createHash("sha256").update(stamp).digest();
  const encodings = ["hex", "base64", "base64url"] as const;
  return [
    Buffer.from(stamp),
    ...encodings.map((encoding) => Buffer.from(Buffer.from(stamp).toString(encoding).slice(0, 16))),
    digest.subarray(0, 8),
    ...encodings.map((encoding) => Buffer.from(digest.toString(encoding).slice(0, 10))),
  ];
}

describe("a dump of the store", () => {
  it("shows neither a stamp nor its plain digest, whatever became of the session", async () => {
    const stamps = ["a stamp of before the change", "a stamp of after the change", "a stamp that was refused"] as const;
    const file = sqliteFile();
    for (const store of [memoryStore(), sqliteStore(file.connect())]) {
      const { sessions } = world({ store });
      const mine = await sessions.create({ userId: USER, stamp: stamps[0], data: { n: 1 } });
      await sessions.create({ userId: USER, stamp: stamps[0], pending: "second-factor" });
      const other = await sessions.create({ userId: "user-2", stamp: stamps[0] });
      await sessions.create({ userId: "user-3", stamp: stamps[0] });
      await (await opened(sessions, mine.token)).keepLogin(stamps[1]);
      await (await opened(sessions, other.token)).checkStamp(stamps[2]);
      const dump = Buffer.concat([await dumpOf(store), file.bytes()]);
      // The dump is of this store: it says why sessions ended.
      expect(dump.includes("stamp-changed")).toBe(true);
      for (const needle of stamps.flatMap(spellingsOf)) {
        expect(dump.includes(needle), needle.toString("latin1")).toBe(false);
      }
    }
  });
});
