/** Session: what request code holds. */
import { OptionsError } from "../errors.ts";
import { checkStamp, keepLogin, logIn, logOut, setExtra, setRoles } from "./authentication.ts";
import { checkExtra, checkRoles, type LoginOptions } from "./beginning.ts";
import type { Engine } from "./engine.ts";
import type { Lease } from "./lease.ts";
import { deadlineOf, type Duration, parseDuration } from "./lifetime.ts";
import { LiveSession, type SaveResult, type SessionSource, type TokenNews } from "./live-session.ts";
import { type LockArguments, lockArguments, type LockOptions } from "./lock.ts";
import type { Device, SessionState, Snapshot } from "./record.ts";
import { rotateToken } from "./rotate-token.ts";
import type { DataChange } from "./session-data.ts";
import { lockRequest, lockSession, runLocked } from "./session-lock.ts";

export type { SaveResult, SessionSource, TokenNews } from "./live-session.ts";

/** Request handling's side of a session; not part of the public face. */
export interface RequestSide {
  /** Whether `commit` has anything to do; looks at the data only if it was touched. */
  needsCommit(session: Session<object>): boolean;
  /** Writes changed data and a due touch, in one write. */
  commit(session: Session<object>): Promise<SaveResult>;
  /** Drops changes of data that were not written. */
  discard(session: Session<object>): void;
  /** What the response has to tell the client, once. */
  takeNews(session: Session<object>): TokenNews;
  /** The token the session is carried by, null before there is one. */
  tokenOf(session: Session<object>): string | null;
  /** The session as it is stored, as far as this request knows; null while it is not. */
  snapshotOf(session: Session<object>): Snapshot | null;
  /** Whether anything was read from the session or written to it, so that the response depends on it. */
  isUsed(session: Session<object>): boolean;
  /** Tells the session that the headers have left: from here on no token reaches the client. */
  noteHeadersSent(session: Session<object>): void;
  /** Takes the session's lock for the rest of the request, unless the request has it. */
  lock(session: Session<object>, options: LockOptions): Promise<void>;
  /** Frees the lock that the request has. Never rejects: a lock that was lost is free. */
  release(session: Session<object>): Promise<void>;
  /** Lets the lock that the request has end with its lease. */
  letLockEnd(session: Session<object>): void;
  /** Whether a CSRF token was made for this session. */
  csrfMatches(session: Session<object>, token: string): boolean;
}

/** Request handling's access to what a session keeps to itself. */
export let requestSide: RequestSide;

/**
 * One client's session.
 *
 * Reading `data` opens it, the first time; changes to it, nested ones too, are found at save. In a binding, `save` is
 * called for you before the response leaves. Where another request wrote meanwhile, what this one changed is replayed
 * on the newer data (`conflicts: 'merge'`), by path in plain objects; the later save wins where both changed one path.
 */
