/**
 * A change of credentials against everything that may happen meanwhile: the store calls of two requests in every order,
 * and a store that fails at each of them.
 */
import {
  createSessionManager,
  generateKey,
  isSymbolonError,
  openSession,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
  type Store,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { faultyStore, type FaultyStore, type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, listen, opened, taken } from "../support/sessions.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { intercept } from "../support/stores.ts";
import { everyOrder, play, stageOn } from "../support/turns.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

const USER = "user-1";
const MINUTE = 60_000;

/** At least as many calls as either request makes. */
const ORDERS = everyOrder(7, 3);

const CLAIMS = { roles: ["editor"], extra: { method: "password" }, tenant: "t1", device: { name: "Phone" } };
const DATA = { cart: ["tea"], n: 1 };

const stores: Readonly<Record<string, () => readonly [Store, Store]>> = {
  memory: () => {
    const store = memoryStore();
    return [store, store];
  },
  sqlite: () => {
    const file = sqliteFile();
    return [sqliteStore(file.connect()), sqliteStore(file.connect())];
  },
};

function storesOf(name: string): readonly [Store, Store] {
  const pair = stores[name]?.();
  if (pair === undefined) throw new Error("There is no such store.");
  return pair;
}

describe.each(Object.keys(stores))("keepLogin against another request of the session, on %s", (name) => {
  it("that checks the new stamp: the session goes on, in every order of their store calls", async () => {
    const pair = storesOf(name);
    const seen = { keptFirst: 0, shutFirst: 0 };
    for (const order of ORDERS) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `n${label}` });
      const [one, two] = stage.processes;
      const made = await stage.elsewhere.create({ userId: USER, stamp: "v1", ...CLAIMS, data: DATA });
      stage.clock.advance(MINUTE);
      const [keeper, checker] = [await opened(one, made.token), await opened(two, made.token)];
      const heard = listen(two);
      const answers = await play(stage, order, [() => keeper.keepLogin("v2"), () => checker.checkStamp("v2")]);
      expect(answers, label).toEqual(["saved", false]);
      const token = taken(keeper);
      const after = await opened(stage.elsewhere, token);
      expect(after, label).toMatchObject({ ...CLAIMS, id: made.id, userId: USER, state: "authenticated" });
      expect([after.createdAt, after.authenticatedAt], label).toEqual([made.createdAt, made.authenticatedAt]);
      expect(after.expiresAt, label).toBe(stage.clock.now() + 60 * MINUTE);
      expect([after.isFresh("1m"), after.isFresh("2m")], label).toEqual([false, true]);
      expect(after.data, label).toEqual(DATA);
      expect(await after.checkStamp("v2"), label).toBe(true);
      expect(await found(stage.elsewhere, made.token), label).toBe("wrong-secret");
      expect((await stage.elsewhere.list({ userId: USER })).sessions, label).toMatchObject([{ id: made.id }]);
      // The other request is nobody's, and hands no token to whoever sent it.
      expect(checker, label).toMatchObject({ state: "anonymous", userId: null });
      expect(checker.takeToken(), label).toBeNull();
      const shut = heard.filter(({ type }) => type === "stamp-changed");
      seen[shut.length === 0 ? "keptFirst" : "shutFirst"]++;
    }
    // Both were met.
    expect(seen.keptFirst).toBeGreaterThan(20);
    expect(seen.shutFirst).toBeGreaterThan(20);
  });

  it("that logs out: the logout wins, in every order of their store calls", async () => {
    const pair = storesOf(name);
    const seen = new Set<unknown>();
    for (const order of everyOrder(4, 2)) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `o${label}` });
      const made = await stage.elsewhere.create({ userId: USER, stamp: "v1", data: DATA });
      const [keeper, leaver] = [
        await opened(stage.processes[0], made.token),
        await opened(stage.processes[1], made.token),
      ];
      const answers = await play(stage, order, [() => keeper.keepLogin("v2"), () => leaver.logout()]);
      const [kept] = answers;
      seen.add(kept);
      expect(["saved", "gone"], label).toContain(kept);
      expect(await found(stage.elsewhere, made.token), label).toBe("ended: logout");
      expect(await stage.elsewhere.count({ userId: USER }), label).toBe(0);
      const token = keeper.takeToken();
      if (kept === "gone") expect([token, keeper.state], label).toEqual([null, "anonymous"]);
      // It was kept first, and ended then.
      else expect(await found(stage.elsewhere, token ?? ""), label).toBe("ended: logout");
    }
    expect(seen).toEqual(new Set(["saved", "gone"]));
  });

  it("that reads and writes data: no write is lost, in every order of their store calls", async () => {
    const pair = storesOf(name);
    for (const order of everyOrder(4, 3)) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `w${label}` });
      const made = await stage.elsewhere.create({ userId: USER, stamp: "v1", data: DATA });
      const [keeper, writer] = [
        await opened(stage.processes[0], made.token),
        await opened(stage.processes[1], made.token),
      ];
      writer.data["n"] = 2;
      const answers = await play(stage, order, [() => keeper.keepLogin("v2"), () => writer.save()]);
      expect(answers, label).toEqual(["saved", "saved"]);
      const after = await opened(stage.elsewhere, taken(keeper));
      expect(after.data, label).toEqual({ ...DATA, n: 2 });
      expect(await after.checkStamp("v2"), label).toBe(true);
    }
  });
});

