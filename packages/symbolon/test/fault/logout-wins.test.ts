/**
 * Nothing in flight revives an ended session: every late writer against every way to end a session, with the
 * ending let in before or after each store call of the late one, with and without a conflict in between.
 */
import { afterAll, describe, expect, it } from "vitest";
import { openSession } from "../../src/http/open-session.ts";
import {
  createSessionManager,
  generateKey,
  type SaveResult,
  type Session,
  type SessionManager,
} from "../../src/index.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { sqliteStore } from "../../src/stores/sqlite.ts";
import { type ManualClock, manualClock } from "../../src/testing/manual-clock.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { type FullStore, type Intercepted, intercept } from "../support/stores.ts";

const USER = "user-1";
const TENANT = "tenant-1";

interface Stage {
  readonly clock: ManualClock;
  /** The process of the late request. */
  readonly late: SessionManager;
  /** Another process on the same store. */
  readonly other: SessionManager;
  readonly token: string;
  readonly id: string;
  /** Held before each store call of the late process. */
  gate: (call: Intercepted) => Promise<unknown>;
}

/** A late request: opened before the gate closes, and what it answers when it goes on. */
type Late = (stage: Stage) => Promise<() => Promise<unknown>>;

const headersOf = (token: string) => ({
  get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined),
});

async function opened(sessions: SessionManager, token: string): Promise<Session> {
  const session = await sessions.validate(token);
  if (session === null) throw new Error("The session does not open.");
  return session;
}

const lateOnes: Readonly<Record<string, Late>> = {
  save: async ({ late, token }) => {
    const session = await opened(late, token);
    session.data["late"] = true;
    return () => session.save();
  },
  update: async ({ late, token }) => {
    const session = await opened(late, token);
    return () => session.update((data) => void (data["late"] = true));
  },
  "two saves at once": async ({ late, token }) => {
    const session = await opened(late, token);
    session.data["late"] = true;
    return async () => (await Promise.all([session.save(), session.update((data) => void (data["n"] = 1))]))[1];
  },
  setDuration: async ({ late, token }) => {
    const session = await opened(late, token);
    session.setDuration("10m");
    return () => session.save();
  },
  touch: async ({ late, token }) => {
    return () => late.validate(token);
  },
  refresh: async ({ late, token }) => {
    return () => late.refresh(token);
  },
  "update by handle": async ({ late, id }) => {
    return () => late.update(USER, id, { roles: ["admin"] });
  },
  "commit of changed data": async ({ late, token }) => {
    const request = await openSession(late, headersOf(token));
    request.session.data["late"] = true;
    return () => request.commit();
  },
  "commit of a touch": async ({ late, token }) => {
    const request = await openSession(late, headersOf(token));
    return () => request.commit();
  },
};

/** A dead session's answer; a commit answers with no cookie at all. */
const DEAD: Readonly<Record<string, unknown>> = {
  save: "gone",
  update: "gone",
  "two saves at once": "gone",
  setDuration: "gone",
  touch: null,
  refresh: null,
  "update by handle": "gone",
  "commit of changed data": [],
  "commit of a touch": [],
};

/** Ways to end the session: made ready before the gate closes, as a request that logs out was opened before. */
const endings: Readonly<Record<string, (sessions: SessionManager, stage: Stage) => Promise<() => Promise<unknown>>>> = {
  logout: async (sessions, { token }) => {
    const session = await opened(sessions, token);
    return () => session.logout();
  },
  revoke: async (sessions, { id }) => {
    return () => sessions.revoke(USER, id);
  },
  revokeToken: async (sessions, { token }) => {
    return () => sessions.revokeToken(token);
  },
  revokeAll: async (sessions) => {
    return () => sessions.revokeAll(USER);
  },
  revokeTenant: async (sessions) => {
    return () => sessions.revokeTenant(TENANT);
  },
  revokeEverything: async (sessions) => {
    return () => sessions.revokeEverything();
  },
};

const stores: Readonly<Record<string, () => readonly [FullStore, FullStore]>> = {
  memory: () => {
    const store = memoryStore();
    return [store, store];
  },
  sqlite: () => {
    const file = sqliteFile();
    return [sqliteStore(file.connect()), sqliteStore(file.connect())];
  },
};

const key = generateKey();

async function stageOn([one, two]: readonly [FullStore, FullStore], at: number): Promise<Stage> {
  const clock = manualClock();
  const stage = { clock, gate: async (call: Intercepted) => call.proceed() };
  const options = { keys: [key], clock, cookie: { persistent: true }, pruneEvery: false, namespace: `n${at}` } as const;
  const late = createSessionManager({ ...options, store: intercept(one, async (call) => stage.gate(call)) });
  const other = createSessionManager({ ...options, store: two });
  const { token, id } = await other.create({ userId: USER, tenant: TENANT, data: { n: 0 } });
  return Object.assign(stage, { late, other, token, id });
}

