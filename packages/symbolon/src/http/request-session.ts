/** One request's session, until the response is sent: what it has to write, and the cookies the response has to carry. */
import type { AccessRefusal } from "../core/access.ts";
import type { Engine } from "../core/engine.ts";
import type { CsrfRefusal } from "../core/events.ts";
import type { LockOptions } from "../core/lock.ts";
import { requestSide, type Session } from "../core/session.ts";
import type { Ending } from "../core/store.ts";
import { HeadersSentError, isSymbolonError, StoreUnavailableError } from "../errors.ts";
import { type AccessCarrier, NO_COOKIE, readAccessCookie } from "./access-carrier.ts";
import type { SessionCarrier } from "./carrier.ts";
import { CSRF_VARY, isCsrfRelevant, judgeCsrf } from "./csrf.ts";
import type { RequestFacts } from "./request-facts.ts";

/** Why a token that came with the request opened no session. For logs and for telling an evicted user; not an oracle. */
export interface Refusal {
  readonly reason: AccessRefusal;
  /** Set when `reason` is `ended`. */
  readonly ended?: Ending;
}

/** A request's session, until the response is sent. */
export interface OpenedSession<Data extends object> {
  readonly session: Session<Data>;
  /** Why there is no session although a token came; null otherwise. What it says depends on the cookie, too. */
  readonly refusal: Refusal | null;
  /** Whether the session was looked at, so that the response depends on it and no cache may share it. */
  readonly isUsed: boolean;
  /** The request headers the response depends on, for `Vary`. */
  readonly varyOn: string;
  /**
   * Why another site may have sent the request; null when it may be handled. Raises the event. Bindings ask
   * before the application runs, and answer 403.
   *
   * @throws {HeadersSentError} once `commit` or `cookies` has decided the response: what the request said is forgotten.
   */
  csrfRefusal(request: CsrfQuestion): CsrfRefusal | null;
  /**
   * The `WWW-Authenticate` value for an answer that refuses the request (RFC 6750 section 3); null where the session comes
   * in cookies only. Says nothing of why a token was refused.
   */
  challenge(refusal: { readonly status: number; readonly code: string }): string | null;
  /** Whether `commit` has something to write; when not, `cookies()` is all that is left to do. */
  needsCommit(): boolean;
  /** Drops changes of data that were not written: for a request that failed (DESIGN 8.3). */
  discard(): void;
  /** Writes what changed and answers the `Set-Cookie` values. Call it before the headers leave. */
  commit(): Promise<string[]>;
  /** Whether `commitLate` has something to do. */
  needsLateCommit(): boolean;
  /**
   * Writes what changed after the headers left. Call it before the last byte.
   *
   * @throws {HeadersSentError} when a session was begun meanwhile, which the client can no longer be told of.
   */
  commitLate(): Promise<void>;
  /**
   * The `Set-Cookie` values that are due now, without writing anything. From here on no new token can be sent, and the
   * session's lock, if the request has it, is free.
   */
  cookies(): string[];
  /** Takes the session's lock for the rest of the request, and reads the session anew; nothing to do when it has it. */
  lock(options: LockOptions): Promise<void>;
  /**
   * To be called when the client went away, so that nothing may ever be answered: the session's lock, if the request has
   * it, is renewed no more. Who still handles the request has it until it ends, or the response is decided.
   */
  letLockEnd(): void;
}

/** What a request wants, as far as the headers do not say it. */
export interface CsrfQuestion {
  readonly method: string;
  /** The form field `_csrf`, where the body has been read. */
  readonly formToken?: unknown;
}

/** What a request is answered with. */
export interface RequestSetting {
  readonly engine: Engine;
  readonly carrier: SessionCarrier;
  /** Null where sessions are opened by their own tokens only. */
  readonly access: AccessCarrier | null;
  readonly facts: RequestFacts;
}

/** Why the connection carries no session cookie. */
export type WithheldReason = "insecure-connection" | "not-loopback";

/** What is known of how the token came, if one did. */
export interface Arrival {
  readonly carriedBy?: "cookie" | "bearer";
  /** The record that came with it, as text, where clients carry theirs. */
  readonly carried?: string;
  readonly refusal?: Refusal;
  readonly withheld?: WithheldReason;
}

