/**
 * One request's session, from headers in to headers out. Every binding is built on this.
 *
 * In order: find the token · open the session (one store read, none without a token) · the application · commit (one
 * store write if anything changed) · the cookies the response has to carry.
 */
import { type AccessInspection, type AccessRefusal, engineBehind, type SessionOpener } from "../core/access.ts";
import type { Client } from "../core/device.ts";
import type { Engine, Opened } from "../core/engine.ts";
import type { CsrfRefusal } from "../core/events.ts";
import type { LockOptions } from "../core/lock.ts";
import { reportRotated } from "../core/rotate-token.ts";
import { requestSide, Session, type SessionSource } from "../core/session.ts";
import { SessionLock } from "../core/session-lock.ts";
import type { Ending } from "../core/store.ts";
import { bearerKindOf, sessionKindOf, type TokenKind } from "../core/token.ts";
import { HeadersSentError, isSymbolonError, SessionEndedError, StoreUnavailableError } from "../errors.ts";
import { type AccessCarrier, accessCarrierOf, NO_COOKIE, readAccessCookie } from "./access-carrier.ts";
import {
  type CarriedReading,
  hasCarrier,
  type HeaderSource,
  readBearer,
  type SessionCarrier,
  tokenCarrier,
} from "./carrier.ts";
import type { CookieReading } from "./cookie.ts";
import { CSRF_VARY, isCsrfRelevant, judgeCsrf } from "./csrf.ts";

/** How the request came. A binding knows; `openSession` alone takes the caller's word. */
export interface Connection {
  /** Whether the client's side of it is https, by the socket or by a trusted proxy. */
  readonly secure: boolean;
  /** Whether the peer is on this machine; only asked in `development`. */
  readonly loopback: boolean;
  /** The client's address, when it is known. */
  readonly ip?: string | null;
}

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

/** How a request's session is opened. */
export interface OpenOptions {
  /** False where the response can carry no cookie, as that of a handshake: then no token rotates. Default true. */
  readonly cookies?: boolean;
  /** Takes the session's lock before the session is read: see `Session.lock`. It is free when the response is decided. */
  readonly lock?: boolean | LockOptions;
}

/** What a request wants, as far as the headers do not say it. */
export interface CsrfQuestion {
  readonly method: string;
  /** The form field `_csrf`, where the body has been read. */
  readonly formToken?: unknown;
}

const carriers = new WeakMap<Engine, SessionCarrier>();

/** The cookie settings of a manager, checked when a binding is mounted. */
export function carrierOf(engine: Engine): SessionCarrier {
  const known = carriers.get(engine);
  if (known !== undefined) return known;
  const { cookie, development } = engine.options;
  const { store } = engine.calls;
  const made = hasCarrier(store) ? store.carrier(cookie, development) : tokenCarrier(cookie, development);
  carriers.set(engine, made);
  return made;
}

/**
 * Opens the session of a request: at most one store read, none when the request carries no genuine token.
 *
 * Without `connection`, the caller vouches for https.
 *
 * @throws {LockTimeoutError} with `options.lock`, when others have the session's lock for too long.
 * @throws {StoreUnavailableError} when the store cannot be read and `onStoreFailure` is `deny`.
 */
export async function openSession<Data extends object>(
  sessions: SessionOpener<Data>,
  headers: HeaderSource,
  connection: Connection = { secure: true, loopback: false },
  options: OpenOptions = {},
): Promise<OpenedSession<Data>> {
  const engine = engineBehind(sessions);
  const access = accessCarrierOf(sessions);
  const isBearerAccess = access?.cookie === null;
  const carrier = isBearerAccess ? NO_COOKIE : carrierOf(engine);
  const bearer = isBearerAccess || engine.options.bearer ? readBearer(headers) : null;
  const lock = lockOptionsOf(options);
  const facts = new RequestFacts(headers, connection);
  const setting: Setting = { engine, carrier, access, facts, lock, canSend: options.cookies ?? true };
  if (isBearerAccess) return openByAccess(setting, access, bearer, "bearer");
  if (bearer !== null) return openToken(setting, bearer, "bearer");
  const withheld = whyWithheld(engine, connection);
  if (withheld !== null) return begin(setting, { limit: "withheld" }, { withheld });
  const reading = carrier.read(headers);
  const beside = readAccessCookie(access, headers);
  const found = access === null ? null : await openByAccessCookie<Data>(setting, access, reading, beside);
  if (found !== null) return found;
  if (reading.kind === "value") return openToken(setting, reading.token, "cookie", reading.carried);
  if (reading.kind === "none" && beside.kind === "none") return begin(setting, {}, {});
  const { name } = reading.kind === "none" ? (access?.cookie ?? carrier) : carrier;
  engine.events.emit("ambiguous-cookie", { name });
  return begin(setting, {}, { refusal: { reason: "ambiguous" } });
}

