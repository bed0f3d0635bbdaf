/** A mixed load on one manager: what a process of a busy application does to its sessions, with every answer checked. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  canAdmit,
  createSessionManager,
  hasOwnerIndex,
  type Limits,
  openSession,
  type SessionManager,
  type Store,
} from "symbolon";

/** The data of every session: how often it was counted up. */
interface Data {
  n: number;
}

/** A session that several processes count up. */
export interface Counter {
  readonly userId: string;
  readonly id: string;
}

/** A session that only this process uses. */
interface Held {
  token: string;
  n: number;
}

/** What a process did. */
export interface LoadResult {
  readonly seconds: number;
  /** How often it did each. */
  readonly counts: Readonly<Record<string, number>>;
  /** Milliseconds a validate took, some of them. */
  readonly reads: readonly number[];
}

/** Sessions to begin with. */
export interface Preload {
  /** Users are called this and a number. */
  readonly users: string;
  readonly sessions: number;
  readonly perUser: number;
  /** For sessions that are garbage soon; else they outlive the run. */
  readonly lifetime?: "10m";
}

const CROWD = { users: 40, limit: 5 } as const;
const TENANTS = 8;
const LANES = 8;
const PRELOAD_LANES = 16;
const MOST_FAULTS = 100;
const MOST_READS = 20_000;

/** How often each is done, of a hundred. */
const MIX = {
  validate: 50,
  count: 12,
  "count together": 12,
  refresh: 6,
  "log out": 4,
  "log in": 12,
  revokeAll: 1,
  look: 3,
};

export type Action = keyof typeof MIX;

/** How a process works: as fast as it can, at everything, unless told. */
export interface Pace {
  readonly only?: Action;
  /** Between two actions of each of its lanes. */
  readonly pauseMs?: number;
}

/** The manager of a load. */
export function loadManager(store: Store, key: string): SessionManager<Data> {
  const limits: Limits | undefined = canAdmit(store) ? { perUser: CROWD.limit, onLimit: "evict-oldest" } : undefined;
  return createSessionManager<Data>({
    store,
    keys: [key],
    seal: "server",
    ...(limits !== undefined && { limits }),
    storeTimeout: "1m",
    pruneEvery: false,
  });
}

/** One process' part of a load. */
export class Load {
  readonly #sessions: SessionManager<Data>;
  readonly #filler: SessionManager<Data>;
  readonly #store: Store;
  readonly #held: Held[] = [];
  readonly #dead: string[] = [];
  readonly #counters: readonly (Counter & { n: number })[];
  readonly #counts = new Map<string, number>();
  readonly #reads: number[] = [];
  readonly #faults: string[] = [];

  constructor(store: Store, key: string, counters: readonly Counter[]) {
    this.#store = store;
    this.#sessions = loadManager(store, key);
    const options = { store, keys: [key], seal: "server", storeTimeout: "1m", pruneEvery: false } as const;
    this.#filler = createSessionManager<Data>({ ...options, ...(canAdmit(store) && { limits: { perUser: false } }) });
    this.#counters = counters.map((counter) => ({ ...counter, n: 0 }));
  }

  /** Begins sessions, many at once; those without a lifetime of their own take part in the load. */
  async preload({ users, sessions, perUser, lifetime }: Preload): Promise<void> {
    let begun = 0;
    await inLanes(PRELOAD_LANES, async () => {
      if (begun === sessions) return false;
      const user = Math.floor(begun++ / perUser);
      const own =
        lifetime === undefined ? ({ idle: "1d", absolute: "2d" } as const) : { idle: lifetime, absolute: lifetime };
      const options = { userId: `${users}${user}`, tenant: `tenant ${user % TENANTS}`, data: { n: 0 }, lifetime: own };
      const { token } = await this.#filler.create(options);
      if (lifetime === undefined) this.#held.push({ token, n: 0 });
      return true;
    });
  }