describe("in one process, where commits of a session are queued", () => {
  it.each(["keepLogin", "checkStamp"])("the user stays logged in, also when %s comes first", async (first) => {
    const store = intercept(memoryStore(), async (call) => call.proceed());
    const sessions = createSessionManager({ store, keys: [generateKey()], pruneEvery: false });
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: DATA });
    const [keeper, checker] = [await opened(sessions, token), await opened(sessions, token)];
    const works = [() => keeper.keepLogin("v2"), () => checker.checkStamp("v2")];
    if (first === "checkStamp") works.reverse();
    const answers = await Promise.all(works.map((work) => work()));
    expect(new Set<unknown>(answers)).toEqual(new Set(["saved", false]));
    const after = await opened(sessions, taken(keeper));
    expect([after.userId, after.data, await after.checkStamp("v2")]).toEqual([USER, DATA, true]);
    expect(await sessions.count({ userId: USER })).toBe(1);
  });
});

describe("two sessions of a user that change the credentials at once", () => {
  it("leave one at most, and none that the stamp of the last change does not fit", async () => {
    const pair = storesOf("memory");
    for (const order of everyOrder(5, 5)) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `t${label}` });
      const made = [
        await stage.elsewhere.create({ userId: USER, stamp: "v1", data: DATA }),
        await stage.elsewhere.create({ userId: USER, stamp: "v1", data: DATA }),
      ] as const;
      const one = await opened(stage.processes[0], made[0].token);
      const two = await opened(stage.processes[1], made[1].token);
      await play(stage, order, [() => one.keepLogin("v2"), () => two.keepLogin("v3")]);
      expect(await stage.elsewhere.count({ userId: USER }), label).toBeLessThanOrEqual(1);
      for (const { token } of made) expect(await stage.elsewhere.validate(token), label).toBeNull();
      const first = one.takeToken();
      const session = first === null ? null : await stage.elsewhere.validate(first);
      if (session !== null) expect(await session.checkStamp("v3"), label).toBe(false);
    }
  });
});

/** How a session may be ended while its login is to be kept. */
const endings: readonly (readonly [name: string, end: (request: Ending) => Promise<unknown>])[] = [
  ["a logout", ({ session }) => session.logout()],
  ["a revocation", ({ sessions, id }) => sessions.revoke(USER, id)],
  ["the end of all the user's sessions", ({ sessions }) => sessions.revokeAll(USER)],
  ["the end of all the tenant's sessions", ({ sessions }) => sessions.revokeTenant("t1")],
  ["the end of all sessions", ({ sessions }) => sessions.revokeEverything()],
  ["a reset", ({ session }) => reset(session)],
  ["a login in its place", ({ session }) => session.login("user-2")],
];

interface Ending {
  readonly sessions: SessionManager;
  readonly id: string;
  /** Of a request that opened it before. */
  readonly session: Session;
}