export class Session<Data extends object = Record<string, unknown>> {
  static {
    requestSide = {
      // A login that nobody waits for has a cookie to send, too.
      needsCommit: (session) => session.#tail !== null || session.#live.needsCommit(),
      commit: (session) => session.#serially(() => session.#live.commit()),
      discard: (session) => session.#live.discard(),
      takeNews: (session) => session.#live.takeNews(),
      tokenOf: (session) => session.#live.data.token,
      snapshotOf: (session) => session.#live.snapshot,
      isUsed: (session) => session.#live.isUsed,
      noteHeadersSent: (session) => {
        session.#live.areHeadersSent = true;
      },
      lock: (session, options) => lockRequest(session.#live, options, () => session.save()),
      release: async (session) => {
        if (session.#live.lock?.isHeldByRequest === true) await session.#live.lock.free();
      },
      letLockEnd: (session) => session.#live.lock?.letEnd(),
      csrfMatches: (session, token) => session.#live.csrfMatches(token),
    };
  }

  readonly #live: LiveSession;
  #tail: Promise<unknown> | null = null;

  /** @internal Sessions come from a manager or a binding. */
  constructor(engine: Engine, source: SessionSource) {
    this.#live = new LiveSession(engine, source);
  }

  /** Whether somebody is logged in. Guards look here, never at the mere existence of a session. */
  get state(): SessionState {
    return this.#live.envelope?.state ?? "anonymous";
  }

  /** The application's user id; null unless `state` is `authenticated`. */
  get userId(): string | null {
    const envelope = this.#live.envelope;
    return envelope?.state === "authenticated" ? envelope.userId : null;
  }

  /** Whose login misses a step, and which; null unless `state` is `pending`. Never counts as logged in. */
  get pending(): { readonly userId: string; readonly awaiting: string } | null {
    const envelope = this.#live.envelope;
    if (envelope?.state !== "pending" || envelope.userId === null) return null;
    return { userId: envelope.userId, awaiting: envelope.awaiting ?? "" };
  }

  /** Who acts as the user, where that is not the user; null otherwise. */
  get actor(): string | null {
    return this.#live.envelope?.actor ?? null;
  }

  /**
   * The API token that opened it, by its name; null in every session of a user. What only the user may do is to be
   * refused where this is set; login, logout, and whatever else would change the token, throw `NotAllowedError`.
   */
  get apiToken(): { readonly name: string } | null {
    const name = this.#live.envelope?.apiToken;
    return name === undefined ? null : { name };
  }

  /** Public handle: safe to show, to log and to revoke by. Null until the session is stored. */
  get id(): string | null {
    return this.#live.envelope?.id ?? null;
  }

  get roles(): readonly string[] {
    return this.#live.envelope?.roles ?? [];
  }

  /** Values the server keeps beside the data; sealed, but readable without the token. */
  get extra(): Readonly<Record<string, unknown>> {
    return this.#live.envelope?.extra ?? {};
  }

  get tenant(): string | null {
    return this.#live.envelope?.tenant ?? null;
  }

  get device(): Device | null {
    return this.#live.envelope?.device ?? null;
  }

  /** Whether the user asked to be remembered, so that the session outlives the browser. */
  get remember(): boolean {
    return this.#live.envelope?.remember ?? false;
  }

  /** Milliseconds since the epoch, as all instants; null until the session is stored. */
  get createdAt(): number | null {
    return this.#live.envelope?.createdAt ?? null;
  }

  get authenticatedAt(): number | null {
    return this.#live.envelope?.authenticatedAt ?? null;
  }

  /** When use was last written down; at most a tenth of the idle timeout ago. */
  get lastSeenAt(): number | null {
    return this.#live.envelope?.lastSeenAt ?? null;
  }

  /** When the session ends if it is not used again. */
  get expiresAt(): number | null {
    const envelope = this.#live.envelope;
    return envelope === null ? null : deadlineOf(envelope);
  }

  /** Whether this request began the session. */
  get isNew(): boolean {
    this.#live.isUsed = true;
    return this.#live.isNew;
  }

  /** Whether there is something that `save` would write. */
  get isModified(): boolean {
    this.#live.isUsed = true;
    return this.#live.isModified();
  }

  /**
   * Whether the user proved who they are no longer ago than this: a login that was not remembered, or one in a session
   * that was theirs already. Never in a pending or impersonated session, nor where a pin asks for more.
   */
  isFresh(age: Duration): boolean {
    const envelope = this.#live.envelope;
    if (envelope?.state !== "authenticated" || envelope.freshAt === undefined || this.#live.needsStepUp) return false;
    return this.#live.engine.now() - envelope.freshAt < parseDuration(age, "isFresh");
  }

  /**
   * The application's values: a plain object, opened on first use.
   *
   * @throws {DataInvalidError} when stored data fits neither schema nor upgrade.
   */
  get data(): Data {
    return this.#live.open() as Data;
  }

  /** Replaces all data. */
  set data(value: Data) {
    this.#live.open();
    this.#live.data.replace(value as Record<string, unknown>);
  }

  /**
   * Writes what changed; bindings do this before the response leaves. Costs one conditional store write, none when
   * nothing changed; when another request wrote meanwhile, one read and one write more.
   *
   * @throws {DataInvalidError} or {DataTooLargeError} when the data cannot be stored; the stored session is unchanged.
   * @throws {ConflictError} with `conflicts: 'strict'`, when the data was changed by another request.
   * @throws {StoreUnavailableError} when the store did not do its work.
   */
  save(): Promise<SaveResult> {
    return this.#serially(() => this.#live.save(null));
  }

  /**
   * Changes the newest data atomically: `change` runs on it, and again on newer data until its result lands, so it
   * must do nothing else, and call nothing of the session. Increments made here are never lost. Changes made to
   * `session.data` before are saved with it.
   */
  update(change: (data: Data) => void | Promise<void>): Promise<SaveResult> {
    return this.#using(() => this.#live.save(change as DataChange));
  }

  /**
   * Runs a function while no other request or process has the session's lock: what others saved before is read anew, and
   * what the function changed is saved before the lock is freed. Every write meanwhile is made only while the lock is
   * held, in one atomic step, and is never replayed on data of others. What was changed before is saved first, as ever.
   * When the function throws, what it changed is dropped. Not to be nested. Requests that do not take the lock are not
   * held up; should one of them change the data meanwhile, this one fails.
   *
   * Three store calls besides those of the session: the lock, a read, the release. Without a function the lock is held
   * until its lease is released, as by `await using`; then what is to be saved under it has to be saved by `save`.
   *
   * @throws {LockTimeoutError} when others have the lock for longer than `wait`; `run` was not called.
   * @throws {SessionEndedError} when the session has ended, before or while the function ran; nothing was saved.
   * @throws {LeaseLostError} when the lock was lost, as by a pause longer than `lease`; nothing was saved since.
   * @throws {ConflictError} when a request without the lock has changed the data; nothing was saved since.
   * @throws {StoreUnavailableError} when the store did not do its work.
   */
  lock<T>(run: (lease: Lease) => T | Promise<T>): Promise<T>;
  lock<T>(options: LockOptions, run: (lease: Lease) => T | Promise<T>): Promise<T>;
  lock(options?: LockOptions): Promise<Lease>;
  async lock<T>(...args: LockArguments<T>): Promise<T | Lease> {
    const { options, run } = lockArguments(args);
    this.#live.isUsed = true;
    const save = (): Promise<SaveResult> => this.save();
    return run === undefined ? lockSession(this.#live, options, save) : runLocked(this.#live, options, run, save);
  }

  /** Lets the session end no later than this from now; only ever shortens. Written with the next save. */
  setDuration(duration: Duration): void {
    this.#live.shorten(this.#live.engine.now() + parseDuration(duration, "setDuration"));
  }

  /**
   * Logs a user in, under a new session and a new token: the new record is stored first, then the one before is ended
   * (DESIGN 8.8, R-011). The data of the one before is dropped, but for `carry`. Committed when called; if this
   * throws, nobody was logged in. Two or three store writes.
   *
   * @throws {OptionsError} for anything but a text as user id, or a wrong option.
   * @throws {SessionLimitError} when `limits` leave no room.
   * @throws {HeadersSentError} when the response can carry no cookie any more.
   * @throws {NotSupportedError} when the connection can carry no session cookie.
   * @throws {StoreUnavailableError} when the store did not do its work.
   */
  login(userId: string, options: LoginOptions = {}): Promise<void> {
    return this.#using(() => logIn(this.#live, userId, options));
  }

  /**
   * Ends the session: on the server first, then its cookie with the response. What is written to `data`
   * afterwards begins a new anonymous session.
   *
   * @throws {StoreUnavailableError} when the server could not end it; then the cookie stays too.
   */
  logout(): Promise<void> {
    return this.#using(() => logOut(this.#live));
  }

  /**
   * Begins anew within this request: an empty, anonymous session. The one before ends on the server with the next
   * save, before anything is sent.
   */
  reset(): void {
    this.#live.isUsed = true;
    this.#live.reset();
  }

  /**
   * Compares the user's present stamp with the session's, in constant time: when they differ, as after a change of
   * password elsewhere, the session is ended. Pass null for a user who has none any more. Call it on every request of
   * a user, or let `requireStamp` do so. No store call while they agree.
   *
   * Answers whether they agree. An anonymous session agrees with null only. When they do not, this request sends no
   * cookie at all, since the very change may have been made in another tab of this browser: the next request is told
   * `ended`, `stamp-changed`.
   *
   * @throws {StoreUnavailableError} when the session could not be ended.
   */
  checkStamp(stamp: string | null): Promise<boolean> {
    return this.#using(() => checkStamp(this.#live, stamp));
  }

  /**
   * Keeps this session after its user's credentials were changed in it: it takes the new stamp and a new token, and
   * all other sessions, pending logins and one-time tokens of the user are ended. Call it right after the
   * change: should another request of this session see the new credentials first, the session can be kept for a minute
   * more. When it was logged out, revoked or given another token meanwhile, it answers `gone`; the others end then, or at
   * the latest with their next `checkStamp`.
   *
   * @throws {NotAllowedError} when nobody is logged in, or somebody acts as the user.
   * @throws {StoreUnavailableError} when the others could not be ended, or the stamp not be written.
   */
  keepLogin(stamp: string): Promise<SaveResult> {
    return this.#using(() => keepLogin(this.#live, stamp));
  }

  /**
   * Gives the session another token now; the data stays sealed as it is, and no timeout moves but the idle one. The token
   * before is good until `rotation.grace` after the new one was first presented, and answered with that (DESIGN 8.4).
   * One conditional store write. `unchanged` where another request has just done so, whose token the response then
   * carries, or where the token is younger than `grace`.
   *
   * @throws {HeadersSentError} when the response can carry no cookie any more.
   */
  rotate(): Promise<SaveResult> {
    return this.#using(() => rotateToken(this.#live));
  }

  /**
   * Replaces the roles of this session; its token is rotated, and the one before is dead at once. Where another
   * request has replaced the token meanwhile, roles are taken away, but none given: then it answers `gone`.
   *
   * @throws {NotAllowedError} when nobody is logged in.
   */
  setRoles(roles: readonly string[]): Promise<SaveResult> {
    const checked = checkRoles(roles);
    return this.#using(() => setRoles(this.#live, checked));
  }

  /** Replaces the extra values, at once; those of a session that is stored. A login begins with its own: see `login`. */
  setExtra(extra: Readonly<Record<string, unknown>>): Promise<SaveResult> {
    const checked = checkExtra(extra, this.#live.engine.options.bounds);
    return this.#using(() => setExtra(this.#live, checked));
  }

  /**
   * Keeps a short message for the next page: `flash(kind, text)`. Like `extra`, it is sealed under the server's key
   * alone. At most 8 are kept, of 300 characters each and 2500 bytes in all. Written with the next save.
   */
  flash(kind: string, text: string): void;
  /** Takes the messages of a kind, oldest first; the next save removes them. */
  flash(kind: string): string[];
  flash(kind: string, text?: string): string[] | void {
    this.#live.refuseOffline("flash");
    const held = this.#live.envelope?.flashes ?? [];
    return text === undefined ? this.#live.flashes.take(kind, held) : this.#live.flashes.add(kind, text);
  }

  /**
   * A CSRF token of this session, another text each time; for a form field `_csrf` or a header `X-CSRF-Token`.
   * Only needed where browsers say nothing of where a request comes from, or with `csrf: 'token'`. It dies with login
   * and logout. A visitor without a session gets one with this response.
   */
  csrfToken(): string {
    this.#live.isUsed = true;
    return this.#live.csrfToken();
  }

  /**
   * A token the client does not have yet, once: for clients that carry it otherwise than in a cookie. Bindings set the
   * cookie of a token that is not taken. Null when there is none.
   */
  takeToken(): string | null {
    return this.#live.takeToken();
  }

  /** Shows the handle and the state, and nothing secret; `console.log` shows less. */
  toJSON(): { id: string | null; state: SessionState } {
    return { id: this.id, state: this.state };
  }

  #using<T>(operation: () => Promise<T>): Promise<T> {
    this.#live.isUsed = true;
    return this.#serially(operation);
  }

  /** One operation of this object after the other, so that two saves in one handler cannot meet halfway. */
  async #serially<T>(operation: () => Promise<T>): Promise<T> {
    // It would wait for itself, for ever.
    if (this.#live.data.isChanging) throw new OptionsError("update: call nothing of the session inside it.");
    const before = this.#tail;
    const own = before === null ? operation() : before.then(operation, operation);
    this.#tail = own;
    try {
      return await own;
    } finally {
      if (this.#tail === own) this.#tail = null;
    }
  }
}
