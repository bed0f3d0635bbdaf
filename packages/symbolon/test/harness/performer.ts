/** Performs operations on the managers of one process, by the public API alone, and says what came of them. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  createSessionManager,
  isSymbolonError,
  type Lease,
  openSession,
  type OpenedSession,
  type Session,
  type SessionManager,
  type Store,
} from "symbolon";
import type { Answer, Outcome, Section, Span } from "./history.ts";
import type { Call } from "./orders.ts";
import { LEASE_MS, type Operation, type Settings, TOUCH_MS } from "./plan.ts";

interface Data {
  a?: number;
  b?: number;
  log?: number[];
  locked?: number[];
}

/** What is left to do of an operation that was opened. */
type Rest = () => Promise<Answer>;

const COOKIE = /^__Host-sid=([^;]*)/;
/** What is written with the response. */
const WRITTEN_LAST: ReadonlySet<Operation["does"]> = new Set(["write", "lockedRequest"]);
/** What an operation may answer when others were faster. */
const OUTCOMES = new Map<string, Outcome>([
  ["ERR_CONFLICT", "conflict"],
  ["ERR_LEASE_LOST", "lost"],
  ["ERR_SESSION_ENDED", "gone"],
  ["ERR_LOCK_TIMEOUT", "timeout"],
]);

export class Performer {
  readonly #store: Store;
  readonly #key: string;
  readonly #managers = new Map<string, SessionManager<Data>>();
  readonly #held = new Map<number, Rest>();
  #now = 0;

  /** `store` must have no `close`: the managers of one history after the other share it. */
  constructor(store: Store, key: string) {
    this.#store = store;
    this.#key = key;
  }

