/** Two requests of one session that take turns, store call by store call: races in every order, without waiting. */
import {
  createSessionManager,
  generateKey,
  type SessionManager,
  type SessionManagerOptions,
  type Store,
} from "symbolon";
import { type ManualClock, manualClock } from "symbolon/testing";
import { intercept } from "./stores.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

/** One of the requests: it stops before each store call until it is let go on. */
class Walker {
  #goOn: (() => void) | null = null;
  #isDone = false;
  #notice: () => void = () => undefined;

  /** What its store does before each call. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#goOn = resolve;
      this.#notice();
    });
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** Settles when it stands before its first store call, or is done without any. */
  async start(work: () => Promise<unknown>): Promise<void> {
    const standing = this.#standing();
    const finish = (): void => {
      this.#isDone = true;
      this.#notice();
    };
    work().then(finish, finish);
    await standing;
  }

  /** Lets it make the call it stands before; settles when it stands before the next, or is done. */
  async step(): Promise<void> {
    const standing = this.#standing();
    const goOn = this.#goOn;
    if (goOn === null) throw new Error("It does not stand before a call.");
    this.#goOn = null;
    goOn();
    await standing;
  }

  #standing(): Promise<void> {
    return new Promise((resolve) => {
      this.#notice = resolve;
    });
  }
}

/** Whose turn it is, call by call: 0 for the first request, 1 for the other. */
export type Order = readonly (0 | 1)[];

/**
 * Every order in which so many calls of the other request may fall among so many of the first. When one makes fewer, the
 * turns left over are nobody's; when it makes more, they come last.
 */
export function everyOrder(firsts: number, others: number): Order[] {
  if (firsts === 0 || others === 0) return [[...Array<0>(firsts).fill(0), ...Array<1>(others).fill(1)]];
  return [
    ...everyOrder(firsts - 1, others).map((rest): Order => [0, ...rest]),
    ...everyOrder(firsts, others - 1).map((rest): Order => [1, ...rest]),
  ];
}

async function playIn(order: Order, walkers: readonly [Walker, Walker]): Promise<void> {
  for (const who of order) if (!walkers[who].isDone) await walkers[who].step();
  for (const walker of walkers) while (!walker.isDone) await walker.step();
}

/** Two requests in two processes on one store, and a third process to look from. */
export interface Stage {
  readonly clock: ManualClock;
  readonly walkers: readonly [Walker, Walker];
  /** Two processes whose calls can be made to wait. */
  readonly processes: readonly [SessionManager, SessionManager];
  /** A third, whose calls never wait. */
  readonly elsewhere: SessionManager;
  /** From here on the two wait before each call. */
  hold(): void;
}

/** Sets the stage; `stores` are two ways into one store. */
export function stageOn(stores: readonly [Store, Store], options: Options = {}): Stage {
  const clock = manualClock();
  const walkers = [new Walker(), new Walker()] as const;
  const shared = { keys: [generateKey()], clock, pruneEvery: false, ...options } as const;
  let isHeld = false;
  const process = (at: 0 | 1): SessionManager => {
    const store = intercept(stores[at], async (call) => {
      if (isHeld) await walkers[at].stop();
      return call.proceed();
    });
    return createSessionManager({ ...shared, store });
  };
  return {
    clock,
    walkers,
    processes: [process(0), process(1)],
    elsewhere: createSessionManager({ ...shared, store: stores[1] }),
    hold: () => {
      isHeld = true;
    },
  };
}

/** Plays two requests in one order; what they answer, or what they throw. */
export async function play(
  stage: Stage,
  order: Order,
  works: readonly [() => Promise<unknown>, () => Promise<unknown>],
): Promise<readonly [unknown, unknown]> {
  const answers: [unknown, unknown] = [undefined, undefined];
  const keep = (at: 0 | 1) => async (): Promise<void> => {
    try {
      answers[at] = await works[at]();
    } catch (error) {
      answers[at] = error;
    }
  };
  stage.hold();
  await Promise.all([stage.walkers[0].start(keep(0)), stage.walkers[1].start(keep(1))]);
  await playIn(order, stage.walkers);
  return answers;
}
