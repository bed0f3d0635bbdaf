/** Two processes log a user in at once, on every store that counts: never more sessions than may be, and the right ones. */
import { createSessionManager, generateKey, type Limits, type SessionManager } from "symbolon";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeEvery } from "../support/every-variant.ts";
import { found } from "../support/sessions.ts";
import { observe, type RaceStage, stageRace, untilMet } from "./race-stage.ts";

const USER = "user-1";
const MINE = `authenticated: ${USER}`;
const TIMES = 20;

interface LoggedIn {
  readonly token: string;
  readonly createdAt: number;
}

interface Refused {
  readonly code: string;
  readonly limit?: string;
}

interface Played {
  readonly sessions: SessionManager;
  readonly logins: readonly LoggedIn[];
  readonly refused: readonly Refused[];
  /** How many sessions lived at most, whenever somebody looked. */
  readonly mostSeen: number;
  /** Whether the processes met, and were seen doing so. */
  readonly hasMet: boolean;
}

let games = 0;

/** Logs the user in twenty times at once in each process, in a namespace that is new. */
async function logIn({ store, play }: RaceStage, limits: Limits): Promise<Played> {
  const key = generateKey();
  const namespace = `game-${games++}`;
  const options = { store, keys: [key], namespace, limits, seal: "server", pruneEvery: false } as const;
  const sessions = createSessionManager(options);
  const orders = { game: "logIn", key, namespace, userId: USER, limits, times: TIMES };
  const playing = play<(LoggedIn | Refused)[]>([orders, orders]);
  const { done, seen } = await observe(() => sessions.count({ userId: USER }), playing);
  const answers = done.answers.flat();
  return {
    sessions,
    logins: answers.filter((answer) => "token" in answer),
    refused: answers.filter((answer) => "code" in answer),
    mostSeen: Math.max(...seen),
    hasMet: done.hasMet && seen.length > 1,
  };
}

async function statesOf({ sessions, logins }: Played): Promise<string[]> {
  return Promise.all(logins.map(({ token }) => found(sessions, token)));
}

describeEvery("twenty logins at once in each of two processes", "admission", (variant) => {
  let stage: RaceStage;

  beforeAll(async () => {
    stage = await stageRace(variant);
  });

  afterAll(async () => stage?.end());

  /** Plays until the processes met: each was at work while the other was. */
  async function playUntilMet(limits: Limits, check: (played: Played) => Promise<void>): Promise<void> {
    await untilMet(async () => {
      const played = await logIn(stage, limits);
      await check(played);
      return played.hasMet;
    });
  }

  it.each(["evict-oldest", "evict-idle"] as const)("leave three, the newest among them (%s)", async (onLimit) => {
    await playUntilMet({ perUser: 3, onLimit }, async (played) => {
      expect(played.refused).toEqual([]);
      expect(played.mostSeen).toBeLessThanOrEqual(3);
      const states = await statesOf(played);
      expect(states).toHaveLength(2 * TIMES);
      expect(states.filter((state) => state === MINE)).toHaveLength(3);
      expect(states.filter((state) => state === "ended: evicted")).toHaveLength(2 * TIMES - 3);
      const alive = (await played.sessions.list({ userId: USER })).sessions;
      const newest = Math.max(...played.logins.map(({ createdAt }) => createdAt));
      expect(alive.map(({ createdAt }) => createdAt)).toContain(newest);
    });
  });

  it("let three in, and refuse all others (reject)", async () => {
    await playUntilMet({ perUser: 3, onLimit: "reject" }, async (played) => {
      expect(played.mostSeen).toBeLessThanOrEqual(3);
      expect(await statesOf(played)).toEqual([MINE, MINE, MINE]);
      expect(played.refused).toHaveLength(2 * TIMES - 3);
      for (const one of played.refused) expect(one).toMatchObject({ code: "ERR_SESSION_LIMIT", limit: "perUser" });
    });
  });

  it.each([1, 3])("share %i among them (reuse)", async (perUser) => {
    await playUntilMet({ perUser, onLimit: "reuse" }, async (played) => {
      expect(played.mostSeen).toBeLessThanOrEqual(perUser);
      expect([played.refused, played.logins.length]).toEqual([[], 2 * TIMES]);
      expect(new Set(await statesOf(played))).toEqual(new Set([MINE]));
      expect(new Set(played.logins.map(({ token }) => token)).size).toBe(perUser);
    });
  });

  it("let three in where there may be three in all", async () => {
    await playUntilMet({ perUser: false, total: 3 }, async (played) => {
      expect(played.mostSeen).toBeLessThanOrEqual(3);
      expect(await statesOf(played)).toEqual([MINE, MINE, MINE]);
      for (const one of played.refused) expect(one).toMatchObject({ code: "ERR_SESSION_LIMIT", limit: "total" });
    });
  });
});