async function reset(session: Session): Promise<void> {
  session.reset();
  await session.save();
}

describe.each(Object.keys(stores))("what ends a session wins over keepLogin, on %s", (name) => {
  it.each(endings)("%s that comes after the session was shut, in every order of the store calls", async (_, end) => {
    const pair = storesOf(name);
    const seen = new Set<unknown>();
    for (const order of everyOrder(5, 5)) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `e${label}` });
      const [one, two] = stage.processes;
      const { token, id } = await stage.elsewhere.create({ userId: USER, stamp: "v1", tenant: "t1", data: DATA });
      const [keeper, later] = [await opened(one, token), await opened(stage.elsewhere, token)];
      const [checker, session] = [await opened(two, token), await opened(two, token)];
      const [kept] = await play(stage, order, [
        () => keeper.keepLogin("v2"),
        async () => {
          await checker.checkStamp("v2");
          await end({ sessions: two, id, session });
        },
      ]);
      seen.add(kept);
      expect(["saved", "gone"], label).toContain(kept);
      const issued = keeper.takeToken();
      expect(issued === null, label).toBe(kept === "gone");
      for (const dead of [token, issued ?? token]) {
        expect(await stage.elsewhere.validate(dead), label).toBeNull();
      }
      // For ever: nobody's keepLogin begins it again.
      expect([await later.keepLogin("v2"), later.takeToken()], label).toEqual(["gone", null]);
      expect(await stage.elsewhere.count({ userId: USER }), label).toBe(0);
      expect(await found(stage.elsewhere, token), label).toMatch(/^(?:unknown|ended: (?!stamp-changed))/);
    }
    expect(seen).toEqual(new Set(["saved", "gone"]));
  });
});

describe.each(endings)("after %s, without the session having been shut, keepLogin", (_, end) => {
  it("answers gone and begins nothing; the user's other sessions are ended all the same", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const { token, id } = await sessions.create({ userId: USER, stamp: "v1", tenant: "t1", data: DATA });
    const [keeper, session] = [await opened(sessions, token), await opened(sessions, token)];
    await end({ sessions, id, session });
    const why = await found(sessions, token);
    const other = await sessions.create({ userId: USER, stamp: "v1" });
    const stranger = await sessions.create({ userId: "user-3", stamp: "v1" });
    const heard = listen(sessions);
    expect(await keeper.keepLogin("v2")).toBe("gone");
    expect(keeper).toMatchObject({ state: "anonymous", userId: null, id: null });
    expect(keeper.takeToken()).toBeNull();
    expect(heard).toMatchObject([{ type: "revoked-many", userId: USER, reason: "stamp-changed", count: 1 }]);
    expect(await found(sessions, token)).toBe(why);
    expect(await found(sessions, other.token)).toBe("ended: stamp-changed");
    expect(await found(sessions, stranger.token)).toBe("authenticated: user-3");
    expect(await sessions.count({ userId: USER })).toBe(0);
  });
});

/** What another request may do with a session, and the token it was given for it. */
const rivals: readonly (readonly [name: string, act: (request: Rival) => Promise<string | null>])[] = [
  ["saves", ({ session }) => saved(session)],
  ["updates", ({ session }) => updated(session)],
  ["is answered, and its use is noted", ({ sessions, token }) => used(sessions, token)],
  ["changes the roles", ({ session }) => roleChanged(session)],
  ["refreshes the token", async ({ sessions, token }) => (await sessions.refresh(token))?.token ?? null],
];

interface Rival {
  readonly sessions: SessionManager;
  readonly token: string;
  /** Opened before. */
  readonly session: Session;
}

async function saved(session: Session): Promise<null> {
  session.data["n"] = 2;
  expect(["saved", "gone"]).toContain(await session.save());
  return null;
}

async function updated(session: Session): Promise<null> {
  expect(["saved", "gone"]).toContain(await session.update((data) => void (data["n"] = 2)));
  return null;
}

async function used(sessions: SessionManager, token: string): Promise<null> {
  await sessions.inspect(token);
  return null;
}

