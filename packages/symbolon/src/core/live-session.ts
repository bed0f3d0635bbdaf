/**
 * LiveSession: one request's session as it is now, and what it has yet to write.
 *
 * `Session` is its public face, `authentication.ts` what logs in and out. Nothing here is shown to applications.
 */
import type { MacKey } from "../crypto/derive.ts";
import { HeadersSentError, NotAllowedError, NotSupportedError, StoreUnavailableError } from "../errors.ts";
import { csrfTokenMatches, mintCsrfToken } from "./csrf-token.ts";
import type { Client } from "./device.ts";
import { beginSession, type Begun } from "./begin-session.ts";
import type { Engine } from "./engine.ts";
import { type FlashIntent, Flashes } from "./flash.ts";
import type { Envelope, Snapshot, SnapshotChange } from "./record.ts";
import { reportRotated } from "./rotate-token.ts";
import { isArrivalDue, withArrival } from "./rotation.ts";
import { type DataChange, type DataIntent, type NextData, SessionData } from "./session-data.ts";
import type { SessionLock } from "./session-lock.ts";
import { keyOfHandle, type MintedToken } from "./token.ts";

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

/** What the client knows of the session's token. */
export type TokenStanding =
  /** The request came with it. */
  | "presented"
  /** Nothing: the response has to carry it. */
  | "new"
  /** Nothing: it holds the predecessor. The response carries it, if it is the session's still when that leaves. */
  | "owed"
  /** It is told, or nobody waits for it. */
  | "told";

/** How a session is begun; used by the manager and by request handling only. */
export interface SessionSource {
  readonly snapshot: Snapshot | null;
  readonly token: string | null;
  /**
   * `read-only`: the store could not be read, so writes throw. `withheld`: no cookie can be sent, so nothing is begun.
   * `unsent`: nothing but a login is begun: a bearer client has to ask for its token, and a late request of before a
   * login must not take its cookie's place. `offline`: the store was not asked, so nothing but an end is written.
   */
  readonly limit?: "read-only" | "withheld" | "unsent" | "offline";
  /** Who asks. */
  readonly client?: Client;
  /** The client does not fit the session's pin, and has to log in again where it matters. */
  readonly needsStepUp?: boolean;
  /** The client can be given a new token with the response, so that the token rotates when it is due. */
  readonly canRotate?: boolean;
  /** Default `presented`. */
  readonly tokenIs?: TokenStanding;
  /** The session's lock, where it was taken before the session was read. */
  readonly lock?: SessionLock | null;
}

/** A session that `reset` has put aside; it ends with the next save. */
interface PutAside {
  readonly snapshot: Snapshot | null;
  readonly data: SessionData;
  readonly isNew: boolean;
  readonly needsStepUp: boolean;
  readonly tokenIs: TokenStanding;
}

/** What a save writes besides data, fixed when it begins. */
interface SaveIntent {
  /** Whether this is the write before the response: it also notes use, and rotates the token. */
  readonly isUpkeep: boolean;
  /** Whether the request changed something: only then the write depends on a lock. */
  readonly isOwn: boolean;
  readonly endsAt: number | null;
  readonly flashes: FlashIntent;
}

/** What a save writes, and the token it gives the session, if any. */
interface PlannedWrite {
  readonly change: SnapshotChange;
  readonly token: string | null;
}

const NO_CLIENT: Client = Object.freeze({});

export class LiveSession {
  readonly engine: Engine;
  readonly client: Client;
  snapshot: Snapshot | null;
  /** Holds the token, too: it is half of the data's key. */
  data: SessionData;
  isNew: boolean;
  needsStepUp: boolean;
  /** Ended by somebody else while this request ran: nothing may be written or sent. */
  isGone = false;
  /** Whether anything was read from the session or written to it, so that the response depends on it. */
  isUsed = false;
  /** Whether the response's headers have left, so that no token reaches the client any more. */
  areHeadersSent = false;
  /** The lock under which the session is written, while it is held. */
  lock: SessionLock | null;
  #limit: SessionSource["limit"] | null;
  readonly #canRotate: boolean;
  readonly #isApiToken: boolean;
  #tokenIs: TokenStanding;
  #cleared = false;
  #extended = false;
  #flashes: Flashes | null = null;
  /** The token of a session not stored yet, made early because a CSRF token names the session. */
  #reserved: MintedToken | null = null;
  #putAside: PutAside | null = null;
  /** The end asked for by `setDuration`, not yet written. */
  #shortenedTo: number | null = null;