  /** Works until told to stop. */
  async run(shouldStop: () => boolean, { only, pauseMs }: Pace = {}): Promise<LoadResult> {
    const before = performance.now();
    await inLanes(LANES, async () => {
      if (shouldStop()) return false;
      await this.#act(only ?? choose());
      if (pauseMs !== undefined) await sleep(pauseMs);
      return true;
    });
    const seconds = (performance.now() - before) / 1000;
    const reads = this.#reads.splice(0);
    const counts = Object.fromEntries(this.#counts);
    this.#counts.clear();
    return { seconds, counts, reads };
  }

  /**
   * Looks at everything again that this process knows: what it counted, and what it ended. Answers one line for every
   * answer that was wrong, from the beginning on; the first hundred.
   */
  async lookBack(): Promise<readonly string[]> {
    const held = this.#held.filter(({ n }) => n > 0).values();
    const dead = this.#dead.values();
    await inLanes(PRELOAD_LANES, async () => {
      const next = held.next();
      if (next.done !== true) await this.#validate(next.value);
      return next.done !== true;
    });
    await inLanes(PRELOAD_LANES, async () => {
      const next = dead.next();
      if (next.done !== true && (await this.#sessions.validate(next.value)) !== null)
        this.#fault("an ended session was revived");
      return next.done !== true;
    });
    return this.#faults;
  }

  /** How often this process counted up together with others; by handle. */
  counted(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counters.map(({ id, n }) => [id, n]));
  }

  async #act(action: Action): Promise<void> {
    try {
      await this.#actions[action]();
      this.#counts.set(action, (this.#counts.get(action) ?? 0) + 1);
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
      this.#fault(`${action} failed: ${String(error)}${cause}`);
    }
  }

  readonly #actions: Readonly<Record<Action, () => Promise<void>>> = {
    validate: () =>
      this.#withHeld(async (held) => {
        const before = performance.now();
        await this.#validate(held);
        this.#noteRead(performance.now() - before);
      }),

    count: () =>
      this.#withHeld(async (held) => {
        const session = await this.#validate(held);
        const answer = await session?.update((data) => void data.n++);
        if (answer === "saved") held.n++;
        else this.#fault(`a count was answered ${answer}`);
      }),

    "count together": async () => {
      const counter = this.#counters[Math.floor(Math.random() * this.#counters.length)];
      if (counter === undefined) return;
      const { userId, id } = counter;
      const answer = await this.#sessions.update(userId, id, { data: (data) => void data.n++ });
      if (answer === "saved") counter.n++;
      else this.#fault(`a count together was answered ${answer}`);
    },

    refresh: () =>
      this.#withHeld(async (held) => {
        const session = await this.#sessions.refresh(held.token);
        if (session === null) this.#fault("a live session was not refreshed");
        else held.token = session.token;
      }),

    "log out": async () => {
      const held = this.#take();
      if (held === undefined) return;
      const [session, late] = [await this.#validate(held), await this.#validate(held)];
      const isRaced = Math.random() < 0.5;
      const racing = isRaced ? late?.update((data) => void data.n++) : undefined;
      if (Math.random() < 0.5) await session?.logout();
      else await this.#sessions.revokeToken(held.token);
      await racing;
      const answer = await late?.update((data) => void data.n++);
      if (answer !== "gone") this.#fault(`an update after the end was answered ${answer}`);
      this.#dead.push(held.token);
    },

    "log in": async () => {
      const userId = someCrowdUser();
      const { session } = await openSession(this.#sessions, { get: () => undefined });
      if (Math.random() < 0.3) {
        session.data.n = 0;
        await session.save();
      }
      await session.login(userId);
      const token = session.takeToken();
      if (token === null) return this.#fault("a login gave no token");
      if (Math.random() > 0.2) return;
      await this.#sessions.revokeToken(token);
      this.#dead.push(token);
    },

    revokeAll: async () => {
      if (hasOwnerIndex(this.#store)) await this.#sessions.revokeAll(someCrowdUser());
    },

    look: async () => {
      if (!hasOwnerIndex(this.#store)) return;
      const userId = someCrowdUser();
      const count = await this.#sessions.count({ userId });
      const { sessions } = await this.#sessions.list({ userId });
      if (count > CROWD.limit || sessions.length > CROWD.limit) this.#fault("a user has more sessions than may be");
    },
  };

  async #validate(held: Held): ReturnType<SessionManager<Data>["validate"]> {
    const session = await this.#sessions.validate(held.token);
    if (session === null) this.#fault("a live session was not found");
    else if (session.data.n !== held.n) this.#fault(`a count is ${session.data.n} instead of ${held.n}`);
    return session;
  }

  async #withHeld(work: (held: Held) => Promise<void>): Promise<void> {
    const held = this.#take();
    if (held === undefined) return;
    await work(held);
    this.#held.push(held);
  }

  /** Takes one out, so that no other lane uses it meanwhile. */
  #take(): Held | undefined {
    const at = Math.floor(Math.random() * this.#held.length);
    const [held, last] = [this.#held[at], this.#held.pop()];
    if (last !== undefined && last !== held) this.#held[at] = last;
    return held;
  }

  /** Keeps a fair choice of all. */
  #noteRead(ms: number): void {
    const noted = (this.#counts.get("validate") ?? 0) + 1;
    if (this.#reads.length < MOST_READS) this.#reads.push(ms);
    else if (Math.random() < MOST_READS / noted) this.#reads[Math.floor(Math.random() * MOST_READS)] = ms;
  }

  #fault(line: string): void {
    if (this.#faults.length < MOST_FAULTS) this.#faults.push(line);
  }
}

/** Sessions that several processes are to count up. */
export async function beginCounters(store: Store, key: string, howMany: number): Promise<Counter[]> {
  const sessions = loadManager(store, key);
  const counters: Counter[] = [];
  for (let index = 0; index < howMany; index++) {
    const userId = `counter ${index}`;
    const { id } = await sessions.create({ userId, data: { n: 0 } });
    counters.push({ userId, id });
  }
  return counters;
}

/** What a shared session has been counted up to; null when it is gone. */
export async function readCounter(store: Store, key: string, { userId, id }: Counter): Promise<number | null> {
  let count: number | null = null;
  const note = ({ n }: Data): void => {
    count = n;
  };
  await loadManager(store, key).update(userId, id, { data: note });
  return count;
}

function someCrowdUser(): string {
  return `crowd ${Math.floor(Math.random() * CROWD.users)}`;
}

function choose(): Action {
  let left = Math.random() * Object.values(MIX).reduce((total, share) => total + share, 0);
  for (const [action, share] of Object.entries(MIX)) {
    left -= share;
    if (left < 0) return action as Action;
  }
  return "validate";
}

/** Repeats the work in so many lanes at once, until it answers false. */
async function inLanes(lanes: number, work: () => Promise<boolean>): Promise<void> {
  const lane = async (): Promise<void> => {
    // A store over a synchronous client would let nobody else have a turn.
    while (await work()) await new Promise((resolve) => setImmediate(resolve));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
