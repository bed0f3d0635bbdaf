/**
 * A plan: what is to happen in one history, worked out from a seed.
 *
 * It goes in rounds. The clock of all managers stands still during a round and moves on between two, so that nobody has to
 * sleep, and what a token is good for does not depend on how fast a machine is. In a round several lanes run at once; in
 * a lane one operation follows the other. Who wins is for the processes to find out: the same seed plans the same
 * history, and may race to another end.
 */
import { type Seeded, seeded } from "./seeded.ts";

/** How many processes share the store. */
export const PROCESSES = 4;

/** What an operation does. Those of the first group are requests with a cookie, decided by `commit`. */
export type Kind =
  | "login"
  | "logout"
  | "read"
  /** Sets `data.a` or `data.b` to its number. */
  | "write"
  /** Appends its number to `data.log`, by `session.update`. */
  | "append"
  /** Appends its number to `data.locked`, which it has read, by `session.lock`. */
  | "lockedAppend"
  /** The same in a request that takes the lock before it reads. */
  | "lockedRequest"
  | "rotate"
  // Without a request:
  | "validate"
  | "refresh"
  | "revoke"
  | "revokeToken"
  | "revokeAll"
  /** Holds the lock of a name for a moment. */
  | "section"
  /** Looks at all sessions of a user, by handle and by list; only at the end of a history. */
  | "look"
  /** Gets hold of another client's token. */
  | "copy";

export interface Operation {
  /** What it writes, if it does: no two write the same. */
  readonly number: number;
  readonly does: Kind;
  readonly client: number;
  readonly process: number;
  /** How many milliseconds it takes between its first look and what it does then. */
  readonly takes: number;
  /** How many rounds later it is finished; 0 for the same. A section's process stands still then, for longer than its lease. */
  readonly holds: number;
  /** What `write` sets. */
  readonly key?: "a" | "b";
  /** Whose token `copy` gets. */
  readonly from?: number;
}

export interface Round {
  /** By how many milliseconds the clock moves on before it. */
  readonly passes: number;
  readonly lanes: readonly (readonly Operation[])[];
}

/** How the managers of a history are made. */
export interface Settings {
  readonly every: "request" | false;
  /** Milliseconds. */
  readonly grace: number;
  readonly seal: "split" | "server";
}

export interface Plan {
  readonly seed: number;
  readonly settings: Settings;
  /** The user that each client logs in as. */
  readonly users: readonly number[];
  /** Whether the last client never logs in: it lives on tokens of others. */
  readonly hasThief: boolean;
  readonly rounds: readonly Round[];
}

export const GRACE_MS = 10_000;
/** Use is noted after so long: after most rounds. */
export const TOUCH_MS = 5_000;
/** Of sections; the clock moves on by more before one that stood still goes on. */
export const LEASE_MS = 100;

/** How often each kind comes in a plan that has it. */
const WEIGHTS: Readonly<Partial<Record<Kind, number>>> = {
  read: 4,
  write: 4,
  append: 5,
  lockedAppend: 2,
  lockedRequest: 1,
  rotate: 2,
  validate: 3,
  refresh: 2,
  section: 2,
  login: 0.6,
  logout: 0.8,
  revoke: 0.6,
  revokeToken: 0.5,
  revokeAll: 0.4,
};

/** What ends sessions: some plans have none of it, so that theirs grow old. */
const ENDS: ReadonlySet<Kind> = new Set(["login", "logout", "revoke", "revokeToken", "revokeAll"]);

/** Some of a plan's operations are finished in a later round. */
const CAN_HOLD: ReadonlySet<Kind> = new Set(["read", "write", "append", "lockedAppend", "rotate", "logout", "login"]);

/** What comes with the client's token. */
const PRESENTS: ReadonlySet<Kind> = new Set<Kind>([
  ...(["login", "logout", "read", "write", "append", "lockedAppend", "lockedRequest", "rotate"] as const),
  ...(["validate", "refresh", "revokeToken"] as const),
]);

const PASSES = [0, 1_000, 6_000, 11_000, 11_000, 11_000, 25_000];

/** Plans the history of a seed. */
export function planFrom(seed: number): Plan {
  const random = seeded(seed);
  const honest = 1 + random.below(3);
  const hasThief = random.chance(0.5);
  const settings: Settings = {
    every: random.chance(0.8) ? "request" : false,
    grace: GRACE_MS,
    seal: random.chance(0.8) ? "split" : "server",
  };
  const users = Array.from({ length: hasThief ? honest + 1 : honest }, () => random.below(2));
  const rounds = new Planner(random, honest, hasThief).rounds(4 + random.below(4));
  return { seed, settings, users, hasThief, rounds };
}

