/** Session: what request code holds. */
import { digestBytes } from "../crypto/derive.ts";
import { ConflictError, OptionsError, RecordCorruptError, StoreUnavailableError } from "../errors.ts";
import { applyChanges, type Change, findChanges } from "./changes.ts";
import type { Engine, Outcome } from "./engine.ts";
import { deadlineOf, type Duration, parseDuration } from "./lifetime.ts";
import {
  type Device,
  type Envelope,
  replacedError,
  type SessionState,
  type Snapshot,
  type SnapshotChange,
} from "./record.ts";
import { secretOf, verifierMatches } from "./token.ts";

type JsonObject = Record<string, unknown>;
type DataChange = (data: JsonObject) => void | Promise<void>;

/** What the data becomes with a write, and whether that differs from what is stored. */
interface NextData {
  readonly text: string;
  readonly differs: boolean;
}

/** What a request wants written, fixed when its save begins: later changes belong to the next save. */
interface Intent {
  /** The request's data as text; null when it changed none. */
  readonly mine: string | null;
  readonly baseline: string;
  readonly baseVersion: number;
  readonly change: DataChange | null;
  readonly shortenedTo: number | null;
}

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
      tokenOf: (session) => session.#token,
      isUsed: (session) => session.#isUsed,
    };
  }

  readonly #engine: Engine;
  readonly #limit: "read-only" | "unsent" | null;
  #snapshot: Snapshot | null;
  #token: string | null;
  #isNew: boolean;
  /** Ended by somebody else while this request ran: nothing may be written or sent. */
  #gone = false;
  #isUsed = false;
  /** While the function of an `update` is being called. */
  #isChanging = false;
  #issued = false;
  #cleared = false;
  #extended = false;

  /** Undefined until touched. */
  #data: JsonObject | undefined;
  /** The data as last read or written, as text; what `#data` is compared with. */
  #baseline = "{}";
  /** Which stored version of the data the baseline is. */
  #baseVersion = 0;
  #dataKey: Buffer | null = null;
  /** The end asked for by `setDuration`, not yet written. */
  #shortenedTo: number | null = null;
  #tail: Promise<unknown> | null = null;

  /** @internal Sessions come from a manager or a binding. */
  constructor(engine: Engine, source: SessionSource) {
    this.#engine = engine;
    this.#snapshot = source.snapshot;
    this.#token = source.token;
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
    return !this.#gone && (this.#shortenedTo !== null || this.#changedText() !== null);
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
    this.#data = value as JsonObject;
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
    if (this.#isChanging) throw new OptionsError("update: call nothing of the session inside its function.");
    const before = this.#tail;
    const own = before === null ? operation() : before.then(operation, operation);
    this.#tail = own;
    try {
      return await own;
    } finally {
      if (this.#tail === own) this.#tail = null;
    }
  }

  #open(): JsonObject {
    this.#isUsed = true;
    if (this.#data !== undefined) return this.#data;
    const snapshot = this.#snapshot;
    const opened = snapshot === null ? null : this.#openStored(snapshot);
    const data = opened === null ? this.#engine.codec.initial() : this.#engine.codec.load(opened);
    // With a schema the loaded value may have defaults the stored text has not: they are no change of the request's.
    this.#baseline = opened !== null && this.#engine.options.schema === null ? opened : this.#engine.codec.encode(data);
    this.#baseVersion = snapshot?.envelope.dataVersion ?? 0;
    this.#data = data;
    return data;
  }

  /** The stored data as text, null when there is none. */
  #openStored(snapshot: Snapshot): string | null {
    if (snapshot.record.data === null) return null;
    const { vault } = this.#engine;
    if (this.#dataKey !== null) {
      const text = vault.openDataWith(this.#dataKey, snapshot);
      if (text !== null) return text;
    }
    const opened = vault.openData(snapshot, this.#secret());
    if (opened === null && this.#secretFor(snapshot) === null) throw replacedError();
    if (opened === null) throw new RecordCorruptError("The session's data does not open.");
    this.#dataKey = opened.key;
    return opened.text;
  }

  #secret(): Buffer | null {
    return this.#token === null ? null : secretOf(this.#token);
  }

  /** The token's secret; null when another token has replaced it. */
  #secretFor(snapshot: Snapshot): Buffer | null {
    const secret = this.#secret();
    return secret !== null && verifierMatches(digestBytes(secret), snapshot.verifier) ? secret : null;
  }

  /** The data as text when it differs from the baseline, else null. */
  #changedText(): string | null {
    if (this.#data === undefined) return null;
    const text = this.#engine.codec.encode(this.#data);
    return text === this.#baseline ? null : text;
  }

  #needsCommit(): boolean {
    if (this.#gone) return false;
    if (this.#snapshot !== null && this.#engine.isTouchDue(this.#snapshot)) return true;
    return this.#shortenedTo !== null || this.#changedText() !== null;
  }

  #discard(): void {
    this.#data = undefined;
    this.#shortenedTo = null;
  }

  #takeNews(): TokenNews {
    const silent = this.#gone;
    const news = {
      issued: this.#issued && !silent ? this.#token : null,
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
    this.#token = null;
    this.#data = undefined;
    this.#baseline = "{}";
    this.#baseVersion = 0;
    this.#dataKey = null;
    this.#shortenedTo = null;
    this.#isNew = true;
    this.#issued = false;
    this.#cleared = true;
    this.#extended = false;
  }

  async #commit(change: DataChange | null, touch: boolean): Promise<SaveResult> {
    if (this.#gone) return "gone";
    const mine = this.#changedText();
    const snapshot = this.#snapshot;
    const isTouchDue = touch && snapshot !== null && this.#engine.isTouchDue(snapshot);
    if (mine === null && change === null && this.#shortenedTo === null && !isTouchDue) return "unchanged";
    if (this.#limit === "read-only") throw readOnlyError();
    if (this.#limit === "unsent") return "unchanged";
    if (mine !== null && change === null) this.#engine.codec.checkSchema(this.#data);
    const intent: Intent = {
      mine,
      baseline: this.#baseline,
      baseVersion: this.#baseVersion,
      change,
      shortenedTo: this.#shortenedTo,
    };
    return snapshot === null ? this.#create(intent) : this.#write(snapshot, intent);
  }

  async #create(intent: Intent): Promise<SaveResult> {
    const { codec } = this.#engine;
    let text = intent.mine;
    if (intent.change !== null) {
      const draft = codec.parse(text ?? codec.encode(this.#open()));
      await this.#run(intent.change, draft);
      codec.checkSchema(draft);
      text = codec.encode(draft);
    }
    if (text === null || text === this.#baseline) return "unchanged";
    const { snapshot, token } = await this.#engine.create({ text, endsAt: intent.shortenedTo });
    this.#token = token.text;
    this.#issued = true;
    this.#cleared = false;
    this.#settleDuration(intent);
    this.#written(snapshot, intent, text);
    return "saved";
  }

  async #write(start: Snapshot, intent: Intent): Promise<SaveResult> {
    let next: NextData | null = null;
    const outcome = await this.#engine.write(start, (current) => {
      const finish = (data: NextData | null): SnapshotChange | null => {
        next = data;
        return this.#nextRecord(current, data, intent.shortenedTo);
      };
      // Without a function to wait for, the write is worked out at once.
      if (intent.change === null) return finish(this.#nextData(current, intent));
      return this.#updatedData(current, intent, intent.change).then(finish);
    });
    return this.#settle(outcome, intent, (next as NextData | null)?.text ?? null);
  }

  /** The data to stand on top of `current`; null when this write is not about data. */
  #nextData(current: Snapshot, intent: Intent): NextData | null {
    if (intent.mine === null) return null;
    if (current.envelope.dataVersion === intent.baseVersion) return { text: intent.mine, differs: true };
    const { stored, draft } = this.#replayOn(current, intent);
    return this.#finished(draft, stored);
  }

  /** The same with a function that changes the data. */
  async #updatedData(current: Snapshot, intent: Intent, change: DataChange): Promise<NextData> {
    const { stored, draft } = this.#replayOn(current, intent);
    await this.#run(change, draft);
    return this.#finished(draft, stored);
  }

  async #run(change: DataChange, draft: JsonObject): Promise<void> {
    let running: void | Promise<void>;
    this.#isChanging = true;
    try {
      running = change(draft);
    } finally {
      this.#isChanging = false;
    }
    await running;
  }

  /** The stored data, and a copy of it with what this request changed. */
  #replayOn(current: Snapshot, { mine, baseline, baseVersion }: Intent): { stored: string | null; draft: JsonObject } {
    const { codec, options } = this.#engine;
    if (mine !== null && options.strict && current.envelope.dataVersion !== baseVersion) {
      throw new ConflictError("Another request changed the session's data meanwhile.");
    }
    const stored = this.#openStored(current);
    const draft = stored === null ? codec.initial() : codec.load(stored);
    if (mine !== null) applyChanges(draft, findChanges(codec.parse(baseline), codec.parse(mine)));
    return { stored, draft };
  }

  #finished(draft: JsonObject, stored: string | null): NextData {
    const { codec } = this.#engine;
    codec.checkSchema(draft);
    const text = codec.encode(draft);
    return { text, differs: text !== stored };
  }

  #nextRecord(current: Snapshot, next: NextData | null, shortenedTo: number | null): SnapshotChange | null {
    const { envelope: old, record } = current;
    const absoluteAt = Math.min(old.absoluteAt, shortenedTo ?? Number.POSITIVE_INFINITY);
    const differs = next !== null && next.differs;
    if (!differs && absoluteAt === old.absoluteAt && !this.#engine.isTouchDue(current)) return null;
    const envelope = { ...old, absoluteAt, lastSeenAt: Math.max(this.#engine.now(), old.lastSeenAt) };
    if (!differs) return { envelope };
    // A write may come before the first look at the data: its key is then still to be opened.
    if (this.#dataKey === null) this.#openStored(current);
    const known = { key: this.#dataKey, secret: this.#secretFor(current), seal: this.#engine.options.seal };
    const sealed = this.#engine.vault.sealData(record.lookup, envelope, next.text, known);
    this.#dataKey = sealed.key;
    return { envelope: sealed.envelope, data: sealed.data };
  }

  #settle(outcome: Outcome, intent: Intent, text: string | null): SaveResult {
    if (outcome.status === "gone") {
      this.#gone = true;
      this.#snapshot = null;
      this.#data = {};
      return "gone";
    }
    this.#settleDuration(intent);
    if (outcome.status === "saved") {
      // A cookie with a replaced token would take the place of its successor.
      this.#extended = this.#secretFor(outcome.snapshot) !== null;
      if (this.#token !== null) this.#engine.remember(this.#token, outcome.snapshot);
    }
    this.#written(outcome.snapshot, intent, text);
    return outcome.status;
  }

  #settleDuration(intent: Intent): void {
    if (this.#shortenedTo === intent.shortenedTo) this.#shortenedTo = null;
  }

  /** Takes over what is stored now; what others wrote is brought into the live object, in place. */
  #written(snapshot: Snapshot, intent: Intent, text: string | null): void {
    this.#snapshot = snapshot;
    if (text === null || this.#data === undefined) return;
    const own = intent.mine ?? intent.baseline;
    if (text !== own) {
      const { codec } = this.#engine;
      const madeMeanwhile = this.#changesSince(own);
      applyChanges(this.#data, findChanges(codec.parse(own), codec.parse(text)));
      applyChanges(this.#data, madeMeanwhile);
    }
    this.#baseline = text;
    this.#baseVersion = snapshot.envelope.dataVersion;
  }

  /** What the application changed while a save was under way; it belongs to the next one. */
  #changesSince(own: string): readonly Change[] {
    try {
      return this.#data === undefined ? [] : findChanges(this.#engine.codec.parse(own), this.#data);
    } catch {
      // Something that cannot be stored, as a cycle: the next save says so.
      return [];
    }
  }
}

function readOnlyError(): StoreUnavailableError {
  return new StoreUnavailableError("The session could not be read, so it is read-only.");
}
