/**
 * The engine behind a session manager: opens tokens, writes records, keeps what is shared between requests.
 *
 * One request, in order: read the token · ask the store · open the envelope · judge the time · (the application) ·
 * one conditional write, if anything changed.
 */
import { ConflictError, RecordCorruptError, SessionLimitError, StoreUnavailableError } from "../errors.ts";
import { secretBytes } from "../crypto/random.ts";
import { CommitQueue } from "./commit-queue.ts";
import { DataCodec } from "./data-codec.ts";
import { adoptPin, type Client, findMismatch, type ResolvedPin } from "./device.ts";
import { EventHub } from "./events.ts";
import { isExpired, isTouchDue } from "./lifetime.ts";
import type { ResolvedLifetime, ResolvedOptions } from "./options.ts";
import { RecentMap } from "./recent-map.ts";
import {
  changeOf,
  type Device,
  type Envelope,
  type Flash,
  type Pin,
  type Snapshot,
  type SnapshotChange,
  type Vault,
} from "./record.ts";
import { StoreCalls } from "./store-calls.ts";
import {
  type Admission,
  type AdmissionRules,
  type Awaitable,
  type Ending,
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
  respellToken,
  secretOf,
  sessionKindOf,
  type TokenClaims,
  type TokenKind,
  type TokenRefusal,
  verifierMatches,
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
  | { readonly ok: false; readonly reason: InspectReason; readonly ended?: Ending };

/** What became of a write. */
export interface Outcome {
  readonly status: "saved" | "unchanged" | "gone";
  readonly snapshot: Snapshot;
}

/** Works out a write from the newest version; null when nothing needs to be written. */
export type Step = (current: Snapshot) => Awaitable<SnapshotChange | null>;

/** What a session begins with; what is left out is as for a visitor who is nobody yet. */
export interface Beginning {
  /** Which kind of token opens it; left out, of a session or of a pending login. */
  readonly kind?: "o1";
  readonly userId?: string;
  readonly tenant?: string;
  readonly roles?: readonly string[];
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly device?: Device;
  readonly remember?: boolean;
  readonly lifetime?: ResolvedLifetime;
  readonly freshAt?: number;
  readonly awaiting?: string;
  readonly actor?: string;
  readonly stamp?: string;
  readonly pin?: Pin;
  readonly flashes?: readonly Flash[];
  /** An end earlier than the lifetime's, in ms since the epoch. */
  readonly endsAt?: number | null;
  /** The data as text. */
  readonly text?: string | null;
  /** The token, where its record's place had to be known before. */
  readonly token?: MintedToken | null;
  /** The session whose place the new one takes: it is ended when the new one is stored (DESIGN 8.8). */
  readonly replacing?: Snapshot | null;
}

/** A session, and the token that opens it. */
export interface Begun {
  readonly snapshot: Snapshot;
  readonly token: string;
}

/** What is remembered of a token seen lately: no secret, only what it proved and what the store last held for it. */
interface Seen {
  readonly claims: TokenClaims;
  readonly snapshot: Snapshot;
}

/** Twice this many tokens are remembered at most, each with at most so many sealed bytes: about 25 MB in all. */
const TOKENS_REMEMBERED = 2048;
const MAX_BYTES_REMEMBERED = 4096;
const MAX_ROUNDS = 200;
const MAX_REUSE_ROUNDS = 10;

/** Records are kept this long past their deadline: other machines' clocks may be behind (R-088). */
export const EXPIRY_SLACK_MS = 60_000;

export class Engine {
  readonly options: ResolvedOptions;
  readonly events: EventHub;
  readonly vault: Vault;
  readonly calls: StoreCalls;
  readonly codec: DataCodec;
  readonly #seen = new RecentMap<Seen>(TOKENS_REMEMBERED);
  readonly #queue: CommitQueue;

  constructor(store: Store, options: ResolvedOptions, vault: Vault) {
    this.options = options;
    this.vault = vault;
    this.events = new EventHub(options.clock);
    this.codec = new DataCodec(options);
    this.#queue = new CommitQueue(options.storeTimeout);
    this.calls = new StoreCalls(store, options.storeTimeout, options.clock, this.events);
  }

  now(): number {
    return this.options.clock.now();
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
   * save removing the expired, and what pins demand.
   */
  open(token: unknown, client: Client = {}, kind: TokenKind = sessionKindOf(token)): Awaitable<Opened> {
    if (!hasTokenLength(kind, token)) return { ok: false, reason: "malformed" };
    const name = fingerprint(token);
    const seen = this.#seen.get(name);
    const space = this.vault.spaces[kind];
    const claims = seen?.claims ?? readToken(kind, this.vault.ring, space, token);
    if (typeof claims === "string") return { ok: false, reason: claims };
    const key = { space, route: claims.route, lookup: claims.lookup };
    const found = this.read(key);
    const opened =
      found instanceof Promise
        ? found.then((answer) => this.#judge(name, key, claims, seen, answer))
        : this.#judge(name, key, claims, seen, found);
    const { pin } = this.options;
    if (pin === null || kind === "o1") return opened;
    return opened instanceof Promise
      ? opened.then((one) => this.#checkPin(one, client, pin))
      : this.#checkPin(opened, client, pin);
  }

  async #checkPin(opened: Opened, client: Client, wanted: ResolvedPin): Promise<Opened> {
    if (!opened.ok || opened.snapshot.envelope.userId === null) return opened;
    const snapshot = wanted.adopt ? await this.#adoptPin(opened.snapshot, client, wanted) : opened.snapshot;
    if (snapshot === null) return { ok: false, reason: "ended" };
    const { id, userId, pin = {} } = snapshot.envelope;
    const mismatch = findMismatch(pin, client, wanted);
    if (mismatch === null) return { ok: true, snapshot };
    const action = wanted.onMismatch;
    this.events.emit("pin-mismatch", { id, userId, pin: mismatch, action });
    if (action === "event") return { ok: true, snapshot };
    if (action === "step-up") return { ok: true, snapshot, needsStepUp: true };
    if (action === "revoke") await this.end(snapshot.record, "pin-mismatch");
    return { ok: false, reason: "pin-mismatch" };
  }

  /** The first client of a session that was begun without knowing any is its own from then on; null when it is gone. */
  async #adoptPin(snapshot: Snapshot, client: Client, wanted: ResolvedPin): Promise<Snapshot | null> {
    if (adoptPin(snapshot.envelope.pin ?? {}, client, wanted) === null) return snapshot;
    const outcome = await this.write(snapshot, ({ envelope }) => {
      const pin = adoptPin(envelope.pin ?? {}, client, wanted);
      return pin === null ? null : { envelope: { ...envelope, pin } };
    });
    return outcome.status === "gone" ? null : outcome.snapshot;
  }

  /** Reads a record, or what remains of it. */
  read(key: RecordKey): Awaitable<StoredRecord | Tombstone | null> {
    return this.calls.ask("read", key);
  }

  #judge(
    name: string,
    key: RecordKey,
    claims: TokenClaims,
    seen: Seen | undefined,
    found: StoredRecord | Tombstone | null,
  ): Awaitable<Opened> {
    // The ring may have changed while the store was asked; a removed key ends what is under it at once.
    if (!this.vault.ring.byId.has(claims.keyId)) return this.#refuse(name, "unknown-key");
    // Also for a store that answers neither what it should nor an error.
    if (typeof found !== "object" || found === null) return this.#refuse(name, "unknown");
    if (isTombstone(found)) {
      this.#seen.delete(name);
      return { ok: false, reason: "ended", ended: { reason: found.reason, at: found.endedAt } };
    }
    const same = seen !== undefined && this.vault.isSame(seen.snapshot, found);
    const snapshot = same ? seen.snapshot : this.vault.open(key, found);
    if (snapshot === null) {
      this.events.emit("bad-seal", { id: claims.handle });
      return this.#refuse(name, "bad-seal");
    }
    if (!same) {
      if (!verifierMatches(claims.verifier, snapshot.verifier)) return this.#refuse(name, "wrong-secret");
      this.#remember(name, claims, snapshot);
    }
    return isExpired(snapshot.envelope, this.now()) ? this.#expire(name, snapshot) : { ok: true, snapshot };
  }

  #refuse(name: string, reason: InspectReason): Opened {
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
   * Stores a new session: first the new record, against the limits, then the end of the one it replaces. When that
   * fails, the new one is ended, too (DESIGN 8.8).
   *
   * @throws {SessionLimitError} when there is no room.
   */
  async create(beginning: Beginning): Promise<Begun> {
    const { userId = null, awaiting, replacing = null } = beginning;
    const kind = beginning.kind ?? (awaiting === undefined ? "s1" : "p1");
    const token = beginning.token ?? this.mint(userId, kind);
    const first = this.#sealFirst(kind, beginning, token);
    const isLogin = first.envelope.state === "authenticated" && beginning.actor === undefined;
    const isCounted = isLogin && this.options.limits !== null;
    const begun = isCounted ? await this.#admit(first, replacing) : await this.#insert(first);
    if (begun !== first) return { snapshot: begun, token: this.#respell(begun) };
    if (kind !== "o1") this.events.emit("created", { id: token.handle, userId, state: first.envelope.state });
    // Where sessions are counted, one of the same user has ended in that very step.
    const hasEnded = isCounted && replacing?.record.owner === first.record.owner;
    if (replacing !== null && !hasEnded) await this.#endReplaced(replacing, first);
    if (first.envelope.state === "authenticated") this.#reportLogin(first.envelope, replacing);
    return { snapshot: first, token: token.text };
  }

  #reportLogin(envelope: Envelope, replacing: Snapshot | null): void {
    const { id, userId, tenant, remember, actor = null, device } = envelope;
    const replaced = replacing?.envelope.id ?? null;
    this.events.emit("login", { id, userId, tenant, remember, actor, device, replaced });
  }

  #sealFirst(kind: TokenKind, beginning: Beginning, token: MintedToken): Snapshot {
    const { vault, options } = this;
    const now = this.now();
    const { userId = null, lifetime = options.lifetime, text = null } = beginning;
    const { freshAt, awaiting, actor, stamp, pin, flashes } = beginning;
    const space = vault.spaces[kind];
    const isLoggedIn = userId !== null && awaiting === undefined;
    const isReused = isLoggedIn && options.limits?.onLimit === "reuse";
    const empty: Envelope = {
      id: token.handle,
      state: userId === null ? "anonymous" : isLoggedIn ? "authenticated" : "pending",
      userId,
      tenant: beginning.tenant ?? options.tenant,
      roles: beginning.roles ?? [],
      extra: beginning.extra ?? {},
      device: beginning.device ?? null,
      createdAt: now,
      authenticatedAt: isLoggedIn ? now : null,
      ...(freshAt !== undefined && { freshAt }),
      lastSeenAt: now,
      idle: lifetime.idle,
      absoluteAt: Math.min(now + lifetime.absolute, beginning.endsAt ?? Infinity),
      remember: beginning.remember ?? false,
      ...(awaiting !== undefined && { awaiting }),
      ...(actor !== undefined && { actor }),
      ...(stamp !== undefined && { stamp }),
      ...(pin !== undefined && { pin }),
      ...(flashes !== undefined && flashes.length > 0 && { flashes }),
      ...(isReused && { secret: token.secret.toString("base64url") }),
      generation: 1,
      verifier: token.verifier.toString("base64url"),
      wrap: null,
      dataVersion: 0,
      dataDigest: null,
    };
    const known = { key: null, secret: token.secret, seal: options.seal };
    const sealed = text === null ? null : vault.sealData(token.lookup, empty, text, known);
    const key = { space, route: token.route, lookup: token.lookup };
    const owner = userId === null ? null : vault.ownerOf(userId, space).owner;
    return vault.sealFirst(key, owner, sealed?.envelope ?? empty, sealed?.data ?? null);
  }

  async #insert(snapshot: Snapshot): Promise<Snapshot> {
    const { record } = snapshot;
    try {
      const answer = await this.calls.ask("create", record);
      if (answer === "created") return snapshot;
    } catch (error) {
      if (await this.#wasApplied(record, error)) return snapshot;
      throw error;
    }
    throw new RecordCorruptError("A fresh random id is taken.");
  }

  /** Stores a session while there is room; answers it, or the one that is handed out again instead. */
  async #admit(snapshot: Snapshot, replacing: Snapshot | null): Promise<Snapshot> {
    const { record, envelope } = snapshot;
    const rules = { ...(this.options.limits as AdmissionRules), replacing: replacing?.record.lookup ?? null };
    for (let round = 0; round < MAX_REUSE_ROUNDS; round++) {
      let answer: Admission;
      try {
        answer = await this.calls.ask("admit", record as StoredRecord & { owner: string }, rules);
      } catch (error) {
        if (await this.#wasApplied(record, error)) return snapshot;
        throw error;
      }
      if (answer.status === "created") {
        for (const evicted of answer.evicted) this.#reportEvicted(evicted, envelope.id);
        return snapshot;
      }
      if (answer.status === "refused") throw this.#limitError(envelope.userId ?? "", answer.limit);
      if (answer.status === "exists") throw new RecordCorruptError("A fresh random id is taken.");
      const found = this.vault.open(answer.record, answer.record);
      if (found !== null && found.envelope.secret !== undefined && !isExpired(found.envelope, this.now())) return found;
      // It counts, but it cannot be handed out: its key is gone, or it was begun under other limits.
      await this.end(answer.record, "evicted");
    }
    throw new ConflictError("Others keep beginning sessions of this user; try again.");
  }

  #reportEvicted(record: StoredRecord, by: string): void {
    const snapshot = this.vault.open(record, record);
    if (snapshot === null) return;
    const { id, userId } = snapshot.envelope;
    this.events.emit("evicted", { id, userId, by });
  }

  #limitError(userId: string, reached: "owner" | "total"): SessionLimitError {
    const limit = reached === "owner" ? "perUser" : "total";
    this.events.emit("limit-reached", { userId, limit });
    const whose = limit === "perUser" ? "The user has" : "There are";
    return new SessionLimitError(limit, `${whose} as many sessions as limits.${limit} allows.`);
  }

  /** The token of a session that keeps its secret. */
  #respell({ record, envelope }: Snapshot): string {
    const bytes = Buffer.from(envelope.secret ?? "", "base64url");
    const token = respellToken(this.vault.ring, record.space, envelope.id, record.route, bytes);
    if (token === null) throw new RecordCorruptError("The session's key is gone.");
    return token;
  }

  async #endReplaced(replaced: Snapshot, by: Snapshot): Promise<void> {
    try {
      await this.end(replaced.record, "replaced");
    } catch (error) {
      // Half a login is none. Should this fail as well, the new session's token has gone nowhere.
      await this.end(by.record, "replaced").catch(() => false);
      throw error;
    }
  }

  /**
   * Gives a session another token, in one conditional write with what `change` makes of the envelope; the token
   * before is dead. When another request has replaced the token meanwhile, only the change is written, and the
   * answer has no token.
   */
  async rotate(
    start: Snapshot,
    token: string,
    change: (envelope: Envelope) => Envelope | null = (envelope) => envelope,
  ): Promise<Outcome & { readonly token: string | null }> {
    const { vault } = this;
    const { id, state, verifier: before } = start.envelope;
    const kind = state === "pending" ? "p1" : "s1";
    const next = remintToken(kind, vault.ring, vault.spaces[kind], id, start.record.route);
    if (next === null) return { status: "gone", snapshot: start, token: null };
    let isOurs = false;
    const outcome = await this.write(start, (current) => {
      const changed = change(current.envelope);
      isOurs = changed !== null && current.envelope.verifier === before;
      if (changed === null) return null;
      if (!isOurs) return changed === current.envelope ? null : { envelope: changed };
      const generation = current.envelope.generation + 1;
      const wrap = vault.rewrap(current, secretOf(token), next.secret, generation);
      const verifier = next.verifier.toString("base64url");
      const kept = changed.secret === undefined ? {} : { secret: next.secret.toString("base64url") };
      return { envelope: { ...changed, ...kept, generation, verifier, wrap, lastSeenAt: this.now() } };
    });
    return { ...outcome, token: outcome.status === "saved" && isOurs ? next.text : null };
  }

  /**
   * Writes what `step` works out, on the newest version, until it lands: one conditional update, replayed after a
   * conflict. Never revives: a record that is gone, or that has expired, is answered `gone`.
   */
  async write(start: Snapshot, step: Step): Promise<Outcome> {
    return this.#queue.run(start, async (from) => {
      let current = from;
      for (let round = 0; round < MAX_ROUNDS; round++) {
        if (isExpired(current.envelope, this.now())) return { status: "gone", snapshot: current };
        const worked = step(current);
        const change = worked instanceof Promise ? await worked : worked;
        if (change === null) return { status: "unchanged", snapshot: current };
        // The step may have taken long.
        if (isExpired(current.envelope, this.now())) return { status: "gone", snapshot: current };
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
      if (await this.#wasApplied(next.record, error)) return "updated";
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
  async #wasApplied(record: StoredRecord, error: unknown): Promise<boolean> {
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
