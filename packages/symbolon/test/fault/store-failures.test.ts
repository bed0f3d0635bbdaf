/** A store that fails, hangs or loses an answer, at each call of each operation: typed errors, nothing twice, nothing revived. */
import { createSessionManager, generateKey, isSymbolonError, type Session, type SessionManager } from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { type FaultyStore, faultyStore, type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";

const MODES = ["fail", "lose", "hang", "hang deaf"] as const;
type Mode = (typeof MODES)[number];

interface Stage {
  readonly sessions: SessionManager;
  /** The same store without its faults, as another process sees it. */
  readonly elsewhere: SessionManager;
  readonly faulty: FaultyStore<MemoryStore>;
  readonly clock: ManualClock;
  readonly failures: string[];
  readonly token: string;
  readonly id: string;
}

async function stage(): Promise<Stage> {
  const clock = manualClock();
  const inner = memoryStore();
  const faulty = faultyStore(inner);
  const options = { keys: [generateKey()], clock, storeTimeout: 30, pruneEvery: false } as const;
  const sessions = createSessionManager({ ...options, store: faulty.store });
  const elsewhere = createSessionManager({ ...options, store: inner });
  const failures: string[] = [];
  sessions.on("store-failed", ({ method }) => failures.push(method));
  const { token, id } = await sessions.create({ userId: "user-1", tenant: "t", data: { n: 0 } });
  return { sessions, elsewhere, faulty, clock, failures, token, id };
}

/** Lets the n-th call from now on go wrong, and all others through. */
function faultAt({ faulty }: Stage, nth: number, mode: Mode): void {
  let calls = 0;
  const hook = (): void => {
    calls++;
    if (calls === nth) {
      if (mode === "fail") faulty.fail(1);
      else if (mode === "lose") faulty.lose(1);
      else faulty.hang({ deaf: mode === "hang deaf" });
    } else if (calls === nth + 1) {
      faulty.heal();
      faulty.before(hook);
    }
  };
  faulty.before(hook);
}

async function opened(sessions: SessionManager, token: string): Promise<Session> {
  const session = await sessions.validate(token);
  if (session === null) throw new Error("The session does not open.");
  return session;
}

/** What another process finds: how far the counter is, or null when the session has ended. */
async function counterOf({ elsewhere, token }: Stage): Promise<unknown> {
  return (await elsewhere.validate(token))?.data["n"] ?? null;
}

type Outcome = { readonly answer: unknown } | { readonly error: unknown };

async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { answer: await work() };
  } catch (error) {
    return { error };
  }
}

function expectTyped(error: unknown, mode: Mode): void {
  expect(isSymbolonError(error)).toBe(true);
  const code = mode.startsWith("hang") ? "ERR_STORE_TIMEOUT" : "ERR_STORE_UNAVAILABLE";
  expect(error).toMatchObject({ code, status: 503, retryable: true });
}

const cases = MODES.flatMap((mode) => [1, 2, 3].map((nth) => ({ mode, nth })));

