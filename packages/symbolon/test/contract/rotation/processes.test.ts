/** Four processes at once with one token that is due, on every store that is shared: one successor, nobody logged out. */
import { createSessionManager, generateKey, type RotationOptions, type SessionManager } from "symbolon";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeEvery, type NamedVariant, onePerServer } from "../../support/every-variant.ts";
import { AUDIENCE, foundBy, generationOf, ISSUER, jwtKey, jwtsOver } from "../../support/jwt-sessions.ts";
import { opened } from "../../support/sessions.ts";
import type { Handle, Where } from "../../support/targets.ts";
import { type RunningWorker, spawnWorker } from "../../support/workers.ts";

const PROCESSES = 4;
const REQUESTS = 13;
const ROUNDS = 6;
/** On a busy machine the processes may miss each other a few times. */
const MOST_ROUNDS = 60;
const USER = "user-1";
const AHEAD = 15 * 60_000;

interface Said {
  readonly answers: readonly { readonly found: string | null; readonly token: string | null }[];
  readonly events: readonly string[];
  readonly from: number;
  readonly until: number;
}

/** What all processes said of one round. */
interface Round {
  readonly token: string;
  readonly answers: Said["answers"];
  readonly events: readonly string[];
  /** Whether all were at it at one time. */
  readonly hasMet: boolean;
}

const count = <T>(values: readonly T[], isWanted: (value: T) => boolean): number => values.filter(isWanted).length;

/** How often a token was replaced, and how often one was taken for stolen. */
const rotationsIn = (events: readonly string[]): number[] =>
  ["rotated", "reuse-detected"].map((wanted) => count(events, (type) => type === wanted));

/** What the processes do with the token. */
type Way = "visit" | "refresh" | "refreshPair";

const WITH_GRACE = { every: "15m", grace: "60s" } as const;
const GOOD_ONCE = { every: "15m", grace: 0 } as const;
const JWT = { issuer: ISSUER, audience: AUDIENCE, signing: [jwtKey] } as const;

/** Four processes on one storage, and a manager here whose clock is as far ahead as theirs. */
class Stage {
  readonly #named: NamedVariant;
  readonly #key = generateKey();
  readonly #workers: RunningWorker[] = [];
  readonly #ends: (() => void)[] = [];
  #where: Where = {};
  #handle: Handle | null = null;

  constructor(named: NamedVariant) {
    this.#named = named;
  }

  async begin(): Promise<void> {
    const { target, kind, url, variant } = this.#named;
    this.#where = await target.prepare(variant, url);
    this.#handle = await target.open(this.#where);
    const keepEnd = (end: () => void): void => void this.#ends.push(end);
    const starting = Array.from({ length: PROCESSES }, () => spawnWorker("rotate.mjs", keepEnd));
    this.#workers.push(...(await Promise.all(starting)));
    for (const { tell } of this.#workers) tell({ kind, where: this.#where, key: this.#key, ahead: AHEAD });
    for (const { nextLine } of this.#workers) expect(await nextLine()).toBe("prepared");
  }

  async end(): Promise<void> {
    for (const end of this.#ends) end();
    await this.#handle?.close();
    await this.#named.target.drop(this.#where);
  }

  /** A process in this one, whose clock is ahead by so much. */
  manager(ahead = AHEAD): SessionManager {
    if (this.#handle === null) throw new Error("The stage has not begun.");
    const clock = { now: () => Date.now() + ahead };
    const rotation = WITH_GRACE;
    const { store } = this.#handle;
    return createSessionManager({ store, keys: [this.#key], clock, rotation, pruneEvery: false });
  }

  /** Plays some rounds, each with a session whose token is due; at least one of them has to be a race. */
  async play(way: Way, rotation: RotationOptions): Promise<Round[]> {
    const played: Round[] = [];
    const isRace = (): boolean => played.some(({ hasMet }) => hasMet);
    while (played.length < ROUNDS || (!isRace() && played.length < MOST_ROUNDS)) {
      played.push(await this.#playOne(way, rotation));
    }
    expect(isRace()).toBe(true);
    return played;
  }

  async #playOne(way: Way, rotation: RotationOptions): Promise<Round> {
    const { token } = await this.manager(0).create({ userId: USER, data: { begun: true } });
    const orders = { way, rotation, token, jwt: JWT, times: REQUESTS, startAt: Date.now() + 30 };
    for (const [mark, { tell }] of this.#workers.entries()) tell({ ...orders, mark });
    const said = await Promise.all(this.#workers.map(async ({ nextLine }) => JSON.parse(await nextLine()) as Said));
    return {
      token,
      answers: said.flatMap(({ answers }) => answers),
      events: said.flatMap(({ events }) => events),
      hasMet: Math.max(...said.map(({ from }) => from)) <= Math.min(...said.map(({ until }) => until)),
    };
  }
}

/** Of each kind of store, one. */
const variants = onePerServer.filter(({ kind }, at) => onePerServer.findIndex((one) => one.kind === kind) === at);

describeEvery(
  "four processes with one token that is due",
  "store",
  (variant) => {
    const stage = new Stage(variant);
    beforeAll(async () => stage.begin());
    afterAll(async () => stage.end());

    it("end with one live generation: all go on, with one successor, and what each wrote is kept", async () => {
      for (const { token, answers, events } of await stage.play("visit", WITH_GRACE)) {
        const [next, ...others] = new Set(answers.map((answer) => answer.token));
        expect([others, next === null, next === token]).toEqual([[], false, false]);
        expect(count(answers, ({ found }) => found === USER)).toBe(PROCESSES * REQUESTS);
        expect(rotationsIn(events)).toEqual([1, 0]);
        const session = await opened(stage.manager(), next ?? "");
        // Each process wrote four values, all in parallel with the rotation.
        expect([session.takeToken(), Object.keys(session.data).length]).toEqual([null, 1 + PROCESSES * 4]);
        expect((await opened(stage.manager(), token)).takeToken()).toBe(next);
      }
    });

    it("get one and the same from a refresh", async () => {
      for (const { token, answers, events } of await stage.play("refresh", WITH_GRACE)) {
        const [next, ...others] = new Set(answers.map((answer) => answer.token));
        expect([others, next === null, next === token]).toEqual([[], false, false]);
        expect(rotationsIn(events)).toEqual([1, 0]);
      }
    });

    it("get access tokens that are all good from a refresh of JWT sessions, with one refresh token", async () => {
      for (const { token, answers, events } of await stage.play("refreshPair", WITH_GRACE)) {
        const [next, ...others] = new Set(answers.map((answer) => answer.token));
        expect([others, next === null, next === token]).toEqual([[], false, false]);
        expect(rotationsIn(events)).toEqual([1, 0]);
        const access = new Set(answers.map(({ found }) => found ?? ""));
        expect(access.size).toBe(PROCESSES * REQUESTS);
        expect(new Set([...access].map(generationOf))).toEqual(new Set([2]));
        const jwts = jwtsOver(stage.manager());
        for (const one of access) expect(await foundBy(jwts, one)).toBe(USER);
      }
    });

    it("let one request go on where a token is good once, and the session lives", async () => {
      for (const { answers, events } of await stage.play("visit", GOOD_ONCE)) {
        const winners = answers.filter(({ found }) => found === USER);
        expect([winners.length, rotationsIn(events)]).toEqual([1, [1, 0]]);
        expect(count(answers, ({ found, token }) => found === "wrong-secret" && token === null)).toBe(
          PROCESSES * REQUESTS - 1,
        );
        expect((await opened(stage.manager(), winners[0]?.token ?? "")).data["begun"]).toBe(true);
      }
    });
  },
  variants,
);
