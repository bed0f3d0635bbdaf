/** Performs operations on the managers of one process, by the public API alone, and says what came of them. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  createSessionManager,
  isSymbolonError,
  type Lease,
  openSession,
  type OpenedSession,
  type SessionManager,
  type Store,
} from "symbolon";
import { ACTS, type Data, DIRECT, lookInto, textOf } from "./deeds.ts";
import type { Answer, Outcome, Section, Span } from "./history.ts";
import type { Call } from "./orders.ts";
import { LEASE_MS, type Operation, type Settings, TOUCH_MS } from "./plan.ts";

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
      return { opening: since(), ...toldBy(error) };
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
    const opened = await openSession<Data>(sessions, headers, undefined, { lock });
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
      told = toldBy(error);
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
    const lease = await sessions.lock(door, { lease: LEASE_MS });
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

/** An answer that others are the reason for, or a failure that nobody is. */
function toldBy(error: unknown): Partial<Answer> {
  const outcome = isSymbolonError(error) ? OUTCOMES.get(error.code) : undefined;
  return outcome === undefined ? { failure: textOf(error) } : { outcome };
}

async function isLostAt(lease: Lease): Promise<boolean> {
  try {
    await lease.release();
    return false;
  } catch (error) {
    if (toldBy(error).outcome === "lost") return true;
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