describe.each(cases)("when store call $nth of an operation goes wrong ($mode)", ({ mode, nth }) => {
  it("a session is created once or not at all, and the answer says which", async () => {
    const one = await stage();
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => one.sessions.create({ userId: "user-2", data: { n: 5 } }));
    one.faulty.heal();
    if ("error" in outcome) {
      expectTyped(outcome.error, mode);
      expect(await one.elsewhere.count({ userId: "user-2" })).toBe(0);
      expect((await one.sessions.create({ userId: "user-2" })).isNew).toBe(false);
    } else {
      const { token } = outcome.answer as { token: string };
      expect((await opened(one.elsewhere, token)).data).toEqual({ n: 5 });
      expect(await one.elsewhere.count({ userId: "user-2" })).toBe(1);
    }
  });

  it.each(["update", "save"])("an increment by %s is counted once if it was acknowledged, else not", async (way) => {
    const one = await stage();
    const session = await opened(one.sessions, one.token);
    if (way === "save") session.data["n"] = 1;
    const write = (): Promise<unknown> => {
      if (way === "save") return session.save();
      return session.update((data) => void (data["n"] = Number(data["n"]) + 1));
    };
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(write);
    one.faulty.heal();
    if ("error" in outcome) {
      expectTyped(outcome.error, mode);
      expect(await counterOf(one)).toBe(0);
      expect(await write()).toBe("saved");
    } else {
      expect(outcome.answer).toBe("saved");
    }
    expect(await counterOf(one)).toBe(1);
    if (mode === "lose") expect(outcome).toEqual({ answer: "saved" });
  });

  it("a refresh leaves one successor, which is answered again to whoever asks again", async () => {
    const one = await stage();
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => one.sessions.refresh(one.token));
    one.faulty.heal();
    const next = "error" in outcome ? await one.sessions.refresh(one.token) : (outcome.answer as { token: string });
    if ("error" in outcome) expectTyped(outcome.error, mode);
    expect((await one.elsewhere.refresh(one.token))?.token).toBe(next?.token);
    expect((await opened(one.elsewhere, next?.token ?? "")).data).toEqual({ n: 0 });
    expect(await one.elsewhere.count({ userId: "user-1" })).toBe(1);
  });

  it.each<[string, (one: Stage, session: Session) => Promise<unknown>]>([
    ["logout", (_, session) => session.logout()],
    ["revoke", ({ sessions, id }) => sessions.revoke("user-1", id)],
    ["revokeToken", ({ sessions, token }) => sessions.revokeToken(token)],
    ["revokeAll", ({ sessions }) => sessions.revokeAll("user-1")],
    ["revokeTenant", ({ sessions }) => sessions.revokeTenant("t")],
    ["revokeEverything", ({ sessions }) => sessions.revokeEverything()],
  ])("%s either ended the session or says that it may not have", async (_, end) => {
    const one = await stage();
    const session = await opened(one.sessions, one.token);
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => end(one, session));
    one.faulty.heal();
    if ("error" in outcome) {
      expectTyped(outcome.error, mode);
      // A session that was not ended can be used, and ended, as before.
      if ((await counterOf(one)) !== null) await end(one, session);
    }
    expect(await counterOf(one)).toBeNull();
    expect(await session.update((data) => void (data["n"] = 9)).catch(() => "failed")).not.toBe("failed");
    expect(await one.elsewhere.inspect(one.token)).toMatchObject({ ok: false, reason: "ended" });
  });

  it("a session that could be read is good even when its use cannot be noted", async () => {
    const one = await stage();
    one.clock.advance(1_000_000);
    faultAt(one, nth, mode);
    const outcome = await outcomeOf(() => one.sessions.validate(one.token));
    one.faulty.heal();
    const readFailed = nth === 1 && mode !== "lose";
    if (readFailed) expectTyped("error" in outcome && outcome.error, mode);
    else expect(outcome).toMatchObject({ answer: { userId: "user-1" } });
    expect((await opened(one.sessions, one.token)).data).toEqual({ n: 0 });
  });

  it("the same manager works again as soon as the store does", async () => {
    const one = await stage();
    faultAt(one, nth, mode);
    for (let round = 0; round < 3; round++) await outcomeOf(() => one.sessions.validate(one.token));
    one.faulty.heal();
    const session = await opened(one.sessions, one.token);
    expect(await session.update((data) => void (data["n"] = 7))).toBe("saved");
    expect(await counterOf(one)).toBe(7);
    // A read has no answer that could be lost.
    expect(one.failures).toEqual(mode === "lose" ? [] : ["read"]);
  });
});

describe("a lost answer that cannot be settled, because the store stays away", () => {
  it("is a typed error, and what was applied is there afterwards, once", async () => {
    const one = await stage();
    const session = await opened(one.sessions, one.token);
    let calls = 0;
    one.faulty.before(() => {
      if (++calls === 1) one.faulty.lose(1);
      else one.faulty.fail(1);
    });
    const outcome = await outcomeOf(() => session.update((data) => void (data["n"] = Number(data["n"]) + 1)));
    one.faulty.heal();
    expectTyped("error" in outcome && outcome.error, "lose");
    expect(await counterOf(one)).toBe(1);
    // The session object goes on from what the store holds, not from what it believes.
    expect(await session.update((data) => void (data["n"] = Number(data["n"]) + 1))).toBe("saved");
    expect(await counterOf(one)).toBe(2);
  });

  it("does not revive a session that was ended meanwhile", async () => {
    const one = await stage();
    const session = await opened(one.sessions, one.token);
    let calls = 0;
    one.faulty.before(async () => {
      if (++calls === 1) one.faulty.lose(1);
      if (calls === 2) await one.elsewhere.revokeAll("user-1");
    });
    const outcome = await outcomeOf(() => session.update((data) => void (data["n"] = 1)));
    one.faulty.heal();
    if ("answer" in outcome) expect(outcome.answer).toBe("gone");
    else expectTyped(outcome.error, "lose");
    expect(await session.update((data) => void (data["n"] = 1))).toBe("gone");
    expect(await counterOf(one)).toBeNull();
  });
});