  /** Performs an operation; of one that is to be held, what comes first. It is kept under `number` until `finish`. */
  async perform(number: number, call: Call): Promise<Answer> {
    this.#now = call.now;
    return this.#safely(async () => {
      const { answer, rest } = await this.#begin(call);
      if (rest === undefined) return answer;
      if (call.operation.holds === 0) return { ...answer, ...(await rest()) };
      this.#held.set(number, rest);
      return answer;
    });
  }

  /** The rest of what was held; `now` is the time by then. */
  async finish(held: number, now: number): Promise<Answer> {
    this.#now = now;
    const rest = this.#held.get(held);
    this.#held.delete(held);
    if (rest === undefined) throw new Error("Nothing is held under that number.");
    return this.#safely(rest);
  }

  async #safely(work: () => Promise<Answer>): Promise<Answer> {
    const since = this.#since();
    try {
      return await work();
    } catch (error) {
      return { opening: since(), failure: textOf(error) };
    }
  }

  async #begin(call: Call): Promise<{ readonly answer: Answer; readonly rest?: Rest }> {
    const sessions = this.#managerFor(call.settings);
    const { does } = call.operation;
    if (does === "section") return this.#section(sessions, call);
    const direct = DIRECT[does];
    if (direct === undefined) return this.#request(sessions, call);
    const since = this.#since();
    const told = await direct(sessions, call);
    return { answer: { opening: since(), ...told } };
  }

  async #request(
    sessions: SessionManager<Data>,
    { operation, token, user }: Call,
  ): Promise<{ readonly answer: Answer; readonly rest?: Rest }> {
    const since = this.#since();
    const headers = {
      get: (name: string) => (name === "cookie" && token !== null ? `__Host-sid=${token}` : undefined),
    };
    const lock = operation.does === "lockedRequest";
    let opened: OpenedSession<Data>;
    try {
      opened = await openSession<Data>(sessions, headers, undefined, { lock });
    } catch (error) {
      return { answer: { opening: since(), outcome: outcomeOf(error) } };
    }
    const { session, refusal } = opened;
    const seen = session.id === null ? {} : lookInto(session);
    const answer: Answer = { opening: since(), ...seen, ...(refusal !== null && { refused: refusal.reason }) };
    return { answer, rest: async () => ({ ...answer, ...(await this.#respond(opened, operation, user)) }) };
  }

  /** What a handler does, and the response. */
  async #respond(opened: OpenedSession<Data>, operation: Operation, user: string): Promise<Partial<Answer>> {
    const { session } = opened;
    const { does, takes } = operation;
    const since = this.#since();
    const before = session.id;
    if (takes > 0) await sleep(takes);
    let told: Partial<Answer> = {};
    let cookies: string[];
    try {
      if (before !== null || does === "login") told = await ACTS[does]!(session, operation, user);
      cookies = await opened.commit();
    } catch (error) {
      told = { outcome: outcomeOf(error) };
      opened.discard();
      cookies = opened.cookies();
    }
    const isGone = before !== null && session.id === null && does !== "logout";
    const cookie = cookies.map((one) => COOKIE.exec(one)?.[1]).find((value) => value !== undefined);
    return {
      closing: since(),
      ...(before !== null && WRITTEN_LAST.has(does) && { outcome: isGone ? "gone" : "saved" }),
      ...told,
      ...(isGone && { isGone }),
      ...(does === "login" && session.id !== null && { begun: session.id }),
      ...(cookie !== undefined && (cookie === "" ? { isCleared: true } : { given: cookie })),
    };
  }

  /** Takes the lock, and gives it back: when that is held up, after the whole process stood still. */
  async #section(
    sessions: SessionManager<Data>,
    { operation, door }: Call,
  ): Promise<{ readonly answer: Answer; readonly rest?: Rest }> {
    const since = this.#since();
    const asked = microseconds();
    const enteredAt = this.#now;
    let lease: Lease;
    try {
      lease = await sessions.lock(door, { lease: LEASE_MS });
    } catch (error) {
      return { answer: { opening: since(), outcome: outcomeOf(error) } };
    }
    const entered = microseconds();
    const opening = since();
    const rest = async (): Promise<Answer> => {
      const closingSince = this.#since();
      if (operation.holds > 0) standStill();
      else await sleep(operation.takes);
      const left = microseconds();
      const isLost = await isLostAt(lease);
      const closing = closingSince();
      const instants = { asked, entered, left, freed: closing.until, enteredAt, freedAt: closing.at };
      const section: Section = { fence: lease.fence, isLost, ...instants };
      return { opening, closing, section };
    };
    return { answer: { opening }, rest };
  }

  /** Begins to measure; the function that is returned ends it. */
  #since(): () => Span {
    const [at, from] = [this.#now, microseconds()];
    return () => ({ at, from, until: microseconds() });
  }

  #managerFor(settings: Settings): SessionManager<Data> {
    const name = JSON.stringify(settings);
    const known = this.#managers.get(name);
    if (known !== undefined) return known;
    const { every, grace, seal } = settings;
    const made = createSessionManager<Data>({
      store: this.#store,
      keys: [this.#key],
      rotation: { every, grace },
      seal,
      lifetime: { idle: "1h", touchEvery: TOUCH_MS },
      // Nothing here fails because a machine is slow.
      storeTimeout: "1m",
      pruneEvery: false,
      clock: { now: () => this.#now },
    });
    this.#managers.set(name, made);
    return made;
  }
}

type Act = (session: Session<Data>, operation: Operation, user: string) => Promise<Partial<Answer>>;

/** What the handlers of requests do. */
const ACTS: Readonly<Partial<Record<Operation["does"], Act>>> = {
  read: async () => ({}),
  login: async (session, _operation, user) => {
    await session.login(user);
    return {};
  },
  logout: async (session) => {
    await session.logout();
    return {};
  },
  rotate: async (session) => ({ outcome: await session.rotate() }),
  write: async (session, { key = "a", number }) => {
    session.data[key] = number;
    return {};
  },
  append: async (session, { number }) => {
    let wrote: number[] = [];
    const outcome = await session.update((data) => {
      wrote = [...(data.log ?? []), number];
      data.log = wrote;
    });
    return { outcome, wrote: [...wrote] };
  },
  lockedAppend: async (session, { number, takes }) => {
    const wrote = await session.lock(async () => {
      const { locked = [] } = session.data;
      if (takes > 0) await sleep(takes);
      return (session.data.locked = [...locked, number]);
    });
    return { outcome: "saved", wrote: [...wrote] };
  },
  lockedRequest: async (session, { number }) => {
    const wrote = (session.data.locked = [...(session.data.locked ?? []), number]);
    return { wrote: [...wrote] };
  },
};

type Direct = (sessions: SessionManager<Data>, call: Call) => Promise<Partial<Answer>>;

/** What is done without a request. */
const DIRECT: Readonly<Partial<Record<Operation["does"], Direct>>> = {
  validate: async (sessions, { token }) => {
    const found = await sessions.inspect(token ?? "");
    if (!found.ok) return { refused: found.reason };
    const given = found.session.takeToken();
    return { ...lookInto(found.session), ...(given !== null && { given }) };
  },
  refresh: async (sessions, { token }) => {
    const session = await sessions.refresh(token ?? "");
    return session === null ? {} : { ...lookInto(session), given: session.token };
  },
  revoke: async (sessions, { user, session }) => {
    if (session !== null) await sessions.revoke(user, session);
    return {};
  },
  revokeToken: async (sessions, { token }) => ({ hasEnded: (await sessions.revokeToken(token ?? "")) !== null }),
  revokeAll: async (sessions, { user }) => {
    await sessions.revokeAll(user);
    return {};
  },
  look: async (sessions, { user, handles = [] }) => {
    const found = await Promise.all(handles.map(async (id) => ((await sessions.get(user, id)) === null ? [] : [id])));
    const { sessions: listed } = await sessions.list({ userId: user, limit: 1000 });
    const counted = await sessions.count({ userId: user });
    return { look: { found: found.flat(), listed: listed.map(({ id }) => id), counted } };
  },
};

/** Which session it is, and what it holds; that it is there counts also when its data does not open. */
function lookInto(session: Session<Data>): Partial<Answer> {
  const found = { ...(session.id !== null && { found: session.id }) };
  try {
    return { ...found, saw: structuredClone(session.data) };
  } catch (error) {
    return { ...found, failure: textOf(error) };
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** An answer that others are the reason for; every other error is thrown on. */
function outcomeOf(error: unknown): Outcome {
  const outcome = isSymbolonError(error) ? OUTCOMES.get(error.code) : undefined;
  if (outcome === undefined) throw error;
  return outcome;
}

async function isLostAt(lease: Lease): Promise<boolean> {
  try {
    await lease.release();
    return false;
  } catch (error) {
    if (outcomeOf(error) === "lost") return true;
    throw error;
  }
}

/** The process does nothing at all for longer than a lease: no timer fires, no answer is read. */
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEASE_MS * 1.3);
}

function microseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
