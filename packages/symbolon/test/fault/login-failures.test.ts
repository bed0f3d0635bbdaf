/**
 * A store that fails, loses answers or hangs while somebody logs in (R-013, DESIGN 8.8): half a login is none. Whoever
 * is told that a login failed has no new token, and the token of before opens what it did, or nothing.
 */
import { describe, expect, it } from "vitest";
import {
  type CreateOptions,
  generateKey,
  isSymbolonError,
  isTombstone,
  type Session,
  type SessionManager,
  type StoredRecord,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { found, manager, type Options, opened, storePairs, taken } from "../support/sessions.ts";
import { type FullStore, type Intercepted, intercept } from "../support/stores.ts";

/** `fail`: nothing was done. `lose`: it was done, but the answer is lost. `hang`: nothing is done, and no answer comes. */
type Fault = "fail" | "lose" | "hang";

/** What goes wrong at which call of the login, in order; the calls beyond go well. */
type Plan = readonly (Fault | "ok")[];

const TIMEOUT = 25;

interface Stage {
  readonly sessions: SessionManager;
  /** The same store without faults, as another process sees it. */
  readonly elsewhere: SessionManager;
  readonly session: Session;
  readonly token: string;
  readonly calls: string[];
  /** Lets the plan hold from now on. */
  readonly begin: (plan: Plan) => void;
  readonly heal: () => void;
  /** What became of the sessions that the login tried to store, in order. */
  readonly attempts: () => Promise<string[]>;
}

type Begun = CreateOptions<Record<string, unknown>>;
type Around = (call: Intercepted) => unknown;

function faulted(plan: Plan, calls: string[]): Around {
  return async (call) => {
    const fault = plan[calls.length] ?? "ok";
    calls.push(call.method);
    if (fault === "hang") return new Promise(() => undefined);
    if (fault === "fail") throw new Error("The server is down.");
    const answer = await call.proceed();
    if (fault === "lose") throw new Error("The connection is gone.");
    return answer;
  };
}

async function stage(store: FullStore, begun: Begun, options: Options = {}): Promise<Stage> {
  const shared = { keys: [generateKey()], clock: manualClock(), ...options };
  const stored: StoredRecord[] = [];
  const calls: string[] = [];
  let around: Around | null = null;
  const sessions = manager({
    ...shared,
    storeTimeout: TIMEOUT,
    store: intercept(store, (call) => {
      if (call.method === "create" || call.method === "admit") stored.push(call.args[0] as StoredRecord);
      return around === null ? call.proceed() : around(call);
    }),
  });
  const elsewhere = manager({ ...shared, store });
  const { token } = await elsewhere.create(begun);
  const session = await opened(sessions, token);
  const stateOf = async (record: StoredRecord): Promise<string> => {
    const entry = await store.read(record, { now: 0, signal: new AbortController().signal });
    if (entry === null) return "absent";
    return isTombstone(entry) ? entry.reason : "live";
  };
  return {
    sessions,
    elsewhere,
    session,
    token,
    calls,
    begin: (plan) => void (around = faulted(plan, calls)),
    heal: () => void (around = null),
    attempts: () => Promise.all(stored.map(stateOf)),
  };
}

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  );
}

function expectTyped(error: unknown, code: string): void {
  expect(isSymbolonError(error)).toBe(true);
  expect(error).toMatchObject({ code, status: 503, retryable: true });
}

const uncounted: Options = { limits: { perUser: false } };

/** Where a login may happen: what the token of before opens, and how the new session is stored and the old one ended. */
interface Before {
  readonly whose: string;
  readonly begun: Begun;
  readonly options: Options;
  readonly opens: string;
}

const visitors: Before = { whose: "a visitor", begun: { data: { x: 1 } }, options: {}, opens: "anonymous" };
const anothers: Before = {
  whose: "another user",
  begun: { userId: "user-2", data: { x: 1 } },
  options: {},
  opens: "authenticated: user-2",
};
const own: Before = {
  whose: "the user, in one step",
  begun: { userId: "user-1", data: { x: 1 } },
  options: {},
  opens: "authenticated: user-1",
};
const ownUncounted: Before = { ...own, whose: "the user, in two steps", options: uncounted };
const visitorsUncounted: Before = { ...visitors, whose: "a visitor, uncounted", options: uncounted };

const befores: readonly Before[] = [visitors, visitorsUncounted, anothers, own, ownUncounted];
const inTwoSteps = befores.filter((before) => before !== own);

