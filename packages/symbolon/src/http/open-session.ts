/**
 * openSession: one request's session, from headers in to headers out. Every binding is built on this.
 *
 * In order: find the token · open the session (one store read, none without a token) · the application · commit (one
 * store write if anything changed) · the cookies the response has to carry.
 */
import { type AccessInspection, engineBehind, type SessionOpener } from "../core/access.ts";
import type { Engine, Opened } from "../core/engine.ts";
import type { LockOptions } from "../core/lock.ts";
import { reportRotated } from "../core/rotate-token.ts";
import { requestSide, Session, type SessionSource } from "../core/session.ts";
import { SessionLock } from "../core/session-lock.ts";
import { bearerKindOf, sessionKindOf, type TokenKind } from "../core/token.ts";
import { SessionEndedError, StoreUnavailableError } from "../errors.ts";
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
import { type Connection, RequestFacts } from "./request-facts.ts";
import {
  type Arrival,
  type OpenedSession,
  type Refusal,
  RequestSession,
  type RequestSetting,
  type WithheldReason,
} from "./request-session.ts";

/** How a request's session is opened. */
export interface OpenOptions {
  /** False where the response can carry no cookie, as that of a handshake: then no token rotates. Default true. */
  readonly cookies?: boolean;
  /** Takes the session's lock before the session is read: see `Session.lock`. It is free when the response is decided. */
  readonly lock?: boolean | LockOptions;
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
interface Setting extends RequestSetting {
  /** How the session's lock is taken before it is read; undefined where it is not. */
  readonly lock: LockOptions | undefined;
  /** Whether the response can carry cookies. */
  readonly canSend: boolean;
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

function whyWithheld(engine: Engine, connection: Connection): WithheldReason | null {
  if (engine.options.development) return connection.loopback ? null : "not-loopback";
  return connection.secure ? null : "insecure-connection";
}

function isStoreFailure(error: unknown): boolean {
  return error instanceof StoreUnavailableError;
}
