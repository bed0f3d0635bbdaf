/**
 * Every case of `vectors/refresh-rotation-scenarios.json`, as written, by `jwts.refresh`, on every store: with refresh
 * tokens and the access tokens that go with them, which are looked at in another process than that which issued them.
 */
import { randomBytes } from "node:crypto";
import { generateKey, type SessionManager } from "symbolon";
import { generateJwtKey, type IssuedTokens, type JwtSessionManager } from "symbolon/jwt";
import { describe, expect, it } from "vitest";
import { describeEvery } from "../../support/every-variant.ts";
import { foundBy, jwtsOver, refreshedBy, refreshOf } from "../../support/jwt-sessions.ts";
import { pairsOn, type ProcessPair, rotatingVariants } from "../../support/process-pair.ts";
import type { Options } from "../../support/sessions.ts";
import { namesOf, NOT_OF_TOKENS } from "./scenario-names.ts";

const USER = "user-1";
const SECOND = 1000;

/** Two processes that issue tokens, and one that asks the store only where it is told to. */
interface World {
  readonly pair: ProcessPair;
  readonly one: JwtSessionManager;
  readonly two: JwtSessionManager;
  readonly offline: JwtSessionManager;
}

interface Scenario {
  readonly options?: Options;
  /** Ends sessions of a user, which needs an index of owners. */
  readonly endsByOwner?: boolean;
  readonly play: (world: World) => Promise<unknown>;
}

function worldOf(pair: ProcessPair): World {
  const offline = jwtsOver(pair.another({}), { verification: "offline" });
  return { pair, one: jwtsOver(pair.one), two: jwtsOver(pair.two), offline };
}

const logIn = (jwts: JwtSessionManager): Promise<IssuedTokens> =>
  jwts.create({ userId: USER, stamp: "v1", data: { n: 1 } });

/** The next tokens; those of before are the session's no more. */
async function refreshed({ two, offline }: World, by: JwtSessionManager, before: IssuedTokens): Promise<IssuedTokens> {
  const next = await refreshedBy(by, before.refreshToken);
  expect(next.refreshToken).not.toBe(before.refreshToken);
  expect(await foundBy(two, before.accessToken)).toBe("replaced");
  expect(await foundBy(offline, before.accessToken, { verification: "stateful" })).toBe("replaced");
  return next;
}

/** The access token opens the session, and the session has its data for who has its own token. */
async function expectOpen({ pair, one, two, offline }: World, issued: IssuedTokens): Promise<void> {
  for (const jwts of [one, two, offline]) expect(await foundBy(jwts, issued.accessToken)).toBe(USER);
  expect((await pair.another({}).validate(refreshOf(issued)))?.data).toEqual({ n: 1 });
}

/** Asking again has the same successor, and an access token that is as good. */
async function expectSame(by: JwtSessionManager, before: IssuedTokens, next: IssuedTokens): Promise<void> {
  const again = await refreshedBy(by, before.refreshToken);
  expect(again.refreshToken).toBe(next.refreshToken);
  for (const { accessToken } of [again, next]) expect(await foundBy(by, accessToken)).toBe(USER);
}

const typesOf = ({ pair }: World, type: string): number => pair.heard.filter((event) => event.type === type).length;

/** Nobody has a session any more, whatever they hold. */
async function expectEnded(world: World, held: readonly IssuedTokens[], reason: string): Promise<void> {
  for (const { accessToken, refreshToken } of held) {
    expect(await world.one.refresh(refreshToken ?? "")).toBeNull();
    for (const jwts of [world.one, world.two]) expect(await foundBy(jwts, accessToken)).toBe(`ended: ${reason}`);
    const online = await foundBy(world.offline, accessToken, { verification: "stateful" });
    expect(online).toBe(`ended: ${reason}`);
  }
}

/** The old token is refused, which ends the session: once, with one event. */
async function expectReused(world: World, by: JwtSessionManager, old: IssuedTokens): Promise<void> {
  expect(await by.refresh(refreshOf(old))).toBeNull();
  expect(typesOf(world, "reuse-detected")).toBe(1);
}

