/**
 * The engine behind a session manager: opens tokens, writes records, keeps what is shared between requests.
 *
 * One request, in order: read the token · ask the store · open the envelope · judge the time · (the application) ·
 * one conditional write, if anything changed.
 */
import { ConflictError, LeaseLostError, NotSupportedError, StoreUnavailableError } from "../errors.ts";
import { secretBytes } from "../crypto/random.ts";
import { CommitQueue } from "./commit-queue.ts";
import { DataCodec } from "./data-codec.ts";
import { type Client, noteDevice } from "./device.ts";
import { EventHub } from "./events.ts";
import { isExpired, isTouchDue } from "./lifetime.ts";
import { Locks } from "./lock.ts";
import type { ResolvedOptions } from "./options.ts";
import { checkPin } from "./pin.ts";
import { RecentMap } from "./recent-map.ts";
import { changeOf, type Envelope, type Snapshot, type SnapshotChange, type Vault } from "./record.ts";
import { isRotationDue, lateTokens, standingOf } from "./rotation.ts";
import { StoreCalls } from "./store-calls.ts";
import {
  type Awaitable,
  canLock,
  canWarn,
  type Carrying,
  type Ending,
  type HeldLock,
  isCaching,
  isCarrying,
  isTombstone,
  type RecordKey,
  type Store,
  type StoredRecord,
  type Tombstone,
} from "./store.ts";
import {
  fingerprint,
  looksLikeToken,
  type MintedToken,
  mintToken,
  readToken,
  remintToken,
  respellToken,
  secretOf,
  sessionKindOf,
  type TokenClaims,
  type TokenKind,
  type TokenRefusal,
  verifierMatches,
  verifierOf,
} from "./token.ts";

/** Why a token opens no session. Never send it to a client: it tells guesses apart. */
export type InspectReason =
  | TokenRefusal
  /** The request carried no token. */
  | "absent"
  /** The request carried two different ones. */
  | "ambiguous"
  /** Genuine once, but nothing is stored under it. */
  | "unknown"
  /** Another token of the same session has replaced it. */
  | "wrong-secret"
  /** Another token has replaced it so long ago that somebody has a copy: the session was ended. */
  | "reuse-detected"
  | "expired"
  /** Ended before its time: `ended` says why and when. */
  | "ended"
  /** The stored record was changed, or its key is gone. */
  | "bad-seal"
  /** The client is not where, or what, the session is pinned to. */
  | "pin-mismatch";

/** What a token turned out to be. */
export type Opened =
  | {
      readonly ok: true;
      readonly snapshot: Snapshot;
      /** The session's token, where the one that was presented is its predecessor. */
      readonly successor?: string;
      readonly needsStepUp?: boolean;
    }
  | {
      readonly ok: false;
      readonly reason: InspectReason;
      readonly ended?: Ending;
      /** When another token took the place of this one, as far as is known; in ms since the epoch. */
      readonly replacedAt?: number;
    };

/** What became of a write. */
export interface Outcome {
  readonly status: "saved" | "unchanged" | "gone";
  readonly snapshot: Snapshot;
}

/** How a token gives way to the next. */
export interface Succession {
  /**
   * `grace`: as DESIGN 8.4 says, counted from when the new one is presented. `refresh`: counted from now, since the client
   * asked for it. `at-once`: the one before is dead, and nobody gets the new one by it.
   */
  readonly manner: "grace" | "refresh" | "at-once";
  /** Who gets the new token. */
  readonly client?: Client;
}

/** What else a write depends on. */
export interface WriteTerms {
  /** Whether it may open a session that was shut. */
  readonly opensShut?: boolean;
  /** The lock of the session, where it is written only while that is held. */
  readonly under?: HeldLock | null;
}

/** What became of a rotation: `token` is the session's, for whoever held the one given; null when another has it. */
export interface RotationOutcome extends Outcome {
  readonly token: string | null;
  /** Whether this very call has replaced the token. */
  readonly isOurs: boolean;
}

/** Works out a write from the newest version; null when nothing needs to be written. */
export type Step = (current: Snapshot) => Awaitable<SnapshotChange | null>;

