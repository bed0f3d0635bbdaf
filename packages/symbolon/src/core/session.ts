/** Session: what request code holds. */
import type { MacKey } from "../crypto/derive.ts";
import {
  HeadersSentError,
  NotAllowedError,
  NotSupportedError,
  OptionsError,
  StoreUnavailableError,
} from "../errors.ts";
import { checkExtra, checkLogin, checkRoles, digestStamp, type LoginOptions } from "./beginning.ts";
import { csrfTokenMatches, mintCsrfToken } from "./csrf-token.ts";
import type { Client } from "./device.ts";
import type { Begun, Engine } from "./engine.ts";
import { type FlashIntent, Flashes } from "./flash.ts";
import { deadlineOf, type Duration, parseDuration } from "./lifetime.ts";
import type { Device, Envelope, SessionState, Snapshot, SnapshotChange } from "./record.ts";
import { type DataChange, type DataIntent, type NextData, SessionData } from "./session-data.ts";
import { hasOwnerIndex } from "./store.ts";
import { keyOfHandle, type MintedToken, verifierMatches } from "./token.ts";

/** What `save` and `update` answer: written, nothing to write, or the session has ended meanwhile. */
export type SaveResult = "saved" | "unchanged" | "gone";

/** The token a response has to carry, or take away. */
export interface TokenNews {
  /** A token the client does not have yet. */
  readonly issued: string | null;
  /** The client's token is dead by the session's own doing, so its cookie can go. */
  readonly cleared: boolean;
  /** The deadline moved, so a cookie with a Max-Age should be sent again. */
  readonly extended: boolean;
  /** The session was begun to outlive the browser, so its cookie has to, too. */
  readonly remembered: boolean;
}

/** How a session is begun; used by the manager and by request handling only. */
export interface SessionSource {
  readonly snapshot: Snapshot | null;
  readonly token: string | null;
  /**
   * `read-only`: the store could not be read, so writes throw. `withheld`: no cookie can be sent, so nothing is begun.
   * `unsent`: only what asks for its token is begun: a login of a bearer client.
   */
  readonly limit?: "read-only" | "withheld" | "unsent";
  /** Who asks. */
  readonly client?: Client;
  /** The client does not fit the session's pin, and has to log in again where it matters. */
  readonly needsStepUp?: boolean;
}