const scenarios: Readonly<Record<string, Scenario>> = {
  linear: {
    async play(world) {
      const { one, two, pair } = world;
      const first = await logIn(one);
      pair.clock.advance(10 * SECOND);
      const second = await refreshed(world, two, first);
      pair.clock.advance(10 * SECOND);
      const third = await refreshed(world, one, second);
      pair.clock.advance(10 * SECOND);
      await expectOpen(world, third);
    },
  },
  "retry-inside-grace": {
    async play(world) {
      const { one, two, pair } = world;
      const first = await logIn(one);
      const second = await refreshed(world, one, first);
      pair.clock.advance(5 * SECOND);
      await expectSame(two, first, second);
      pair.clock.advance(1 * SECOND);
      await expectOpen(world, await refreshed(world, two, second));
    },
  },
  "parallel-50": {
    async play(world) {
      const { one, two } = world;
      const first = await logIn(one);
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, at) => refreshedBy(at % 2 === 0 ? one : two, first.refreshToken)),
      );
      expect(new Set(answers.map(refreshOf)).size).toBe(1);
      expect(new Set(answers.map(({ accessToken }) => accessToken)).size).toBe(50);
      expect(typesOf(world, "rotated")).toBe(1);
      for (const { accessToken } of answers) expect(await foundBy(two, accessToken)).toBe(USER);
      expect(await foundBy(one, first.accessToken)).toBe("replaced");
      await expectOpen(world, answers[0] ?? first);
    },
  },
  "parallel-50-no-grace": {
    options: { rotation: { grace: 0 } },
    async play(world) {
      const { one, two } = world;
      const first = await logIn(one);
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? one : two).refresh(refreshOf(first))),
      );
      const winners = answers.filter((answer) => answer !== null);
      expect([winners.length, typesOf(world, "rotated")]).toEqual([1, 1]);
      // One that came after the winner was done looks like a thief: then the session has ended by now.
      const [second = first] = winners;
      expect(await foundBy(one, second.accessToken)).toMatch(/^(user-1|ended: reuse-detected)$/);
      await expectReused(world, two, first);
      await expectEnded(world, [first, second], "reuse-detected");
    },
  },
  "replay-after-grace": {
    async play(world) {
      const { one, two, pair } = world;
      const first = await logIn(one);
      const second = await refreshed(world, one, first);
      pair.clock.advance(60 * SECOND);
      await expectReused(world, two, first);
      pair.clock.advance(1 * SECOND);
      await expectEnded(world, [second, first], "reuse-detected");
    },
  },
  "thief-first": {
    async play(world) {
      const { one: victims, two: thiefs, pair } = world;
      const first = await logIn(victims);
      const second = await refreshed(world, thiefs, first);
      pair.clock.advance(60 * SECOND);
      await expectReused(world, victims, first);
      pair.clock.advance(1 * SECOND);
      await expectEnded(world, [second, first], "reuse-detected");
    },
  },
  "thief-inside-grace": {
    async play(world) {
      const { one: victims, two: thiefs, pair } = world;
      const first = await logIn(victims);
      const second = await refreshed(world, victims, first);
      pair.clock.advance(3 * SECOND);
      await expectSame(thiefs, first, second);
      pair.clock.advance(17 * SECOND);
      const third = await refreshed(world, victims, second);
      pair.clock.advance(60 * SECOND);
      await expectReused(world, thiefs, second);
      await expectEnded(world, [third, second, first], "reuse-detected");
    },
  },
  grandparent: {
    async play(world) {
      const { one, two, pair } = world;
      const first = await logIn(one);
      const second = await refreshed(world, one, first);
      pair.clock.advance(1 * SECOND);
      const third = await refreshed(world, two, second);
      pair.clock.advance(1 * SECOND);
      await expectSame(one, second, third);
      await expectReused(world, two, first);
      await expectEnded(world, [third, second, first], "reuse-detected");
    },
  },
  "grace-not-extended": {
    async play(world) {
      const { one, two, pair } = world;
      const first = await logIn(one);
      const second = await refreshed(world, one, first);
      pair.clock.advance(9 * SECOND);
      await expectSame(two, first, second);
      pair.clock.advance(9 * SECOND);
      await expectReused(world, one, first);
      await expectEnded(world, [second], "reuse-detected");
    },
  },
  "unknown-secret-known-id": {
    async play(world) {
      const { one, two } = world;
      const first = await logIn(one);
      const guess = Buffer.from(refreshOf(first).slice(3), "base64url");
      randomBytes(39).copy(guess, 21);
      expect(await two.refresh(`s1_${guess.toString("base64url")}`)).toBeNull();
      expect(await foundBy(two, first.accessToken)).toBe(USER);
      await expectOpen(world, await refreshed(world, one, first));
      expect(typesOf(world, "reuse-detected")).toBe(0);
    },
  },
  "logout-wins": {
    async play(world) {
      const { one, two, pair } = world;
      const first = await logIn(one);
      pair.around = async (call) => {
        if (call.method === "update") await (await two.validate(first.accessToken))?.logout();
        return call.proceed();
      };
      expect(await one.refresh(refreshOf(first))).toBeNull();
      await expectEnded(world, [first], "logout");
      expect([typesOf(world, "logout"), typesOf(world, "rotated")]).toEqual([1, 0]);
    },
  },
  "absolute-expiry": {
    options: { lifetime: { idle: "30s", absolute: "100s" } },
    async play(world) {
      const { one, two, pair } = world;
      let current = await logIn(one);
      for (let times = 0; times < 9; times++) {
        pair.clock.advance(10 * SECOND);
        current = await refreshed(world, times % 2 === 0 ? one : two, current);
      }
      pair.clock.advance(10 * SECOND - 1);
      expect(await foundBy(two, current.accessToken)).toBe(USER);
      pair.clock.advance(1);
      expect(await foundBy(two, current.accessToken)).toBe("expired");
      pair.clock.advance(1 * SECOND);
      expect(await one.refresh(refreshOf(current))).toBeNull();
    },
  },
  "idle-expiry": {
    options: { lifetime: { idle: "30s", absolute: "100s" } },
    async play({ one, two, pair }) {
      const first = await logIn(one);
      pair.clock.advance(31 * SECOND);
      expect([await one.refresh(refreshOf(first)), await foundBy(two, first.accessToken)]).toEqual([null, "expired"]);
    },
  },
  "password-change": {
    endsByOwner: true,
    async play(world) {
      const { one, two, pair } = world;
      const [first, second] = [await logIn(one), await logIn(two)];
      const secondNext = await refreshed(world, two, second);
      const session = await pair.one.validate(refreshOf(first));
      if (session === null) throw new Error("The session does not open.");
      expect(await session.keepLogin("v2")).toBe("saved");
      const kept = await one.issue(session);
      expect([await two.refresh(refreshOf(first)), await foundBy(two, first.accessToken)]).toEqual([null, "replaced"]);
      await expectEnded(world, [second, secondNext], "stamp-changed");
      await expectOpen(world, kept);
      await expectOpen(world, await refreshed(world, two, kept));
    },
  },
  "user-disabled": {
    endsByOwner: true,
    async play(world) {
      const { one, two } = world;
      const held = [await logIn(one), await logIn(two), await logIn(one)] as const;
      const next = await refreshed(world, one, held[0]);
      expect(await two.sessions.revokeAll(USER, { reason: "disabled" })).toBe(3);
      await expectEnded(world, [...held, next], "disabled");
    },
  },
  "cross-client": {
    // Another client is another namespace, another application with keys of its own, or another audience or issuer: there
    // the tokens are worth nothing, and the session is untouched.
    async play(world) {
      const { one, two, pair } = world;
      const first = await logIn(one);
      const second = await refreshed(world, one, first);
      const strangers: readonly SessionManager[] = [
        pair.another({ namespace: "another" }),
        pair.another({ keys: [generateKey()] }),
      ];
      for (const stranger of strangers) {
        for (const { accessToken, refreshToken } of [first, second]) {
          expect(await jwtsOver(stranger).refresh(refreshToken ?? "")).toBeNull();
          expect(await foundBy(jwtsOver(stranger), accessToken)).toBe("unknown");
        }
      }
      const elsewhere = { issuer: "https://other.example", audience: ["https://other.example"] } as const;
      const signing = [await generateJwtKey()];
      expect(await foundBy(jwtsOver(pair.two, { issuer: elsewhere.issuer }), second.accessToken)).toBe("wrong-issuer");
      expect(await foundBy(jwtsOver(pair.two, { audience: elsewhere.audience }), second.accessToken)).toBe(
        "wrong-audience",
      );
      expect(await foundBy(jwtsOver(pair.two, { signing }), second.accessToken)).toBe("unknown-key");
      await expectSame(two, first, second);
      await expectOpen(world, await refreshed(world, one, second));
      expect(typesOf(world, "reuse-detected")).toBe(0);
    },
  },
};

describeEvery(
  "refresh of JWT sessions",
  "store",
  (variant) => {
    const pairOf = pairsOn(variant);
    for (const [name, { options, endsByOwner = false, play }] of Object.entries(scenarios)) {
      if (endsByOwner && !variant.abilities.has("owner-index")) continue;
      it(name, async () => play(worldOf(pairOf(options))));
    }
  },
  rotatingVariants,
);

describe("the scenarios of rotation", () => {
  it("are all played by the refresh of JWT sessions, but for those that are about something else", () => {
    expect(Object.keys(scenarios).toSorted()).toEqual(namesOf((name) => !(name in NOT_OF_TOKENS)));
  });
});