async function roleChanged(session: Session): Promise<string | null> {
  const result = await session.setRoles(["admin"]);
  const token = session.takeToken();
  expect(result).toBe(token === null ? "gone" : "saved");
  return token;
}

describe.each(Object.keys(stores))("checkStamp against another request of the session, on %s", (name) => {
  it.each(rivals)("that %s: nothing is revived, in every order of their store calls", async (_, act) => {
    const pair = storesOf(name);
    for (const order of everyOrder(4, 4)) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `c${label}`, lifetime: { idle: "5m" } });
      const [one, two] = stage.processes;
      const { token } = await stage.elsewhere.create({ userId: USER, stamp: "v1", roles: ["editor"], data: DATA });
      const [checker, session] = [await opened(one, token), await opened(two, token)];
      // Enough for use to be noted.
      stage.clock.advance(30_000);
      const [agrees, issued] = await play(stage, order, [
        () => checker.checkStamp("v2"),
        () => act({ sessions: two, token, session }),
      ]);
      expect(agrees, label).toBe(false);
      if (issued instanceof Error) throw issued;
      for (const dead of [token, issued as string | null]) {
        if (dead !== null) expect(await found(stage.elsewhere, dead), label).toBe("ended: stamp-changed");
      }
      expect(await stage.elsewhere.count(), label).toBe(0);
      stage.clock.advance(MINUTE);
      expect(await found(stage.elsewhere, token), label).toBe("expired");
    }
  });
});

interface Shut {
  readonly sessions: SessionManager;
  readonly clock: ManualClock;
  readonly token: string;
  readonly id: string;
  /** The request that changed the credentials, and has yet to keep its login. */
  readonly keeper: Session;
  /** Another one that opened the session before: for all we know, a thief's. */
  readonly thief: Session;
}

/** A session that another request has shut. */
async function shutFirst(options: Options = {}): Promise<Shut> {
  const clock = manualClock();
  const shared = { store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false, ...options } as const;
  const sessions = createSessionManager(shared);
  const { token, id } = await sessions.create({ userId: USER, stamp: "v1", ...CLAIMS, data: DATA });
  const [keeper, checker, thief] = [
    await opened(sessions, token),
    await opened(sessions, token),
    await opened(sessions, token),
  ];
  keeper.data["unsaved"] = true;
  expect(await checker.checkStamp("v2")).toBe(false);
  expect(await found(sessions, token)).toBe("ended: stamp-changed");
  return { sessions, clock, token, id, keeper, thief };
}