  constructor(engine: Engine, source: SessionSource) {
    this.engine = engine;
    this.snapshot = source.snapshot;
    this.data = new SessionData(engine, source.token, source.snapshot);
    this.isNew = source.snapshot === null;
    this.#canRotate = source.canRotate ?? false;
    this.#isApiToken = source.snapshot?.envelope.apiToken !== undefined;
    this.#tokenIs = source.tokenIs ?? (source.token === null ? "told" : "presented");
    this.#limit = source.limit ?? null;
    this.lock = source.lock ?? null;
    this.client = source.client ?? NO_CLIENT;
    this.needsStepUp = source.needsStepUp ?? false;
  }

  /** All that is shown of the session goes through here, or through `open`. */
  get envelope(): Envelope | null {
    this.isUsed = true;
    return this.snapshot?.envelope ?? null;
  }

  /** The session there is, or was until `reset`. */
  get before(): Snapshot | null {
    return this.snapshot ?? this.#putAside?.snapshot ?? null;
  }

  /** What the client knows of the session's token. */
  get tokenIs(): TokenStanding {
    return this.#tokenIs;
  }

  get flashes(): Flashes {
    return (this.#flashes ??= new Flashes());
  }

  /** The live data, opened on first use. */
  open(): Record<string, unknown> {
    this.isUsed = true;
    this.refuseOffline("data");
    return this.data.open(this.snapshot);
  }

  /** Lets the session end no later than this; only ever shortens. */
  shorten(end: number): void {
    this.refuseApiToken("setDuration");
    this.refuseOffline("setDuration");
    this.#shortenedTo = Math.min(end, this.#shortenedTo ?? end);
  }

  /** Puts the session aside, to be ended with the next save, and is an empty one of nobody. */
  reset(): void {
    this.refuseApiToken("reset");
    if (this.isGone) return;
    const { snapshot, data, isNew, needsStepUp } = this;
    this.#putAside ??= { snapshot, data, isNew, needsStepUp, tokenIs: this.#tokenIs };
    this.#forget();
  }

  /** Whether there is something to write, other than a touch. */
  isModified(): boolean {
    return !this.isGone && (this.#isChanged() || this.data.changedText() !== null);
  }

  needsCommit(): boolean {
    if (this.isGone) return false;
    return this.#isUpkeepDue() || this.#isTokenDoubtful() || this.isModified();
  }

  /** Writes what changed. */
  async save(change: DataChange | null): Promise<SaveResult> {
    return this.#save(change, false);
  }

  /** Writes what changed before the response, with it whatever upkeep is due, in one write; settles which token it carries. */
  async commit(): Promise<SaveResult> {
    const result = await this.#save(null, true);
    if (result === "unchanged" && this.#isTokenDoubtful()) await this.#settleToken();
    return this.isGone ? "gone" : result;
  }

  async #save(change: DataChange | null, isUpkeep: boolean): Promise<SaveResult> {
    if (this.isGone) return "gone";
    if (this.#putAside !== null) await this.#endPutAside(this.#putAside);
    const data = this.data.intend(change);
    const isOwn = data.mine !== null || change !== null || this.#isChanged();
    if (!isOwn && !(isUpkeep && this.#isUpkeepDue())) return "unchanged";
    if (this.#limit === "read-only") throw readOnlyError();
    if (this.snapshot !== null) this.refuseOffline("save");
    if (this.#limit === "unsent" || this.#limit === "withheld") return "unchanged";
    this.data.check(data);
    const flashes = this.#flashes?.isChanged ? this.#flashes.intend() : NO_FLASHES;
    const intent = { isUpkeep, isOwn, endsAt: this.#shortenedTo, flashes };
    return this.snapshot === null ? this.#create(data, intent) : this.#write(this.snapshot, data, intent);
  }

  /** Drops what was not written: for a request that failed. */
  discard(): void {
    if (this.#putAside !== null) this.#takeBack(this.#putAside);
    this.data.discard();
    this.#flashes = null;
    this.#reserved = null;
    this.#shortenedTo = null;
  }

  /** What the response has to tell the client, once. */
  takeNews(): TokenNews {
    const isSilent = this.isGone;
    const news = {
      issued: this.#tokenIs === "new" && !isSilent ? this.data.token : null,
      cleared: this.#cleared && !isSilent,
      extended: this.#extended && !isSilent,
      remembered: this.snapshot?.envelope.remember ?? false,
    };
    if (this.#tokenIs === "new") this.#tokenIs = "told";
    this.#cleared = false;
    this.#extended = false;
    return news;
  }

  /** A token the client does not have yet, once. */
  takeToken(): string | null {
    this.engine.refuseCarrying("A token alone");
    if (this.isGone || (this.#tokenIs !== "new" && this.#tokenIs !== "owed")) return null;
    this.#tokenIs = "told";
    return this.data.token;
  }

  /** A CSRF token of this session; of one that is not stored yet, which then will be. */
  csrfToken(): string {
    const place = this.#csrfPlace();
    return place === null ? "" : mintCsrfToken(place.key, place.lookup);
  }

  csrfMatches(token: string): boolean {
    // Nothing was sent yet for a session that is not stored.
    const place = this.snapshot === null ? null : this.#csrfPlace();
    return place !== null && csrfTokenMatches(place.key, place.lookup, token);
  }

  /** Becomes a session that was just stored. */
  begin({ snapshot, token }: Begun): void {
    this.#forget();
    this.snapshot = snapshot;
    this.data = new SessionData(this.engine, token, snapshot);
    this.#putAside = null;
    this.#limit = null;
    this.isGone = false;
    this.#tokenIs = "new";
    this.#cleared = false;
  }

  /** Takes over a newer version of the same session, and the token that the response has to carry, if any. */
  adopt(snapshot: Snapshot, token: string | null = null): void {
    this.snapshot = snapshot;
    if (token !== null) {
      this.data.token = token;
      this.#tokenIs = "new";
      return;
    }
    const { data, engine } = this;
    if (data.token === null) return;
    if (data.isOpenedBy(snapshot)) return engine.remember(data.token, snapshot);
    // The token was rotated: whoever holds the one before is owed the same successor.
    const successor = engine.tokenIn(snapshot, data.token);
    if (successor === null) return;
    data.token = successor;
    this.#tokenIs = "owed";
  }

  /** Ends the session on the server, and is nobody's from then on; answers what it was when it was live. */
  async end(reason: string): Promise<Envelope | null> {
    if (this.#limit === "read-only") throw readOnlyError();
    const { before } = this;
    const wasLive = before !== null && (await this.engine.end(before.record, reason));
    this.#forget();
    this.#putAside = null;
    this.#cleared = true;
    return wasLive ? before.envelope : null;
  }

  /** Somebody ended the session, or took its token, while this request ran. */
  lose(): "gone" {
    this.isGone = true;
    this.snapshot = null;
    this.data.replace({});
    return "gone";
  }

  /** A token that cannot reach the client would lock the user out. */
  refuseUnsendable(what: string): void {
    this.refuseApiToken(what);
    if (this.#limit === "read-only") throw readOnlyError();
    if (this.areHeadersSent) {
      throw new HeadersSentError(`${what}: the response headers have left, so no new token can be sent.`);
    }
    if (this.#limit === "withheld") {
      throw new NotSupportedError(
        `${what}: this connection is not known to be https, so it carries no session cookie; see trustProxy.`,
      );
    }
  }

  /** An API token is what its owner made it, until its owner revokes it: whoever has it changes nothing but data. */
  refuseApiToken(what: string): void {
    if (!this.#isApiToken) return;
    throw new NotAllowedError(`${what}: an API token stays as it was made until it is revoked.`);
  }

  /** The session's own token is replaced only for whoever has it. */
  refuseAccess(what: string): void {
    if (this.snapshot === null || this.data.token !== null) return;
    throw new NotSupportedError(`${what}: needs the session's own token; the request came with an access token.`);
  }

  /** An access token that was verified without the store says who somebody is, and nothing else of the session. */
  refuseOffline(what: string): void {
    if (this.#limit !== "offline") return;
    throw new NotSupportedError(
      `${what}: the session was opened offline; for this, verify its token against the store.`,
    );
  }

  /** Where clients carry their records, one that changes now would not reach its client. */
  refuseUncarried(): void {
    if (!this.areHeadersSent || this.engine.carrying === null) return;
    throw new HeadersSentError("The headers have left, so the client cannot be given the changed session.");
  }

  /** Whether something is to be noted although nothing changed: use, the arrival of a token; or a token is to be replaced. */
  #isUpkeepDue(): boolean {
    const { snapshot, engine } = this;
    if (snapshot === null || this.#limit === "offline") return false;
    // A client that carries its record could not be told any more.
    if (this.areHeadersSent && engine.carrying !== null) return false;
    return engine.isTouchDue(snapshot) || this.#hasArrived(snapshot) || this.#isRotationDue(snapshot);
  }

  /** Whether the client has presented the session's token for the first time. */
  #hasArrived({ envelope }: Snapshot): boolean {
    return this.#tokenIs === "presented" && isArrivalDue(envelope);
  }

  #isRotationDue(snapshot: Snapshot): boolean {
    if (!this.#canRotate || this.#tokenIs !== "presented" || this.areHeadersSent) return false;
    return this.engine.isRotationDue(snapshot);
  }

  /** Whether the response may have to carry a token that was the session's some time ago. */
  #isTokenDoubtful(): boolean {
    if (this.areHeadersSent || this.snapshot === null || this.#tokenIs === "new") return false;
    return this.#tokenIs === "owed" || this.#isCookieDue(this.snapshot);
  }

  /** Whether a save in the midst of the request has moved the deadline of a cookie that has one. */
  #isCookieDue({ envelope }: Snapshot): boolean {
    const { carrying, options } = this.engine;
    const isPersistent = envelope.remember || options.cookie.persistent === true;
    return this.#extended && isPersistent && this.#canRotate && carrying === null;
  }

  /**
   * Looks whether what the response is to carry still is the session's token: one that took long must not put an older
   * one in the place of a newer. When the store fails, the client gets it another time; its own is good until it has it.
   */
  async #settleToken(): Promise<void> {
    const { engine, snapshot } = this;
    if (snapshot === null) return;
    this.#tokenIs = "told";
    this.#extended = false;
    let newest: Snapshot | null;
    try {
      newest = await engine.reread(snapshot);
    } catch {
      return;
    }
    if (newest === null) this.lose();
    else this.#giveToken(newest);
  }

  /** Lets the response carry the token if it is the session's in the newest version. */
  #giveToken(newest: Snapshot): void {
    this.#tokenIs = "told";
    if (this.data.isOpenedBy(newest)) this.adopt(newest, this.data.token);
  }

  /** Whether there is something to write besides data. */
  #isChanged(): boolean {
    if (this.#shortenedTo !== null || this.#putAside !== null) return true;
    // Where no session can be begun, a CSRF token alone is no reason to fail.
    const isReserved = this.#reserved !== null && this.snapshot === null && this.#limit === null;
    return isReserved || this.#flashes?.isChanged === true;
  }

  #forget(): void {
    this.snapshot = null;
    this.data = new SessionData(this.engine, null, null);
    this.needsStepUp = false;
    this.isNew = true;
    this.#reserved = null;
    this.#shortenedTo = null;
    this.#tokenIs = "told";
    this.#extended = false;
  }

  #takeBack({ snapshot, data, isNew, needsStepUp, tokenIs }: PutAside): void {
    this.snapshot = snapshot;
    this.data = data;
    this.isNew = isNew;
    this.needsStepUp = needsStepUp;
    this.#tokenIs = tokenIs;
    this.#putAside = null;
  }

  /** Ends what `reset` has put aside, before anything takes its place. */
  async #endPutAside({ snapshot }: PutAside): Promise<void> {
    if (this.#limit === "read-only") throw readOnlyError();
    if (snapshot !== null && (await this.engine.end(snapshot.record, "reset"))) {
      const { id, userId } = snapshot.envelope;
      this.engine.events.emit("revoked", { id, userId, reason: "reset" });
    }
    this.#putAside = null;
    this.#cleared = true;
  }

  /** What a CSRF token of this session is made from; null once the session's key was removed. */
  #csrfPlace(): { readonly key: MacKey; readonly lookup: string } | null {
    const { ring } = this.engine.vault;
    if (this.snapshot === null) {
      this.#reserved ??= this.engine.mint(null);
      const { keyId, lookup } = this.#reserved;
      const key = ring.byId.get(keyId)?.csrf;
      return key === undefined ? null : { key, lookup };
    }
    const { envelope, record } = this.snapshot;
    const key = keyOfHandle(ring, envelope.id)?.csrf;
    return key === undefined ? null : { key, lookup: record.lookup };
  }

  async #create(data: DataIntent, intent: SaveIntent): Promise<SaveResult> {
    const text = await this.data.first(data);
    const flashes = this.#nextFlashes(undefined, intent);
    if (text === null && flashes === undefined && this.#reserved === null) return "unchanged";
    if (this.areHeadersSent) {
      throw new HeadersSentError(
        "A session was to begin after the headers had left, so that no cookie could tell of it.",
      );
    }
    const { endsAt } = intent;
    const token = this.#reserved;
    const begun = await beginSession(this.engine, { text, endsAt, token, ...(flashes !== undefined && { flashes }) });
    this.#reserved = null;
    this.data.token = begun.token;
    this.#tokenIs = "new";
    this.#cleared = false;
    this.#settle(begun.snapshot, data, text, intent);
    return "saved";
  }

  async #write(start: Snapshot, data: DataIntent, intent: SaveIntent): Promise<SaveResult> {
    this.refuseUncarried();
    let text: string | null = null;
    let planned: PlannedWrite | null = null;
    const outcome = await this.engine.write(
      start,
      (current) => {
        const finish = (next: NextData | null): SnapshotChange | null => {
          text = next?.text ?? null;
          planned = this.#nextRecord(current, next, intent);
          return planned?.change ?? null;
        };
        const next = this.data.next(current, data);
        return next instanceof Promise ? next.then(finish) : finish(next);
      },
      { under: intent.isOwn ? (this.lock?.heldOf(start) ?? null) : null },
    );
    if (outcome.status === "gone") return this.lose();
    if (outcome.status === "saved") this.#adoptWritten(outcome.snapshot, planned);
    else if (outcome.snapshot !== start) this.adopt(outcome.snapshot);
    // What was just written is the newest: nobody need look again.
    if (this.#tokenIs === "owed" && intent.isUpkeep && outcome.status === "saved") this.#giveToken(outcome.snapshot);
    this.#settle(outcome.snapshot, data, text, intent);
    return outcome.status;
  }

  #adoptWritten(snapshot: Snapshot, planned: PlannedWrite | null): void {
    const token = planned?.token ?? null;
    this.adopt(snapshot, token);
    // A cookie with a replaced token would take the place of its successor.
    this.#extended = this.data.isOpenedBy(snapshot);
    if (token !== null) reportRotated(this.engine, snapshot, "scheduled");
  }

  #nextRecord(current: Snapshot, next: NextData | null, intent: SaveIntent): PlannedWrite | null {
    const { engine } = this;
    const [held, old] = withoutFlashes(current.envelope);
    const absoluteAt = Math.min(old.absoluteAt, intent.endsAt ?? old.absoluteAt);
    const differs = next !== null && next.differs;
    const isFlashed = intent.flashes !== NO_FLASHES;
    // Of the token this request came with, be another the session's by now.
    const isMine = intent.isUpkeep && this.data.isOpenedBy(current);
    const hasArrived = isMine && this.#hasArrived(current);
    const rotates = isMine && this.#isRotationDue(current);
    const isDue = engine.isTouchDue(current) || hasArrived || rotates;
    if (!differs && absoluteAt === old.absoluteAt && !isFlashed && !isDue) return null;
    const flashes = this.#nextFlashes(held, intent);
    const now = engine.now();
    const lastSeenAt = Math.max(now, old.lastSeenAt);
    const touched = { ...old, absoluteAt, lastSeenAt, ...(flashes !== undefined && { flashes }) };
    const envelope = hasArrived ? withArrival(touched, now) : touched;
    const change = differs ? this.data.seal(current, envelope, next.text) : { envelope };
    return rotates ? this.#withNextToken(current, change) : { change, token: null };
  }

  /** A write that replaces the token, too. */
  #withNextToken(current: Snapshot, change: SnapshotChange): PlannedWrite {
    const { engine, data, client } = this;
    const next = engine.mintNext(current);
    if (next === null || data.token === null) return { change, token: null };
    const envelope = engine.succeed(current, change.envelope, data.token, next, { manner: "grace", client });
    return { change: { ...change, envelope }, token: next.text };
  }

  #nextFlashes(held: Envelope["flashes"], { flashes }: SaveIntent): Envelope["flashes"] {
    return flashes === NO_FLASHES ? held : this.flashes.next(held, flashes);
  }

  #settle(snapshot: Snapshot, data: DataIntent, text: string | null, { endsAt, flashes }: SaveIntent): void {
    this.snapshot = snapshot;
    this.#flashes?.settle(flashes);
    if (this.#shortenedTo === endsAt) this.#shortenedTo = null;
    if (text !== null) this.data.take(snapshot, data, text);
  }
}

/** The flashes of an envelope, and the rest; no copy is made where there are none, as nearly always. */
function withoutFlashes(envelope: Envelope): readonly [Envelope["flashes"], Omit<Envelope, "flashes">] {
  if (envelope.flashes === undefined) return [undefined, envelope];
  const { flashes, ...others } = envelope;
  return [flashes, others];
}

const NO_FLASHES: FlashIntent = Object.freeze({ added: [], taken: new Set<string>() });

function readOnlyError(): StoreUnavailableError {
  return new StoreUnavailableError("The session could not be read, so it is read-only.");
}
