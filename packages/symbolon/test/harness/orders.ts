/** What the process that plays a history tells the others, and what they answer. */
import type { Answer } from "./history.ts";
import type { Operation, Settings } from "./plan.ts";
import type { Where } from "./target.ts";

/** The first message: which storage. */
export interface Start {
  /** The address of the module that opens the store: see `target.ts`. */
  readonly target: string;
  readonly where: Where;
  readonly key: string;
}

/** An operation, with what the client knows. */
export interface Call {
  readonly operation: Operation;
  readonly settings: Settings;
  /** The time for all managers of this process. */
  readonly now: number;
  readonly user: string;
  readonly token: string | null;
  /** The handle of the session that is to be revoked. */
  readonly session: string | null;
  /** The name of the history's lock. */
  readonly door: string;
  /** For `look`: the handles to look for. */
  readonly handles?: readonly string[];
}

/** A message after the first one. */
export type Order =
  /** Answered once it is done, or, if it is held, opened. */
  | { readonly order: "perform"; readonly number: number; readonly call: Call }
  /** Finishes what was held under that number. */
  | { readonly order: "finish"; readonly number: number; readonly held: number; readonly now: number }
  | { readonly order: "end" };

/** Answers by the number of their order; without one: ready. */
export interface Reply {
  readonly number?: number;
  readonly answer?: Answer;
}