/** What is remembered of a token seen lately: no secret, only what it proved and what the store last held for it. */
interface Seen {
  readonly claims: TokenClaims;
  readonly snapshot: Snapshot;
}

/** One attempt to open a token. `isDoubtful`: the store may have answered from a cache. */
interface Attempt {
  readonly token: string;
  readonly kind: TokenKind;
  readonly client: Client | null;
  readonly name: string;
  readonly key: RecordKey;
  readonly claims: TokenClaims;
  readonly seen: Seen | undefined;
  readonly isDoubtful: boolean;
}

/** Twice this many tokens are remembered at most, each with at most so many sealed bytes: about 25 MB in all. */
const TOKENS_REMEMBERED = 2048;
const MAX_BYTES_REMEMBERED = 4096;
const MAX_ROUNDS = 200;
const HOUR_MS = 3_600_000;

/** Records are kept this long past their deadline: other machines' clocks may be behind (R-088). */
export const EXPIRY_SLACK_MS = 60_000;

export class Engine {
  readonly options: ResolvedOptions;
  readonly events: EventHub;
  readonly vault: Vault;
  readonly calls: StoreCalls;
  readonly codec: DataCodec;
  readonly locks: Locks;
  /** Set where clients carry their records. */
  readonly carrying: Carrying | null;
  readonly #isCaching: boolean;
  readonly #seen = new RecentMap<Seen>(TOKENS_REMEMBERED);
  readonly #queue: CommitQueue;

  constructor(store: Store, options: ResolvedOptions, vault: Vault) {
    this.options = options;
    this.vault = vault;
    this.events = new EventHub(options.clock);
    this.codec = new DataCodec(options);
    this.#queue = new CommitQueue(options.storeTimeout);
    this.calls = new StoreCalls(store, options.storeTimeout, options.clock, this.events);
    this.locks = new Locks(this.calls);
    this.carrying = isCarrying(store) ? store : null;
    this.#isCaching = isCaching(store);
    // Later, so that the application has had the time to listen.
    if (canWarn(store)) setImmediate(() => store.onWarning((warning) => this.events.emit("store-warning", warning)));
  }

  now(): number {
    return this.options.clock.now();
  }

  /** For what works without a request, which is where the record would be. */
  refuseCarrying(what: string): void {
    if (this.carrying === null) return;
    throw new NotSupportedError(`${what} is of no use here: clients carry their sessions in sealed cookies.`);
  }

  /** Forgets everything derived from keys: called when the keyring changes. */
  forget(): void {
    this.#seen.clear();
  }

  /** Remembers what a token opens, after a write of our own; not when another token has replaced it meanwhile. */
  remember(token: string, snapshot: Snapshot): void {
    const name = fingerprint(token);
    const seen = this.#seen.get(name);
    if (seen === undefined) return;
    if (verifierMatches(seen.claims.verifier, snapshot.verifier)) this.#remember(name, seen.claims, snapshot);
    else this.#seen.delete(name);
  }