/** The one implementation of `OpenedSession`. */
export class RequestSession<Data extends object> implements OpenedSession<Data> {
  readonly #engine: Engine;
  readonly #carrier: SessionCarrier;
  readonly #access: AccessCarrier | null;
  readonly #facts: RequestFacts;
  readonly session: Session<Data>;
  readonly #arrival: Arrival;
  #isRefusalRead = false;
  #isReported = false;
  #isTokenLate = false;
  /** Whether the request was judged by what the browser says of it. */
  #isJudged = false;
  #isRefused = false;
  /** The cookie of an access token that the client does not have yet; undefined until that was looked at. */
  #accessCookie: string | null | undefined;

  constructor({ engine, carrier, access, facts }: RequestSetting, session: Session<Data>, arrival: Arrival) {
    this.#engine = engine;
    this.#carrier = carrier;
    this.#access = access;
    this.#facts = facts;
    this.session = session;
    this.#arrival = arrival;
  }

  get refusal(): Refusal | null {
    this.#isRefusalRead = true;
    return this.#arrival.refusal ?? null;
  }

  get isUsed(): boolean {
    return this.#isRefusalRead || this.#isRefused || requestSide.isUsed(this.session);
  }

  get varyOn(): string {
    const looked = this.#takesBearer() ? "Authorization, Cookie" : "Cookie";
    const vary = this.#carrier === NO_COOKIE ? "Authorization" : looked;
    return this.#isJudged ? `${vary}, ${CSRF_VARY}` : vary;
  }