interface Case {
  readonly what: string;
  readonly plan: Plan;
  readonly before: Before;
  /** The calls of the login; `store` is how the new session is stored. */
  readonly calls: string;
  /** What the token of before opens afterwards, if not the same. */
  readonly old?: string;
  /** What became of the new session. */
  readonly attempt: string;
}

function casesOf(wheres: readonly Before[], ways: readonly Omit<Case, "before">[]): Case[] {
  return wheres.flatMap((before) => ways.map((way) => ({ ...way, before, what: `${before.whose}: ${way.what}` })));
}

/** Every one of these logins must be answered with an error. */
const failing: readonly Case[] = [
  ...casesOf(befores, [
    { what: "storing fails", plan: ["fail"], calls: "store read", attempt: "absent" },
    { what: "storing hangs", plan: ["hang"], calls: "store read", attempt: "absent" },
    { what: "storing and looking again fail", plan: ["fail", "fail"], calls: "store read", attempt: "absent" },
  ]),
  ...casesOf(inTwoSteps, [
    { what: "ending fails", plan: ["ok", "fail"], calls: "store delete read delete", attempt: "replaced" },
    { what: "ending hangs", plan: ["ok", "hang"], calls: "store delete read delete", attempt: "replaced" },
    // In the next two the new session lives, but its token has gone nowhere.
    {
      what: "ending either of the two fails",
      plan: ["ok", "fail", "ok", "fail", "fail"],
      calls: "store delete read delete read",
      attempt: "live",
    },
    {
      what: "all hangs once the new one is stored",
      plan: ["ok", "hang", "hang", "hang", "hang"],
      calls: "store delete read delete",
      attempt: "live",
    },
    { what: "storing is done, but nobody can tell", plan: ["lose", "fail"], calls: "store read", attempt: "live" },
    {
      what: "ending is done, but nobody can tell",
      plan: ["ok", "lose", "fail"],
      calls: "store delete read delete",
      old: "ended: replaced",
      attempt: "replaced",
    },
  ]),
  ...casesOf(
    [own],
    [
      {
        what: "all is done, but nobody can tell",
        plan: ["lose", "fail"],
        calls: "store read",
        old: "ended: replaced",
        attempt: "live",
      },
    ],
  ),
];

type Success = Pick<Case, "what" | "plan" | "before" | "calls">;

/** Every one of these must be answered as if nothing had happened. */
const succeeding: readonly Success[] = [
  ...inTwoSteps.flatMap((before): Success[] => [
    { what: "the answer to storing is lost", plan: ["lose"], before, calls: "store read delete" },
    { what: "the answer to ending is lost", plan: ["ok", "lose"], before, calls: "store delete read" },
    { what: "both answers are lost", plan: ["lose", "ok", "lose"], before, calls: "store read delete read" },
  ]),
  { what: "the only answer is lost", plan: ["lose"], before: own, calls: "store read" },
];

describe.each(storePairs)("a login while the %s store is in trouble", (_, pair) => {
  it.each(failing)("logs nobody in: $what", async ({ plan, before, calls, old = before.opens, attempt }) => {
    const one = await stage(pair()[0], before.begun, before.options);
    const { state, userId, id } = one.session;
    one.begin(plan);
    const logins: unknown[] = [];
    one.sessions.on("login", (event) => logins.push(event));
    const error = await errorOf(one.session.login("user-1", { roles: ["admin"], carry: ["x"] }));
    one.heal();
    expectTyped(error, plan.includes("hang") ? "ERR_STORE_TIMEOUT" : "ERR_STORE_UNAVAILABLE");
    expect(one.calls.join(" ")).toBe(calls.replace("store", storingOf(before)));
    expect(one.session.takeToken()).toBeNull();
    expect(one.session).toMatchObject({ state, userId, id, roles: [], data: { x: 1 } });
    expect(logins).toEqual([]);
    expect(await found(one.elsewhere, one.token)).toBe(old);
    expect(await one.attempts()).toEqual([attempt]);
    const live = Number(attempt === "live") + Number(old === "authenticated: user-1");
    expect(await one.elsewhere.count({ userId: "user-1" })).toBe(live);
  });

  it.each(succeeding)("settles what was done: $what ($before.whose)", async ({ plan, before, calls }) => {
    const one = await stage(pair()[0], before.begun, before.options);
    one.begin(plan);
    await one.session.login("user-1", { roles: ["admin"], carry: ["x"] });
    one.heal();
    expect(one.calls.join(" ")).toBe(calls.replace("store", storingOf(before)));
    const next = await opened(one.elsewhere, taken(one.session));
    expect(next).toMatchObject({ userId: "user-1", roles: ["admin"], data: { x: 1 }, id: one.session.id });
    expect(await found(one.elsewhere, one.token)).toBe("ended: replaced");
    expect(await one.attempts()).toEqual(["live"]);
    expect(await one.elsewhere.count({ userId: "user-1" })).toBe(1);
  });
});