describe("keepLogin, when another request saw the new credentials first and shut the session", () => {
  it.each(["split", "server"] as const)(
    "opens it again with what the request changed and has yet to save (seal: %s)",
    async (seal) => {
      const { sessions, id, keeper } = await shutFirst({ seal });
      const { data } = keeper;
      keeper.flash("notice", "Your password was changed.");
      keeper.setDuration("5m");
      expect(await keeper.keepLogin("v2")).toBe("saved");
      keeper.data["later"] = true;
      expect(keeper.data).toBe(data);
      expect(await keeper.save()).toBe("saved");
      const after = await opened(sessions, taken(keeper));
      expect(after).toMatchObject({ ...CLAIMS, id });
      expect(after.data).toEqual({ ...DATA, unsaved: true, later: true });
      expect(after.flash("notice")).toEqual(["Your password was changed."]);
      expect((after.expiresAt ?? 0) - (after.createdAt ?? 0)).toBe(5 * MINUTE);
    },
  );

  it("sends the new token as the response's cookie", async () => {
    const clock = manualClock();
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false, clock });
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: DATA, remember: true });
    const request = await openSession(sessions, new Headers({ Cookie: `__Host-sid=${token}` }));
    await (await opened(sessions, token)).checkStamp("v2");
    await request.session.keepLogin("v2");
    const cookies = await request.commit();
    expect(cookies).toHaveLength(1);
    expect(cookies[0]).toContain("Max-Age=1209600");
    const next = /^__Host-sid=(s1_[\w-]+);/.exec(cookies[0] ?? "")?.[1] ?? "";
    expect((await opened(sessions, next)).data).toEqual(DATA);
  });

  it("makes it a session like any: listed, counted, used, and ended with the reason of its end", async () => {
    const { sessions, clock, id, keeper } = await shutFirst();
    expect(await keeper.keepLogin("v2")).toBe("saved");
    const token = taken(keeper);
    expect((await sessions.list({ userId: USER })).sessions).toMatchObject([{ id }]);
    expect([await sessions.count({ userId: USER }), await sessions.update(USER, id, { roles: ["a"] })]).toEqual([
      1,
      "saved",
    ]);
    clock.advance(2 * MINUTE);
    expect((await opened(sessions, token)).roles).toEqual(["a"]);
    expect(await sessions.revoke(USER, id)).toBe(USER);
    expect(await found(sessions, token)).toBe("ended: revoked");
  });

  it("shuts it again with the next change, and opens it again for the request that made that one", async () => {
    const { sessions, keeper } = await shutFirst();
    await keeper.keepLogin("v2");
    const token = taken(keeper);
    const [next, checker] = [await opened(sessions, token), await opened(sessions, token)];
    expect(await checker.checkStamp("v3")).toBe(false);
    expect(await found(sessions, token)).toBe("ended: stamp-changed");
    expect(await next.keepLogin("v3")).toBe("saved");
    expect(await found(sessions, taken(next))).toBe("authenticated: user-1");
  });

  it("ends the user's other sessions and pending logins as ever", async () => {
    const { sessions, keeper } = await shutFirst();
    const others = [
      await sessions.create({ userId: USER, stamp: "v1" }),
      await sessions.create({ userId: USER, pending: "second-factor" }),
    ];
    expect(await keeper.keepLogin("v2")).toBe("saved");
    for (const { token } of others) expect(await found(sessions, token)).toBe("ended: stamp-changed");
    expect(await sessions.count({ userId: USER })).toBe(1);
  });

  it("asks for no place in a limit, in any order of the two requests' store calls", async () => {
    const store = memoryStore();
    for (const order of ORDERS) {
      const label = order.join("");
      const limits = { perUser: 1, onLimit: "reject" } as const;
      const stage = stageOn([store, store], { namespace: `l${label}`, limits });
      const { token } = await stage.elsewhere.create({ userId: USER, stamp: "v1" });
      const [keeper, checker] = [await opened(stage.processes[0], token), await opened(stage.processes[1], token)];
      const works = [() => keeper.keepLogin("v2"), () => checker.checkStamp("v2")] as const;
      expect(await play(stage, order, works), label).toEqual(["saved", false]);
      expect(await found(stage.elsewhere, taken(keeper)), label).toBe("authenticated: user-1");
    }
  });

  it("does not let it live longer, neither unused nor in all", async () => {
    for (const lifetime of [{ idle: "10m", absolute: "30m" } as const, { idle: "2h", absolute: "2h" } as const]) {
      const { sessions, clock, keeper } = await shutFirst({ lifetime });
      const { createdAt } = keeper;
      clock.advance(MINUTE / 2);
      expect(await keeper.keepLogin("v2")).toBe("saved");
      const session = await opened(sessions, taken(keeper));
      const end = (createdAt ?? 0) + (lifetime.absolute === "30m" ? 30 : 120) * MINUTE;
      for (let now = clock.now(); now < end; now = clock.now()) {
        expect(session.expiresAt).toBe(Math.min(end, now + (lifetime.idle === "10m" ? 10 : 120) * MINUTE));
        clock.advance(5 * MINUTE);
        expect(await session.update((data) => void (data["at"] = clock.now()))).toBe(
          now + 5 * MINUTE < end ? "saved" : "gone",
        );
      }
    }
  });

  it("keeps an end that another request had brought forward", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const { token } = await sessions.create({ userId: USER, stamp: "v1" });
    const [keeper, other, checker] = [
      await opened(sessions, token),
      await opened(sessions, token),
      await opened(sessions, token),
    ];
    other.setDuration("5m");
    await other.save();
    const { expiresAt } = other;
    await checker.checkStamp("v2");
    expect(await keeper.keepLogin("v2")).toBe("saved");
    expect((await opened(sessions, taken(keeper))).expiresAt).toBe(expiresAt);
  });

  it("loses nothing that others had saved in it", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: DATA });
    const [keeper, other, checker] = [
      await opened(sessions, token),
      await opened(sessions, token),
      await opened(sessions, token),
    ];
    keeper.data["mine"] = true;
    other.data["theirs"] = true;
    await other.save();
    // It knows the newest version now, and has yet to look at its data.
    await keeper.setExtra({ step: 2 });
    expect(await checker.checkStamp("v2")).toBe(false);
    expect(await keeper.keepLogin("v2")).toBe("saved");
    expect(await keeper.save()).toBe("saved");
    const after = await opened(sessions, taken(keeper));
    expect([after.data, after.extra]).toEqual([{ ...DATA, mine: true, theirs: true }, { step: 2 }]);
  });

  it.each(Object.keys(stores))(
    "may come within a minute, whoever prunes meanwhile, and no later, on %s",
    async (name) => {
      for (const isPruned of [false, true]) {
        for (const [waited, answer] of [
          [MINUTE - 1, "saved"],
          [MINUTE, "gone"],
        ] as const) {
          const [store] = storesOf(name);
          const { sessions, clock, keeper } = await shutFirst({ store });
          clock.advance(waited);
          if (isPruned) expect(await sessions.prune()).toBe(answer === "saved" ? 0 : 1);
          expect(await keeper.keepLogin("v2")).toBe(answer);
          expect(await sessions.count({ userId: USER })).toBe(answer === "saved" ? 1 : 0);
          expect(keeper.takeToken() === null).toBe(answer === "gone");
        }
      }
    },
  );

  it("keeps it ended where it would have expired meanwhile", async () => {
    for (const lifetime of [{ idle: "30s" } as const, { absolute: "30s" } as const]) {
      const { sessions, clock, keeper } = await shutFirst({ lifetime });
      clock.advance(30_000);
      expect(await keeper.keepLogin("v2")).toBe("gone");
      expect(keeper.takeToken()).toBeNull();
      expect(await sessions.count({ userId: USER })).toBe(0);
    }
  });

  it("keeps it pinned to the client it was begun by", async () => {
    const clock = manualClock();
    const pin = { ip: "exact", onMismatch: "deny" } as const;
    const sessions = createSessionManager({
      store: memoryStore(),
      keys: [generateKey()],
      clock,
      pin,
      pruneEvery: false,
    });
    const client = { ip: "203.0.113.9" };
    const { token } = await sessions.create({ userId: USER, stamp: "v1", client });
    const [keeper, checker] = [await sessions.validate(token, client), await sessions.validate(token, client)];
    expect(await checker?.checkStamp("v2")).toBe(false);
    expect(await keeper?.keepLogin("v2")).toBe("saved");
    const next = keeper?.takeToken() ?? "";
    expect((await sessions.validate(next, client))?.userId).toBe(USER);
    expect(await sessions.validate(next, { ip: "203.0.113.10" })).toBeNull();
  });

  it("opens nothing for who holds the token of before", async () => {
    const { sessions, token, keeper, thief } = await shutFirst();
    expect(await keeper.keepLogin("v2")).toBe("saved");
    const next = taken(keeper);
    expect(await found(sessions, token)).toBe("wrong-secret");
    expect([await sessions.validate(token), await sessions.refresh(token)]).toEqual([null, null]);
    expect(() => thief.data).not.toThrow();
    expect(await thief.setRoles(["admin"])).toBe("gone");
    expect(thief.takeToken()).toBeNull();
    expect(await thief.checkStamp("v2")).toBe(false);
    expect([await thief.keepLogin("v2"), thief.takeToken()]).toEqual(["gone", null]);
    const after = await opened(sessions, next);
    expect([after.roles, after.data]).toEqual([CLAIMS.roles, DATA]);
  });

  it.each([
    ["as it is", false, "ended: stamp-changed"],
    ["after it was shut", true, "unknown"],
  ])("ends a session whose token somebody else has replaced at once before: %s", async (_, isShut, end) => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: DATA });
    const [keeper, thief] = [await opened(sessions, token), await opened(sessions, token)];
    await thief.setRoles(["admin"]);
    const thiefs = taken(thief);
    if (isShut) await (await opened(sessions, thiefs)).checkStamp("v2");
    expect([await keeper.keepLogin("v2"), keeper.takeToken()]).toEqual(["gone", null]);
    for (const dead of [token, thiefs]) expect(await found(sessions, dead)).toBe(end);
    expect(await sessions.count({ userId: USER })).toBe(0);
  });

  it.each([
    ["as it is", false],
    ["after it was shut", true],
  ])("keeps one whose token was rotated before, and then with none of the two: %s", async (_, isShut) => {
    const clock = manualClock();
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false });
    const { token } = await sessions.create({ userId: USER, stamp: "v1", data: DATA });
    const keeper = await opened(sessions, token);
    const rotated = (await sessions.refresh(token))?.token ?? "";
    if (isShut) expect(await (await opened(sessions, rotated)).checkStamp("v2")).toBe(false);
    expect(await keeper.keepLogin("v2")).toBe("saved");
    const next = taken(keeper);
    for (const dead of [token, rotated]) expect(await found(sessions, dead)).toBe("wrong-secret");
    const kept = await opened(sessions, next);
    expect([kept.userId, kept.data, await kept.checkStamp("v2")]).toEqual([USER, DATA, true]);
    // As late as this, neither can have been on its way.
    clock.advance(10_000);
    expect(await found(sessions, rotated)).toBe("reuse-detected");
  });
});