/** All operations of a plan, in the order of their rounds. */
export function operationsOf(plan: Plan): Operation[] {
  return plan.rounds.flatMap(({ lanes }) => lanes.flat());
}

/** Whether an operation comes with the client's token. */
export function presentsToken({ does }: Operation): boolean {
  return PRESENTS.has(does);
}

/** The same plan with fewer operations; rounds and the clock stay. */
export function keepingOnly(plan: Plan, kept: ReadonlySet<number>): Plan {
  const rounds = plan.rounds.map(({ passes, lanes }) => ({
    passes,
    lanes: lanes.map((lane) => lane.filter(({ number }) => kept.has(number))).filter((lane) => lane.length > 0),
  }));
  return { ...plan, rounds };
}

class Planner {
  readonly #random: Seeded;
  readonly #kinds: readonly Kind[];
  /** How many clients log in. */
  readonly #honest: number;
  readonly #hasThief: boolean;
  #number = 0;

  constructor(random: Seeded, honest: number, hasThief: boolean) {
    this.#random = random;
    this.#kinds = someKinds(random);
    this.#honest = honest;
    this.#hasThief = hasThief;
  }

  rounds(count: number): Round[] {
    const random = this.#random;
    const clients = Array.from({ length: this.#honest }, (_, client) => client);
    const logins = clients.map((client) => [{ ...this.#operation("login", client), holds: 0 }]);
    const rounds: Round[] = [{ passes: 0, lanes: logins }];
    for (let made = 0; made < count; made++) {
      const passes = random.pick(PASSES);
      if (this.#kinds.includes("section") && random.chance(0.08)) rounds.push(...this.#stall(passes));
      else
        rounds.push({ passes, lanes: [...(random.chance(0.2) ? this.#crowd() : this.#lanes()), ...this.#theft(made)] });
    }
    return rounds;
  }

  /** A lock whose holder stands still, and others who want it. */
  #stall(passes: number): Round[] {
    const random = this.#random;
    const section = (): Operation => ({ ...this.#operation("section"), takes: 5 + random.below(15) });
    const others = Array.from({ length: 3 }, () => [section(), section()]);
    return [
      { passes, lanes: [[{ ...section(), holds: 1 }]] },
      { passes: 10 * LEASE_MS, lanes: others },
    ];
  }

  /** All do the same, with the same token. */
  #crowd(): Operation[][] {
    const kind = this.#kind();
    return Array.from({ length: PROCESSES + 1 }, (_, lane) => [
      { ...this.#operation(kind, 0), process: lane % PROCESSES },
    ]);
  }

  #lanes(): Operation[][] {
    return Array.from({ length: 2 + this.#random.below(4) }, () => this.#lane(1 + this.#random.below(3)));
  }

  #lane(length: number, client?: number): Operation[] {
    const lane = Array.from({ length }, () => this.#operation(this.#kind(), client));
    // A client that asks for its next token does nothing else meanwhile: it could be late with the one before.
    return lane.filter(({ does }, place) => does !== "refresh" || place === 0);
  }

  /** What is done with a token that somebody else has, too: it is copied, and comes three rounds later, as an old one. */
  #theft(round: number): Operation[][] {
    if (!this.#hasThief || round % 4 === 1 || round % 4 === 2) return [];
    const thief = this.#honest;
    return [round % 4 === 3 ? this.#lane(2, thief) : [{ ...this.#operation("copy", thief), from: 0 }]];
  }

  #kind(): Kind {
    const total = this.#kinds.reduce((sum, kind) => sum + (WEIGHTS[kind] ?? 0), 0);
    let left = this.#random.below(total * 10) / 10;
    return this.#kinds.find((kind) => (left -= WEIGHTS[kind] ?? 0) < 0) ?? "read";
  }

  #operation(does: Kind, client: number = this.#client()): Operation {
    const random = this.#random;
    return {
      number: this.#number++,
      does,
      client,
      process: random.below(PROCESSES),
      takes: random.chance(0.3) ? 1 + random.below(4) : 0,
      holds: CAN_HOLD.has(does) && random.chance(0.15) ? 1 + random.below(2) : 0,
      ...(does === "write" && { key: random.pick(["a", "b"] as const) }),
    };
  }

  /** Most are of one client, so that they meet. */
  #client(): number {
    return this.#random.chance(0.5) ? 0 : this.#random.below(this.#honest);
  }
}

/** Not every plan has every kind: what happens often in some is found sooner than what happens seldom in all. */
function someKinds(random: Seeded): Kind[] {
  const areLong = random.chance(0.4);
  const kinds = (Object.keys(WEIGHTS) as Kind[]).filter((kind) => random.chance(0.6) && !(areLong && ENDS.has(kind)));
  return kinds.length > 2 ? kinds : ["read", "append", "logout"];
}
