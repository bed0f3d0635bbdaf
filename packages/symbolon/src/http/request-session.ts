/**
 * One request's session, from headers in to headers out. Every binding is built on this.
 *
 * In order: find the token · open the session (one store read, none without a token) · the application · commit (one
 * store write if anything changed) · the cookies the response has to carry.
 */
import type { Client } from "../core/device.ts";
import type { Engine, InspectReason, Opened } from "../core/engine.ts";
import type { CsrfRefusal } from "../core/events.ts";
import { engineOf, type SessionManager } from "../core/manager.ts";
import type { LockOptions } from "../core/lock.ts";
import { reportRotated } from "../core/rotate-token.ts";
import { requestSide, Session, type SessionSource } from "../core/session.ts";
import { SessionLock } from "../core/session-lock.ts";
import type { Ending } from "../core/store.ts";
import { bearerKindOf, sessionKindOf, type TokenKind } from "../core/token.ts";
import { HeadersSentError, isSymbolonError, StoreUnavailableError } from "../errors.ts";
import { hasCarrier, type HeaderSource, readBearer, type SessionCarrier, tokenCarrier } from "./carrier.ts";
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
  readonly reason: InspectReason;
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
  sessions: SessionManager<Data>,
  headers: HeaderSource,
  connection: Connection = { secure: true, loopback: false },
  options: OpenOptions = {},
): Promise<OpenedSession<Data>> {
  const engine = engineOf(sessions);
  const carrier = carrierOf(engine);
  const bearer = engine.options.bearer ? readBearer(headers) : null;
  const lock = lockOptionsOf(options);
  const client = new RequestClient(headers, connection);
  const setting: Setting = { engine, carrier, headers, client, lock, canSend: options.cookies ?? true };
  if (bearer !== null) return openToken(setting, bearer, "bearer");
  const withheld = whyWithheld(engine, connection);
  if (withheld !== null) return begin(setting, { limit: "withheld" }, { withheld });
  const reading = carrier.read(headers);
  if (reading.kind === "value") return openToken(setting, reading.token, "cookie", reading.carried);
  if (reading.kind === "none") return begin(setting, {}, {});
  engine.events.emit("ambiguous-cookie", { name: carrier.name });
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
  readonly headers: HeaderSource;
  readonly client: Client;
  /** How the session's lock is taken before it is read; undefined where it is not. */
  readonly lock: LockOptions | undefined;
  /** Whether the response can carry cookies. */
  readonly canSend: boolean;
}

/** Reads what the request says of its client when it is asked for: most requests never ask. */
class RequestClient implements Client {
  readonly #headers: HeaderSource;
  readonly #connection: Connection;

  constructor(headers: HeaderSource, connection: Connection) {
    this.#headers = headers;
    this.#connection = connection;
  }

  get ip(): string | null {
    return this.#connection.ip ?? null;
  }

  get userAgent(): string | null {
    return this.#headers.get("user-agent") ?? null;
  }
}

async function openToken<Data extends object>(
  setting: Setting,
  token: string,
  carriedBy: "cookie" | "bearer",
  carried?: string,
): Promise<OpenedSession<Data>> {
  const { engine, client, canSend } = setting;
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
    if (engine.options.onStoreFailure === "deny" || !isStoreFailure(error)) throw error;
    return begin(setting, { limit: "read-only" }, { carriedBy });
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
  { reason, ended, replacedAt = -Infinity }: Opened & { readonly ok: false },
  arrival: Arrival,
): OpenedSession<Data> {
  // A bearer client is told its token by the application: a session begun here could never be reached. And a request
  // that was sent before its client had the new token must not give it a third: that would undo the login.
  const isLate = setting.engine.now() - replacedAt < LATE_MS;
  const limit = arrival.carriedBy === "bearer" || isLate ? ({ limit: "unsent" } as const) : {};
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
  { engine, client }: Setting,
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
  const { engine, client } = setting;
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
  readonly #headers: HeaderSource;
  readonly session: Session<Data>;
  readonly #arrival: Arrival;
  #isRefusalRead = false;
  #isReported = false;
  #isTokenLate = false;
  /** Whether the request was judged by what the browser says of it. */
  #isJudged = false;
  #isRefused = false;

  constructor({ engine, carrier, headers }: Setting, session: Session<Data>, arrival: Arrival) {
    this.#engine = engine;
    this.#carrier = carrier;
    this.#headers = headers;
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
    const vary = this.#engine.options.bearer ? "Authorization, Cookie" : "Cookie";
    return this.#isJudged ? `${vary}, ${CSRF_VARY}` : vary;
  }

  csrfRefusal({ method, formToken }: CsrfQuestion): CsrfRefusal | null {
    const { csrf, origins } = this.#engine.options;
    if (csrf === false || !isCsrfRelevant(method, this.#headers)) return null;
    this.#isJudged = true;
    const reason = judgeCsrf(
      { method, headers: this.#headers, formToken: typeof formToken === "string" ? formToken : undefined },
      {
        hasCookie: this.#carrier.read(this.#headers).kind !== "none",
        tokenMatches: (token) => requestSide.csrfMatches(this.session, token),
      },
      origins,
      csrf === "token",
    );
    if (reason === null) return null;
    const enforced = csrf !== "report";
    const { id, userId } = this.session;
    const origin = this.#headers.get("origin")?.slice(0, 200) ?? null;
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
    return this.#isRefused ? this.session.isModified : requestSide.needsCommit(this.session);
  }

  discard(): void {
    requestSide.discard(this.session);
  }

  async commit(): Promise<string[]> {
    await this.#write();
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
    const news = requestSide.takeNews(this.session);
    requestSide.noteHeadersSent(this.session);
    void requestSide.release(this.session);
    if (!this.#sendsCookies()) return [];
    const isPersistent = this.#carrier.persistent || news.remembered;
    const maxAge = isPersistent ? this.#secondsLeft() : undefined;
    const token = requestSide.tokenOf(this.session);
    if (news.cleared && news.issued === null) {
      return this.#arrival.carriedBy === "cookie" ? this.#carrier.clear(this.#headers) : [];
    }
    if (token === null) return [];
    const carried = this.#packed();
    const isNews = news.issued !== null || (news.extended && isPersistent) || carried !== this.#arrival.carried;
    return isNews ? this.#carrier.set({ token, carried }, this.#headers, maxAge) : [];
  }

  /** The record as the client is to carry it; undefined where it carries none. */
  #packed(): string | undefined {
    const { carrying } = this.#engine;
    const record = carrying === null ? null : requestSide.recordOf(this.session);
    return record === null ? this.#arrival.carried : carrying?.pack(record);
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
