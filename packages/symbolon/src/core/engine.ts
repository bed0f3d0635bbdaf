/**
 * The engine behind a session manager: opens tokens, writes records, keeps what is shared between requests.
 *
 * One request, in order: read the token · ask the store · open the envelope · judge the time · (the application) ·
 * one conditional write, if anything changed.
 */
import { ConflictError, RecordCorruptError, StoreUnavailableError } from "../errors.ts";
import { CommitQueue } from "./commit-queue.ts";
import { DataCodec } from "./data-codec.ts";
import { EventHub } from "./events.ts";
import { isExpired, isTouchDue } from "./lifetime.ts";
import type { ResolvedLifetime, ResolvedOptions } from "./options.ts";
import { RecentMap } from "./recent-map.ts";
import { changeOf, type Device, type Envelope, type Snapshot, type SnapshotChange, type Vault } from "./record.ts";
import { StoreCalls } from "./store-calls.ts";
import {
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
  type TokenClaims,
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
  | "bad-seal";

/** What a token turned out to be. */
export type Opened =
  | { readonly ok: true; readonly snapshot: Snapshot }
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
  readonly userId?: string;
  readonly tenant?: string;
  readonly roles?: readonly string[];
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly device?: Device;
  readonly remember?: boolean;
  readonly lifetime?: ResolvedLifetime;
  /** An end earlier than the lifetime's, in ms since the epoch. */
  readonly endsAt?: number | null;
  /** The data as text. */
  readonly text?: string | null;
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

  /** Opens a token: one store read, none when the token proves nothing. Writes nothing, save removing the expired. */
  open(token: unknown): Awaitable<Opened> {
    if (!hasTokenLength("s1", token)) return { ok: false, reason: "malformed" };
    const name = fingerprint(token);
    const seen = this.#seen.get(name);
    const claims = seen?.claims ?? readToken("s1", this.vault.ring, this.vault.space, token);
    if (typeof claims === "string") return { ok: false, reason: claims };
    const key = { space: this.vault.space, route: claims.route, lookup: claims.lookup };
    const found = this.read(key);
    if (found instanceof Promise) return found.then((answer) => this.#judge(name, claims, seen, answer));
    return this.#judge(name, claims, seen, found);
  }

  /** Reads a record, or what remains of it. */
  read(key: RecordKey): Awaitable<StoredRecord | Tombstone | null> {
    return this.calls.ask("read", key);
  }

  #judge(
    name: string,
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
    const snapshot = same ? seen.snapshot : this.vault.open(claims.lookup, found);
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

  /** Stores a new session under a fresh token. */
  async create(beginning: Beginning): Promise<{ snapshot: Snapshot; token: MintedToken }> {
    const { vault, options } = this;
    const now = this.now();
    const { userId = null, lifetime = options.lifetime, text = null } = beginning;
    const { route, owner } = userId === null ? { route: vault.randomRoute(), owner: null } : vault.ownerOf(userId);
    const token = mintToken("s1", vault.ring.primary, vault.space, route);
    const empty: Envelope = {
      id: token.handle,
      state: userId === null ? "anonymous" : "authenticated",
      userId,
      tenant: beginning.tenant ?? options.tenant,
      roles: beginning.roles ?? [],
      extra: beginning.extra ?? {},
      device: beginning.device ?? null,
      createdAt: now,
      authenticatedAt: userId === null ? null : now,
      lastSeenAt: now,
      idle: lifetime.idle,
      absoluteAt: Math.min(now + lifetime.absolute, beginning.endsAt ?? Infinity),
      remember: beginning.remember ?? false,
      generation: 1,
      verifier: token.verifier.toString("base64url"),
      wrap: null,
      dataVersion: 0,
      dataDigest: null,
    };
    const known = { key: null, secret: token.secret, seal: options.seal };
    const sealed = text === null ? null : vault.sealData(token.lookup, empty, text, known);
    const key = { space: vault.space, route, lookup: token.lookup };
    const snapshot = vault.sealFirst(key, owner, sealed?.envelope ?? empty, sealed?.data ?? null);
    await this.#insert(snapshot);
    this.events.emit("created", { id: token.handle, userId, state: empty.state });
    return { snapshot, token };
  }

  async #insert(snapshot: Snapshot): Promise<void> {
    const { record } = snapshot;
    try {
      const answer = await this.calls.ask("create", record);
      if (answer === "created") return;
    } catch (error) {
      if (await this.#wasApplied(record, error)) return;
      throw error;
    }
    throw new RecordCorruptError("A fresh random id is taken.");
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
        const newer = answer === "missing" ? null : await this.#reread(current);
        if (newer === null) return { status: "gone", snapshot: current };
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

  async #reread(snapshot: Snapshot): Promise<Snapshot | null> {
    const found = await this.read(snapshot.record);
    if (found === null || isTombstone(found)) return null;
    const newer = this.vault.open(snapshot.record.lookup, found);
    const { id, userId } = snapshot.envelope;
    if (newer === null) this.events.emit("bad-seal", { id });
    else this.events.emit("merged", { id, userId });
    return newer;
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
