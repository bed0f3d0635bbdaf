/** Session: what request code holds. */
import { OptionsError, StoreUnavailableError } from "../errors.ts";
import type { Engine } from "./engine.ts";
import { deadlineOf, type Duration, parseDuration } from "./lifetime.ts";
import type { Device, Envelope, SessionState, Snapshot, SnapshotChange } from "./record.ts";
import { type DataChange, type DataIntent, type NextData, SessionData } from "./session-data.ts";

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
  /** `read-only`: the store could not be read, so writes throw. `unsent`: no cookie can be sent, so nothing is begun. */
  readonly limit?: "read-only" | "unsent";
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
    };
  }

  readonly #engine: Engine;
  readonly #limit: "read-only" | "unsent" | null;
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
    return !this.#gone && (this.#shortenedTo !== null || this.#data.changedText() !== null);
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
   * Ends the session: on the server first, then its cookie with the response. What is written to `data`
   * afterwards begins a new anonymous session.
   *
   * @throws {StoreUnavailableError} when the server could not end it; then the cookie stays too.
   */
  logout(): Promise<void> {
    this.#isUsed = true;
    return this.#serially(async () => {
      const snapshot = this.#snapshot;
      if (this.#gone) return;
      if (this.#limit === "read-only") throw readOnlyError();
      if (snapshot !== null) {
        const { id, userId } = snapshot.envelope;
        const wasLive = await this.#engine.end(snapshot.record, "logout");
        if (wasLive) this.#engine.events.emit("logout", { id, userId });
      }
      this.#becomeAnonymous();
    });
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
    return this.#shortenedTo !== null || this.#data.changedText() !== null;
  }

  #discard(): void {
    this.#data.discard();
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

  #becomeAnonymous(): void {
    this.#snapshot = null;
    this.#data = new SessionData(this.#engine, null);
    this.#shortenedTo = null;
    this.#isNew = true;
    this.#issued = false;
    this.#cleared = true;
    this.#extended = false;
  }

  async #commit(change: DataChange | null, touch: boolean): Promise<SaveResult> {
    if (this.#gone) return "gone";
    const intent = this.#data.intend(change);
    const snapshot = this.#snapshot;
    const isTouchDue = touch && snapshot !== null && this.#engine.isTouchDue(snapshot);
    if (intent.mine === null && change === null && this.#shortenedTo === null && !isTouchDue) return "unchanged";
    if (this.#limit === "read-only") throw readOnlyError();
    if (this.#limit === "unsent") return "unchanged";
    this.#data.check(intent);
    return snapshot === null ? this.#create(intent) : this.#write(snapshot, intent);
  }

  async #create(intent: DataIntent): Promise<SaveResult> {
    const endsAt = this.#shortenedTo;
    const text = await this.#data.first(intent);
    if (text === null) return "unchanged";
    const { snapshot, token } = await this.#engine.create({ text, endsAt });
    this.#data.token = token.text;
    this.#issued = true;
    this.#cleared = false;
    this.#written(snapshot, intent, text, endsAt);
    return "saved";
  }

  async #write(start: Snapshot, intent: DataIntent): Promise<SaveResult> {
    const endsAt = this.#shortenedTo;
    let text: string | null = null;
    const outcome = await this.#engine.write(start, (current) => {
      const finish = (next: NextData | null): SnapshotChange | null => {
        text = next?.text ?? null;
        return this.#nextRecord(current, next, endsAt);
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
    this.#written(outcome.snapshot, intent, text, endsAt);
    return outcome.status;
  }

  #nextRecord(current: Snapshot, next: NextData | null, endsAt: number | null): SnapshotChange | null {
    const { envelope: old } = current;
    const absoluteAt = Math.min(old.absoluteAt, endsAt ?? old.absoluteAt);
    const differs = next !== null && next.differs;
    if (!differs && absoluteAt === old.absoluteAt && !this.#engine.isTouchDue(current)) return null;
    const envelope = { ...old, absoluteAt, lastSeenAt: Math.max(this.#engine.now(), old.lastSeenAt) };
    return differs ? this.#data.seal(current, envelope, next.text) : { envelope };
  }

  /** Somebody ended the session while this request ran. */
  #end(): SaveResult {
    this.#gone = true;
    this.#snapshot = null;
    this.#data.replace({});
    return "gone";
  }

  #written(snapshot: Snapshot, intent: DataIntent, text: string | null, endsAt: number | null): void {
    this.#snapshot = snapshot;
    if (this.#shortenedTo === endsAt) this.#shortenedTo = null;
    if (text !== null) this.#data.take(snapshot, intent, text);
  }
}

function readOnlyError(): StoreUnavailableError {
  return new StoreUnavailableError("The session could not be read, so it is read-only.");
}
