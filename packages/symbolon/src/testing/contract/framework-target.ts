/** What the contract knows of a framework: one small application, told in neutral words. */
import type { GuardRefusal, StampOf } from "../../auth/guards.ts";
import type { Duration } from "../../core/lifetime.ts";
import type { SessionManager } from "../../core/manager.ts";
import type { Session } from "../../core/session.ts";
import type { OpenOptions, Refusal } from "../../http/index.ts";

/**
 * What a binding may lack. `http1` or `http2` (without TLS) is what its port speaks; `streams` are bodies sent bit by bit;
 * `several` are managers one inside the other, also the same one twice; `locks` is the option `lock` of `openSession`.
 */
export type FrameworkAbility = "http1" | "http2" | "streams" | "guards" | "several" | "locks";

/** A framework with a binding in it. */
export interface FrameworkTarget {
  readonly name: string;
  readonly abilities: readonly FrameworkAbility[];
  /**
   * Serves the handler, for every path and method, behind the bindings of all managers, the first one outermost.
   *
   * A guard stands right before the handler, and looks at the session of the innermost. `options` are those of the
   * bindings, one by one. A request came over https when its `X-Forwarded-Proto` is `https`, and else over plain http.
   */
  serve(
    managers: readonly [SessionManager, ...SessionManager[]],
    handler: Handler,
    guarding?: Guarding,
    options?: readonly OpenOptions[],
  ): Promise<ServedFramework>;
}

/** An application that is being served. */
export interface ServedFramework {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number;
  /** What its error handler was told; empty where a binding tells the process, by warnings. */
  readonly reported: readonly unknown[];
  /** Settles when nothing listens any more; the contract has closed its connections before. */
  close(): Promise<void>;
}

/** The application: called for every request. */
export type Handler = (exchange: Exchange) => void | Promise<void>;

/** One request under way. */
export interface Exchange {
  /** Path and query. */
  readonly path: string;
  /** The session that the outermost binding has opened. */
  readonly session: Session;
  /** Why the token that came opened no session there. To be read when it is asked for: the answer depends on it then. */
  readonly refusal: Refusal | null;
  /** The session that the binding of this manager has opened. */
  sessionOf(sessions: SessionManager): Session;
  readonly respond: Respond;
}

/** How a handler answers, in whatever framework. */
export interface Respond {
  send(status: number, body?: string | null, headers?: Readonly<Record<string, string>>): void;
  /** Answers 200 with a body that is sent bit by bit. */
  stream(headers?: Readonly<Record<string, string>>): BodyStream;
}

/** A body sent bit by bit; a handler that throws before the end breaks it off. */
export interface BodyStream {
  /** Settles when the framework wants more. */
  write(chunk: string | Uint8Array): Promise<void>;
  end(chunk?: string): void;
}

/** The guards that every binding has. */
export interface GuardMakers<Options, Guard> {
  requireLogin(options?: Options): Guard;
  requireRole(roles: string | readonly string[], options?: Options): Guard;
  requireFresh(age: Duration, options?: Options): Guard;
  requireStamp(stampOf: StampOf, options?: Options): Guard;
  requirePending(awaiting: string, options?: Options): Guard;
}

/** What stands before the handler. */
export interface Guarding {
  readonly choose: <Options, Guard>(makers: GuardMakers<Options, Guard>, options: Options) => Guard;
  /** Answers instead of the guard. */
  readonly onRefused?: (refusal: GuardRefusal, exchange: Pick<Exchange, "session" | "respond">) => void | Promise<void>;
}

/** One sentence of the contract, and the code that holds a binding to it. */
export interface FrameworkCase {
  readonly name: string;
  /** The abilities without which the sentence says nothing. */
  readonly needs: readonly FrameworkAbility[];
  /** Rejects when the binding breaks the sentence. */
  readonly run: (target: FrameworkTarget) => Promise<void>;
}
