/**
 * A token that somebody else knows (R-011, CVE-2022-25896): planted in the victim's browser before a login, or copied
 * from it. Presented before, during and after whatever changes who the session is for, it never becomes more than it
 * was, and afterwards it opens nothing.
 */
import { randomBytes } from "node:crypto";
import {
  generateKey,
  type LoginOptions,
  openSession,
  type Session,
  type SessionManager,
  type StoredRecord,
} from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { lateByChance, wait } from "../support/delays.ts";
import { found, manager, opened, type StorePair, storePairs } from "../support/sessions.ts";
import { type Intercepted, intercept, spied } from "../support/stores.ts";

const USER = "victim";
const THIEF = "thief";
const MINUTE = 60_000;

const cookieOf = (token: string) => ({
  get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined),
});

interface Stage {
  /** The process of the victim, whose store calls can be held. */
  readonly mine: SessionManager;
  /** The process that the other's requests reach. */
  readonly theirs: SessionManager;
  readonly clock: ReturnType<typeof manualClock>;
  gate: (call: Intercepted) => Promise<unknown>;
}

function stageOn([one, two]: StorePair, namespace: string): Stage {
  const clock = manualClock();
  // Short enough that use has to be written down while a pending login lives.
  const lifetime = { idle: "10m" } as const;
  const shared = { keys: [generateKey()], clock, namespace, lifetime } as const;
  const stage = { clock, gate: async (call: Intercepted) => call.proceed() };
  const mine = manager({ ...shared, store: intercept(one, async (call) => stage.gate(call)) });
  const theirs = manager({ ...shared, store: two });
  return Object.assign(stage, { mine, theirs });
}

/** What makes a session one for somebody, or for somebody else. */
interface Change {
  /** Stores the session whose token is known to the other, and answers the token. */
  readonly plant: (sessions: SessionManager) => Promise<string>;
  /** What the victim's request does in it. */
  readonly run: (session: Session) => Promise<unknown>;
  /** What the known token opens until then. */
  readonly before: string;
  /** What the victim's new token opens; null where none is issued. */
  readonly after: string | null;
  /** Whether the session goes on under another token, and so may have been given one by somebody else meanwhile. */
  readonly goesOn?: boolean;
}

const data = { x: 1 };

const visitors: Pick<Change, "plant" | "before"> = {
  plant: async (sessions) => (await sessions.create({ data })).token,
  before: "anonymous",
};
const pendings: Pick<Change, "plant" | "before"> = {
  plant: async (sessions) => (await sessions.create({ userId: USER, pending: "second-factor", data })).token,
  before: "pending",
};
const victims: Pick<Change, "plant" | "before"> = {
  plant: async (sessions) => (await sessions.create({ userId: USER, stamp: "1", data })).token,
  before: `authenticated: ${USER}`,
};

const login =
  (userId: string, options: LoginOptions = {}): Change["run"] =>
  (session) =>
    session.login(userId, options);

const asVictim = { after: `authenticated: ${USER}` };

const changes: Readonly<Record<string, Change>> = {
  login: { ...visitors, ...asVictim, run: login(USER) },
  "login that carries data": { ...visitors, ...asVictim, run: login(USER, { carry: ["x"], roles: ["admin"] }) },
  "remembered login": { ...visitors, ...asVictim, run: login(USER, { remember: true }) },
  "login that misses a step": { ...visitors, after: "pending", run: login(USER, { pending: "second-factor" }) },
  "login after the missing step": { ...pendings, ...asVictim, run: login(USER) },
  "login once more": { ...victims, ...asVictim, run: login(USER, { carry: "all" }) },
  "login as another user": { ...victims, after: "authenticated: other", run: login("other") },
  "login to act as a user": { ...victims, after: "authenticated: other", run: login("other", { actor: USER }) },
  setRoles: { ...victims, ...asVictim, run: (session) => session.setRoles(["admin"]), goesOn: true },
  keepLogin: { ...victims, ...asVictim, run: (session) => session.keepLogin("2"), goesOn: true },
  logout: { ...victims, after: null, run: (session) => session.logout() },
  reset: {
    ...victims,
    after: null,
    run: (session) => {
      session.reset();
      return session.save();
    },
  },
};

