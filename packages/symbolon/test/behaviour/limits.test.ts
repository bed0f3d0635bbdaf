/** How many sessions there may be at once: what counts, what gives way, what is refused, and who is told. */
import {
  createSessionManager,
  generateKey,
  limitPresets,
  type Limits,
  type SessionManager,
  SessionLimitError,
  type SessionManagerOptions,
  type Store,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { lateByChance } from "../support/delays.ts";
import {
  found,
  listen,
  logIn,
  manager,
  type Options,
  opened,
  storePairs,
  taken,
  visitor,
} from "../support/sessions.ts";
import { intercept, spied } from "../support/stores.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const USER = "user-1";
const MINE = `authenticated: ${USER}`;

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly heard: { readonly type: string }[];
  /** Logs somebody in, a second after the last, and answers the token. */
  login(userId?: string): Promise<string>;
}

function world(limits: Limits | undefined, options: Options = {}): World {
  const clock = manualClock();
  const sessions = manager({ clock, ...(limits !== undefined && { limits }), ...options });
  const heard = listen(sessions);
  const login = async (userId = USER): Promise<string> => {
    clock.advance(1000);
    const session = await visitor(sessions);
    await session.login(userId);
    return taken(session);
  };
  return { clock, sessions, heard, login };
}

async function logins(one: World, count: number, userId = USER): Promise<string[]> {
  const tokens: string[] = [];
  for (let number = 0; number < count; number++) tokens.push(await one.login(userId));
  return tokens;
}

async function statesOf({ sessions }: World, tokens: readonly string[]): Promise<string[]> {
  return Promise.all(tokens.map((token) => found(sessions, token)));
}

async function idOf({ sessions }: World, token: string): Promise<string | null> {
  return (await opened(sessions, token)).id;
}

const REFUSED = { code: "ERR_SESSION_LIMIT", status: 403, retryable: false } as const;
const INVALID = { code: "ERR_OPTIONS_INVALID" } as const;

/** A store with the four methods that every store has. */
function bareStore(): Store {
  const store = memoryStore();
  return {
    read: store.read.bind(store),
    create: store.create.bind(store),
    update: store.update.bind(store),
    delete: store.delete.bind(store),
  };
}

function make(limits: unknown, options: Partial<SessionManagerOptions<Record<string, unknown>>> = {}): SessionManager {
  const all = { store: memoryStore(), keys: [generateKey()], pruneEvery: false, limits, ...options };
  return createSessionManager(all as SessionManagerOptions<Record<string, unknown>>);
}

describe("limits at start", () => {
  it.each<[string, unknown]>([
    ["an unknown one", { perTenant: 3 }],
    ["none at all", null],
    ["a number", 3],
    ["a list", [3]],
    ["an unknown policy", { onLimit: "evict" }],
    ["an empty policy", { onLimit: "" }],
    ...[0, -1, 1.5, Number.NaN, Infinity, "3", true, null, 1_000_001].map((perUser): [string, unknown] => [
      `perUser ${perUser}`,
      { perUser },
    ]),
    ...[0, -1, 1.5, Number.NaN, Infinity, "3", false, null].map((total): [string, unknown] => [
      `total ${total}`,
      { total },
    ]),
  ])("are refused: %s", (_, limits) => {
    expect(() => make(limits)).toThrow(expect.objectContaining(INVALID));
  });

  it("that hand sessions out again need the server's key alone, and a limit for each user", () => {
    for (const limits of [{ onLimit: "reuse" }, limitPresets.sameAgain]) {
      expect(() => make(limits)).toThrow(expect.objectContaining(INVALID));
      expect(() => make(limits, { seal: "split" })).toThrow(expect.objectContaining(INVALID));
      expect(() => make(limits, { seal: "server" })).not.toThrow();
    }
    expect(() => make({ perUser: false, total: 3, onLimit: "reuse" }, { seal: "server" })).toThrow(
      expect.objectContaining(INVALID),
    );
  });

  it.each<[string, Limits]>([
    ["the defaults, when asked for", {}],
    ["a limit for each user", { perUser: 3 }],
    ["a limit for all", { perUser: false, total: 3 }],
    ["a policy", { onLimit: "reject" }],
    ["a preset", limitPresets.newestWins],
  ])("are refused where the store cannot count: %s", (_, limits) => {
    expect(() => make(limits, { store: bareStore() })).toThrow(
      expect.objectContaining({ ...INVALID, message: expect.stringMatching(/^limits: .*store/) }),
    );
  });

  it("are none where the store cannot count, unless they are asked for", async () => {
    for (const limits of [undefined, { perUser: false }] as const) {
      const one = world(limits, { store: bareStore() });
      const tokens = await logins(one, 101);
      expect(new Set(await statesOf(one, tokens))).toEqual(new Set([MINE]));
    }
  });

  it("have presets that say what they do", () => {
    expect(limitPresets).toEqual({
      newestWins: { perUser: 1, onLimit: "evict-oldest" },
      firstWins: { perUser: 1, onLimit: "reject" },
      sameAgain: { perUser: 1, onLimit: "reuse" },
      onlyOne: { total: 1, onLimit: "reject" },
    });
    for (const limits of Object.values(limitPresets)) expect(() => make(limits, { seal: "server" })).not.toThrow();
  });
});