describe.each(Object.keys(stores))("two requests of one session that keep its login at once, on %s", (name) => {
  it.each([
    ["as it is", false],
    ["after it was shut", true],
  ])("get one token that works, in every order of their store calls: %s", async (_, isShut) => {
    const pair = storesOf(name);
    for (const order of everyOrder(5, 5)) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `d${Number(isShut)}${label}` });
      const { token } = await stage.elsewhere.create({ userId: USER, stamp: "v1", data: DATA });
      const [one, two] = [await opened(stage.processes[0], token), await opened(stage.processes[1], token)];
      if (isShut) await (await opened(stage.elsewhere, token)).checkStamp("v2");
      const answers = await play(stage, order, [() => one.keepLogin("v2"), () => two.keepLogin("v2")]);
      expect(answers.toSorted(), label).toEqual(["gone", "saved"]);
      const issued = [one.takeToken(), two.takeToken()].filter((next) => next !== null);
      expect(issued, label).toHaveLength(1);
      const after = await opened(stage.elsewhere, issued[0] ?? "");
      expect([after.userId, after.data, await after.checkStamp("v2")], label).toEqual([USER, DATA, true]);
      expect(await found(stage.elsewhere, token), label).toBe("wrong-secret");
      expect(await stage.elsewhere.count({ userId: USER }), label).toBe(1);
    }
  });
});

