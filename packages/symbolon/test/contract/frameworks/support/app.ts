/** What the tests of bindings know of a framework: the application of the published contract, and a little more. */
import { type OpenOptions, refusalOf, type SessionManager, sessionOf } from "symbolon";
import type { GuardRefusal } from "symbolon/auth/guards";
import type { JwtSessionManager } from "symbolon/jwt";
import type {
  Exchange as ContractExchange,
  FrameworkTarget,
  Guarding as ContractGuarding,
  Respond,
  ServedFramework,
} from "symbolon/testing";
import type { Client } from "./client.ts";

export type { BodyStream, GuardMakers, Respond } from "symbolon/testing";

/** What a binding opens sessions with. */
export type Opener = SessionManager | JwtSessionManager;

/** One request under way. */
export interface Exchange extends ContractExchange {
  /** The framework's own request, for `sessionOf`. */
  readonly request: object;
}

/** The application: called for every request. */
export type Handler = (exchange: Exchange) => void | Promise<void>;

/** A request that a guard refused, as who answers in its place sees it. */
export type Refused = Pick<Exchange, "request" | "session" | "respond">;

/** What stands before the handler. */
export interface Guarding extends Pick<ContractGuarding, "choose"> {
  /** Answers instead of the guard. */
  readonly onRefused?: (refusal: GuardRefusal, exchange: Refused) => void | Promise<void>;
}

/** An application that is being served. */
export interface Served extends Pick<Client, "ask">, Pick<ServedFramework, "reported" | "close"> {}

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

/** An application that listens. */
export type ServedOverSockets = Served & ServedFramework;

/** A target that the published contract can be run on, too. */
export interface SocketTarget extends Target, Pick<FrameworkTarget, "abilities"> {
  serve(...application: Parameters<Target["serve"]>): Promise<ServedOverSockets>;
}

/** What every binding of ours can do. */
export const ALL: FrameworkTarget["abilities"] = ["streams", "guards", "several", "locks"];

/** A request as a handler sees it. */
export function exchangeOf(request: object, path: string, outermost: Opener, respond: Respond): Exchange {
  return {
    request,
    path,
    respond,
    get session() {
      return sessionOf(request, outermost);
    },
    get refusal() {
      return refusalOf(request, outermost);
    },
    sessionOf: (sessions) => sessionOf(request, sessions),
  };
}

/** A request that a guard refused: no binding tells its path in the same words. */
export function refusedOf(request: object, outermost: Opener, respond: Respond): Refused {
  return exchangeOf(request, "", outermost, respond);
}