describe.each(storePairs)("limits on the %s store", (_, pair) => {
  it("are a hundred sessions of a user unless told, of which the oldest gives way", async () => {
    const one = world(undefined, { store: pair()[0] });
    const tokens = await logins(one, 102);
    const states = await statesOf(one, tokens);
    expect(states.slice(0, 2)).toEqual(["ended: evicted", "ended: evicted"]);
    expect(new Set(states.slice(2))).toEqual(new Set([MINE]));
    expect(await one.sessions.count({ userId: USER })).toBe(100);
  });

  it("may be none", async () => {
    const { store, calls } = spied(pair()[0]);
    const one = world({ perUser: false }, { store });
    const tokens = await logins(one, 110);
    expect(new Set(await statesOf(one, tokens))).toEqual(new Set([MINE]));
    expect(calls).not.toContain("admit");
  });

  it("'evict-oldest' end the oldest, who learns why, and everybody hears by whom", async () => {
    const one = world({ perUser: 3, onLimit: "evict-oldest" }, { store: pair()[0] });
    const tokens = await logins(one, 3);
    const ids = await Promise.all(tokens.map((token) => idOf(one, token)));
    // Use does not make a session younger.
    one.clock.advance(30 * MINUTE);
    await one.sessions.validate(tokens[0] ?? "");
    one.heard.length = 0;
    tokens.push(await one.login());
    const by = await idOf(one, tokens[3] ?? "");
    const at = one.clock.now();
    expect(await statesOf(one, tokens)).toEqual(["ended: evicted", MINE, MINE, MINE]);
    expect(await one.sessions.inspect(tokens[0] ?? "")).toEqual({
      ok: false,
      reason: "ended",
      ended: { reason: "evicted", at },
    });
    expect(one.heard.filter(({ type }) => type === "evicted")).toEqual([
      { type: "evicted", at, id: ids[0], userId: USER, by },
    ]);
    expect(one.heard.map(({ type }) => type).toSorted()).toEqual(["created", "evicted", "login"]);
    tokens.push(await one.login());
    expect(await statesOf(one, tokens)).toEqual(["ended: evicted", "ended: evicted", MINE, MINE, MINE]);
  });

  it("'evict-idle' end the one that was not used for longest", async () => {
    const one = world({ perUser: 3, onLimit: "evict-idle" }, { store: pair()[0] });
    const tokens = await logins(one, 3);
    const ids = await Promise.all(tokens.map((token) => idOf(one, token)));
    one.clock.advance(30 * MINUTE);
    expect(await found(one.sessions, tokens[0] ?? "")).toBe(MINE);
    const evicted = (): unknown[] => one.heard.filter(({ type }) => type === "evicted");
    tokens.push(await one.login());
    expect(evicted()).toMatchObject([{ id: ids[1] }]);
    tokens.push(await one.login());
    expect(evicted()).toMatchObject([{ id: ids[1] }, { id: ids[2] }]);
    // A look is a use, so it comes last.
    const states = [MINE, "ended: evicted", "ended: evicted", MINE, MINE];
    expect(await statesOf(one, tokens)).toEqual(states);
  });

  it("'reject' refuse the new one, end nobody, and say which limit it was", async () => {
    const one = world({ perUser: 3, onLimit: "reject" }, { store: pair()[0] });
    const tokens = await logins(one, 3);
    one.heard.length = 0;
    const before = await one.sessions.create({ data: { x: 1 } });
    const session = await opened(one.sessions, before.token);
    for (const attempt of [session.login(USER), one.sessions.create({ userId: USER })]) {
      const error: unknown = await attempt.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(SessionLimitError);
      expect(error).toMatchObject({ ...REFUSED, limit: "perUser" });
    }
    const event = { type: "limit-reached", at: one.clock.now(), userId: USER, limit: "perUser" };
    expect(one.heard.slice(1)).toEqual([event, event]);
    expect(session).toMatchObject({ state: "anonymous", data: { x: 1 } });
    expect(session.takeToken()).toBeNull();
    expect(await found(one.sessions, before.token)).toBe("anonymous");
    expect(await statesOf(one, tokens)).toEqual([MINE, MINE, MINE]);
    expect(await one.sessions.count({ userId: USER })).toBe(3);
  });

  it("'reject' leave room again once a session is logged out, revoked or expired", async () => {
    const one = world({ perUser: 1, onLimit: "reject" }, { store: pair()[0] });
    await (await opened(one.sessions, await one.login())).logout();
    await one.sessions.revokeToken(await one.login());
    await one.login();
    one.clock.advance(HOUR - 1001);
    await expect(one.login()).rejects.toMatchObject(REFUSED);
    one.clock.advance(1);
    expect(await found(one.sessions, await one.login())).toBe(MINE);
  });

  it.each(["evict-oldest", "evict-idle", "reject"] as const)(
    "'%s' do not count the session in which somebody logs in again",
    async (onLimit) => {
      const one = world({ perUser: 1, onLimit }, { store: pair()[0] });
      let token = await one.login();
      for (let round = 0; round < 3; round++) {
        const next = await logIn(one.sessions, token, USER);
        expect(await statesOf(one, [token, next])).toEqual(["ended: replaced", MINE]);
        token = next;
      }
      expect(one.heard.filter(({ type }) => type === "evicted" || type === "limit-reached")).toEqual([]);
      expect(await one.sessions.count({ userId: USER })).toBe(1);
    },
  );

  it("do not count others: visitors, pending logins, other users, other namespaces, and what has ended", async () => {
    const store = pair()[0];
    const shared = { store, keys: [generateKey()] };
    const one = world({ perUser: 2, onLimit: "reject" }, shared);
    const elsewhere = world({ perUser: 2, onLimit: "reject" }, { ...shared, namespace: "other" });
    const others = [...(await logins(elsewhere, 2)), ...(await logins(one, 2, "user-2"))];
    for (let number = 0; number < 3; number++) {
      await one.sessions.create({ data: { x: 1 } });
      await one.sessions.create({ userId: USER, pending: "second-factor" });
      await one.sessions.revokeToken(await one.login());
    }
    const tokens = await logins(one, 2);
    await expect(one.login()).rejects.toMatchObject(REFUSED);
    expect(await statesOf(one, tokens)).toEqual([MINE, MINE]);
    expect(await statesOf(one, others.slice(2))).toEqual(["authenticated: user-2", "authenticated: user-2"]);
    expect(await statesOf(elsewhere, others.slice(0, 2))).toEqual([MINE, MINE]);
  });

  it("do not stop who acts as the user, nor does anybody give way to it; it counts while it lives", async () => {
    const acting = { userId: USER, actor: "support-1" };
    const one = world({ perUser: 2, onLimit: "reject" }, { store: pair()[0] });
    const tokens = await logins(one, 2);
    const { token } = await one.sessions.create(acting);
    expect(await statesOf(one, [...tokens, token])).toEqual([MINE, MINE, MINE]);
    await one.sessions.revokeToken(tokens[0] ?? "");
    await expect(one.login()).rejects.toMatchObject(REFUSED);
    await one.sessions.revokeToken(token);
    expect(await found(one.sessions, await one.login())).toBe(MINE);
    const evicting = world({ perUser: 1, onLimit: "evict-oldest" }, { store: pair()[0] });
    const own = await evicting.login();
    await evicting.sessions.create(acting);
    expect(await found(evicting.sessions, own)).toBe(MINE);
    expect(evicting.heard.filter(({ type }) => type === "evicted")).toEqual([]);
  });

  it("that were lowered are kept to with the next login", async () => {
    const shared = { store: pair()[0], keys: [generateKey()] };
    const before = world({ perUser: 5 }, shared);
    const tokens = await logins(before, 5);
    const after = world({ perUser: 2 }, { ...shared, clock: before.clock });
    before.clock.advance(1000);
    const { token, id } = await after.sessions.create({ userId: USER });
    expect(await statesOf(after, [...tokens, token])).toEqual([...Array<string>(4).fill("ended: evicted"), MINE, MINE]);
    const evicted = after.heard.filter(({ type }) => type === "evicted");
    expect(evicted).toHaveLength(4);
    for (const event of evicted) expect(event).toMatchObject({ userId: USER, by: id });
  });

  it("of all users refuse everybody, whatever gives way for one of them", async () => {
    for (const onLimit of ["evict-oldest", "evict-idle", "reject"] as const) {
      const one = world({ perUser: 2, total: 3, onLimit }, { store: pair()[0], namespace: onLimit });
      const tokens = [await one.login("a"), await one.login("b"), await one.login("c")];
      one.heard.length = 0;
      for (const userId of ["a", "d"]) {
        await expect(one.login(userId)).rejects.toMatchObject({ ...REFUSED, limit: "total" });
      }
      expect(one.heard).toMatchObject([
        { type: "limit-reached", userId: "a", limit: "total" },
        { type: "limit-reached", userId: "d", limit: "total" },
      ]);
      const states = ["authenticated: a", "authenticated: b", "authenticated: c"];
      expect(await statesOf(one, tokens)).toEqual(states);
      // In the own session there is room: it counts for nothing.
      expect(await found(one.sessions, await logIn(one.sessions, tokens[0] ?? "", "a"))).toBe("authenticated: a");
      await one.sessions.revokeToken(tokens[1] ?? "");
      expect(await found(one.sessions, await one.login("d"))).toBe("authenticated: d");
    }
  });

  it("of all users leave room for a user whose own session gives way", async () => {
    const one = world({ perUser: 1, total: 2, onLimit: "evict-oldest" }, { store: pair()[0] });
    const tokens = [await one.login("a"), await one.login("b"), await one.login("a")];
    expect(await statesOf(one, tokens)).toEqual(["ended: evicted", "authenticated: b", "authenticated: a"]);
    await expect(one.login("c")).rejects.toMatchObject({ ...REFUSED, limit: "total" });
    expect(await one.sessions.count()).toBe(2);
  });

  it("of all users count no visitor and no pending login", async () => {
    const one = world(limitPresets.onlyOne, { store: pair()[0] });
    for (let number = 0; number < 3; number++) {
      await one.sessions.create();
      await one.sessions.create({ userId: USER, pending: "second-factor" });
    }
    const token = await one.login("a");
    await expect(one.login("b")).rejects.toMatchObject({ ...REFUSED, limit: "total" });
    await (await opened(one.sessions, token)).logout();
    expect(await found(one.sessions, await one.login("b"))).toBe("authenticated: b");
  });

  it("'newestWins' and 'firstWins' are what they are called", async () => {
    const newest = world(limitPresets.newestWins, { store: pair()[0] });
    expect(await statesOf(newest, await logins(newest, 3))).toEqual(["ended: evicted", "ended: evicted", MINE]);
    const first = world(limitPresets.firstWins, { store: pair()[0] });
    const token = await first.login();
    await expect(first.login()).rejects.toMatchObject({ ...REFUSED, limit: "perUser" });
    expect(await found(first.sessions, token)).toBe(MINE);
  });
});

