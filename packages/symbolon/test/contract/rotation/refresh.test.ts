/** Every case of `vectors/refresh-rotation-scenarios.json`, as written, by `sessions.refresh`, on every store. */
import { randomBytes } from "node:crypto";
import { generateKey, type SessionManager } from "symbolon";
import { describe, expect, it } from "vitest";
import { describeEvery } from "../../support/every-variant.ts";
import { pairsOn, type ProcessPair, rotatingVariants } from "../../support/process-pair.ts";
import { found, type Options, opened, taken } from "../../support/sessions.ts";
import { namesOf, NOT_OF_TOKENS } from "./scenario-names.ts";

const USER = "user-1";
const SECOND = 1000;

interface Scenario {
  readonly options?: Options;
  /** Ends sessions of a user, which needs an index of owners. */
  readonly endsByOwner?: boolean;
  readonly play: (pair: ProcessPair) => Promise<unknown>;
}

const logIn = async (sessions: SessionManager): Promise<string> =>
  (await sessions.create({ userId: USER, stamp: "v1", data: { n: 1 } })).token;

const refresh = async (sessions: SessionManager, token: string): Promise<string | null> =>
  (await sessions.refresh(token))?.token ?? null;

async function refreshed(sessions: SessionManager, token: string): Promise<string> {
  const next = await refresh(sessions, token);
  if (next === null) throw new Error("The token does not refresh.");
  expect(next).not.toBe(token);
  return next;
}

const typesOf = ({ heard }: ProcessPair, type: string): number => heard.filter((event) => event.type === type).length;

/** Nobody has a session any more, whatever they hold. */
async function expectEnded({ one, two }: ProcessPair, tokens: readonly string[], reason: string): Promise<void> {
  for (const token of tokens) {
    expect(await refresh(one, token)).toBeNull();
    expect(await found(two, token)).toBe(`ended: ${reason}`);
  }
}

