/**
 * The engine behind a session manager: opens tokens, writes records, keeps what is shared between requests.
 *
 * One request, in order: read the token · ask the store · open the envelope · judge the time · (the application) ·
 * one conditional write, if anything changed.
 */
import { ConflictError, NotSupportedError, StoreUnavailableError } from "../errors.ts";
import { secretBytes } from "../crypto/random.ts";
import { CommitQueue } from "./commit-queue.ts";
import { DataCodec } from "./data-codec.ts";
import type { Client } from "./device.ts";
import { EventHub } from "./events.ts";
import { isExpired, isTouchDue } from "./lifetime.ts";
import type { ResolvedOptions } from "./options.ts";
import { checkPin } from "./pin.ts";
import { RecentMap } from "./recent-map.ts";
import { changeOf, type Envelope, type Snapshot, type SnapshotChange, type Vault } from "./record.ts";
import { StoreCalls } from "./store-calls.ts";
import {
  type Awaitable,
  canWarn,
  type Carrying,
  type Ending,
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
  hasTokenLength,
  type MintedToken,
  mintToken,
  readToken,
  remintToken,
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
  | "expired"
  /** Ended before its time: `ended` says why and when. */
  | "ended"
  /** The stored record was changed, or its key is gone. */
  | "bad-seal"
  /** The client is not where, or what, the session is pinned to. */
  | "pin-mismatch";

/** What a token turned out to be. */
export type Opened =
  | { readonly ok: true; readonly snapshot: Snapshot; readonly needsStepUp?: boolean }
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

/** Works out a write from the newest version; null when nothing needs to be written. */
export type Step = (current: Snapshot) => Awaitable<SnapshotChange | null>;

/** What is remembered of a token seen lately: no secret, only what it proved and what the store last held for it. */
interface Seen {
  readonly claims: TokenClaims;
  readonly snapshot: Snapshot;
}

/** One attempt to open a token. `isDoubtful`: the store may have answered from a cache. */
interface Attempt {
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

/** Records are kept this long past their deadline: other machines' clocks may be behind (R-088). */
export const EXPIRY_SLACK_MS = 60_000;

export class Engine {
  readonly options: ResolvedOptions;
  readonly events: EventHub;
  readonly vault: Vault;
  readonly calls: StoreCalls;
  readonly codec: DataCodec;
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
   * save removing the expired, and what pins demand; with null for a client, pins are not looked at. `carried` is the
   * record that came with the token, where clients carry it.
   */
  open(
    token: unknown,
    client: Client | null,
    kind: TokenKind = sessionKindOf(token),
    carried: string | null = null,
  ): Awaitable<Opened> {
    if (carried === null) this.refuseCarrying("A token alone");
    if (!hasTokenLength(kind, token)) return { ok: false, reason: "malformed" };
    const name = fingerprint(token);
    const seen = this.#seen.get(name);
    const space = this.vault.spaces[kind];
    const claims = seen?.claims ?? readToken(kind, this.vault.ring, space, token);
    if (typeof claims === "string") return { ok: false, reason: claims };
    const key = { space, route: claims.route, lookup: claims.lookup };
    const attempt: Attempt = { name, key, claims, seen, isDoubtful: this.#isCaching };
    const found = carried === null ? this.calls.ask("read", key) : this.calls.ask("present", key, carried);
    const opened =
      found instanceof Promise ? found.then((answer) => this.#judge(attempt, answer)) : this.#judge(attempt, found);
    const { pin } = this.options;
    if (pin === null || client === null) return opened;
    return opened instanceof Promise
      ? opened.then((one) => checkPin(this, one, client, pin))
      : checkPin(this, opened, client, pin);
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
    const snapshot = same ? seen.snapshot : this.vault.open(key, found);
    if (snapshot === null) {
      if (isDoubtful) return this.#judgeAgain(attempt);
      this.events.emit("bad-seal", { id: claims.handle });
      return this.#refuse(name, "bad-seal");
    }
    if (!same) {
      if (!verifierMatches(claims.verifier, snapshot.verifier)) {
        if (isDoubtful) return this.#judgeAgain(attempt);
        const { shut, lastSeenAt } = snapshot.envelope;
        if (shut === undefined) return { ...this.#refuse(name, "wrong-secret"), replacedAt: lastSeenAt };
        if (isExpired(snapshot.envelope, this.now())) return this.#refuse(name, "expired");
        return { ...this.#refuse(name, "ended"), ended: { reason: "stamp-changed", at: lastSeenAt } };
      }
      this.#remember(name, claims, snapshot);
    }
    if (!isExpired(snapshot.envelope, this.now())) {
      this.carrying?.keep(snapshot.record);
      return { ok: true, snapshot };
    }
    return isDoubtful ? this.#judgeAgain(attempt) : this.#expire(name, snapshot);
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
   * Ends whatever a user has, but for the sessions with these lookups: first what could still become a session, or
   * reset a password, then sessions. Answers how many sessions and pending logins were ended.
   */
  async endAllOf(userId: string, except: readonly string[], reason: string): Promise<number> {
    const { vault, calls } = this;
    const ending = { reason, at: this.now() };
    await calls.ask("deleteByOwner", vault.ownerOf(userId, vault.spaces.o1), [], ending);
    const pending = await calls.ask("deleteByOwner", vault.ownerOf(userId, vault.spaces.p1), [], ending);
    const count = pending + (await calls.ask("deleteByOwner", vault.ownerOf(userId), except, ending));
    this.events.emit("revoked-many", { userId, tenant: null, reason, count });
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

  /**
   * Gives a session another token, in one conditional write with what `change` makes of the envelope; the token
   * before is dead. When another request has replaced the token meanwhile, only the change is written, and the
   * answer has no token. `opensShut`: also a session that was shut under this very token.
   */
  async rotate(
    start: Snapshot,
    token: string,
    change: (envelope: Envelope) => Envelope | null = (envelope) => envelope,
    opensShut = false,
  ): Promise<Outcome & { readonly token: string | null }> {
    const { vault } = this;
    const { id, state } = start.envelope;
    // Of the token, not of the snapshot: that may be a version with another's token already.
    const own = verifierOf(token);
    const kind = state === "pending" ? "p1" : "s1";
    const next = remintToken(kind, vault.ring, vault.spaces[kind], id, start.record.route);
    if (next === null) return { status: "gone", snapshot: start, token: null };
    let isOurs = false;
    const outcome = await this.write(
      start,
      (current) => {
        const changed = change(current.envelope);
        isOurs = changed !== null && (current.envelope.shut?.verifier ?? current.envelope.verifier) === own;
        if (changed === null) return null;
        if (!isOurs) return changed === current.envelope ? null : { envelope: changed };
        const generation = current.envelope.generation + 1;
        const wrap = vault.rewrap(current, secretOf(token), next.secret, generation);
        const verifier = next.verifier.toString("base64url");
        const kept = changed.secret === undefined ? {} : { secret: next.secret.toString("base64url") };
        return { envelope: { ...changed, ...kept, generation, verifier, wrap, lastSeenAt: this.now() } };
      },
      opensShut,
    );
    return { ...outcome, token: outcome.status === "saved" && isOurs ? next.text : null };
  }

  /**
   * Writes what `step` works out, on the newest version, until it lands: one conditional update, replayed after a
   * conflict. Never revives: a record that is gone, or that has expired, is answered `gone`, and so is one that is shut,
   * save to who may open it again.
   */
  async write(start: Snapshot, step: Step, opensShut = false): Promise<Outcome> {
    const isOver = ({ envelope }: Snapshot): boolean =>
      isExpired(envelope, this.now()) || (envelope.shut !== undefined && !opensShut);
    return this.#queue.run(start, async (from) => {
      let current = from;
      for (let round = 0; round < MAX_ROUNDS; round++) {
        if (isOver(current)) return { status: "gone", snapshot: current };
        const worked = step(current);
        const change = worked instanceof Promise ? await worked : worked;
        if (change === null) return { status: "unchanged", snapshot: current };
        // The step may have taken long.
        if (isOver(current)) return { status: "gone", snapshot: current };
        const next = this.vault.sealNext(current, change);
        const answer = await this.#update(current, next, change.data !== undefined);
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

  /** Whether it is time to write down that the session is in use. */
  isTouchDue(snapshot: Snapshot): boolean {
    return isTouchDue(snapshot.envelope, this.now(), this.options.touchEvery);
  }

  async #update(current: Snapshot, next: Snapshot, withData: boolean): Promise<"updated" | "conflict" | "missing"> {
    const { version } = current.record;
    const change = changeOf(next, withData);
    try {
      return await this.calls.ask("update", current.record, version, change);
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

/** The first rounds go at once; then a random pause of a few milliseconds lets the other writers through. */
async function backOff(round: number): Promise<void> {
  if (round < 3) return;
  await new Promise((resolve) => {
    setTimeout(resolve, Math.random() * Math.min(round, 20));
  });
}
