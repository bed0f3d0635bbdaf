/** A request with its session's lock whose client went away: it has the lock for one lease more, and nobody else does. */
import { generateKey, openSession, type OpenedSession, type SessionManager, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { gate } from "../support/delays.ts";
import { stage } from "../support/lock-stage.ts";
import { lockPairs } from "../support/lock-stores.ts";
import { manager, opened } from "../support/sessions.ts";
import { without } from "../support/stores.ts";

const LEASE = 1000;
/** Where nobody tells of a release, it is found by then. */
const ONE_LOOK = 31;
const REFUSED = { status: 409, retryable: true };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

type Opened = OpenedSession<Record<string, unknown>>;

function request(sessions: SessionManager, token: string): Promise<Opened> {
  const headers = new Headers({ Cookie: `__Host-sid=${token}` });
  return openSession(sessions, headers, undefined, { lock: { lease: LEASE } });
}

function countUp({ session }: Opened): void {
  session.data["n"] = Number(session.data["n"]) + 1;
}

/** A request that only counts up, and whether it is over. */
function counting(sessions: SessionManager, token: string): () => boolean {
  let isOver = false;
  const run = async (): Promise<void> => {
    const one = await request(sessions, token);
    countUp(one);
    await one.commit();
    isOver = true;
  };
  void run();
  return () => isOver;
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

async function dataOf(sessions: SessionManager, token: string): Promise<unknown> {
  return structuredClone((await opened(sessions, token)).data);
}

describe.each(lockPairs)("a request whose client went away, on $name", ({ make }) => {
  it("saves what it does within a lease, and holds up others until then", async () => {
    const { here, there, calls } = stage(make);
    const { token } = await here.create({ userId: "user-1", data: { n: 0 } });
    const slow = await request(here, token);
    slow.letLockEnd();
    slow.letLockEnd();
    const others = [counting(here, token), counting(there, token)];
    await pass(LEASE / 2);
    expect(others.map((isOver) => isOver())).toEqual([false, false]);
    countUp(slow);
    await slow.commit();
    await pass(ONE_LOOK * 2);
    expect(others.map((isOver) => isOver())).toEqual([true, true]);
    expect(await dataOf(there, token)).toEqual({ n: 3 });
    expect(calls).not.toContain("renewLock");
  });

  it("holds up nobody for longer, in its process or another, and writes nothing after that", async () => {
    const { here, there, calls } = stage(make);
    const { token } = await here.create({ userId: "user-1", data: { n: 0 } });
    const hanging = await request(here, token);
    await pass(LEASE * 5);
    const renewals = calls.filter((method) => method === "renewLock").length;
    expect(renewals).toBeGreaterThan(10);
    countUp(hanging);
    hanging.letLockEnd();
    const others = [counting(here, token), counting(there, token)];
    await pass(LEASE + ONE_LOOK * 2);
    expect(others.map((isOver) => isOver())).toEqual([true, true]);
    await expect(hanging.commit()).rejects.toMatchObject(REFUSED);
    expect(await dataOf(there, token)).toEqual({ n: 2 });
    expect(calls.filter((method) => method === "renewLock")).toHaveLength(renewals);
  });

  it("has the lease that was on its way from the store, and none after that", async () => {
    const { here, there, calls, meddle } = stage(make);
    const { token } = await here.create({ userId: "user-1", data: { n: 0 } });
    const hanging = await request(here, token);
    const answered = gate();
    meddle(async (call) => {
      const answer = call.proceed();
      if (call.method === "renewLock") await answered.passed;
      return answer;
    });
    await pass(LEASE / 2);
    hanging.letLockEnd();
    answered.open();
    await pass(LEASE * 2);
    expect(calls.filter((method) => method === "renewLock")).toHaveLength(1);
    const isOver = counting(there, token);
    await pass(0);
    expect(isOver()).toBe(true);
    expect(await dataOf(there, token)).toEqual({ n: 1 });
  });

  it("leaves nothing behind when it has answered before", async () => {
    const { here } = stage(make);
    const { token } = await here.create({ userId: "user-1", data: { n: 0 } });
    const quick = await request(here, token);
    countUp(quick);
    await quick.commit();
    quick.letLockEnd();
    await pass(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(await dataOf(here, token)).toEqual({ n: 1 });
  });
});

describe("a request whose client went away, where the store cannot lock", () => {
  it("has the lock of its process for a lease more, and puts nothing on top of others' data after that", async () => {
    const store: Store = without(memoryStore(), "acquireLock");
    const sessions = manager({ store, keys: [generateKey()] });
    onTestFinished(() => sessions.close());
    const { token } = await sessions.create({ userId: "user-1", data: { n: 0 } });
    const hanging = await request(sessions, token);
    await pass(LEASE * 5);
    countUp(hanging);
    hanging.letLockEnd();
    const isOver = counting(sessions, token);
    await pass(LEASE - 1);
    expect(isOver()).toBe(false);
    await pass(1);
    expect(isOver()).toBe(true);
    await expect(hanging.commit()).rejects.toMatchObject(REFUSED);
    expect(await dataOf(sessions, token)).toEqual({ n: 1 });
  });
});
