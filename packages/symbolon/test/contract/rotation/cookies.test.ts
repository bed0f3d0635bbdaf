/**
 * Every case of `vectors/refresh-rotation-scenarios.json` for sessions in cookies, on every store. There a token is
 * replaced by a request that comes with it when it is due, and grace counts from when its successor is presented first.
 */
import { randomBytes } from "node:crypto";
import { generateKey, type SessionManager } from "symbolon";
import { describe, expect, it } from "vitest";
import { describeEvery } from "../../support/every-variant.ts";
import { pairsOn, type ProcessPair, rotatingVariants } from "../../support/process-pair.ts";
import type { Options } from "../../support/sessions.ts";
import { request, respond, visit } from "../../support/visits.ts";
import { namesOf, NOT_OF_TOKENS } from "./scenario-names.ts";

const USER = "user-1";
const SECOND = 1000;
const GRACE = 10 * SECOND;
const NO_COOKIE = { token: null, maxAge: null };

interface Scenario {
  readonly options?: Options;
  /** Ends sessions of a user, which needs an index of owners. */
  readonly endsByOwner?: boolean;
  readonly play: (pair: ProcessPair) => Promise<unknown>;
}

const logIn = async (sessions: SessionManager): Promise<string> =>
  (await sessions.create({ userId: USER, stamp: "v1", data: { n: 1 } })).token;

/** Uses a token until it is replaced: it has to arrive, and the grace of the one before to be over. */
async function renewed(sessions: SessionManager, token: string, { clock }: ProcessPair): Promise<string> {
  const first = await visit(sessions, token);
  expect(first.found).toBe(USER);
  if (first.token !== null) return first.token;
  clock.advance(GRACE);
  const { token: next } = await visit(sessions, token);
  if (next === null) throw new Error("The token is not replaced.");
  return next;
}

/** A token opens the session, with its data. */
async function expectOpen(sessions: SessionManager, token: string): Promise<void> {
  const opened = await request(sessions, token);
  expect([opened.session.userId, opened.session.data]).toEqual([USER, { n: 1 }]);
  await respond(opened);
}

const typesOf = ({ heard }: ProcessPair, type: string): number => heard.filter((event) => event.type === type).length;

/** Nobody has a session any more, whatever they hold. */
async function expectEnded({ one, two }: ProcessPair, tokens: readonly string[], reason: string): Promise<void> {
  for (const token of tokens) {
    for (const sessions of [one, two]) {
      expect(await visit(sessions, token)).toEqual({ found: `ended: ${reason}`, ...NO_COOKIE });
    }
  }
}

async function expectReused(sessions: SessionManager, token: string): Promise<void> {
  expect(await visit(sessions, token)).toEqual({ found: "reuse-detected", ...NO_COOKIE });
}