  #remember(name: string, claims: TokenClaims, snapshot: Snapshot): void {
    const { envelope, data } = snapshot.record;
    if (envelope.length + (data?.length ?? 0) > MAX_BYTES_REMEMBERED) this.#seen.delete(name);
    else this.#seen.set(name, { claims, snapshot });
  }

  /**
   * Opens a token of a session or a pending login: one store read, none when the token proves nothing. Writes nothing,
   * save removing the expired, and what pins demand; with null for a client, and for API tokens, pins are not looked at.
   * `carried` is the record that came with the token, where clients carry it.
   */
  open(
    token: unknown,
    client: Client | null,
    kind: TokenKind = sessionKindOf(token),
    carried: string | null = null,
  ): Awaitable<Opened> {
    if (carried === null) this.refuseCarrying("A token alone");
    if (!looksLikeToken(kind, token)) return { ok: false, reason: "malformed" };
    const name = fingerprint(token);
    const seen = this.#seen.get(name);
    const space = this.vault.spaces[kind];
    const claims = seen?.claims ?? readToken(kind, this.vault.ring, space, token);
    if (typeof claims === "string") return { ok: false, reason: claims };
    const key = { space, route: claims.route, lookup: claims.lookup };
    const attempt: Attempt = { token, kind, client, name, key, claims, seen, isDoubtful: this.#isCaching };
    const found = carried === null ? this.calls.ask("read", key) : this.calls.ask("present", key, carried);
    const opened =
      found instanceof Promise ? found.then((answer) => this.#judge(attempt, answer)) : this.#judge(attempt, found);
    const { pin } = this.options;
    if (pin === null || client === null || kind === "k1") return opened;
    return opened instanceof Promise
      ? opened.then((one) => checkPin(this, one, client, pin))
      : checkPin(this, opened, client, pin);
  }

  /** Where the record of a genuine token would be; null for any other. Asks no store. */
  placeOf(token: unknown, kind: TokenKind = sessionKindOf(token)): RecordKey | null {
    const space = this.vault.spaces[kind];
    const claims = readToken(kind, this.vault.ring, space, token);
    return typeof claims === "string" ? null : { space, route: claims.route, lookup: claims.lookup };
  }

  /** Reads a record as it is now, or what remains of it. */
  read(key: RecordKey): Awaitable<StoredRecord | Tombstone | null> {
    return this.calls.askFresh("read", key);
  }

  /** What a cache answered may let in, but nobody is turned away by it. */
  async #judgeAgain(attempt: Attempt): Promise<Opened> {
    return this.#judge({ ...attempt, isDoubtful: false }, await this.read(attempt.key));
  }

  #judge(attempt: Attempt, found: StoredRecord | Tombstone | null): Awaitable<Opened> {
    const { name, key, claims, seen, isDoubtful } = attempt;
    // The ring may have changed while the store was asked; a removed key ends what is under it at once.
    if (!this.vault.ring.byId.has(claims.keyId)) return this.#refuse(name, "unknown-key");
    // Also for a store that answers neither what it should nor an error.
    if (typeof found !== "object" || found === null) return this.#refuse(name, "unknown");
    if (isTombstone(found)) {
      this.#seen.delete(name);
      const ended = { reason: found.reason, at: found.endedAt };
      return { ok: false, reason: "ended", ended, ...(ended.reason === "replaced" && { replacedAt: ended.at }) };
    }
    const same = seen !== undefined && this.vault.isSame(seen.snapshot, found);
    const snapshot = same ? seen.snapshot : this.vault.open(key, found, seen?.snapshot);
    if (snapshot === null) {
      if (isDoubtful) return this.#judgeAgain(attempt);
      this.events.emit("bad-seal", { id: claims.handle });
      return this.#refuse(name, "bad-seal");
    }
    if (!same) {
      if (!verifierMatches(claims.verifier, snapshot.verifier)) {
        return isDoubtful ? this.#judgeAgain(attempt) : this.#judgeReplaced(attempt, snapshot);
      }
      this.#remember(name, claims, snapshot);
    }
    if (!isExpired(snapshot.envelope, this.now())) {
      this.carrying?.keep(snapshot.record);
      return { ok: true, snapshot };
    }
    return isDoubtful ? this.#judgeAgain(attempt) : this.#expire(name, snapshot);
  }

  /** Another token than the session's, but one that was issued for it: its tag is right. */
  #judgeReplaced({ token, kind, client, name, claims }: Attempt, snapshot: Snapshot): Awaitable<Opened> {
    const { vault, options } = this;
    const { envelope, record } = snapshot;
    const { shut, lastSeenAt, replaced } = envelope;
    if (shut === undefined && isExpired(envelope, this.now())) return this.#expire(name, snapshot);
    const refused = this.#refuse(name, "wrong-secret");
    if (shut !== undefined) {
      if (isExpired(envelope, this.now())) return { ok: false, reason: "expired" };
      return { ok: false, reason: "ended", ended: { reason: "stamp-changed", at: lastSeenAt } };
    }
    const standing = standingOf(snapshot, claims, this.now(), options.rotation.grace);
    if (standing === "reused") return this.#endReused(snapshot, client);
    const secret = standing === "predecessor" ? vault.successorOf(snapshot, secretOf(token)) : null;
    const { ring, spaces } = vault;
    const successor =
      secret === null ? null : respellToken(kind, ring, spaces[kind], envelope.id, record.route, secret);
    if (successor === null) return { ...refused, replacedAt: replaced?.at ?? lastSeenAt };
    return { ok: true, snapshot, successor };
  }

  /** Somebody has a copy of a token, and nobody can tell who: the session ends for all. */
  async #endReused(snapshot: Snapshot, client: Client | null): Promise<Opened> {
    const { id, userId, replaced } = snapshot.envelope;
    if (await this.end(snapshot.record, "reuse-detected")) {
      const presented = client === null ? null : noteDevice(client, this.options.nameDevice);
      const holder = replaced?.by ?? null;
      this.events.emit("reuse-detected", { id, userId, presented, holder, replacedAt: replaced?.at ?? null });
    }
    return { ok: false, reason: "reuse-detected" };
  }

  #refuse(name: string, reason: InspectReason): Opened & { readonly ok: false } {
    this.#seen.delete(name);
    return { ok: false, reason };
  }

  async #expire(name: string, snapshot: Snapshot): Promise<Opened> {
    const { envelope, record } = snapshot;
    const now = this.now();
    const timeout = now >= envelope.absoluteAt ? "absolute" : "idle";
    this.events.emit("expired", { id: envelope.id, userId: envelope.userId, timeout });
    if (now >= record.deadline + EXPIRY_SLACK_MS) {
      // A failure to clean up does not change the answer; the pruner comes again.
      await this.end(record, "expired").catch(() => false);
    }
    return this.#refuse(name, "expired");
  }

  /** Ends a record; answers whether it was live. A lost answer is settled by reading again. */
  async end(key: RecordKey, reason: string): Promise<boolean> {
    const ending = { reason, at: this.now() };
    try {
      return await this.calls.ask("delete", key, ending);
    } catch (error) {
      const found = await this.#readAgain(key, error);
      if (found === null || isTombstone(found)) return true;
      throw error;
    }
  }

  /**
   * Ends whatever a user has, but for the sessions with these lookups, and API tokens if they are to be kept. Answers how
   * many sessions and pending logins were ended.
   */
  async endAllOf(
    userId: string,
    except: readonly string[],
    reason: string,
    apiTokens: "keep" | "end",
  ): Promise<number> {
    const { vault, calls } = this;
    const ending = { reason, at: this.now() };
    const count = await this.endKinds((space, kind) =>
      // The lookups are those of sessions: no other record has one of them.
      kind === "k1" && apiTokens === "keep"
        ? 0
        : calls.ask("deleteByOwner", vault.ownerOf(userId, space), except, ending),
    );
    this.events.emit("revoked-many", { userId, tenant: null, reason, count });
    return count;
  }

  /**
   * Ends many records of each kind: first what could still become a session, or reset a password, then API tokens, then
   * sessions. Answers how many sessions and pending logins were ended.
   */
  async endKinds(end: (space: string, kind: TokenKind) => Awaitable<number>): Promise<number> {
    let count = 0;
    for (const kind of ["o1", "p1", "k1", "s1"] as const) {
      const ended = await end(this.vault.spaces[kind], kind);
      if (kind === "p1" || kind === "s1") count += ended;
    }
    return count;
  }

  /**
   * Ends a record for exactly one of all who ask at once; answers whether that is this call. An answer that was lost is
   * settled by the reason, which no two calls share.
   */
  async consume(key: RecordKey): Promise<boolean> {
    const ending = { reason: `consumed ${secretBytes(9).toString("base64url")}`, at: this.now() };
    try {
      return await this.calls.ask("delete", key, ending);
    } catch (error) {
      const found = await this.#readAgain(key, error);
      if (found !== null && isTombstone(found)) return found.reason === ending.reason;
      throw error;
    }
  }

  /** Makes a token for a session that is not stored yet. */
  mint(userId: string | null, kind: TokenKind = "s1"): MintedToken {
    const { vault } = this;
    const space = vault.spaces[kind];
    const route = userId === null ? vault.randomRoute() : vault.ownerOf(userId, space).route;
    return mintToken(kind, vault.ring.primary, space, route);
  }

  /** The session's token in a version of it, for whoever holds this one: itself, or its successor; else null. */
  tokenIn(snapshot: Snapshot, token: string): string | null {
    const { envelope, record } = snapshot;
    const own = verifierOf(token);
    if ((envelope.shut?.verifier ?? envelope.verifier) === own) return token;
    if (envelope.replaced?.verifiers[0] !== own) return null;
    const secret = this.vault.successorOf(snapshot, secretOf(token));
    if (secret === null) return null;
    const { ring, spaces } = this.vault;
    const kind = sessionKindOf(token);
    return respellToken(kind, ring, spaces[kind], envelope.id, record.route, secret);
  }

  /** An envelope under the next token; the session's present one in `current` is `token`. */
  succeed(
    current: Snapshot,
    envelope: Envelope,
    token: string,
    next: MintedToken,
    { manner, client = {} }: Succession,
  ): Envelope {
    const { rotation, nameDevice } = this.options;
    const now = this.now();
    const isAtOnce = manner === "at-once" || this.carrying !== null;
    const keepsSuccessor = !isAtOnce && rotation.grace > 0;
    const tokens = { before: secretOf(token), next, keepsSuccessor };
    const succeeded = this.vault.succeed(current.record.lookup, envelope, tokens);
    const lastSeenAt = Math.max(now, envelope.lastSeenAt);
    // Where clients carry their records, nobody can tell an old token from a new one.
    if (this.carrying !== null) return { ...succeeded, lastSeenAt };
    const late = isAtOnce ? lateTokens(current.envelope, now, rotation.grace) : [];
    const replaced = {
      at: now,
      verifiers: [verifierOf(token), ...late],
      ...(manner === "refresh" && { graceFrom: now }),
      by: noteDevice(client, nameDevice),
    };
    return { ...succeeded, replaced, lastSeenAt };
  }

  /** Makes the next token of a session; null once its key was removed. */
  mintNext({ envelope, record }: Snapshot): MintedToken | null {
    const { ring, spaces } = this.vault;
    const kind = envelope.state === "pending" ? "p1" : "s1";
    return remintToken(kind, ring, spaces[kind], envelope.id, record.route);
  }

  /**
   * Gives a session another token, in one conditional write with what `change` makes of the envelope. Where another
   * request has replaced the token meanwhile, whoever may have its successor gets that or replaces it in turn, as the
   * manner says; for others only the change is written.
   */
  async rotate(
    start: Snapshot,
    token: string,
    succession: Succession,
    change: (envelope: Envelope, isOwn: boolean) => Envelope | null = (envelope) => envelope,
    terms: WriteTerms = {},
  ): Promise<RotationOutcome> {
    const next = this.mintNext(start);
    if (next === null) return { status: "gone", snapshot: start, token: null, isOurs: false };
    let isOurs = false;
    const outcome = await this.write(
      start,
      (current) => {
        const held = this.tokenIn(current, token);
        // One successor for all who held the token before, unless that is to be dead, too.
        const isServed = held !== token && succession.manner !== "at-once";
        const changed = change(current.envelope, held !== null);
        isOurs = changed !== null && held !== null && !isServed;
        if (changed === null) return null;
        if (held === null || isServed) return changed === current.envelope ? null : { envelope: changed };
        return { envelope: this.succeed(current, changed, held, next, succession) };
      },
      terms,
    );
    if (outcome.status === "saved" && isOurs) return { ...outcome, token: next.text, isOurs };
    const served = succession.manner === "at-once" ? null : this.tokenIn(outcome.snapshot, token);
    return { ...outcome, token: outcome.status === "gone" ? null : served, isOurs: false };
  }

  /**
   * Writes what `step` works out, on the newest version, until it lands: one conditional update, replayed after a
   * conflict. Never revives: a record that is gone, or that has expired, is answered `gone`, and so is one that is shut,
   * save to who may open it again.
   *
   * @throws {LeaseLostError} or {ConflictError} under a lock: when that is lost, or when somebody without it has written
   * data meanwhile, which nothing is replayed on.
   */
  async write(start: Snapshot, step: Step, { opensShut = false, under = null }: WriteTerms = {}): Promise<Outcome> {
    const isOver = ({ envelope }: Snapshot): boolean =>
      isExpired(envelope, this.now()) || (envelope.shut !== undefined && !opensShut);
    return this.#queue.run(start, async (from) => {
      let current = from;
      for (let round = 0; round < MAX_ROUNDS; round++) {
        if (isOver(current)) return { status: "gone", snapshot: current };
        if (under !== null && current.envelope.dataVersion !== start.envelope.dataVersion) throw unlockedWriteError();
        const worked = step(current);
        const change = worked instanceof Promise ? await worked : worked;
        if (change === null) return { status: "unchanged", snapshot: current };
        // The step may have taken long.
        if (isOver(current)) return { status: "gone", snapshot: current };
        const next = this.vault.sealNext(current, change);
        const answer = await this.#update(current, next, change.data !== undefined, under);
        if (answer === "lost") throw leaseLostError();
        if (answer === "updated") return { status: "saved", snapshot: next };
        const newer = answer === "missing" ? null : await this.reread(current);
        if (newer === null) return { status: "gone", snapshot: current };
        this.events.emit("merged", { id: newer.envelope.id, userId: newer.envelope.userId });
        current = newer;
        await backOff(round);
      }
      throw new ConflictError("Others keep changing the session; try again.");
    });
  }

  /** Whether it is time to write down that the session is in use; of an API token the first use, and then each hour. */
  isTouchDue({ envelope }: Snapshot): boolean {
    const { apiToken, lastSeenAt, createdAt } = envelope;
    const hourly = lastSeenAt === createdAt ? 0 : HOUR_MS;
    return isTouchDue(envelope, this.now(), apiToken === undefined ? this.options.touchEvery : hourly);
  }

  /** Whether a token that was presented is due to be replaced. */
  isRotationDue({ envelope }: Snapshot): boolean {
    return isRotationDue(envelope, this.now(), this.options.rotation);
  }

  /** Whether a token that was presented has to be replaced before it is used: where no grace makes it good twice. */
  isUsedUp(snapshot: Snapshot): boolean {
    return this.options.rotation.grace === 0 && this.isRotationDue(snapshot);
  }

  async #update(
    current: Snapshot,
    next: Snapshot,
    withData: boolean,
    under: HeldLock | null,
  ): Promise<"updated" | "conflict" | "missing" | "lost"> {
    const { calls } = this;
    const { version } = current.record;
    const change = changeOf(next, withData);
    try {
      return under === null || !canLock(calls.store)
        ? await calls.ask("update", current.record, version, change)
        : await calls.ask("updateUnderLock", current.record, version, change, under);
    } catch (error) {
      if (await this.wasApplied(next.record, error)) return "updated";
      throw error;
    }
  }

  /** The newest version of a session; null when it has ended. */
  async reread(snapshot: Snapshot): Promise<Snapshot | null> {
    const found = await this.read(snapshot.record);
    if (found === null || isTombstone(found)) return null;
    const newest = this.vault.open(snapshot.record, found);
    if (newest === null) this.events.emit("bad-seal", { id: snapshot.envelope.id });
    return newest;
  }

  /**
   * Settles a write whose answer was lost. Every sealed envelope is unique (it has a random nonce), so the envelope
   * is the write's id: finding it means that the write was applied, once.
   */
  async wasApplied(record: StoredRecord, error: unknown): Promise<boolean> {
    const found = await this.#readAgain(record, error);
    if (found === null || isTombstone(found)) return false;
    return found.version === record.version && Buffer.from(found.envelope).equals(record.envelope);
  }

  async #readAgain(key: RecordKey, error: unknown): Promise<StoredRecord | Tombstone | null> {
    if (!(error instanceof StoreUnavailableError)) throw error;
    try {
      return await this.read(key);
    } catch {
      throw error;
    }
  }
}

function unlockedWriteError(): ConflictError {
  return new ConflictError("A request without the session's lock changed the data; nothing was written. Try again.");
}

function leaseLostError(): LeaseLostError {
  return new LeaseLostError("The session's lock was held too long; nothing was written.");
}

/** The first rounds go at once; then a random pause of a few milliseconds lets the other writers through. */
async function backOff(round: number): Promise<void> {
  if (round < 3) return;
  await new Promise((resolve) => {
    setTimeout(resolve, Math.random() * Math.min(round, 20));
  });
}
