/** What the process that leads a load tells the others, a line of JSON each, and what they answer. */
import type { Counter, LoadResult, Pace, Preload } from "./load.ts";
import type { Where } from "./target.ts";

/** The first line: which storage, and where to write the journal. */
export interface Start {
  readonly kind: string;
  readonly where: Where;
  readonly key: string;
  readonly counters: readonly Counter[];
  readonly journal: string;
}

/** A line after that; each but `stop` is answered when it is done. */
export type Order =
  | { readonly order: "preload"; readonly preload: Preload }
  /** Works until it is told to stop. */
  | { readonly order: "run"; readonly pace: Pace }
  | { readonly order: "stop" }
  /** Looks back, and writes its journal. */
  | { readonly order: "close" };

/** The answers to `run` and `close`; to the others it is null. */
export type RunAnswer = LoadResult;

export interface CloseAnswer {
  readonly faults: readonly string[];
  readonly counted: Readonly<Record<string, number>>;
}