interface Plan {
  readonly late: string;
  readonly ending: string;
  /** Whether the ending comes from the process of the late request. */
  readonly sameProcess: boolean;
  /** Whether another write lands first, so that the late one has to read again. */
  readonly conflict: boolean;
  /** At which store call of the late request the ending lands, and on which side of it. */
  readonly atCall: number;
  readonly side: "before" | "after";
}

function plans(): Plan[] {
  const all: Plan[] = [];
  for (const late of Object.keys(lateOnes))
    for (const ending of Object.keys(endings))
      for (const sameProcess of [false, true])
        for (const conflict of [false, true])
          for (const atCall of [1, 2, 3])
            for (const side of ["before", "after"] as const)
              all.push({ late, ending, sameProcess, conflict, atCall, side });
  return all;
}

interface Played {
  readonly answer: unknown;
  /** How many store calls of the late request came after the ending. */
  readonly callsAfter: number;
}

async function play(plan: Plan, stage: Stage): Promise<Played> {
  const goOn = await lateOnes[plan.late]?.(stage);
  const end = await endings[plan.ending]?.(plan.sameProcess ? stage.late : stage.other, stage);
  if (goOn === undefined || end === undefined) throw new Error("There is no such plan.");
  stage.clock.advance(600_000);
  const seen = { calls: 0, ended: false, ending: false, conflicted: false, callsAfter: 0 };
  const letIn = async (): Promise<void> => {
    seen.ending = true;
    await end();
    seen.ending = false;
    seen.ended = true;
  };
  stage.gate = async (call) => {
    // The ending's own calls, when it comes from the same process, are not held.
    if (seen.ending) return call.proceed();
    if (seen.ended) {
      seen.callsAfter++;
      return call.proceed();
    }
    const number = ++seen.calls;
    if (plan.conflict && !seen.conflicted && call.method === "update") {
      seen.conflicted = true;
      const rival = await opened(stage.other, stage.token);
      await rival.update((data) => void (data["rival"] = true));
    }
    if (number !== plan.atCall) return call.proceed();
    if (plan.side === "before") {
      await letIn();
      seen.callsAfter++;
      return call.proceed();
    }
    const answer = await call.proceed();
    await letIn();
    return answer;
  };
  const answer = await goOn();
  if (!seen.ended) await letIn();
  stage.gate = async (call) => call.proceed();
  return { answer, callsAfter: seen.callsAfter };
}

async function expectDead(plan: Plan, stage: Stage, { answer, callsAfter }: Played): Promise<void> {
  const label = JSON.stringify(plan);
  if (callsAfter > 0) expect(answer, label).toEqual(DEAD[plan.late]);
  const tokens = [stage.token];
  if (typeof answer === "object" && answer !== null && "token" in answer) {
    // A token that was replaced in time ends nothing any more.
    if (plan.ending === "revokeToken") return;
    tokens.push(String(answer.token));
  }
  for (const sessions of [stage.late, stage.other]) {
    for (const token of tokens) expect((await sessions.inspect(token)).ok, label).toBe(false);
    expect(await sessions.get(USER, stage.id), label).toBeNull();
    expect(await sessions.count({ userId: USER }), label).toBe(0);
    expect(await sessions.count({ tenant: TENANT }), label).toBe(0);
  }
}

const played = new Map<string, number>();

describe.each(Object.keys(stores))("on the %s store", (name) => {
  it.each(Object.keys(lateOnes))("%s after the end is answered so, and the session stays dead", async (late) => {
    const handles = stores[name]?.();
    if (handles === undefined) throw new Error("There is no such store.");
    let at = 0;
    for (const plan of plans().filter((one) => one.late === late)) {
      const stage = await stageOn(handles, at++);
      const result = await play(plan, stage);
      await expectDead(plan, stage, result);
      if (result.callsAfter > 0) played.set(name, (played.get(name) ?? 0) + 1);
    }
  });
});

afterAll(() => {
  // Only those count where the late request still had something to do after the end.
  const total = [...played.values()].reduce((sum, count) => sum + count, 0);
  expect(total).toBeGreaterThanOrEqual(1000);
});

describe("a session object that outlives its session", () => {
  it("answers gone to everything, writes nothing and asks for no cookie", async () => {
    const stage = await stageOn(stores["memory"]?.() ?? [memoryStore(), memoryStore()], 0);
    const request = await openSession(stage.late, headersOf(stage.token));
    const { session } = request;
    session.data["late"] = true;
    await stage.other.revokeAll(USER);
    expect(await session.save()).toBe<SaveResult>("gone");
    session.data["again"] = true;
    session.setDuration("1m");
    expect(session).toMatchObject({ state: "anonymous", userId: null, id: null, isModified: false });
    expect(await session.save()).toBe<SaveResult>("gone");
    expect(await session.update((data) => void (data["n"] = 1))).toBe<SaveResult>("gone");
    await session.logout();
    expect(request.needsCommit()).toBe(false);
    expect(await request.commit()).toEqual([]);
    expect(await stage.other.count()).toBe(0);
  });
});