const MODES = ["fail", "lose", "hang"] as const;
type Mode = (typeof MODES)[number];

interface Faults {
  readonly sessions: SessionManager;
  readonly elsewhere: SessionManager;
  readonly faulty: FaultyStore<ReturnType<typeof memoryStore>>;
}

function withFaults(): Faults {
  const inner = memoryStore();
  const faulty = faultyStore(inner);
  const shared = { keys: [generateKey()], clock: manualClock(), storeTimeout: 30, pruneEvery: false } as const;
  return {
    sessions: createSessionManager({ ...shared, store: faulty.store }),
    elsewhere: createSessionManager({ ...shared, store: inner }),
    faulty,
  };
}

/** Lets the n-th call from now on go wrong, and all others through. */
function faultAt({ faulty }: Faults, nth: number, mode: Mode): void {
  let calls = 0;
  const hook = (): void => {
    calls++;
    if (calls === nth) {
      if (mode === "fail") faulty.fail(1);
      else if (mode === "lose") faulty.lose(1);
      else faulty.hang();
    } else if (calls === nth + 1) {
      faulty.heal();
      faulty.before(hook);
    }
  };
  faulty.before(hook);
}

function expectTyped(error: unknown, mode: Mode): void {
  expect(isSymbolonError(error)).toBe(true);
  const code = mode === "hang" ? "ERR_STORE_TIMEOUT" : "ERR_STORE_UNAVAILABLE";
  expect(error).toMatchObject({ code, status: 503, retryable: true });
}

