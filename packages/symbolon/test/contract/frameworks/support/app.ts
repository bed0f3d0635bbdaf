/** What the binding contract knows of a framework: one small application, told in neutral words. */
import type { Duration, OpenOptions, Session, SessionManager } from "symbolon";
import type { GuardRefusal, StampOf } from "symbolon/auth/guards";
import type { JwtSessionManager } from "symbolon/jwt";
import type { Asking, Question } from "./client.ts";

/** What a binding opens sessions with. */
export type Opener = SessionManager | JwtSessionManager;

/** A body sent bit by bit. */
export interface BodyStream {
  /** Settles when the framework wants more. */
  write(chunk: string | Uint8Array): Promise<void>;
  end(chunk?: string): void;
}

/** How a handler answers, in whatever framework. */
export interface Respond {
  send(status: number, body?: string | null, headers?: Readonly<Record<string, string>>): void;
  stream(headers?: Readonly<Record<string, string>>): BodyStream;
}

/** One request under way. */
export interface Exchange {
  /** The framework's own request, for `sessionOf`. */
  readonly request: object;
  /** Path and query. */
  readonly path: string;
  readonly session: Session;
  readonly respond: Respond;
}

/** The application: called for every request. */
export type Handler = (exchange: Exchange) => void | Promise<void>;

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
  readonly onRefused?: (refusal: GuardRefusal, exchange: Pick<Exchange, "request" | "respond">) => void | Promise<void>;
}

/** An application that is being served. */
export interface Served {
  /** Sends a request; `https` is what a trusted proxy would say, unless told otherwise. */
  ask(question: Question): Asking;
  /** What the application was told of failures: `onError`, or the error handlers of the framework. */
  readonly reported: readonly unknown[];
  close(): Promise<void>;
}

/** A framework with our binding in it. */
export interface Target {
  readonly name: string;
  /**
   * Serves the handler behind the bindings of all managers, the first one outermost. A guard stands right before the
   * handler, and looks at the session of the innermost. `options` are those of the bindings, one by one.
   */
  serve(
    managers: readonly [Opener, ...Opener[]],
    handler: Handler,
    guarding?: Guarding,
    options?: readonly OpenOptions[],
  ): Promise<Served>;
}