async function inSession(
  sessions: SessionManager,
  token: string,
  use: (session: Session) => Promise<unknown>,
): Promise<string | null> {
  const session = await sessions.validate(token);
  if (session === null) return null;
  await use(session);
  return session.takeToken();
}

/** What somebody who knows a token may do with it; answers the token this gave, if any. */
type Abuse = (sessions: SessionManager, token: string) => Promise<string | null>;

const abuses: Readonly<Record<string, Abuse>> = {
  "is validated": (sessions, token) => inSession(sessions, token, async () => undefined),
  "is saved under": (sessions, token) =>
    inSession(sessions, token, (session) => {
      session.data["planted"] = true;
      return session.save();
    }),
  "is updated under": (sessions, token) =>
    inSession(sessions, token, (session) => session.update((draft) => void (draft["planted"] = true))),
  "is given other values": (sessions, token) =>
    inSession(sessions, token, (session) => session.setExtra({ planted: true })),
  "comes with a request": async (sessions, token) => {
    const request = await openSession(sessions, cookieOf(token));
    request.session.data["planted"] = true;
    return tokenIn(await request.commit());
  },
  "is refreshed": async (sessions, token) => (await sessions.refresh(token))?.token ?? null,
  "logs the other in": (sessions, token) => inSession(sessions, token, login(THIEF)),
};

function tokenIn([cookie = ""]: readonly string[]): string | null {
  return /^__Host-sid=([^;]+)/.exec(cookie)?.[1] ?? null;
}

const DEAD = /^(?:ended: [a-z-]+|wrong-secret|expired)$/;

interface Plan {
  readonly atCall: number;
  readonly side: "before" | "after";
}

const plans: readonly Plan[] = [1, 2, 3].flatMap((atCall) =>
  (["before", "after"] as const).map((side) => ({ atCall, side })),
);

interface Played {
  readonly token: string;
  readonly session: Session;
  /** What the known token opened, before and after each store call of the victim's. */
  readonly states: readonly string[];
  readonly answer: unknown;
  /** The token that the other got by it. */
  readonly got: string | null;
  /** Whether the victim made the call at which the other was to come in. */
  readonly met: boolean;
}

/** Lets the other in at one store call of the victim's. */
async function play(stage: Stage, change: Change, plan: Plan, abuse: Abuse): Promise<Played> {
  const token = await change.plant(stage.theirs);
  const session = await opened(stage.mine, token);
  stage.clock.advance(2 * MINUTE);
  const states: string[] = [await found(stage.theirs, token)];
  const seen: { calls: number; got: string | null; met: boolean } = { calls: 0, got: null, met: false };
  const letIn = async (): Promise<void> => {
    seen.met = true;
    seen.got = await abuse(stage.theirs, token);
  };
  stage.gate = async (call) => {
    const isMeant = ++seen.calls === plan.atCall;
    if (isMeant && plan.side === "before") await letIn();
    states.push(await found(stage.theirs, token));
    const answer = await call.proceed();
    states.push(await found(stage.theirs, token));
    if (isMeant && plan.side === "after") await letIn();
    return answer;
  };
  const answer = await change.run(session);
  stage.gate = async (call) => call.proceed();
  return { token, session, states, answer, ...seen };
}