function storingOf(before: Before): string {
  return before.options === uncounted ? "create" : "admit";
}

/** All plans of so many calls that fail, are lost, or go well. */
function plansOf(length: number): Plan[] {
  if (length === 0) return [[]];
  return plansOf(length - 1).flatMap((plan) => (["ok", "fail", "lose"] as const).map((fault) => [...plan, fault]));
}

describe.each(befores)("a login of $whose, with everything that may go wrong at any call", (before) => {
  it.each(storePairs)("is done as a whole, or leaves no token but the one of before (%s)", async (_, pair) => {
    const store = pair()[0];
    const seen = { done: 0, failed: 0 };
    const played: Plan[] = [];
    for (const [index, plan] of plansOf(5).entries()) {
      // What would go wrong at calls that are not made makes no difference.
      if (played.some((known) => known.every((fault, call) => fault === plan[call]))) continue;
      const one = await stage(store, before.begun, { ...before.options, namespace: `n${index}` });
      one.begin(plan);
      const error = await errorOf(one.session.login("user-1"));
      one.heal();
      played.push(plan.slice(0, one.calls.length));
      const [attempt] = await one.attempts();
      const now = await found(one.elsewhere, one.token);
      const told = `${plan.join(" ")}: ${one.calls.join(" ")}`;
      if (error === null) {
        seen.done++;
        expect([now, attempt], told).toEqual(["ended: replaced", "live"]);
        expect(await found(one.elsewhere, taken(one.session)), told).toBe("authenticated: user-1");
        expect(await one.elsewhere.count({ userId: "user-1" }), told).toBe(1);
        continue;
      }
      seen.failed++;
      expectTyped(error, "ERR_STORE_UNAVAILABLE");
      expect(one.session.takeToken(), told).toBeNull();
      expect([before.opens, "ended: replaced"], told).toContain(now);
      // The same session may try again.
      await one.session.login("user-1");
      expect(await found(one.elsewhere, taken(one.session)), told).toBe("authenticated: user-1");
      expect(await found(one.elsewhere, one.token), told).toBe("ended: replaced");
    }
    expect(seen.done).toBeGreaterThan(0);
    expect(seen.failed).toBeGreaterThan(0);
    expect(played.length).toBeGreaterThan(3);
  });
});

/** Lets one call of a method through only when it is told, long after everybody gave up. */
async function lateStage(method: string) {
  const inner = memoryStore();
  const late: (() => unknown)[] = [];
  const store = intercept(inner, (call) => {
    if (call.method !== method || late.length > 0) return call.proceed();
    return new Promise((resolve) => {
      late.push(() => resolve(call.proceed()));
    });
  });
  const keys = [generateKey()];
  const sessions = manager({ store, keys, storeTimeout: TIMEOUT });
  const elsewhere = manager({ store: inner, keys });
  const { token } = await elsewhere.create();
  const session = await opened(sessions, token);
  return { sessions, elsewhere, session, token, comeLate: () => late.forEach((go) => go()) };
}

describe("a login that a store works off long after it was given up", () => {
  it.each([
    ["storing", "admit", "anonymous"],
    ["ending", "delete", "ended: replaced"],
  ])("leaves nobody logged in: %s", async (_, method, old) => {
    const one = await lateStage(method);
    expectTyped(await errorOf(one.session.login("user-1")), "ERR_STORE_TIMEOUT");
    expect(await found(one.elsewhere, one.token)).toBe("anonymous");
    one.comeLate();
    expect(await found(one.elsewhere, one.token)).toBe(old);
    expect(one.session.takeToken()).toBeNull();
    expect(one.session.userId).toBeNull();
  });
});

describe("a login after reset, while the store is in trouble", () => {
  it.each(storePairs)("leaves the session of before to be taken up again, or ended (%s)", async (_, pair) => {
    for (const plan of [["fail"], ["ok", "fail"]] as const) {
      const one = await stage(pair()[0], visitors.begun);
      one.session.reset();
      one.begin(plan);
      expectTyped(await errorOf(one.session.login("user-1")), "ERR_STORE_UNAVAILABLE");
      one.heal();
      expect(one.session.takeToken()).toBeNull();
      expect(await found(one.elsewhere, one.token)).toBe("anonymous");
      expect(await one.session.save()).toBe("unchanged");
      expect(await found(one.elsewhere, one.token)).toBe("ended: reset");
    }
  });
});
