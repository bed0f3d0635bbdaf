/** What is recorded of a history: what each operation was told, and what it answered. */
import type { Operation, Plan } from "./plan.ts";

/** When something happened. */
export interface Span {
  /** The clock of the managers, which stands still meanwhile; ms since the epoch. */
  readonly at: number;
  /** When it was called, and when it had answered: microseconds of a clock that all processes of the machine share. */
  readonly from: number;
  readonly until: number;
}

/** What a session's data holds. */
export interface SeenData {
  readonly a?: number;
  readonly b?: number;
  readonly log?: readonly number[];
  readonly locked?: readonly number[];
}

export type Outcome =
  | "saved"
  | "unchanged"
  /** The session has ended. */
  | "gone"
  /** Somebody without the lock, or under another token, was first: nothing was written. */
  | "conflict"
  /** The lease was over: whether what was written under it stands is not known. */
  | "lost"
  /** Others had the lock for too long: nothing was done. */
  | "timeout";

/** A lock in one holder's hands; instants as in `Span`. */
export interface Section {
  readonly fence: number;
  /** When it was asked for, was had, was given back, and the answer to that came. */
  readonly asked: number;
  readonly entered: number;
  readonly left: number;
  readonly freed: number;
  /** By the clock of the managers. */
  readonly enteredAt: number;
  readonly freedAt: number;
  /** Whether its release said that the lease had been lost. */
  readonly isLost: boolean;
}

/** All sessions of a user, as three ways to look say; handles. */
export interface Look {
  /** Those that were found by their handle. */
  readonly found: readonly string[];
  readonly listed: readonly string[];
  readonly counted: number;
}

/** What a process says of an operation. */
export interface Answer {
  /** Until the token was judged and the data read; of operations without a token, all of it. */
  readonly opening: Span;
  /** From there until the response was decided; only of requests. */
  readonly closing?: Span;
  /** The session that the token opened. */
  readonly found?: string;
  /** Why the token opened none. */
  readonly refused?: string;
  readonly saw?: SeenData;
  readonly outcome?: Outcome;
  /** The response found that the session had ended. */
  readonly isGone?: boolean;
  /** The whole list after an append. */
  readonly wrote?: readonly number[];
  /** The token that the client was given. */
  readonly given?: string;
  /** The client's cookie was removed. */
  readonly isCleared?: boolean;
  /** The session that a login has begun. */
  readonly begun?: string;
  /** Of `revokeToken`: whether it ended a session. */
  readonly hasEnded?: boolean;
  readonly section?: Section;
  readonly look?: Look;
  /** An error that no promise allows for. */
  readonly failure?: string;
}

/** An operation, what it was told, and what came of it. */
export interface Entry extends Answer {
  readonly operation: Operation;
  readonly user: string;
  /** The token that the client had. */
  readonly presented: string | null;
  /** The session that was to be revoked. */
  readonly session: string | null;
}

export interface History {
  readonly plan: Plan;
  readonly entries: readonly Entry[];
}