describe.each(storePairs)("sessions that are handed out again, on the %s store", (_, pair) => {
  const again = (options: Options = {}, limits: Limits = limitPresets.sameAgain): World =>
    world(limits, { store: pair()[0], seal: "server", ...options });

  it("are the same, under the same token, as they are", async () => {
    const one = again();
    const first = await one.sessions.create({ userId: USER, roles: ["a"], data: { x: 1 }, extra: { y: 1 } });
    await (await opened(one.sessions, first.token)).update((data) => void (data["more"] = 2));
    one.clock.advance(30 * MINUTE);
    one.heard.length = 0;
    const second = await one.sessions.create({ userId: USER, roles: ["admin"], data: { x: 9 }, remember: true });
    expect([second.token, second.id]).toEqual([first.token, first.id]);
    expect(second).toMatchObject({ roles: ["a"], extra: { y: 1 }, data: { x: 1, more: 2 }, isNew: false });
    expect(second.createdAt).toBe(first.createdAt);
    expect(one.heard).toEqual([]);
    expect(await one.sessions.count({ userId: USER })).toBe(1);
    expect(await found(one.sessions, first.token)).toBe(MINE);
    expect((await one.sessions.create({ userId: "user-2" })).token).not.toBe(first.token);
  });

  it("are new ones while there is room; then it is the newest", async () => {
    const one = again({}, { perUser: 2, onLimit: "reuse" });
    const tokens: string[] = [];
    for (let number = 0; number < 4; number++) {
      one.clock.advance(1000);
      tokens.push((await one.sessions.create({ userId: USER })).token);
    }
    expect(tokens[0]).not.toBe(tokens[1]);
    expect(tokens.slice(2)).toEqual([tokens[1], tokens[1]]);
  });

  it("are begun anew after the end, whatever it was", async () => {
    const one = again();
    const ends: readonly ((token: string) => Promise<unknown>)[] = [
      (token) => one.sessions.revokeToken(token),
      () => one.sessions.revokeAll(USER),
      async (token) => (await opened(one.sessions, token)).logout(),
      async () => one.clock.advance(HOUR),
    ];
    const seen = new Set<string>();
    for (const end of ends) {
      const { token } = await one.sessions.create({ userId: USER });
      seen.add(token);
      await end(token);
      expect(await one.sessions.validate(token)).toBeNull();
    }
    const { token } = await one.sessions.create({ userId: USER });
    seen.add(token);
    expect(seen.size).toBe(5);
    expect(await found(one.sessions, token)).toBe(MINE);
  });

  it("are handed out with the token they have now", async () => {
    const one = again();
    const { token } = await one.sessions.create({ userId: USER, data: { x: 1 } });
    const refreshed = (await one.sessions.refresh(token))?.token;
    expect((await one.sessions.create({ userId: USER })).token).toBe(refreshed);
    const session = await opened(one.sessions, refreshed ?? "");
    await session.setRoles(["admin"]);
    const third = taken(session);
    const handed = await one.sessions.create({ userId: USER });
    expect(handed.token).toBe(third);
    expect(handed).toMatchObject({ roles: ["admin"], data: { x: 1 } });
    expect(await found(one.sessions, token)).toBe("wrong-secret");
  });

  it("are begun anew once their key was removed, and by the new key", async () => {
    const [key, next] = [generateKey(), generateKey()];
    const one = again({ keys: [key], indexKey: key });
    const first = await one.sessions.create({ userId: USER });
    one.sessions.setKeys([next, key]);
    expect((await one.sessions.create({ userId: USER })).token).toBe(first.token);
    one.sessions.setKeys([next]);
    const second = await one.sessions.create({ userId: USER });
    expect(second.token).not.toBe(first.token);
    expect(await statesOf(one, [first.token, second.token])).toEqual(["unknown-key", MINE]);
    expect(await one.sessions.count({ userId: USER })).toBe(1);
    expect((await one.sessions.create({ userId: USER })).token).toBe(second.token);
  });

  it("are never those that were begun under other limits: these give way", async () => {
    const shared = { store: pair()[0], keys: [generateKey()], seal: "server" } as const;
    const before = world({ perUser: 3 }, shared);
    const tokens = await logins(before, 3);
    const one = again({ ...shared, clock: before.clock });
    const { token } = await one.sessions.create({ userId: USER });
    expect(await statesOf(one, [...tokens, token])).toEqual([...Array<string>(3).fill("ended: evicted"), MINE]);
    expect((await one.sessions.create({ userId: USER })).token).toBe(token);
  });

  it("cannot be logged in to: that is a new session", async () => {
    const { store, calls } = spied(pair()[0]);
    const one = again({ store });
    const session = await visitor(one.sessions);
    await expect(session.login(USER)).rejects.toMatchObject(INVALID);
    expect([calls, session.state, session.takeToken()]).toEqual([[], "anonymous", null]);
  });

  it("are met by the limit of all users as others are", async () => {
    const one = again({}, { perUser: 1, total: 1, onLimit: "reuse" });
    const { token } = await one.sessions.create({ userId: USER });
    await expect(one.sessions.create({ userId: "user-2" })).rejects.toMatchObject({ ...REFUSED, limit: "total" });
    expect((await one.sessions.create({ userId: USER })).token).toBe(token);
  });
});