const scenarios: Readonly<Record<string, Scenario>> = {
  linear: {
    async play(pair) {
      const { one, two } = pair;
      const R0 = await logIn(one);
      const R1 = await renewed(two, R0, pair);
      const R2 = await renewed(one, R1, pair);
      await expectOpen(two, R2);
      expect(new Set([R0, R1, R2]).size).toBe(3);
    },
  },
  "retry-inside-grace": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      const R1 = await renewed(one, R0, pair);
      clock.advance(5 * SECOND);
      expect((await visit(two, R0)).token).toBe(R1);
      clock.advance(3000 * SECOND);
      // Lost, and lost again: there is no hurry until it arrives.
      expect((await visit(one, R0)).token).toBe(R1);
      await expectOpen(two, await renewed(two, R1, pair));
    },
  },
  "parallel-50": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      clock.advance(GRACE);
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, at) => visit(at % 2 === 0 ? one : two, R0)),
      );
      const [R1 = ""] = answers.map(({ token }) => token ?? "");
      expect(R1).not.toBe(R0);
      for (const answer of answers) expect(answer).toEqual({ found: USER, token: R1, maxAge: null });
      expect([typesOf(pair, "rotated"), typesOf(pair, "reuse-detected")]).toEqual([1, 0]);
      await expectOpen(two, R1);
    },
  },
  "parallel-50-no-grace": {
    options: { rotation: { every: "request", grace: 0 } },
    async play(pair) {
      const { one, two } = pair;
      const R0 = await logIn(one);
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, at) => visit(at % 2 === 0 ? one : two, R0)),
      );
      const winners = answers.filter(({ found }) => found === USER);
      expect([winners.length, typesOf(pair, "rotated")]).toEqual([1, 1]);
      for (const answer of answers) {
        if (answer !== winners[0]) expect(answer).toEqual({ found: "wrong-secret", ...NO_COOKIE });
      }
      const R2 = await renewed(two, winners[0]?.token ?? "", pair);
      await expectReused(one, R0);
      await expectEnded(pair, [R2, R0], "reuse-detected");
    },
  },
  "replay-after-grace": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      const R1 = await renewed(one, R0, pair);
      await expectOpen(one, R1);
      clock.advance(60 * SECOND);
      const replays = await Promise.all(
        Array.from({ length: 20 }, async (_, at) => visit(at % 2 === 0 ? one : two, R0)),
      );
      for (const { found, token } of replays) {
        expect([found.replace("ended: ", ""), token]).toEqual(["reuse-detected", null]);
      }
      expect(typesOf(pair, "reuse-detected")).toBe(1);
      clock.advance(1 * SECOND);
      await expectEnded(pair, [R1, R0], "reuse-detected");
    },
  },
  "thief-first": {
    async play(pair) {
      const { one: victims, two: thiefs, clock } = pair;
      const R0 = await logIn(victims);
      const R1 = await renewed(thiefs, R0, pair);
      await expectOpen(thiefs, R1);
      clock.advance(60 * SECOND);
      await expectReused(victims, R0);
      await expectEnded(pair, [R1, R0], "reuse-detected");
    },
  },
  "thief-inside-grace": {
    async play(pair) {
      const { one: victims, two: thiefs, clock } = pair;
      const R0 = await logIn(victims);
      const R1 = await renewed(victims, R0, pair);
      await expectOpen(victims, R1);
      clock.advance(3 * SECOND);
      expect((await visit(thiefs, R0)).token).toBe(R1);
      clock.advance(17 * SECOND);
      const R2 = await renewed(victims, R1, pair);
      await expectOpen(victims, R2);
      clock.advance(60 * SECOND);
      await expectReused(thiefs, R1);
      await expectEnded(pair, [R2, R1, R0], "reuse-detected");
    },
  },
  grandparent: {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      const R1 = await renewed(one, R0, pair);
      await expectOpen(one, R1);
      clock.advance(1 * SECOND);
      // While the one before is good, no third can be.
      expect((await visit(two, R1)).token).toBeNull();
      clock.advance(GRACE);
      const R2 = await renewed(two, R1, pair);
      expect((await visit(one, R1)).token).toBe(R2);
      await expectReused(two, R0);
      await expectEnded(pair, [R2, R1, R0], "reuse-detected");
    },
  },
  "grace-not-extended": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      const R1 = await renewed(one, R0, pair);
      await expectOpen(one, R1);
      clock.advance(9 * SECOND);
      expect((await visit(two, R0)).token).toBe(R1);
      await expectOpen(one, R1);
      clock.advance(9 * SECOND);
      await expectReused(two, R0);
      await expectEnded(pair, [R1], "reuse-detected");
    },
  },
  "unknown-secret-known-id": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      clock.advance(GRACE);
      const guess = Buffer.from(R0.slice(3), "base64url");
      randomBytes(39).copy(guess, 21);
      expect(await visit(two, `s1_${guess.toString("base64url")}`)).toEqual({ found: "forged", ...NO_COOKIE });
      expect(pair.heard.slice(2)).toEqual([]);
      await expectOpen(two, await renewed(one, R0, pair));
    },
  },
  "logout-wins": {
    async play(pair) {
      const { one, two, clock } = pair;
      const R0 = await logIn(one);
      clock.advance(GRACE);
      pair.around = async (call) => {
        if (call.method === "update") {
          pair.around = (other) => other.proceed();
          await visit(two, R0, async (session) => session.logout());
        }
        return call.proceed();
      };
      expect(await visit(one, R0)).toEqual({ found: USER, ...NO_COOKIE });
      await expectEnded(pair, [R0], "logout");
      expect(typesOf(pair, "rotated")).toBe(0);
    },
  },
  "absolute-expiry": {
    options: { rotation: { every: "request", grace: "5s" }, lifetime: { idle: "30s", absolute: "100s" } },
    async play({ one, two, clock }) {
      let current = await logIn(one);
      let rotations = 0;
      for (let times = 0; times < 19; times++) {
        clock.advance(5 * SECOND);
        const { found, token } = await visit(times % 3 === 0 ? one : two, current);
        expect(found).toBe(USER);
        if (token !== null) rotations++;
        current = token ?? current;
      }
      expect(rotations).toBeGreaterThan(8);
      clock.advance(5 * SECOND - 1);
      expect((await visit(two, current)).found).toBe(USER);
      clock.advance(1 + SECOND);
      expect(await visit(two, current)).toEqual({ found: "expired", ...NO_COOKIE });
    },
  },
  "idle-expiry": {
    options: { rotation: { every: "request" }, lifetime: { idle: "30s", absolute: "100s" } },
    async play({ one, two, clock }) {
      const R0 = await logIn(one);
      clock.advance(31 * SECOND);
      expect(await visit(two, R0)).toEqual({ found: "expired", ...NO_COOKIE });
    },
  },
  "password-change": {
    endsByOwner: true,
    async play(pair) {
      const { one, two } = pair;
      const [first, second] = [await logIn(one), await logIn(two)];
      const secondNext = await renewed(two, second, pair);
      const { token: kept } = await visit(one, first, async (session) =>
        expect(await session.keepLogin("v2")).toBe("saved"),
      );
      expect(await visit(two, first)).toEqual({ found: "wrong-secret", ...NO_COOKIE });
      await expectEnded(pair, [second, secondNext], "stamp-changed");
      await expectOpen(one, await renewed(two, kept ?? "", pair));
    },
  },
  "user-disabled": {
    endsByOwner: true,
    async play(pair) {
      const { one, two } = pair;
      const tokens = [await logIn(one), await logIn(two), await logIn(one)];
      tokens.push(await renewed(one, tokens[0] ?? "", pair));
      expect(await two.revokeAll(USER, { reason: "disabled" })).toBe(3);
      await expectEnded(pair, tokens, "disabled");
    },
  },
  "cross-client": {
    // Another client is another namespace, or another application with keys of its own: the session is untouched.
    async play(pair) {
      const { one, two, another } = pair;
      const R0 = await logIn(one);
      const R1 = await renewed(one, R0, pair);
      for (const client of [another({ namespace: "another" }), another({ keys: [generateKey()] })]) {
        for (const token of [R0, R1]) {
          expect(await visit(client, token)).toEqual({
            found: expect.stringMatching(/^(forged|unknown-key)$/) as string,
            ...NO_COOKIE,
          });
        }
      }
      expect((await visit(two, R0)).token).toBe(R1);
      await expectOpen(two, R1);
      expect(typesOf(pair, "reuse-detected")).toBe(0);
    },
  },
};

describeEvery(
  "cookies",
  "store",
  (variant) => {
    const pairOf = pairsOn(variant);
    for (const [name, { options, endsByOwner = false, play }] of Object.entries(scenarios)) {
      if (endsByOwner && !variant.abilities.has("owner-index")) continue;
      it(name, async () => play(pairOf({ rotation: { every: "request" }, ...options })));
    }
  },
  rotatingVariants,
);

describe("the scenarios of rotation", () => {
  it("are all played with cookies, but for those that are about something else", () => {
    expect(Object.keys(scenarios).toSorted()).toEqual(namesOf((name) => !(name in NOT_OF_TOKENS)));
  });
});