/** Takes the lock that a route wants of a session that a binding outside has opened: one store read more. */
export async function lockFound(opened: OpenedSession<object>, options: OpenOptions): Promise<void> {
  const lock = lockOptionsOf(options);
  if (lock !== undefined) await opened.lock(lock);
}

/** How a route wants the lock; undefined where it does not. */
export function lockOptionsOf({ lock }: OpenOptions): LockOptions | undefined {
  return typeof lock === "boolean" ? (lock ? {} : undefined) : lock;
}

/** How long requests with a token of before a login or rotation are still taken for late ones. */
const LATE_MS = 60_000;

/** What stays the same for the length of a request. */
interface Setting {
  readonly engine: Engine;
  readonly carrier: SessionCarrier;
  /** Null where sessions are opened by their own tokens only. */
  readonly access: AccessCarrier | null;
  readonly facts: RequestFacts;
  /** How the session's lock is taken before it is read; undefined where it is not. */
  readonly lock: LockOptions | undefined;
  /** Whether the response can carry cookies. */
  readonly canSend: boolean;
}

/**
 * What a request says, read when it is asked for: most requests never ask for their client.
 *
 * Once the response is decided it is let go: the request, by which its session is found, would keep itself in memory until
 * the next full collection, and a collector that is busy with that costs a request more than all else.
 */
class RequestFacts implements Client, HeaderSource {
  #headers: HeaderSource | null;
  #connection: Connection | null;

  constructor(headers: HeaderSource, connection: Connection) {
    this.#headers = headers;
    this.#connection = connection;
  }

  get(name: string): string | null | undefined {
    return this.#headers?.get(name);
  }

  get ip(): string | null {
    return this.#connection?.ip ?? null;
  }

  get userAgent(): string | null {
    return this.get("user-agent") ?? null;
  }

  letGo(): void {
    this.#headers = null;
    this.#connection = null;
  }
}

/**
 * Opens a session by the access token in a cookie: where there is no other, or that comes first; then only if it is of the
 * session whose cookie came with it, since a late response may have left one of a session before. Else null.
 */
async function openByAccessCookie<Data extends object>(
  setting: Setting,
  access: AccessCarrier,
  own: CarriedReading,
  beside: CookieReading,
): Promise<OpenedSession<Data> | null> {
  const { engine, lock } = setting;
  if (beside.kind !== "value") return null;
  if (own.kind === "none") return openByAccess<Data>(setting, access, beside.value, "cookie");
  // Under a lock the session is read anew, which takes its own token.
  if (own.kind !== "value" || !access.access.isFirst || lock !== undefined) return null;
  const found = await openByAccess<Data>(setting, access, beside.value, "cookie");
  const place = engine.placeOf(own.token, sessionKindOf(own.token));
  return place !== null && place.lookup === requestSide.snapshotOf(found.session)?.record.lookup ? found : null;
}

/** Opens a session by an access token; nobody's, where there is none. A client without cookies is given none. */
async function openByAccess<Data extends object>(
  setting: Setting,
  { access }: AccessCarrier,
  text: string | null,
  carriedBy: "cookie" | "bearer",
): Promise<OpenedSession<Data>> {
  if (text === null) return begin(setting, { limit: "unsent" }, { carriedBy });
  let found: AccessInspection<object>;
  try {
    found = await access.open(text, setting.facts);
    if (found.ok && setting.lock !== undefined) await requestSide.lock(found.session, setting.lock);
  } catch (error) {
    if (!(error instanceof SessionEndedError)) return beginReadOnly(setting, error, carriedBy);
    // While it waited for its lock: had the lock come first, there would have been none to open.
    found = { ok: false, reason: "ended" };
  }
  if (found.ok) return new RequestSession(setting, found.session as Session<Data>, { carriedBy });
  // With a path of its own the session's cookie did not come, and a new one would take its place.
  const isCookieNarrow = (setting.engine.options.cookie.path ?? "/") !== "/";
  return beginRefused(setting, found, { carriedBy }, carriedBy === "bearer" || isCookieNarrow);
}

/** The store cannot be read: a request goes on without a session only where that was asked for. */
function beginReadOnly<Data extends object>(
  setting: Setting,
  error: unknown,
  carriedBy: "cookie" | "bearer",
): OpenedSession<Data> {
  if (setting.engine.options.onStoreFailure === "deny" || !isStoreFailure(error)) throw error;
  return begin(setting, { limit: "read-only" }, { carriedBy });
}