/** A clock on which no two moments are the same, so that there is always an oldest. */
function tickingClock(): { now(): number } {
  let now = Date.UTC(2026, 0, 1);
  return { now: () => ++now };
}

interface Race {
  readonly sessions: readonly [SessionManager, SessionManager];
  /** Sees the store as it is, without anything in the way. */
  readonly elsewhere: SessionManager;
  /** The most live sessions there ever were after a call of the racers. */
  readonly most: () => number;
  /** Handles in the order in which they were admitted. */
  readonly admitted: string[];
  readonly evicted: { readonly id: string; readonly by: string }[];
}

function race(pair: readonly [Store, Store], limits: Limits): Race {
  const late = lateByChance();
  const shared = { keys: [generateKey()], clock: tickingClock(), seal: "server", limits } as const;
  const elsewhere = createSessionManager({ ...shared, store: pair[1], pruneEvery: false });
  let most = 0;
  const admitted: string[] = [];
  const evicted: { id: string; by: string }[] = [];
  const racer = (store: Store): SessionManager => {
    const watched = intercept(store, async (call) => {
      const answer = await call.proceed();
      most = Math.max(most, await elsewhere.count({ userId: USER }));
      return answer;
    });
    const one = createSessionManager({ ...shared, store: late(watched), pruneEvery: false });
    one.on("created", ({ id }) => admitted.push(id));
    one.on("evicted", ({ id, by }) => evicted.push({ id, by }));
    return one;
  };
  const sessions = [racer(pair[0]), racer(pair[1])] as const;
  return { sessions, elsewhere, most: () => most, admitted, evicted };
}

