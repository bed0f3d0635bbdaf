/**
 * A change of credentials against everything that may happen meanwhile: the store calls of two requests in every order,
 * and a store that fails at each of them.
 */
import {
  createSessionManager,
  generateKey,
  isSymbolonError,
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
const ORDERS = everyOrder(6, 3);

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
  it("that checks the new stamp: the user stays logged in, in every order of their store calls", async () => {
    const pair = storesOf(name);
    const ends = { sameSession: 0, newSession: 0 };
    for (const order of ORDERS) {
      const label = order.join("");
      const stage = stageOn(pair, { namespace: `n${label}` });
      const [one, two] = stage.processes;
      const made = await stage.elsewhere.create({ userId: USER, stamp: "v1", ...CLAIMS, data: DATA });
      stage.clock.advance(MINUTE);
      const [keeper, checker] = [await opened(one, made.token), await opened(two, made.token)];
      const answers = await play(stage, order, [() => keeper.keepLogin("v2"), () => checker.checkStamp("v2")]);
      expect(answers, label).toEqual(["saved", false]);
      const token = taken(keeper);
      const after = await opened(stage.elsewhere, token);
      expect(after, label).toMatchObject({ ...CLAIMS, userId: USER, state: "authenticated" });
      expect(after.authenticatedAt, label).toBe(made.authenticatedAt);
      expect(after.expiresAt, label).toBe(stage.clock.now() + 60 * MINUTE);
      expect([after.isFresh("1m"), after.isFresh("2m")], label).toEqual([false, true]);
      expect(after.data, label).toEqual(DATA);
      expect(await after.checkStamp("v2"), label).toBe(true);
      expect(await found(stage.elsewhere, made.token), label).toMatch(
        /^(?:wrong-secret|ended: (?:stamp-changed|replaced))$/,
      );
      expect(await stage.elsewhere.count({ userId: USER }), label).toBe(1);
      // The other request is nobody's, and hands no token to whoever sent it.
      expect(checker, label).toMatchObject({ state: "anonymous", userId: null });
      expect(checker.takeToken(), label).toBeNull();
      ends[after.id === made.id ? "sameSession" : "newSession"]++;
    }
    // Both ways to stay logged in were met.
    expect(ends.sameSession).toBeGreaterThan(20);
    expect(ends.newSession).toBeGreaterThan(20);
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

interface Ended {
  readonly sessions: SessionManager;
  readonly clock: ManualClock;
  readonly token: string;
  readonly keeper: Session;
}

/** The session has ended; the request that changed the credentials has yet to keep its login. */
async function endedFirst(options: Options = {}): Promise<Ended> {
  const clock = manualClock();
  const shared = { store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false, ...options } as const;
  const sessions = createSessionManager(shared);
  const { token } = await sessions.create({ userId: USER, stamp: "v1", ...CLAIMS, data: DATA });
  const [keeper, checker] = [await opened(sessions, token), await opened(sessions, token)];
  keeper.data["unsaved"] = true;
  expect(await checker.checkStamp("v2")).toBe(false);
  expect(await found(sessions, token)).toBe("ended: stamp-changed");
  return { sessions, clock, token, keeper };
}

describe("keepLogin, when another request saw the new credentials first and ended the session", () => {
  it("begins it again with what the request changed and has yet to save", async () => {
    const { sessions, keeper } = await endedFirst();
    const { data } = keeper;
    keeper.flash("notice", "Your password was changed.");
    keeper.setDuration("5m");
    expect(await keeper.keepLogin("v2")).toBe("saved");
    keeper.data["later"] = true;
    expect(keeper.data).toBe(data);
    expect(await keeper.save()).toBe("saved");
    const after = await opened(sessions, taken(keeper));
    expect(after.data).toEqual({ ...DATA, unsaved: true, later: true });
    expect(after.flash("notice")).toEqual(["Your password was changed."]);
    expect((after.expiresAt ?? 0) - (after.createdAt ?? 0)).toBe(5 * MINUTE);
  });

  it("ends the user's other sessions and pending logins as ever", async () => {
    const { sessions, keeper } = await endedFirst();
    const others = [
      await sessions.create({ userId: USER, stamp: "v1" }),
      await sessions.create({ userId: USER, pending: "second-factor" }),
    ];
    expect(await keeper.keepLogin("v2")).toBe("saved");
    for (const { token } of others) expect(await found(sessions, token)).toBe("ended: stamp-changed");
    expect(await sessions.count({ userId: USER })).toBe(1);
  });

  it("does not count it twice against a limit, in any order of the two requests' store calls", async () => {
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
      const { sessions, clock, keeper } = await endedFirst({ lifetime });
      const { createdAt } = keeper;
      clock.advance(5 * MINUTE);
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

  it("keeps it ended where it would have expired meanwhile", async () => {
    const { sessions, clock, keeper } = await endedFirst({ lifetime: { idle: "10m", absolute: "1h" } });
    clock.advance(10 * MINUTE);
    expect(await keeper.keepLogin("v2")).toBe("gone");
    expect(keeper.takeToken()).toBeNull();
    expect(await sessions.count({ userId: USER })).toBe(0);
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
});

describe.each<[string, (sessions: SessionManager, id: string, other: Session) => Promise<unknown>]>([
  ["a logout", (_sessions, _id, other) => other.logout()],
  ["a revocation", (sessions, id) => sessions.revoke(USER, id)],
  ["the end of all the user's sessions", (sessions) => sessions.revokeAll(USER)],
  ["the end of all a tenant's sessions", (sessions) => sessions.revokeTenant("t1")],
  ["a login in its place", (_sessions, _id, other) => other.login("user-2")],
])("after %s keepLogin", (_, end) => {
  it("answers gone, begins nothing and ends nobody's session", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const heard = listen(sessions);
    const { token, id } = await sessions.create({ userId: USER, stamp: "v1", tenant: "t1", data: DATA });
    const [keeper, other] = [await opened(sessions, token), await opened(sessions, token)];
    await end(sessions, id, other);
    const bystander = await sessions.create({ userId: USER, stamp: "v1" });
    heard.length = 0;
    expect(await keeper.keepLogin("v2")).toBe("gone");
    expect(keeper).toMatchObject({ state: "anonymous", userId: null, id: null });
    expect(keeper.takeToken()).toBeNull();
    expect(heard).toEqual([]);
    expect(await found(sessions, bystander.token)).toBe("authenticated: user-1");
    expect(await sessions.count({ userId: USER })).toBe(1);
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

const cases = MODES.flatMap((mode) => [1, 2, 3, 4, 5].map((nth) => ({ mode, nth })));

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

  it("keepLogin after another request ended the session begins it again, once, or can be called again", async () => {
    const one = withFaults();
    const { token } = await one.elsewhere.create({ userId: USER, stamp: "v1", data: DATA });
    const session = await opened(one.sessions, token);
    await (await opened(one.elsewhere, token)).checkStamp("v2");
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => session.keepLogin("v2"));
    one.faulty.heal();
    if ("error" in outcome) {
      expectTyped(outcome.error, mode);
      expect(await session.keepLogin("v2")).toBe("saved");
    } else {
      expect(outcome.answer).toBe("saved");
    }
    const after = await opened(one.elsewhere, taken(session));
    expect([after.userId, after.data]).toEqual([USER, DATA]);
    expect(await found(one.elsewhere, token)).toBe("ended: stamp-changed");
    expect(await one.elsewhere.count({ userId: USER })).toBe(1);
  });
});
