/** What must hold in every history, whoever was faster: the promises of DESIGN section 8. */
import { dataFaults } from "./data-promise.ts";
import { endingFaults } from "./ending-promise.ts";
import type { Entry, History } from "./history.ts";
import { lockFaults } from "./lock-promise.ts";
import { storiesOf } from "./stories.ts";
import { tokenFaults } from "./token-promise.ts";

/** A promise that a history may break. */
export type Promised =
  /** What is written to a session is as if it had been written one after the other. */
  | "no update is lost"
  /** Nothing brings back a session that was ended, and nobody is told so of one that was not. */
  | "an ended session stays ended"
  | "a session ends only when it is ended"
  /** A token has one successor, with which its predecessor is answered. */
  | "a token has one successor"
  /** Who follows the tokens is let in, whoever comes with an old one is not. */
  | "tokens are good for as long as they should be"
  /** A lock has one holder, and each a greater fence than the one before. */
  | "a lock has one holder"
  /** No operation fails. */
  | "every operation is answered";

/** A promise that was broken. */
export interface Fault {
  readonly promised: Promised;
  readonly what: string;
  readonly entries: readonly Entry[];
}

/** Finds what a history breaks; nothing where all is well. */
export function faultsOf(history: History): Fault[] {
  const stories = storiesOf(history);
  const failures = history.entries.filter(({ failure }) => failure !== undefined);
  return [
    ...stories.flatMap((story) => tokenFaults(story, history.plan.settings.grace)),
    ...stories.flatMap((story) => endingFaults(story)),
    ...stories.flatMap((story) => dataFaults(story)),
    ...lockFaults(history),
    ...failures.map((entry): Fault => ({
      promised: "every operation is answered",
      what: entry.failure!,
      entries: [entry],
    })),
  ];
}