const scenarios: Readonly<Record<string, Scenario>> = {
  linear: {
    async play({ one, two, clock }) {
      const R0 = await logIn(one);
      clock.advance(10 * SECOND);
      const R1 = await refreshed(two, R0);
      clock.advance(10 * SECOND);
      const R2 = await refreshed(one, R1);
      clock.advance(10 * SECOND);
      expect((await opened(two, R2)).data).toEqual({ n: 1 });
    },
  },
  "retry-inside-grace": {
    async play({ one, two, clock }) {
      const R0 = await logIn(one);
      const R1 = await refreshed(one, R0);
      clock.advance(5 * SECOND);
      expect(await refresh(two, R0)).toBe(R1);
      clock.advance(1 * SECOND);
      const R2 = await refreshed(two, R1);
      expect((await opened(one, R2)).data).toEqual({ n: 1 });
    },
  },
  "parallel-50": {
    async play(pair) {
      const { one, two } = pair;
      const R0 = await logIn(one);
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, at) => refreshed(at % 2 === 0 ? one : two, R0)),
      );
      expect(new Set(answers).size).toBe(1);
      expect(typesOf(pair, "rotated")).toBe(1);
      expect((await opened(two, answers[0] ?? "")).data).toEqual({ n: 1 });
    },
  },
  "parallel-50-no-grace": {
    options: { rotation: { grace: 0 } },
    async play(pair) {
      const { one, two } = pair;
      const R0 = await logIn(one);
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, at) => refresh(at % 2 === 0 ? one : two, R0)),
      );
      const winners = answers.filter((answer) => answer !== null);
      expect([winners.length, typesOf(pair, "rotated")]).toEqual([1, 1]);
      // One that came after the winner was done looks like a thief: then the session has ended by now.
      const [R1 = ""] = winners;
      expect(await found(one, R1)).toMatch(/^(authenticated: user-1|ended: reuse-detected)$/);
      expect(await refresh(two, R0)).toBeNull();
      await expectEnded(pair, [R0, R1], "reuse-detected");
      expect(typesOf(pair, "reuse-detected")).toBe(1);
    },
  },
  "replay-after-grace": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      const R1 = await refreshed(one, R0);
      clock.advance(60 * SECOND);
      expect(await refresh(two, R0)).toBeNull();
      expect(typesOf(pair, "reuse-detected")).toBe(1);
      clock.advance(1 * SECOND);
      await expectEnded(pair, [R1, R0], "reuse-detected");
    },
  },
  "thief-first": {
    async play(pair) {
      const { one: victims, two: thiefs, clock } = pair;
      const R0 = await logIn(victims);
      const R1 = await refreshed(thiefs, R0);
      clock.advance(60 * SECOND);
      expect(await found(victims, R0)).toBe("reuse-detected");
      clock.advance(1 * SECOND);
      await expectEnded(pair, [R1, R0], "reuse-detected");
    },
  },
  "thief-inside-grace": {
    async play(pair) {
      const { one: victims, two: thiefs, clock } = pair;
      const R0 = await logIn(victims);
      const R1 = await refreshed(victims, R0);
      clock.advance(3 * SECOND);
      expect(await refresh(thiefs, R0)).toBe(R1);
      clock.advance(17 * SECOND);
      const R2 = await refreshed(victims, R1);
      clock.advance(60 * SECOND);
      expect(await found(thiefs, R1)).toBe("reuse-detected");
      await expectEnded(pair, [R2, R1, R0], "reuse-detected");
    },
  },
  grandparent: {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      const R1 = await refreshed(one, R0);
      clock.advance(1 * SECOND);
      const R2 = await refreshed(two, R1);
      clock.advance(1 * SECOND);
      expect(await refresh(one, R1)).toBe(R2);
      expect(await found(two, R0)).toBe("reuse-detected");
      await expectEnded(pair, [R2, R1, R0], "reuse-detected");
    },
  },
  "grace-not-extended": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      const R1 = await refreshed(one, R0);
      clock.advance(9 * SECOND);
      expect(await refresh(two, R0)).toBe(R1);
      clock.advance(9 * SECOND);
      expect(await found(one, R0)).toBe("reuse-detected");
      await expectEnded(pair, [R1], "reuse-detected");
    },
  },
  "unknown-secret-known-id": {
    async play(pair) {
      const { one, two } = pair;
      const R0 = await logIn(one);
      const guess = Buffer.from(R0.slice(3), "base64url");
      randomBytes(39).copy(guess, 21);
      expect(await refresh(two, `s1_${guess.toString("base64url")}`)).toBeNull();
      const R1 = await refreshed(one, R0);
      expect((await opened(two, R1)).userId).toBe(USER);
      expect(typesOf(pair, "reuse-detected")).toBe(0);
    },
  },
  "logout-wins": {
    async play(pair) {
      const { one, two } = pair;
      const R0 = await logIn(one);
      pair.around = async (call) => {
        if (call.method === "update") await (await opened(two, R0)).logout();
        return call.proceed();
      };
      expect(await refresh(one, R0)).toBeNull();
      await expectEnded(pair, [R0], "logout");
      expect(typesOf(pair, "rotated")).toBe(0);
    },
  },
  "absolute-expiry": {
    options: { lifetime: { idle: "30s", absolute: "100s" } },
    async play({ one, two, clock }) {
      let current = await logIn(one);
      for (let times = 0; times < 9; times++) {
        clock.advance(10 * SECOND);
        current = await refreshed(times % 2 === 0 ? one : two, current);
      }
      clock.advance(10 * SECOND - 1);
      expect(await found(two, current)).toBe(`authenticated: ${USER}`);
      clock.advance(1);
      expect(await found(two, current)).toBe("expired");
      clock.advance(1 * SECOND);
      expect([await refresh(one, current), await found(two, current)]).toEqual([null, "expired"]);
    },
  },
  "idle-expiry": {
    options: { lifetime: { idle: "30s", absolute: "100s" } },
    async play({ one, two, clock }) {
      const R0 = await logIn(one);
      clock.advance(31 * SECOND);
      expect([await refresh(one, R0), await found(two, R0)]).toEqual([null, "expired"]);
    },
  },
  "password-change": {
    endsByOwner: true,
    async play(pair) {
      const { one, two } = pair;
      const [first, second] = [await logIn(one), await logIn(two)];
      const secondNext = await refreshed(two, second);
      const session = await opened(one, first);
      expect(await session.keepLogin("v2")).toBe("saved");
      const kept = taken(session);
      expect([await refresh(two, first), (await opened(two, kept)).data]).toEqual([null, { n: 1 }]);
      await expectEnded(pair, [second, secondNext], "stamp-changed");
      expect((await opened(one, await refreshed(two, kept))).userId).toBe(USER);
    },
  },
  "user-disabled": {
    endsByOwner: true,
    async play(pair) {
      const { one, two } = pair;
      const tokens = [await logIn(one), await logIn(two), await logIn(one)];
      tokens.push(await refreshed(one, tokens[0] ?? ""));
      expect(await two.revokeAll(USER, { reason: "disabled" })).toBe(3);
      await expectEnded(pair, tokens, "disabled");
    },
  },
  "cross-client": {
    // Another client is another namespace, or another application with keys of its own: the session is untouched.
    async play(pair) {
      const { one, two, another } = pair;
      const R0 = await logIn(one);
      const R1 = await refreshed(one, R0);
      const foreign = [another({ namespace: "another" }), another({ keys: [generateKey()] })];
      for (const client of foreign) {
        for (const token of [R0, R1]) {
          expect(await refresh(client, token)).toBeNull();
          expect(await found(client, token)).toMatch(/^(forged|unknown-key)$/);
        }
      }
      expect(await refresh(two, R0)).toBe(R1);
      expect((await opened(two, await refreshed(one, R1))).userId).toBe(USER);
      expect(typesOf(pair, "reuse-detected")).toBe(0);
    },
  },
};

describeEvery(
  "refresh",
  "store",
  (variant) => {
    const pairOf = pairsOn(variant);
    for (const [name, { options, endsByOwner = false, play }] of Object.entries(scenarios)) {
      if (endsByOwner && !variant.abilities.has("owner-index")) continue;
      it(name, async () => play(pairOf(options)));
    }
  },
  rotatingVariants,
);

describe("the scenarios of rotation", () => {
  it("are all played by refresh, but for those that are about something else", () => {
    expect(Object.keys(scenarios).toSorted()).toEqual(namesOf((name) => !(name in NOT_OF_TOKENS)));
  });
});