  csrfRefusal({ method, formToken }: CsrfQuestion): CsrfRefusal | null {
    const { csrf, origins } = this.#engine.options;
    // A request that says nothing would pass.
    if (this.#facts.isGone) throw new HeadersSentError("csrfRefusal: to be asked before the response is decided.");
    if (csrf === false || !isCsrfRelevant(method, this.#facts)) return null;
    this.#isJudged = true;
    const reason = judgeCsrf(
      { method, headers: this.#facts, formToken: typeof formToken === "string" ? formToken : undefined },
      {
        hasCookie: this.#hasCookie(),
        tokenMatches: (token) => requestSide.csrfMatches(this.session, token),
      },
      origins,
      csrf === "token",
    );
    if (reason === null) return null;
    const enforced = csrf !== "report";
    const { id, userId } = this.session;
    const origin = this.#facts.get("origin")?.slice(0, 200) ?? null;
    this.#engine.events.emit("csrf-refused", { reason, id, userId, method: method.slice(0, 20), origin, enforced });
    this.#isRefused = enforced;
    return enforced ? reason : null;
  }

  async lock(options: LockOptions): Promise<void> {
    await requestSide.lock(this.session, options);
  }

  letLockEnd(): void {
    requestSide.letLockEnd(this.session);
  }

  needsCommit(): boolean {
    if (this.#isRefused) return this.session.isModified;
    return requestSide.needsCommit(this.session) || this.#mayOweAccess();
  }

  discard(): void {
    requestSide.discard(this.session);
  }

  async commit(): Promise<string[]> {
    await this.#write();
    if (this.#mayOweAccess()) await this.#issueAccess();
    return this.cookies();
  }

  needsLateCommit(): boolean {
    this.#noteLateToken();
    try {
      return this.#isTokenLate || this.needsCommit();
    } catch {
      // The data cannot be stored: for commitLate to say.
      return true;
    }
  }

  async commitLate(): Promise<void> {
    try {
      await this.#write();
      this.#noteLateToken();
      if (this.#isTokenLate) throw new HeadersSentError("A session was begun after the headers had left.");
    } catch (error) {
      // No answer can tell of it any more. The store's failures are events already.
      if (isSymbolonError(error) && !(error instanceof StoreUnavailableError)) process.emitWarning(error);
      throw error;
    }
  }

  cookies(): string[] {
    const due = this.#dueCookies();
    // Where clients carry their records, what a response has to clear is what came with the request.
    if (this.#engine.carrying === null) this.#facts.letGo();
    return due;
  }

  #dueCookies(): string[] {
    const news = requestSide.takeNews(this.session);
    requestSide.noteHeadersSent(this.session);
    void requestSide.release(this.session);
    if (!this.#sendsCookies()) return [];
    const isPersistent = this.#carrier.persistent || news.remembered;
    const maxAge = isPersistent ? this.#secondsLeft() : undefined;
    const token = requestSide.tokenOf(this.session);
    if (news.cleared && news.issued === null) {
      return this.#arrival.carriedBy === "cookie" ? this.#clearing() : [];
    }
    if (token === null) return [];
    const carried = this.#packed();
    const isNews = news.issued !== null || (news.extended && isPersistent) || carried !== this.#arrival.carried;
    const own = isNews ? this.#carrier.set({ token, carried }, this.#facts, maxAge) : [];
    const beside = this.#accessCookie ?? [];
    this.#accessCookie = null;
    // Not without the session's own: a token that was taken is carried otherwise.
    return isNews || this.#arrival.carriedBy === "cookie" ? [...own, beside].flat() : own;
  }

  challenge({ status, code }: { readonly status: number; readonly code: string }): string | null {
    if (!this.#takesBearer() || (status !== 401 && code !== "role-required")) return null;
    const { carriedBy, refusal } = this.#arrival;
    const isDead = code === "stamp-changed" || (carriedBy === "bearer" && refusal !== undefined);
    const error = CHALLENGES[code] ?? (isDead ? "invalid_token" : null);
    const realm = `Bearer realm="${this.#engine.options.namespace}"`;
    return error === null ? realm : `${realm}, error="${error}"`;
  }

  #takesBearer(): boolean {
    return this.#engine.options.bearer !== false || this.#carrier === NO_COOKIE;
  }

  #hasCookie(): boolean {
    return (
      this.#carrier.read(this.#facts).kind !== "none" || readAccessCookie(this.#access, this.#facts).kind !== "none"
    );
  }

  #clearing(): string[] {
    return [...this.#carrier.clear(this.#facts), this.#access?.cookie?.clear() ?? []].flat();
  }

  /** Whether the client may lack an access token for its session, where it is to have one in a cookie. */
  #mayOweAccess(): boolean {
    if (!this.#access?.cookie || this.#accessCookie !== undefined) return false;
    if (this.#isRefused || !this.#sendsCookies()) return false;
    return requestSide.snapshotOf(this.session)?.envelope.state === "authenticated";
  }

  async #issueAccess(): Promise<void> {
    const presented = readAccessCookie(this.#access, this.#facts);
    const known = presented.kind === "value" ? presented.value : null;
    const text = (await this.#access?.access.issueFor(this.session, known)) ?? null;
    this.#accessCookie = text === null ? null : (this.#access?.cookie?.set(text) ?? null);
  }

  /** The record as the client is to carry it; undefined where it carries none. */
  #packed(): string | undefined {
    const { carrying } = this.#engine;
    const snapshot = carrying === null ? null : requestSide.snapshotOf(this.session);
    return snapshot === null ? this.#arrival.carried : carrying?.pack(snapshot.record);
  }

  async #write(): Promise<void> {
    if (this.#arrival.withheld !== undefined && this.needsCommit()) this.#reportWithheld(this.#arrival.withheld);
    // What another site sent is no use of the session; an error handler may still write to it.
    await (this.#isRefused ? this.session.save() : requestSide.commit(this.session));
  }

  #sendsCookies(): boolean {
    return this.#arrival.carriedBy !== "bearer" && this.#arrival.withheld === undefined;
  }

  /** Other news can wait for the next response: a longer Max-Age, or that the token is dead. */
  #noteLateToken(): void {
    const { issued } = requestSide.takeNews(this.session);
    if (issued !== null && this.#sendsCookies()) this.#isTokenLate = true;
  }

  /** Whole seconds until the session ends, for a cookie that outlives the browser. */
  #secondsLeft(): number {
    const expiresAt = this.session.expiresAt ?? 0;
    return Math.max(1, Math.floor((expiresAt - this.#engine.now()) / 1000));
  }

  /** The client could never present the session, so none is begun; the first request that would is reported. */
  #reportWithheld(reason: WithheldReason): void {
    if (this.#isReported) return;
    this.#isReported = true;
    this.#engine.events.emit("cookie-withheld", { reason });
    warnWithheld(this.#engine, reason);
  }
}

/** Codes of refusals that say more than that a token is needed: RFC 6750 section 3.1, RFC 9470 section 3. */
const CHALLENGES: Readonly<Record<string, string>> = {
  "role-required": "insufficient_scope",
  "fresh-login-required": "insufficient_user_authentication",
};

const warned = new WeakSet<Engine>();

const ADVICE: Readonly<Record<WithheldReason, string>> = {
  "insecure-connection":
    "The session cookie was not sent, because the connection is not known to be https. Behind a TLS proxy set trustProxy; for plain http on this machine set development: true.",
  "not-loopback": "The session cookie was not sent: development: true works for clients on this machine only.",
};

function warnWithheld(engine: Engine, reason: WithheldReason): void {
  if (warned.has(engine)) return;
  warned.add(engine);
  process.emitWarning(ADVICE[reason], "SymbolonWarning");
}