describe.each(storePairs)("a token that somebody else knows (%s)", (_, pair) => {
  describe.each(Object.entries(changes))("before, during and after a %s", (_name, change) => {
    it.each(Object.entries(abuses))("opens nothing it did not, where it %s meanwhile", async (_how, abuse) => {
      const stores = pair();
      let met = 0;
      for (const [index, plan] of plans.entries()) {
        const told = `call ${plan.atCall}, ${plan.side}`;
        const stage = stageOn(stores, `n${index}`);
        const played = await play(stage, change, plan, abuse);
        met += Number(played.met);
        // All the while it opened what it did before, or nothing any more.
        for (const state of played.states) if (state !== change.before) expect(state, told).toMatch(DEAD);
        expect(await found(stage.theirs, played.token), told).toMatch(DEAD);
        expect(await found(stage.mine, played.token), told).toMatch(DEAD);
        await expectNotHad(stage, change, played.got, told);
        await expectOwn(stage, change, played, told);
      }
      expect(met).toBeGreaterThan(0);
    });
  });
});

/** What the other got by it is the other's own session, or nobody's. */
async function expectNotHad(stage: Stage, change: Change, got: string | null, told: string): Promise<void> {
  if (got === null) return;
  const state = await found(stage.theirs, got);
  // A session that goes on has one token: it may be the one that the other was given.
  if (change.goesOn === true && state === change.before) return;
  if (state !== "anonymous" && state !== `authenticated: ${THIEF}`) expect(state, told).toMatch(DEAD);
}

/** The victim has a token that nobody knew, or none because the session was taken meanwhile. */
async function expectOwn(
  stage: Stage,
  change: Change,
  { session, token, answer, got }: Played,
  told: string,
): Promise<void> {
  const own = session.takeToken();
  if (own === null) {
    const isTaken = change.goesOn === true && (answer === "gone" || got !== null);
    expect(change.after === null || isTaken, told).toBe(true);
    return;
  }
  expect(own, told).not.toBe(token);
  expect(await found(stage.theirs, own), told).toBe(change.after);
  if (change.goesOn !== true) expect((await opened(stage.theirs, own)).data, told).not.toHaveProperty("planted");
}

const TIMES = 100;

describe.each(storePairs)("a token that comes a hundred times at once with what ends it (%s)", (_, pair) => {
  it.each(Object.entries(changes))("is dead for whoever asks after a %s was answered", async (name, change) => {
    const late = lateByChance();
    const [one, two] = pair();
    const stage = stageOn([late(one), late(two)], "free");
    const token = await change.plant(stage.theirs);
    const session = await opened(stage.mine, token);
    let isAnswered = false;
    const heard: { readonly state: string; readonly isLate: boolean }[] = [];
    const present = async (sessions: SessionManager, after: number): Promise<void> => {
      await wait(after);
      const isLate = isAnswered;
      heard.push({ state: await found(sessions, token), isLate });
    };
    const run = async (): Promise<void> => {
      await wait(4);
      await change.run(session);
      isAnswered = true;
    };
    const presented = Array.from({ length: TIMES }, (_unused, index) =>
      present(index % 2 === 0 ? stage.mine : stage.theirs, index % 20),
    );
    await Promise.all([run(), ...presented]);
    for (const { state, isLate } of heard) {
      if (isLate || state !== change.before) expect(state, name).toMatch(DEAD);
    }
    // The hundred came before and after.
    expect(heard.filter(({ isLate }) => isLate).length).toBeGreaterThan(TIMES / 10);
    expect(heard.filter(({ state }) => state === change.before).length).toBeGreaterThan(TIMES / 10);
    const own = session.takeToken();
    expect(own === null ? null : await found(stage.theirs, own)).toBe(change.after);
  });
});