const PARALLEL = 20;

interface LoggedIn {
  readonly token: string;
  readonly id: string | null;
  readonly createdAt: number;
}

/** Does something twenty times at once, at two managers in turn: what was answered, and what was thrown. */
async function atOnce<T>(
  { sessions: [one, other] }: Race,
  work: (sessions: SessionManager, index: number) => Promise<T>,
): Promise<{ answers: T[]; errors: unknown[] }> {
  const attempts = await Promise.allSettled(
    Array.from({ length: PARALLEL }, (_, index) => work(index % 2 === 0 ? one : other, index)),
  );
  return {
    answers: attempts.filter((attempt) => attempt.status === "fulfilled").map(({ value }) => value),
    errors: attempts.filter((attempt) => attempt.status === "rejected").map(({ reason }): unknown => reason),
  };
}

async function loginAt(sessions: SessionManager): Promise<LoggedIn> {
  const session = await visitor(sessions);
  await session.login(USER);
  return { token: taken(session), id: session.id, createdAt: session.createdAt ?? 0 };
}

describe.each(storePairs)("twenty logins at once, where three may live (%s)", (_, pair) => {
  it.each(["evict-oldest", "evict-idle"] as const)("leave the newest, and never more (%s)", async (onLimit) => {
    const one = race(pair(), { perUser: 3, onLimit });
    const { answers, errors } = await atOnce(one, loginAt);
    expect([answers.length, errors]).toEqual([PARALLEL, []]);
    expect(one.most()).toBe(3);
    const states = await Promise.all(answers.map(({ token }) => found(one.elsewhere, token)));
    expect(states.filter((state) => state === MINE)).toHaveLength(3);
    expect(states.filter((state) => state === "ended: evicted")).toHaveLength(PARALLEL - 3);
    const alive = (await one.elsewhere.list({ userId: USER })).sessions.map(({ id }) => id);
    // The two that were begun last stay, whenever they came in; and so does the last that came in.
    const newest = answers.toSorted((a, b) => b.createdAt - a.createdAt).slice(0, 2);
    expect(alive).toEqual(expect.arrayContaining([...newest.map(({ id }) => id), one.admitted.at(-1)]));
    expect(new Set(one.evicted.map(({ id }) => id)).size).toBe(PARALLEL - 3);
    for (const { id, by } of one.evicted) {
      expect(one.admitted.indexOf(id)).toBeLessThan(one.admitted.indexOf(by));
      expect(one.admitted).toContain(id);
    }
  });

  it("let three in and refuse the others (reject)", async () => {
    const one = race(pair(), { perUser: 3, onLimit: "reject" });
    const { answers, errors } = await atOnce(one, loginAt);
    expect(one.most()).toBe(3);
    expect(errors).toHaveLength(PARALLEL - 3);
    for (const error of errors) expect(error).toMatchObject({ ...REFUSED, limit: "perUser" });
    const states = await Promise.all(answers.map(({ token }) => found(one.elsewhere, token)));
    expect(states).toEqual([MINE, MINE, MINE]);
  });

  it.each([1, 3])("share %i among them where they are handed out again (reuse)", async (perUser) => {
    const one = race(pair(), { perUser, onLimit: "reuse" });
    const { answers } = await atOnce(one, (sessions) => sessions.create({ userId: USER }));
    expect([one.most(), answers.length]).toEqual([perUser, PARALLEL]);
    const tokens = new Set(answers.map(({ token }) => token));
    expect(tokens.size).toBe(perUser);
    for (const token of tokens) expect(await found(one.elsewhere, token)).toBe(MINE);
  });

  it("of twenty users let three in, where there may be three in all", async () => {
    const one = race(pair(), { total: 3 });
    const { answers, errors } = await atOnce(one, (sessions, index) => sessions.create({ userId: `user-${index}` }));
    expect([answers.length, errors.length]).toEqual([3, PARALLEL - 3]);
    for (const error of errors) expect(error).toMatchObject({ ...REFUSED, limit: "total" });
    expect(await one.elsewhere.count()).toBe(3);
  });

  it("in one session are one, where one may live", async () => {
    const one = race(pair(), limitPresets.firstWins);
    const { token } = await one.elsewhere.create({ userId: USER });
    const { answers, errors } = await atOnce(one, (sessions) => logIn(sessions, token, USER));
    expect(one.most()).toBe(1);
    expect(await found(one.elsewhere, token)).toBe("ended: replaced");
    // The first takes its place; whoever comes then has nothing to replace.
    expect(await Promise.all(answers.map((next) => found(one.elsewhere, next)))).toEqual([MINE]);
    expect(errors).toHaveLength(PARALLEL - 1);
  });
});
