/** Two processes on one SQLite file log a user in at once: never more sessions than may be, and the right ones. */
import { createSessionManager, generateKey, type Limits, type SessionManager } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, it } from "vitest";
import { wait } from "../support/delays.ts";
import { found } from "../support/sessions.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { playTwo } from "../support/workers.ts";

const USER = "user-1";
const MINE = `authenticated: ${USER}`;
const TIMES = 20;
const ROUNDS = 8;

interface LoggedIn {
  readonly token: string;
  readonly id: string;
  readonly createdAt: number;
}

interface Refused {
  readonly code: string;
  readonly limit?: string;
}

interface Played {
  readonly sessions: SessionManager;
  /** By process. */
  readonly logins: readonly (readonly LoggedIn[])[];
  readonly refused: readonly Refused[];
  /** How many sessions lived, each time somebody looked. */
  readonly counts: readonly number[];
}

/** The clock of the workers: in microseconds, so that hardly two sessions are begun in the same moment. */
const clock = { now: () => Math.floor((performance.timeOrigin + performance.now()) * 1000) };

async function play(limits: Limits): Promise<Played> {
  const file = sqliteFile();
  const key = generateKey();
  const lifetime = { idle: "100d", absolute: "400d" } as const;
  const options = { keys: [key], seal: "server", limits, clock, lifetime, pruneEvery: false } as const;
  const sessions = createSessionManager({ ...options, store: sqliteStore(file.connect()) });
  const orders = { path: file.path, key, userId: USER, limits, times: TIMES };
  const counts: number[] = [];
  const work = { isDone: false };
  const observe = async (): Promise<void> => {
    while (!work.isDone) {
      counts.push(await sessions.count({ userId: USER }));
      await wait(1);
    }
  };
  const observed = observe();
  const answers = await playTwo<(LoggedIn | Refused)[]>("logins.mjs", orders);
  work.isDone = true;
  await observed;
  return {
    sessions,
    logins: answers.map((list) => list.filter((answer) => "token" in answer)),
    refused: answers.flat().filter((answer) => "code" in answer),
    counts,
  };
}

/** Plays until the processes met: each began something before the other was done. */
async function playUntilMet(limits: Limits, check: (played: Played) => Promise<void>): Promise<void> {
  for (let met = false, round = 1; !met; round++) {
    expect(round).toBeLessThanOrEqual(ROUNDS);
    const played = await play(limits);
    await check(played);
    const spans = played.logins.map((list) => list.map(({ createdAt }) => createdAt).toSorted((a, b) => a - b));
    const [one = [], two = []] = spans;
    met = (one[0] ?? Infinity) < (two.at(-1) ?? 0) && (two[0] ?? Infinity) < (one.at(-1) ?? 0);
  }
}

function expectNeverMore(counts: readonly number[], most: number): void {
  expect(Math.max(...counts)).toBeLessThanOrEqual(most);
  expect(counts.length).toBeGreaterThan(3);
}

async function statesOf({ sessions, logins }: Played): Promise<string[]> {
  return Promise.all(logins.flat().map(({ token }) => found(sessions, token)));
}

describe("twenty logins at once in each of two processes, where three sessions may live", () => {
  it.each(["evict-oldest", "evict-idle"] as const)("leave three, the newest among them (%s)", async (onLimit) => {
    await playUntilMet({ perUser: 3, onLimit }, async (played) => {
      expect(played.refused).toEqual([]);
      expectNeverMore(played.counts, 3);
      const states = await statesOf(played);
      expect(states).toHaveLength(2 * TIMES);
      expect(states.filter((state) => state === MINE)).toHaveLength(3);
      expect(states.filter((state) => state === "ended: evicted")).toHaveLength(2 * TIMES - 3);
      const alive = (await played.sessions.list({ userId: USER })).sessions;
      const newest = Math.max(...played.logins.flat().map(({ createdAt }) => createdAt));
      expect(alive.map(({ createdAt }) => createdAt)).toContain(newest);
    });
  });

  it("let three in, and refuse all others (reject)", async () => {
    const played = await play({ perUser: 3, onLimit: "reject" });
    expectNeverMore(played.counts, 3);
    expect(await statesOf(played)).toEqual([MINE, MINE, MINE]);
    expect(played.refused).toHaveLength(2 * TIMES - 3);
    for (const one of played.refused) expect(one).toEqual({ code: "ERR_SESSION_LIMIT", limit: "perUser" });
  });

  it.each([1, 3])("share %i among them (reuse)", async (perUser) => {
    const played = await play({ perUser, onLimit: "reuse" });
    expectNeverMore(played.counts, perUser);
    expect([played.refused, played.logins.flat().length]).toEqual([[], 2 * TIMES]);
    expect(new Set(await statesOf(played))).toEqual(new Set([MINE]));
    expect(new Set(played.logins.flat().map(({ token }) => token)).size).toBe(perUser);
  });

  it("let three in where there may be three in all", async () => {
    const played = await play({ perUser: false, total: 3 });
    expectNeverMore(played.counts, 3);
    expect(await statesOf(played)).toEqual([MINE, MINE, MINE]);
    for (const one of played.refused) expect(one).toEqual({ code: "ERR_SESSION_LIMIT", limit: "total" });
  });
});