/** A session that `reset` has put aside; it ends with the next save. */
interface PutAside {
  readonly snapshot: Snapshot | null;
  readonly data: SessionData;
}

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
  /** Whether anything was read from the session or written to it, so that the response depends on it. */
  isUsed(session: Session<object>): boolean;
  /** Tells the session that the headers have left: from here on no token reaches the client. */
  noteHeadersSent(session: Session<object>): void;
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
      needsCommit: (session) => session.#needsCommit(),
      commit: (session) => session.#serially(() => session.#commit(null, true)),
      discard: (session) => session.#discard(),
      takeNews: (session) => session.#takeNews(),
      tokenOf: (session) => session.#data.token,
      isUsed: (session) => session.#isUsed,
      noteHeadersSent: (session) => {
        session.#areHeadersSent = true;
      },
      csrfMatches: (session, token) => session.#csrfMatches(token),
    };
  }

  readonly #engine: Engine;
  readonly #client: Client;
  readonly #flashes = new Flashes();
  #limit: SessionSource["limit"] | null;
  #needsStepUp: boolean;
  #snapshot: Snapshot | null;
  /** Holds the token, too: it is half of the data's key. */
  #data: SessionData;
  #isNew: boolean;
  /** Ended by somebody else while this request ran: nothing may be written or sent. */
  #gone = false;
  #isUsed = false;
  #issued = false;
  #cleared = false;
  #extended = false;
  #areHeadersSent = false;
  /** The token of a session not stored yet, made early because a CSRF token names the session. */
  #reserved: MintedToken | null = null;
  #putAside: PutAside | null = null;
  /** The end asked for by `setDuration`, not yet written. */
  #shortenedTo: number | null = null;
  #tail: Promise<unknown> | null = null;

  /** @internal Sessions come from a manager or a binding. */
  constructor(engine: Engine, source: SessionSource) {
    this.#engine = engine;
    this.#snapshot = source.snapshot;
    this.#data = new SessionData(engine, source.token);
    this.#isNew = source.snapshot === null;
    this.#limit = source.limit ?? null;
    this.#client = source.client ?? {};
    this.#needsStepUp = source.needsStepUp ?? false;
  }

  /** Whether somebody is logged in. Guards look here, never at the mere existence of a session. */
  get state(): SessionState {
    return this.#envelope?.state ?? "anonymous";
  }

  /** The application's user id; null unless `state` is `authenticated`. */
  get userId(): string | null {
    const envelope = this.#envelope;
    return envelope?.state === "authenticated" ? envelope.userId : null;
  }

  /** Whose login misses a step, and which; null unless `state` is `pending`. Never counts as logged in. */
  get pending(): { readonly userId: string; readonly awaiting: string } | null {
    const envelope = this.#envelope;
    if (envelope?.state !== "pending" || envelope.userId === null) return null;
    return { userId: envelope.userId, awaiting: envelope.awaiting ?? "" };
  }

  /** Who acts as the user, where that is not the user; null otherwise. */
  get actor(): string | null {
    return this.#envelope?.actor ?? null;
  }

  /** Public handle: safe to show, to log and to revoke by. Null until the session is stored. */
  get id(): string | null {
    return this.#envelope?.id ?? null;
  }

  get roles(): readonly string[] {
    return this.#envelope?.roles ?? [];
  }

  /** Values the server keeps beside the data; sealed, but readable without the token. */
  get extra(): Readonly<Record<string, unknown>> {
    return this.#envelope?.extra ?? {};
  }

  get tenant(): string | null {
    return this.#envelope?.tenant ?? null;
  }

  get device(): Device | null {
    return this.#envelope?.device ?? null;
  }

  /** Milliseconds since the epoch, as all instants; null until the session is stored. */
  get createdAt(): number | null {
    return this.#envelope?.createdAt ?? null;
  }

  get authenticatedAt(): number | null {
    return this.#envelope?.authenticatedAt ?? null;
  }

  /** When use was last written down; at most a tenth of the idle timeout ago. */
  get lastSeenAt(): number | null {
    return this.#envelope?.lastSeenAt ?? null;
  }

  /** When the session ends if it is not used again. */
  get expiresAt(): number | null {
    const envelope = this.#envelope;
    return envelope === null ? null : deadlineOf(envelope);
  }

  /** Whether this request began the session. */
  get isNew(): boolean {
    this.#isUsed = true;
    return this.#isNew;
  }

  /** Whether there is something that `save` would write. */
  get isModified(): boolean {
    this.#isUsed = true;
    return !this.#gone && (this.#isChanged() || this.#data.changedText() !== null);
  }

  /**
   * Whether the user proved who they are no longer ago than this: a login that was not remembered, or one in a session
   * that was theirs already. Never in a pending or impersonated session, nor where a pin asks for more.
   */
  isFresh(age: Duration): boolean {
    const envelope = this.#envelope;
    if (envelope?.state !== "authenticated" || envelope.freshAt === undefined || this.#needsStepUp) return false;
    return this.#engine.now() - envelope.freshAt < parseDuration(age, "isFresh");
  }

  /**
   * The application's values: a plain object, opened on first use.
   *
   * @throws {DataInvalidError} when stored data fits neither schema nor upgrade.
   */
  get data(): Data {
    return this.#open() as Data;
  }

  /** Replaces all data. */
  set data(value: Data) {
    this.#open();
    this.#data.replace(value as Record<string, unknown>);
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
    return this.#serially(() => this.#commit(null, false));
  }

  /**
   * Changes the newest data atomically: `change` runs on it, and again on newer data until its result lands, so it
   * must do nothing else, and call nothing of the session. Increments made here are never lost. Changes made to
   * `session.data` before are saved with it.
   */
  update(change: (data: Data) => void | Promise<void>): Promise<SaveResult> {
    this.#isUsed = true;
    return this.#serially(() => this.#commit(change as DataChange, false));
  }

  /** Lets the session end no later than this from now; only ever shortens. Written with the next save. */
  setDuration(duration: Duration): void {
    const end = this.#engine.now() + parseDuration(duration, "setDuration");
    this.#shortenedTo = Math.min(end, this.#shortenedTo ?? end);
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
    this.#isUsed = true;
    return this.#serially(() => this.#login(userId, options));
  }

  /**
   * Ends the session: on the server first, then its cookie with the response. What is written to `data`
   * afterwards begins a new anonymous session.
   *
   * @throws {StoreUnavailableError} when the server could not end it; then the cookie stays too.
   */
  logout(): Promise<void> {
    this.#isUsed = true;
    return this.#serially(async () => {
      if (this.#gone) return;
      const ended = await this.#endOwn("logout");
      if (ended !== null) this.#engine.events.emit("logout", { id: ended.id, userId: ended.userId });
    });
  }

  /**
   * Begins anew within this request: an empty, anonymous session. The one before ends on the server with the next
   * save, before anything is sent.
   */
  reset(): void {
    this.#isUsed = true;
    if (this.#gone) return;
    this.#putAside ??= { snapshot: this.#snapshot, data: this.#data };
    this.#forget();
  }

  /**
   * Compares the user's present stamp with the session's, in constant time: when they differ, as after a change of
   * password elsewhere, the session is ended. Pass null for a user who has none any more. Call it on every request of
   * a user, or let `requireStamp` do so. No store call while they agree.
   *
   * Answers whether they agree. An anonymous session agrees with null only.
   *
   * @throws {StoreUnavailableError} when the session could not be ended.
   */
  checkStamp(stamp: string | null): Promise<boolean> {
    this.#isUsed = true;
    return this.#serially(async () => {
      const snapshot = this.#snapshot;
      if (this.#gone) return false;
      if (snapshot === null || snapshot.envelope.userId === null) return stamp === null;
      if (stampFits(snapshot.envelope, stamp)) return true;
      return this.#checkNewest(snapshot, stamp);
    });
  }

  /**
   * Keeps this session after its user's credentials were changed in it: it takes the new stamp and a new token, and
   * all other sessions and pending logins of the user are ended. Call it right after the change.
   *
   * @throws {NotAllowedError} when nobody is logged in, or somebody acts as the user.
   * @throws {StoreUnavailableError} when the others could not be ended, or the stamp not be written.
   */
  keepLogin(stamp: string): Promise<SaveResult> {
    this.#isUsed = true;
    return this.#serially(() => this.#keepLogin(digestStamp(stamp)));
  }

  /**
   * Replaces the roles of this session; its token is rotated, and the one before is dead at once.
   *
   * @throws {NotAllowedError} when nobody is logged in.
   */
  setRoles(roles: readonly string[]): Promise<SaveResult> {
    this.#isUsed = true;
    const checked = checkRoles(roles);
    return this.#serially(() => this.#setRoles(checked));
  }

  /** Replaces the extra values, at once. They are kept at login, too: see `login`. */
  setExtra(extra: Readonly<Record<string, unknown>>): Promise<SaveResult> {
    this.#isUsed = true;
    const checked = checkExtra(extra, this.#engine.options.bounds);
    return this.#serially(async () => {
      if (this.#gone || this.#snapshot === null) return this.#gone ? "gone" : "unchanged";
      const outcome = await this.#engine.write(this.#snapshot, ({ envelope }) => {
        return { envelope: { ...envelope, extra: checked } };
      });
      if (outcome.status === "gone") return this.#end();
      this.#adopt(outcome.snapshot);
      return outcome.status;
    });
  }

  /**
   * Keeps a short message for the next page: `flash(kind, text)`. Like `extra`, it is sealed under the server's key
   * alone. At most 8 are kept, of 300 characters each. Written with the next save.
   */
  flash(kind: string, text: string): void;
  /** Takes the messages of a kind, oldest first; the next save removes them. */
  flash(kind: string): string[];
  flash(kind: string, text?: string): string[] | void {
    if (text === undefined) return this.#flashes.take(kind, this.#envelope?.flashes ?? []);
    this.#isUsed = true;
    return this.#flashes.add(kind, text);
  }

  /**
   * A CSRF token of this session, another text each time; for a form field `_csrf` or a header `X-CSRF-Token`.
   * Only needed where browsers say nothing of where a request comes from, or with `csrf: 'token'`. It dies with login
   * and logout. A visitor without a session gets one with this response.
   */
  csrfToken(): string {
    this.#isUsed = true;
    const place = this.#csrfPlace();
    return place === null ? "" : mintCsrfToken(place.key, place.lookup);
  }

  /**
   * A token the client does not have yet, once: for clients that carry it otherwise than in a cookie. Bindings set the
   * cookie of a token that is not taken. Null when there is none.
   */
  takeToken(): string | null {
    const token = this.#issued && !this.#gone ? this.#data.token : null;
    this.#issued = false;
    return token;
  }

  /** Shows the handle and the state, and nothing secret; `console.log` shows less. */
  toJSON(): { id: string | null; state: SessionState } {
    return { id: this.id, state: this.state };
  }

  /** All that is shown of the session goes through here, or through `#open`. */
  get #envelope(): Envelope | null {
    this.#isUsed = true;
    return this.#snapshot?.envelope ?? null;
  }

  /** One operation of this object after the other, so that two saves in one handler cannot meet halfway. */
  async #serially<T>(operation: () => Promise<T>): Promise<T> {
    // It would wait for itself, for ever.
    if (this.#data.isChanging) throw new OptionsError("update: call nothing of the session inside it.");
    const before = this.#tail;
    const own = before === null ? operation() : before.then(operation, operation);
    this.#tail = own;
    try {
      return await own;
    } finally {
      if (this.#tail === own) this.#tail = null;
    }
  }

  #open(): object {
    this.#isUsed = true;
    return this.#data.open(this.#snapshot);
  }

  #needsCommit(): boolean {
    if (this.#gone) return false;
    if (this.#snapshot !== null && this.#engine.isTouchDue(this.#snapshot)) return true;
    return this.#isChanged() || this.#data.changedText() !== null;
  }

  /** Whether there is something to write besides data. */
  #isChanged(): boolean {
    const isReserved = this.#reserved !== null && this.#snapshot === null;
    return this.#shortenedTo !== null || this.#flashes.isChanged || this.#putAside !== null || isReserved;
  }

  #discard(): void {
    if (this.#putAside !== null) {
      this.#snapshot = this.#putAside.snapshot;
      this.#data = this.#putAside.data;
      this.#putAside = null;
    }
    this.#data.discard();
    this.#flashes.discard();
    this.#reserved = null;
    this.#shortenedTo = null;
  }

  #takeNews(): TokenNews {
    const silent = this.#gone;
    const news = {
      issued: this.#issued && !silent ? this.#data.token : null,
      cleared: this.#cleared && !silent,
      extended: this.#extended && !silent,
      remembered: this.#snapshot?.envelope.remember ?? false,
    };
    this.#issued = false;
    this.#cleared = false;
    this.#extended = false;
    return news;
  }

  /** Makes this an empty session of nobody. */
  #forget(): void {
    this.#snapshot = null;
    this.#data = new SessionData(this.#engine, null);
    this.#reserved = null;
    this.#shortenedTo = null;
    this.#needsStepUp = false;
    this.#isNew = true;
    this.#issued = false;
    this.#extended = false;
  }

  /** Ends the session on the server; answers what it was when it was live, and is anonymous from then on. */
  async #endOwn(reason: string): Promise<Envelope | null> {
    if (this.#limit === "read-only") throw readOnlyError();
    const snapshot = this.#snapshot ?? this.#putAside?.snapshot ?? null;
    const wasLive = snapshot !== null && (await this.#engine.end(snapshot.record, reason));
    this.#forget();
    this.#putAside = null;
    this.#cleared = true;
    return wasLive ? snapshot.envelope : null;
  }

  async #login(userId: string, options: LoginOptions): Promise<void> {
    this.#refuseUnsendable("login");
    const before = this.#snapshot ?? this.#putAside?.snapshot ?? null;
    const beginning = checkLogin(this.#engine, userId, options, this.#client, before?.envelope ?? null);
    const text = this.#carried(options.carry, userId);
    const flashes = this.#flashes.intend();
    const begun = await this.#engine.create({
      ...beginning,
      text,
      replacing: before,
      flashes: this.#flashes.next(undefined, flashes) ?? [],
    });
    this.#flashes.settle(flashes);
    this.#begin(begun);
  }

  /** The data of the present session that goes over to the next, as text. */
  #carried(carry: LoginOptions["carry"], userId: string): string | null {
    const isList = Array.isArray(carry) && carry.every((key) => typeof key === "string");
    if (carry !== undefined && carry !== "all" && !isList) {
      throw new OptionsError("carry: pass a list of keys, or 'all'.");
    }
    if (carry === undefined || this.#gone) return null;
    if (carry === "all" && this.#snapshot?.envelope.userId !== userId) {
      throw new OptionsError("carry: 'all' is for logging the session's own user in again; name the keys.");
    }
    const { codec } = this.#engine;
    const present = Object.entries(this.#open());
    const kept = carry === "all" ? present : present.filter(([key]) => carry.includes(key));
    if (kept.length === 0) return null;
    const data = { ...codec.initial(), ...Object.fromEntries(kept) };
    codec.checkSchema(data);
    return codec.encode(data);
  }

  /** Becomes a session that was just stored. */
  #begin({ snapshot, token }: Begun): void {
    this.#forget();
    this.#snapshot = snapshot;
    this.#data = new SessionData(this.#engine, token);
    this.#putAside = null;
    this.#limit = null;
    this.#gone = false;
    this.#issued = true;
    this.#cleared = false;
  }

  /** A token that cannot reach the client would lock the user out. */
  #refuseUnsendable(what: string): void {
    if (this.#limit === "read-only") throw readOnlyError();
    if (this.#areHeadersSent) {
      throw new HeadersSentError(`${what}: the response headers have left, so no new token can be sent.`);
    }
    if (this.#limit === "withheld") {
      throw new NotSupportedError(
        `${what}: this connection is not known to be https, so it carries no session cookie; see trustProxy and development.`,
      );
    }
  }

  /** The stamps differ: but another request of this session may have changed the credentials, and kept the login. */
  async #checkNewest(snapshot: Snapshot, stamp: string | null): Promise<boolean> {
    const newest = await this.#engine.reread(snapshot);
    if (newest === null || (stampFits(newest.envelope, stamp) && !this.#data.isOpenedBy(newest))) {
      this.#end();
      return false;
    }
    this.#adopt(newest);
    if (stampFits(newest.envelope, stamp)) return true;
    const ended = await this.#endOwn("stamp-changed");
    if (ended !== null) this.#engine.events.emit("stamp-changed", { id: ended.id, userId: ended.userId });
    return false;
  }

  async #keepLogin(stamp: string): Promise<SaveResult> {
    const { envelope, token } = this.#loggedIn("keepLogin");
    if (envelope.actor !== undefined) {
      throw new NotAllowedError("keepLogin: who acts as a user cannot change the user's credentials.");
    }
    const change = (current: Envelope): Envelope => ({ ...current, stamp });
    if ((await this.#rotate(token, "stamp-changed", change)) === "gone") return "gone";
    const { vault, calls, events } = this.#engine;
    const { userId } = envelope;
    if (userId === null || !hasOwnerIndex(calls.store)) return "saved";
    const ending = { reason: "stamp-changed", at: this.#engine.now() };
    const kept = this.#snapshot === null ? [] : [this.#snapshot.record.lookup];
    const pending = await calls.ask("deleteByOwner", vault.ownerOf(userId, vault.spaces.p1), [], ending);
    const others = await calls.ask("deleteByOwner", vault.ownerOf(userId), kept, ending);
    events.emit("revoked-many", { userId, tenant: null, reason: ending.reason, count: others + pending });
    return "saved";
  }

  async #setRoles(roles: readonly string[]): Promise<SaveResult> {
    const { envelope, token } = this.#loggedIn("setRoles");
    const result = await this.#rotate(token, "roles-changed", (current) =>
      sameList(current.roles, roles) ? null : { ...current, roles },
    );
    if (result === "saved") {
      this.#engine.events.emit("roles-changed", { id: envelope.id, userId: envelope.userId, roles });
    }
    return result;
  }

  /** Insists on a user who is logged in, and on a way to send a new token. */
  #loggedIn(what: string): { readonly envelope: Envelope; readonly token: string } {
    this.#refuseUnsendable(what);
    const envelope = this.#snapshot?.envelope;
    const { token } = this.#data;
    if (envelope?.state !== "authenticated" || token === null) {
      throw new NotAllowedError(`${what}: nobody is logged in.`);
    }
    return { envelope, token };
  }

  async #rotate(
    token: string,
    reason: "roles-changed" | "stamp-changed",
    change: (envelope: Envelope) => Envelope | null,
  ): Promise<SaveResult> {
    const start = this.#snapshot;
    if (start === null) return "gone";
    const outcome = await this.#engine.rotate(start, token, change);
    if (outcome.status === "gone") return this.#end();
    this.#snapshot = outcome.snapshot;
    if (outcome.token !== null) {
      this.#data.token = outcome.token;
      this.#issued = true;
      const { id, userId } = outcome.snapshot.envelope;
      this.#engine.events.emit("rotated", { id, userId, reason });
    }
    return outcome.status;
  }

  /** Takes over a newer version of the same session. */
  #adopt(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    if (this.#data.token !== null) this.#engine.remember(this.#data.token, snapshot);
  }

  /** What a CSRF token of this session is made from; null once the session's key was removed. */
  #csrfPlace(): { readonly key: MacKey; readonly lookup: string } | null {
    const { vault } = this.#engine;
    const record = this.#snapshot?.record;
    if (record === undefined) this.#reserved ??= this.#engine.mint(null);
    const handle = this.#snapshot?.envelope.id ?? this.#reserved?.handle ?? "";
    const key = keyOfHandle(vault.ring, handle)?.csrf;
    const lookup = record?.lookup ?? this.#reserved?.lookup;
    return key === undefined || lookup === undefined ? null : { key, lookup };
  }

  #csrfMatches(token: string): boolean {
    // Nothing was sent yet for a session that is not stored.
    const place = this.#snapshot === null ? null : this.#csrfPlace();
    return place !== null && csrfTokenMatches(place.key, place.lookup, token);
  }

  async #commit(change: DataChange | null, touch: boolean): Promise<SaveResult> {
    if (this.#gone) return "gone";
    if (this.#putAside !== null) await this.#endPutAside(this.#putAside);
    const intent = this.#data.intend(change);
    const snapshot = this.#snapshot;
    const isTouchDue = touch && snapshot !== null && this.#engine.isTouchDue(snapshot);
    if (intent.mine === null && change === null && !this.#isChanged() && !isTouchDue) return "unchanged";
    if (this.#limit === "read-only") throw readOnlyError();
    if (this.#limit === "unsent" || this.#limit === "withheld") return "unchanged";
    this.#data.check(intent);
    const flashes = this.#flashes.intend();
    return snapshot === null ? this.#create(intent, flashes) : this.#write(snapshot, intent, flashes);
  }

  /** Ends what `reset` has put aside, before anything takes its place. */
  async #endPutAside({ snapshot }: PutAside): Promise<void> {
    if (this.#limit === "read-only") throw readOnlyError();
    if (snapshot !== null && (await this.#engine.end(snapshot.record, "reset"))) {
      const { id, userId } = snapshot.envelope;
      this.#engine.events.emit("revoked", { id, userId, reason: "reset" });
    }
    this.#putAside = null;
    this.#cleared = true;
  }

  async #create(intent: DataIntent, flashes: FlashIntent): Promise<SaveResult> {
    const endsAt = this.#shortenedTo;
    const text = await this.#data.first(intent);
    const held = this.#flashes.next(undefined, flashes);
    if (text === null && held === undefined && this.#reserved === null) return "unchanged";
    const { snapshot, token } = await this.#engine.create({
      text,
      endsAt,
      token: this.#reserved,
      ...(held !== undefined && { flashes: held }),
    });
    this.#reserved = null;
    this.#data.token = token;
    this.#issued = true;
    this.#cleared = false;
    this.#written(snapshot, intent, text, endsAt, flashes);
    return "saved";
  }

  async #write(start: Snapshot, intent: DataIntent, flashes: FlashIntent): Promise<SaveResult> {
    const endsAt = this.#shortenedTo;
    let text: string | null = null;
    const outcome = await this.#engine.write(start, (current) => {
      const finish = (next: NextData | null): SnapshotChange | null => {
        text = next?.text ?? null;
        return this.#nextRecord(current, next, endsAt, flashes);
      };
      const next = this.#data.next(current, intent);
      return next instanceof Promise ? next.then(finish) : finish(next);
    });
    if (outcome.status === "gone") return this.#end();
    if (outcome.status === "saved") {
      // A cookie with a replaced token would take the place of its successor.
      this.#extended = this.#data.isOpenedBy(outcome.snapshot);
      if (this.#data.token !== null) this.#engine.remember(this.#data.token, outcome.snapshot);
    }
    this.#written(outcome.snapshot, intent, text, endsAt, flashes);
    return outcome.status;
  }

  #nextRecord(
    current: Snapshot,
    next: NextData | null,
    endsAt: number | null,
    flashes: FlashIntent,
  ): SnapshotChange | null {
    const { flashes: held, ...old } = current.envelope;
    const absoluteAt = Math.min(old.absoluteAt, endsAt ?? old.absoluteAt);
    const differs = next !== null && next.differs;
    const isFlashed = flashes.added.length > 0 || flashes.taken.size > 0;
    const isDue = this.#engine.isTouchDue(current);
    if (!differs && absoluteAt === old.absoluteAt && !isFlashed && !isDue) return null;
    const left = this.#flashes.next(held, flashes);
    const lastSeenAt = Math.max(this.#engine.now(), old.lastSeenAt);
    const envelope = { ...old, absoluteAt, lastSeenAt, ...(left !== undefined && { flashes: left }) };
    return differs ? this.#data.seal(current, envelope, next.text) : { envelope };
  }

  /** Somebody ended the session while this request ran. */
  #end(): SaveResult {
    this.#gone = true;
    this.#snapshot = null;
    this.#data.replace({});
    return "gone";
  }

  #written(
    snapshot: Snapshot,
    intent: DataIntent,
    text: string | null,
    endsAt: number | null,
    flashes: FlashIntent,
  ): void {
    this.#snapshot = snapshot;
    this.#flashes.settle(flashes);
    if (this.#shortenedTo === endsAt) this.#shortenedTo = null;
    if (text !== null) this.#data.take(snapshot, intent, text);
  }
}

/** Compares digests, in constant time; a session without a stamp fits none but null. */
function stampFits({ stamp }: Envelope, given: string | null): boolean {
  if (stamp === undefined || given === null) return stamp === undefined && given === null;
  return verifierMatches(Buffer.from(digestStamp(given)), Buffer.from(stamp));
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((entry, index) => entry === b[index]);
}

function readOnlyError(): StoreUnavailableError {
  return new StoreUnavailableError("The session could not be read, so it is read-only.");
}