describe("a token that was never issued here", () => {
  const keys = [generateKey()];

  /** Tokens that look like ours, by where they come from, and why they open nothing. */
  async function foreign(): Promise<Readonly<Record<string, readonly [token: string, reason: string]>>> {
    const ours = await manager({ keys }).create();
    const bytes = Buffer.from(ours.token.slice(3), "base64url");
    const withOurKeyId = Buffer.concat([bytes.subarray(0, 2), randomBytes(58)]);
    const withAnotherKeyId = Buffer.from(withOurKeyId);
    withAnotherKeyId.writeUInt16BE(bytes.readUInt16BE(0) ^ 1, 0);
    const withOurHandle = Buffer.concat([bytes.subarray(0, 21), randomBytes(39)]);
    const withoutTag = Buffer.concat([bytes.subarray(0, 53), randomBytes(7)]);
    return {
      random: [`s1_${withAnotherKeyId.toString("base64url")}`, "unknown-key"],
      "random, but with our key's id": [`s1_${withOurKeyId.toString("base64url")}`, "forged"],
      "random, but with the handle of a session": [`s1_${withOurHandle.toString("base64url")}`, "forged"],
      "ours but for the tag": [`s1_${withoutTag.toString("base64url")}`, "forged"],
      "of another manager's keys": [await strangerTo(ours.token), "unknown-key"],
      "of another namespace": [(await manager({ keys, namespace: "other" }).create()).token, "forged"],
      "of another store": [ours.token, "unknown"],
    };
  }

  it("never becomes a session, whatever is done with it, and no record is kept under it", async () => {
    for (const [kind, [token, reason]] of Object.entries(await foreign())) {
      const inner = memoryStore();
      const keyed: string[] = [];
      const store = intercept(inner, (call) => {
        const [key] = call.args as [Partial<StoredRecord>];
        if (call.method !== "read" && key.lookup !== undefined) keyed.push(key.lookup);
        return call.proceed();
      });
      const sessions = manager({ store, keys });
      expect(await found(sessions, token), kind).toBe(reason);
      expect(await sessions.refresh(token), kind).toBeNull();
      expect(await sessions.revokeToken(token), kind).toBeNull();
      expect(keyed, kind).toEqual([]);
      const request = await openSession(sessions, cookieOf(token));
      expect(request.session, kind).toMatchObject({ state: "anonymous", id: null, isNew: true, data: {} });
      request.session.data["x"] = 1;
      const first = tokenIn(await request.commit()) ?? "";
      const again = await openSession(sessions, cookieOf(token));
      await again.session.login(USER);
      const second = tokenIn(again.cookies()) ?? "";
      expect(await found(sessions, first), kind).toBe("anonymous");
      expect(await found(sessions, second), kind).toBe(`authenticated: ${USER}`);
      expect(await found(sessions, token), kind).toBe(reason);
      expect(keyed, kind).toHaveLength(2);
      expect(await lookupsIn(inner), kind).toEqual([...keyed].toSorted());
      // Neither handle nor any other part of the token was taken over.
      const parts = partsOf(token);
      for (const issued of [first, second]) expect(partsOf(issued).filter((part) => parts.includes(part))).toEqual([]);
    }
  });

  it("is not asked the store for, unless a key of ours vouches for it", async () => {
    for (const [kind, [token, reason]] of Object.entries(await foreign())) {
      const { store, calls } = spied(memoryStore());
      await manager({ store, keys }).validate(token);
      expect(calls, kind).toEqual(reason === "unknown" ? ["read"] : []);
    }
  });
});

/** A token under another key, with another id of the key: there are 65536. */
async function strangerTo(ours: string): Promise<string> {
  for (;;) {
    const { token } = await manager().create();
    if (token.slice(0, 6) !== ours.slice(0, 6)) return token;
  }
}

async function lookupsIn(store: MemoryStore): Promise<string[]> {
  const page = await store.scan({ cursor: null, limit: 100 }, { now: 0, signal: new AbortController().signal });
  return page.entries.map(({ lookup }) => lookup).toSorted();
}

/** The id and the secret of a token. */
function partsOf(token: string): string[] {
  const bytes = Buffer.from(token.slice(3), "base64url");
  return [bytes.toString("hex", 5, 21), bytes.toString("hex", 21, 53)];
}