async function openToken<Data extends object>(
  setting: Setting,
  token: string,
  carriedBy: "cookie" | "bearer",
  carried?: string,
): Promise<OpenedSession<Data>> {
  const { engine, facts: client, canSend } = setting;
  const kind = carriedBy === "bearer" ? bearerKindOf(token, engine.options.bearer) : sessionKindOf(token);
  const canRotate = canSend && carriedBy === "cookie";
  let lock: SessionLock | null = null;
  let opened: Opened;
  let isUsedUp = false;
  try {
    if (setting.lock !== undefined) lock = await lockBefore(engine, token, kind, setting.lock);
    const answer = engine.open(token, client, kind, carried);
    opened = answer instanceof Promise ? await answer : answer;
    isUsedUp = opened.ok && canRotate && engine.isUsedUp(opened.snapshot);
    if (opened.ok && isUsedUp) opened = await useUp(setting, opened, token);
  } catch (error) {
    await lock?.free();
    return beginReadOnly(setting, error, carriedBy);
  }
  const arrival: Arrival = { carriedBy, ...(carried !== undefined && { carried }) };
  if (!opened.ok) {
    await lock?.free();
    return beginRefused(setting, opened, arrival);
  }
  const { snapshot, successor, needsStepUp = false } = opened;
  const tokenIs = isUsedUp ? "new" : successor === undefined ? "presented" : "owed";
  return begin(setting, { snapshot, token: successor ?? token, tokenIs, needsStepUp, lock, canRotate }, arrival);
}

/** The session of a request whose token opened none. */
function beginRefused<Data extends object>(
  setting: Setting,
  { reason, ended, replacedAt = -Infinity }: Refusal & { readonly replacedAt?: number },
  arrival: Arrival,
  isUnsent: boolean = arrival.carriedBy === "bearer",
): OpenedSession<Data> {
  // A bearer client is told its token by the application: a session begun here could never be reached. And a request
  // that was sent before its client had the new token must not give it a third: that would undo the login.
  const isLate = setting.engine.now() - replacedAt < LATE_MS;
  const limit = isUnsent || isLate ? ({ limit: "unsent" } as const) : {};
  return begin(setting, limit, { ...arrival, refusal: { reason, ...(ended !== undefined && { ended }) } });
}

/** Takes the lock of a session that is not read yet; of none, for a token that proves nothing. */
async function lockBefore(
  engine: Engine,
  token: string,
  kind: TokenKind,
  options: LockOptions,
): Promise<SessionLock | null> {
  const place = engine.placeOf(token, kind);
  if (place === null) return null;
  const lease = await engine.locks.acquire(engine.vault.lockOfSession(place), options);
  return new SessionLock(lease, place.lookup, true);
}

/** Where no token is good twice, it is replaced before anything is done in its name: of several requests one goes on. */
async function useUp(
  { engine, facts: client }: Setting,
  opened: Opened & { readonly ok: true },
  token: string,
): Promise<Opened> {
  const {
    snapshot,
    token: successor,
    isOurs,
  } = await engine.rotate(opened.snapshot, token, { manner: "grace", client });
  if (successor === null || !isOurs) return { ok: false, reason: "wrong-secret", replacedAt: engine.now() };
  reportRotated(engine, snapshot, "scheduled");
  return { ...opened, snapshot, successor };
}

function begin<Data extends object>(
  setting: Setting,
  source: Partial<SessionSource>,
  arrival: Arrival,
): OpenedSession<Data> {
  const { engine, facts: client } = setting;
  const session = new Session<Data>(engine, { snapshot: null, token: null, client, ...source });
  return new RequestSession<Data>(setting, session, arrival);
}

type WithheldReason = "insecure-connection" | "not-loopback";

/** What is known of how the token came, if one did. */
interface Arrival {
  readonly carriedBy?: "cookie" | "bearer";
  /** The record that came with it, as text, where clients carry theirs. */
  readonly carried?: string;
  readonly refusal?: Refusal;
  readonly withheld?: WithheldReason;
}

class RequestSession<Data extends object> implements OpenedSession<Data> {
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

  constructor({ engine, carrier, access, facts }: Setting, session: Session<Data>, arrival: Arrival) {
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
      if (isSymbolonError(error) && !isStoreFailure(error)) process.emitWarning(error);
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

function whyWithheld(engine: Engine, connection: Connection): WithheldReason | null {
  if (engine.options.development) return connection.loopback ? null : "not-loopback";
  return connection.secure ? null : "insecure-connection";
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

function isStoreFailure(error: unknown): boolean {
  return error instanceof StoreUnavailableError;
}
