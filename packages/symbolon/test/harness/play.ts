/** Plays a plan: leads the processes through it, as browsers would, and records what they answer. */
import { randomBytes } from "node:crypto";
import type { Crew } from "./crew.ts";
import type { Answer, Entry, History } from "./history.ts";
import type { Call } from "./orders.ts";
import { type Operation, type Plan, presentsToken, PROCESSES, type Round } from "./plan.ts";

/** An operation that is opened and not finished. */
interface Held {
  readonly call: Call;
  readonly number: number;
  readonly opened: Answer;
  readonly round: number;
}

/** A session, as a client that is handed its tokens knows it. */
interface Known {
  readonly id: string;
  readonly user: string;
  /** Its tokens, in the order in which they were handed out. */
  readonly tokens: string[];
}

/** Numbers and names that no two histories share. */
let orders = 0;
const run = randomBytes(6).toString("base64url");

/** Plays a plan on a crew's storage, in sessions of its own. */
export async function play(plan: Plan, crew: Crew): Promise<History> {
  return new Game(plan, crew).play();
}

class Game {
  readonly #plan: Plan;
  readonly #crew: Crew;
  readonly #name = `${run} ${orders++}`;
  readonly #entries: Entry[] = [];
  readonly #held: Held[] = [];
  readonly #sessions = new Map<string, Known>();
  /** What each client has: the token it was handed last, and the handle of the session it was last in. */
  readonly #tokens: (string | null)[];
  readonly #handles: (string | null)[];
  /** Clients that were logged out, or refused: with their next request they log in. */
  readonly #out = new Set<number>();
  #now = Date.now();

  constructor(plan: Plan, crew: Crew) {
    this.#plan = plan;
    this.#crew = crew;
    this.#tokens = plan.users.map(() => null);
    this.#handles = plan.users.map(() => null);
  }

  async play(): Promise<History> {
    const { rounds } = this.#plan;
    // Two rounds more, for what is held till then.
    for (let index = 0; index < rounds.length + 2; index++) {
      const { passes, lanes }: Round = rounds[index] ?? { passes: 1_000, lanes: [] };
      this.#now += passes;
      const due = this.#held.filter(({ round }) => round === index);
      await Promise.all([...due.map((held) => this.#finish(held)), ...lanes.map((lane) => this.#lane(lane, index))]);
    }
    await this.#lookBack();
    return { plan: this.#plan, entries: this.#entries };
  }

  async #lane(lane: readonly Operation[], round: number): Promise<void> {
    for (const operation of lane) {
      if (operation.does === "copy") this.#copy(operation);
      else await this.#perform(operation, round);
    }
  }

  #copy({ client, from = 0 }: Operation): void {
    this.#tokens[client] = this.#tokens[from] ?? null;
    this.#handles[client] = this.#handles[from] ?? null;
  }

  async #perform(planned: Operation, round: number): Promise<void> {
    const operation = this.#insteadOf(planned);
    const call = this.#callOf(operation);
    const number = orders++;
    const answer = await this.#crew.perform(call, number);
    if (operation.holds === 0 || answer.failure !== undefined) this.#record(call, answer);
    else this.#held.push({ call, number, opened: answer, round: round + operation.holds });
  }

  /** What a client does that has to log in first. */
  #insteadOf(planned: Operation): Operation {
    if (!presentsToken(planned) || !this.#out.delete(planned.client)) return planned;
    return { ...planned, does: "login", holds: 0 };
  }

  async #finish({ call, number, opened }: Held): Promise<void> {
    const rest = await this.#crew.finish(call.operation.process, number, this.#now, orders++);
    this.#record(call, { ...opened, ...rest });
  }

  #callOf(operation: Operation): Call {
    const { client } = operation;
    return {
      operation,
      settings: this.#plan.settings,
      now: this.#now,
      user: this.#userOf(client),
      token: presentsToken(operation) ? (this.#tokens[client] ?? null) : null,
      session: operation.does === "revoke" ? (this.#handles[client] ?? null) : null,
      door: `${this.#name} door`,
    };
  }

  #isThief(client: number): boolean {
    return this.#plan.hasThief && client === this.#plan.users.length - 1;
  }

  #userOf(client: number): string {
    return `${this.#name} user ${this.#plan.users[client] ?? 0}`;
  }

  #record({ operation, user, token, session }: Call, answer: Answer): void {
    this.#entries.push({ ...answer, operation, user, presented: token, session });
    const { client } = operation;
    const id = answer.begun ?? answer.found;
    if (id !== undefined) this.#handles[client] = id;
    if (
      operation.number >= 0 &&
      !this.#isThief(client) &&
      (answer.isCleared === true || answer.refused !== undefined)
    ) {
      this.#out.add(client);
    }
    if (answer.begun !== undefined) this.#out.delete(client);
    if (answer.isCleared === true) this.#tokens[client] = null;
    if (answer.given === undefined || id === undefined) return;
    this.#tokens[client] = answer.given;
    const known = this.#sessions.get(id) ?? { id, user, tokens: [] };
    if (!known.tokens.includes(answer.given)) known.tokens.push(answer.given);
    this.#sessions.set(id, known);
  }

  /** Every process looks at all sessions, and presents what should be the last token of each; one presents all of those that ended. */
  async #lookBack(): Promise<void> {
    const processes = Array.from({ length: PROCESSES }, (_, process) => process);
    const sessions = [...this.#sessions.values()];
    const users = [...new Set(sessions.map(({ user }) => user))];
    const looks = processes.map((process) => Promise.all(users.map((user) => this.#look(process, user))));
    await Promise.all(looks);
    const live = new Set(this.#entries.flatMap(({ look }) => look?.found ?? []));
    const newest = sessions.flatMap(({ tokens, user }) =>
      processes.map((process) => ({ process, user, token: tokens.at(-1)! })),
    );
    const dead = sessions.filter(({ id }) => !live.has(id));
    const older = dead.flatMap(({ tokens, user }, process) =>
      tokens.slice(0, -1).map((token) => ({ process: process % PROCESSES, user, token })),
    );
    await Promise.all([...newest, ...older].map((one) => this.#validate(one)));
  }

  async #look(process: number, user: string): Promise<void> {
    const handles = [...this.#sessions.values()].filter((one) => one.user === user).map(({ id }) => id);
    const call = { ...this.#callOf(this.#added("look", process)), user, handles };
    this.#record(call, await this.#crew.perform(call, orders++));
  }

  async #validate({ process, user, token }: { process: number; user: string; token: string }): Promise<void> {
    const call = { ...this.#callOf(this.#added("validate", process)), user, token };
    this.#record(call, await this.#crew.perform(call, orders++));
  }

  /** An operation that is in no plan. */
  #added(does: Operation["does"], process: number): Operation {
    return { number: -1, does, client: 0, process, takes: 0, holds: 0 };
  }
}