type Outcome = { readonly answer: unknown } | { readonly error: unknown };

async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { answer: await work() };
  } catch (error) {
    return { error };
  }
}

const cases = MODES.flatMap((mode) => [1, 2, 3, 4, 5, 6].map((nth) => ({ mode, nth })));

describe.each(cases)("when store call $nth goes wrong ($mode)", ({ mode, nth }) => {
  it("checkStamp ends the session or throws, and never lets it pass", async () => {
    const one = withFaults();
    const { token } = await one.elsewhere.create({ userId: USER, stamp: "v1" });
    const session = await opened(one.sessions, token);
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => session.checkStamp("v2"));
    one.faulty.heal();
    if ("error" in outcome) {
      expectTyped(outcome.error, mode);
      // The application can ask again, and is answered as the first time.
      expect(await session.checkStamp("v2")).toBe(false);
    } else {
      expect(outcome.answer).toBe(false);
    }
    expect(await found(one.elsewhere, token)).toBe("ended: stamp-changed");
    expect(session.userId).toBeNull();
  });

  it("keepLogin loses nobody: the token that it issued, or else the old one, is good, and it can be called again", async () => {
    const one = withFaults();
    const { token } = await one.elsewhere.create({ userId: USER, stamp: "v1", data: DATA });
    const other = await one.elsewhere.create({ userId: USER, stamp: "v1" });
    const session = await opened(one.sessions, token);
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => session.keepLogin("v2"));
    one.faulty.heal();
    const issued = session.takeToken();
    const good = await opened(one.elsewhere, issued ?? token);
    expect(good.data).toEqual(DATA);
    expect(await good.checkStamp(issued === null ? "v1" : "v2")).toBe(true);
    if (issued !== null) expect(await found(one.elsewhere, token)).toBe("wrong-secret");
    if ("error" in outcome) {
      expectTyped(outcome.error, mode);
      expect(await session.keepLogin("v2")).toBe("saved");
      expect((await opened(one.elsewhere, taken(session))).data).toEqual(DATA);
    } else {
      expect(outcome.answer).toBe("saved");
      expect(issued).not.toBeNull();
    }
    expect(await found(one.elsewhere, other.token)).toBe("ended: stamp-changed");
    expect(await one.elsewhere.count({ userId: USER })).toBe(1);
  });

  it("keepLogin after another request shut the session opens it again, once, or can be called again", async () => {
    const one = withFaults();
    const { token, id } = await one.elsewhere.create({ userId: USER, stamp: "v1", data: DATA });
    const other = await one.elsewhere.create({ userId: USER, stamp: "v1" });
    const session = await opened(one.sessions, token);
    await (await opened(one.elsewhere, token)).checkStamp("v2");
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => session.keepLogin("v2"));
    one.faulty.heal();
    const issued = session.takeToken();
    // The session is open under the token that was issued, and shut while none was.
    expect(await found(one.elsewhere, token)).toBe(issued === null ? "ended: stamp-changed" : "wrong-secret");
    if (issued !== null) expect((await opened(one.elsewhere, issued)).data).toEqual(DATA);
    if ("error" in outcome) {
      expectTyped(outcome.error, mode);
      expect(await session.keepLogin("v2")).toBe("saved");
    } else {
      expect(outcome.answer).toBe("saved");
      expect(issued).not.toBeNull();
    }
    const after = await opened(one.elsewhere, session.takeToken() ?? issued ?? "");
    expect([after.userId, after.id, after.data, await after.checkStamp("v2")]).toEqual([USER, id, DATA, true]);
    expect(await found(one.elsewhere, token)).toBe("wrong-secret");
    expect(await found(one.elsewhere, other.token)).toBe("ended: stamp-changed");
    expect(await one.elsewhere.count({ userId: USER })).toBe(1);
  });
});
