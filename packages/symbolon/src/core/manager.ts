/** createSessionManager: begin, find, list, count and end sessions. */
import { createIndexKeys, createKeyring } from "../crypto/keyring.ts";
import { NotSupportedError, OptionsError } from "../errors.ts";
import { beginSession } from "./begin-session.ts";
import { checkCreate, checkExtra, checkRoles, type CreateOptions } from "./beginning.ts";
import type { Client } from "./device.ts";
import { Engine, EXPIRY_SLACK_MS } from "./engine.ts";
import type { SessionEvents, SessionListener } from "./events.ts";
import { endingOf, findSession, revokeSession } from "./find-session.ts";
import { type Inspection, inspectToken } from "./inspect-token.ts";
import type { Lease } from "./lease.ts";
import { isExpired } from "./lifetime.ts";
import { type LockArguments, lockArguments, type LockOptions, runUnder } from "./lock.ts";
import { checkId, checkPage, oneOf, refuseUnknown } from "./checks.ts";
import { resolveOptions, type SessionManagerOptions, warnDevelopment } from "./options.ts";
import { startPruner } from "./pruner.ts";
import { type Envelope, type SealedData, type Snapshot, Vault } from "./record.ts";
import { type IssuedSource, refreshToken } from "./refresh-token.ts";
import { type SaveResult, Session } from "./session.ts";
import { infoOf, type SessionInfo } from "./session-info.ts";
import {
  canClose,
  canPrune,
  type OwnerKey,
  type PageRequest,
  type RecordPage,
  type StoredRecord,
  type TenantKey,
} from "./store.ts";
import { lookupOfHandle } from "./token.ts";

/** A session just begun, with the token to hand to the client: the only time it can be read. */
export type CreatedSession<Data extends object> = Session<Data> & { readonly id: string; readonly token: string };

/** Which sessions to list: of one user, or of a tenant. */
export interface ListOptions {
  readonly userId?: string;
  readonly tenant?: string;
  /** `cursor` of the page before. */
  readonly cursor?: string | null;
  /** Default 50, at most 1000. */
  readonly limit?: number;
  /** Handle of the caller's own session, to be marked. */
  readonly current?: string | null;
}

/** One page of sessions, newest first; `cursor` is null on the last. */
export interface SessionPage {
  readonly sessions: readonly SessionInfo[];
  readonly cursor: string | null;
}

/** What is replaced of a session's claims; what is left out stays. */
export interface ClaimsChange {
  readonly roles?: readonly string[];
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** What an update by handle changes; what is left out stays. */
export interface UpdateOptions<Data extends object> extends ClaimsChange {
  /** Changes the data; only where `seal` is `server`, because split data needs the token. Runs again after a conflict. */
  readonly data?: (data: Data) => void | Promise<void>;
}

/** How a user's sessions are ended together. */
export interface RevokeAllOptions {
  /** Handles of sessions that go on. */
  readonly except?: string | readonly string[];
  /** Default `revoked`. */
  readonly reason?: string;
  /**
   * Whether the user's API tokens end, too, before the sessions do; they are not in the number that is answered. Default
   * `end`, for a user who may come back by nothing; `keep` where `except` is given, which is to sign out elsewhere.
   */
  readonly apiTokens?: "keep" | "end";
}

/** Begins, finds, lists, counts and ends sessions. All methods work without HTTP. */
export interface SessionManager<Data extends object = Record<string, unknown>> {
  /**
   * Begins a session under a fresh token. One store write, in which it is also counted against `limits`.
   *
   * @throws {SessionLimitError} when there is no room.
   */
  create(options?: CreateOptions<Data>): Promise<CreatedSession<Data>>;
  /**
   * The session a token opens, or null. Anonymous and pending ones too: look at `state`. One store read, and a write
   * when use is due to be noted. Where sessions are pinned, say who asks: an unknown client does not fit.
   */
  validate(token: string, client?: Client): Promise<Session<Data> | null>;
  /** As `validate`, with the reason when there is no session. The reason is for logs, not for clients. */
  inspect(token: string, client?: Client): Promise<Inspection<Data>>;
  /**
   * Gives a session a new token, in one conditional write; null when the token opens none. For `rotation.grace` from now
   * the token before is still good, and answered with this same successor: so a lost answer is asked for again, and of
   * many refreshes at once all get one token. After that it ends the session (RFC 9700 section 4.14.2, R-131 to R-134).
   */
  refresh(token: string, client?: Client): Promise<CreatedSession<Data> | null>;
  /** One session of a user by its handle; another user's handle is answered as an unknown one: null. */
  get(userId: string, id: string): Promise<SessionInfo | null>;
  /** Changes a session by handle, atomically; `gone` when the user has no such session. */
  update(userId: string, id: string, change: UpdateOptions<Data>): Promise<SaveResult>;
  /**
   * Replaces roles or extra values of all live sessions of a user, one by one; answers how many. A session that begins
   * meanwhile is left out: it has what its login gave it.
   */
  updateAll(userId: string, change: ClaimsChange): Promise<number>;
  /** Ends one session of a user; idempotent. Answers whose it was, or null when there was none. */
  revoke(userId: string, id: string, reason?: string): Promise<string | null>;
  /** Ends the session a token belongs to; idempotent. Answers whose it was: null for an anonymous one and for none. */
  revokeToken(token: string, reason?: string): Promise<string | null>;
  /**
   * Ends all sessions and pending logins of a user, save sessions whose handles are excepted, and answers how many; the
   * user's one-time tokens, too, and API tokens as `options` say.
   */
  revokeAll(userId: string, options?: RevokeAllOptions): Promise<number>;
  /** Ends all sessions of a tenant, and its API tokens; answers how many sessions. */
  revokeTenant(tenant: string, reason?: string): Promise<number>;
  /** Ends all sessions of this manager's namespace, anonymous ones too, and all API tokens; answers how many sessions. */
  revokeEverything(reason?: string): Promise<number>;
  list(options: ListOptions): Promise<SessionPage>;
  /** Counts live sessions of logged-in users: of a user, a tenant, or all. */
  count(options?: { userId?: string; tenant?: string }): Promise<number>;
  /** Counts users with a live session. */
  countUsers(options?: { tenant?: string }): Promise<number>;
  /**
   * Runs a function while nobody else holds the lock of this name: no other process, where the store can lock, else
   * nobody of this manager (`lease.isShared` says which). Waiters are served in order within a process, and woken by the
   * release where the store tells of it. The lease is renewed while the function runs, and frees itself when the process
   * dies. Without a function the lock is held until it is released, as by `await using`. Not to be nested.
   *
   * @throws {LockTimeoutError} when others have the lock for longer than `wait`; `run` was not called.
   * @throws {LeaseLostError} when the lock was lost while it was held. Whether what was done under it stands is up to
   * whoever looks at `lease.fence`.
   * @throws {StoreUnavailableError} when the store did not do its work.
   */
  lock<T>(name: string, run: (lease: Lease) => T | Promise<T>): Promise<T>;
  lock<T>(name: string, options: LockOptions, run: (lease: Lease) => T | Promise<T>): Promise<T>;
  lock(name: string, options?: LockOptions): Promise<Lease>;
  /** Removes expired records now; answers how many. Runs in the background too, see `pruneEvery`. */
  prune(): Promise<number>;
  /** Replaces the keyring, newest first, without a restart. A removed key ends what is under it at once; refused keys change nothing. */
  setKeys(keys: readonly (string | undefined)[]): void;
  /** Listens to an event; the returned function stops listening. Listeners run synchronously and cannot break a request. */
  on<Type extends keyof SessionEvents>(type: Type, listener: SessionListener<Type>): () => void;
  /** Listens to every event. */
  on(type: "*", listener: SessionListener): () => void;
  /** Stops the background work and closes what the store opened itself. */
  close(): Promise<void>;
}

const PRUNE_BATCH = 500;
const UPDATE_BATCH = 100;
const engines = new WeakMap<object, Engine>();

/**
 * Makes a session manager. Options are checked here, once.
 *
 * @throws {OptionsError} or {KeyError} with a message that says what to write instead.
 */
export function createSessionManager<Data extends object = Record<string, unknown>>(
  options: SessionManagerOptions<Data>,
): SessionManager<Data> {
  const resolved = resolveOptions(options);
  const ring = createKeyring(options.keys);
  const vault = new Vault(resolved.namespace, ring, createIndexKeys(options.indexKey, options.keys));
  const engine = new Engine(options.store, resolved, vault);
  const manager = new Manager<Data>(engine);
  engines.set(manager, engine);
  if (resolved.development) warnDevelopment();
  return manager;
}

/** The engine of a manager, for bindings; not part of the public face. */
export function engineOf(sessions: SessionManager<never> | SessionManager<object>): Engine {
  const engine = engines.get(sessions);
  if (engine !== undefined) return engine;
  throw new OptionsError("sessions: pass what createSessionManager returned.");
}

class Manager<Data extends object> implements SessionManager<Data> {
  readonly #engine: Engine;
  readonly #stopPruner: () => void;

  constructor(engine: Engine) {
    this.#engine = engine;
    const every = canPrune(engine.calls.store) ? engine.options.pruneEvery : null;
    this.#stopPruner = startPruner(every, () => this.prune());
  }

  async create(options: CreateOptions<Data> = {}): Promise<CreatedSession<Data>> {
    this.#engine.refuseCarrying("The token of a session begun outside a request");
    const begun = await beginSession(this.#engine, checkCreate(this.#engine, options));
    const { client } = options;
    return this.#withToken({ ...begun, ...(client !== undefined && { client }) });
  }

  async validate(token: string, client?: Client): Promise<Session<Data> | null> {
    const found = await this.inspect(token, client);
    return found.ok ? found.session : null;
  }

  async inspect(token: string, client: Client = {}): Promise<Inspection<Data>> {
    return inspectToken(this.#engine, token, client);
  }

  async refresh(token: string, client: Client = {}): Promise<CreatedSession<Data> | null> {
    const refreshed = await refreshToken(this.#engine, token, client);
    return refreshed === null ? null : this.#withToken(refreshed);
  }

  async get(userId: string, id: string): Promise<SessionInfo | null> {
    const snapshot = await findSession(this.#engine, "s1", userId, id);
    return snapshot === null || snapshot.envelope.shut !== undefined ? null : infoOf(snapshot.envelope, null);
  }

  async update(userId: string, id: string, change: UpdateOptions<Data>): Promise<SaveResult> {
    refuseUnknown(change, ["roles", "extra", "data"], "update.");
    const snapshot = await findSession(this.#engine, "s1", userId, id);
    if (snapshot === null) return "gone";
    return this.#update(snapshot, change);
  }

  async updateAll(userId: string, change: ClaimsChange): Promise<number> {
    refuseUnknown(change, ["roles", "extra"], "updateAll.");
    const owner = this.#ownerKey(userId);
    let count = 0;
    let cursor: string | null = null;
    do {
      const page: RecordPage = await this.#engine.calls.ask("listByOwner", owner, { cursor, limit: UPDATE_BATCH });
      for (const record of page.records) {
        const snapshot = this.#open(record);
        if (snapshot !== null && (await this.#update(snapshot, change)) !== "gone") count++;
      }
      cursor = page.cursor;
    } while (cursor !== null);
    return count;
  }

  async revoke(userId: string, id: string, reason = "revoked"): Promise<string | null> {
    const snapshot = await findSession(this.#engine, "s1", userId, id);
    return snapshot === null ? null : revokeSession(this.#engine, snapshot, reason);
  }

  async revokeToken(token: string, reason = "revoked"): Promise<string | null> {
    const opened = await this.#engine.open(token, null);
    return opened.ok ? revokeSession(this.#engine, opened.snapshot, reason) : null;
  }

  async revokeAll(userId: string, options: RevokeAllOptions = {}): Promise<number> {
    refuseUnknown(options, ["except", "reason", "apiTokens"], "revokeAll.");
    const { vault } = this.#engine;
    const { except, apiTokens = except === undefined ? "end" : "keep" } = options;
    const kept = [except ?? []].flat().flatMap((id) => lookupOfHandle("s1", vault.ring, vault.space, id) ?? []);
    const { reason } = endingOf(this.#engine, options.reason);
    const fate = oneOf(apiTokens, ["keep", "end"], "revokeAll.apiTokens");
    return this.#engine.endAllOf(checkId(userId, "userId"), kept, reason, fate);
  }

  async revokeTenant(tenant: string, reason?: string): Promise<number> {
    // Checked here: a tenant that is null by mistake must not end everything.
    return this.#endTenant(checkId(tenant, "tenant"), reason);
  }

  async revokeEverything(reason?: string): Promise<number> {
    return this.#endTenant(null, reason);
  }

  async list(options: ListOptions): Promise<SessionPage> {
    refuseUnknown(options, ["userId", "tenant", "cursor", "limit", "current"], "list.");
    const records = await this.#listRecords(options, checkPage(options));
    const now = this.#engine.now();
    const sessions: SessionInfo[] = [];
    for (const record of records.records) {
      const snapshot = this.#open(record);
      if (snapshot === null || isExpired(snapshot.envelope, now)) continue;
      if (options.tenant !== undefined && snapshot.envelope.tenant !== options.tenant) continue;
      sessions.push(infoOf(snapshot.envelope, options.current ?? null));
    }
    return { sessions, cursor: records.cursor };
  }

  async count(options: { userId?: string; tenant?: string } = {}): Promise<number> {
    refuseUnknown(options, ["userId", "tenant"], "count.");
    const { calls } = this.#engine;
    const { userId, tenant = null } = options;
    if (userId === undefined) return calls.ask("countByTenant", this.#tenantKey(tenant));
    if (tenant !== null) return this.#countOfUserInTenant(userId, tenant);
    return calls.ask("countByOwner", this.#ownerKey(userId));
  }

  async countUsers(options: { tenant?: string } = {}): Promise<number> {
    refuseUnknown(options, ["tenant"], "countUsers.");
    return this.#engine.calls.ask("countOwners", this.#tenantKey(options.tenant ?? null));
  }

  lock<T>(name: string, run: (lease: Lease) => T | Promise<T>): Promise<T>;
  lock<T>(name: string, options: LockOptions, run: (lease: Lease) => T | Promise<T>): Promise<T>;
  lock(name: string, options?: LockOptions): Promise<Lease>;
  async lock<T>(name: string, ...args: LockArguments<T>): Promise<T | Lease> {
    const { options, run } = lockArguments(args);
    const { vault, locks } = this.#engine;
    const lease = await locks.acquire(vault.lockOfName(checkId(name, "lock.name")), options);
    return run === undefined ? lease : runUnder(lease, run);
  }

  async prune(): Promise<number> {
    let count = 0;
    for (let batch = PRUNE_BATCH; batch === PRUNE_BATCH; count += batch) {
      const before = this.#engine.now() - EXPIRY_SLACK_MS;
      batch = await this.#engine.calls.ask("prune", before, PRUNE_BATCH);
      // Between batches requests get their turn, also when the store answers synchronously.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (count > 0) this.#engine.events.emit("pruned", { count });
    return count;
  }

  setKeys(keys: readonly (string | undefined)[]): void {
    const ring = createKeyring(keys);
    this.#engine.vault.replaceRing(ring);
    this.#engine.forget();
    const ids = [...ring.byId.keys()].map((id) => id.toString(16).padStart(4, "0"));
    this.#engine.events.emit("keys-changed", { keys: ids });
  }

  on(type: keyof SessionEvents | "*", listener: (event: never) => void): () => void {
    return this.#engine.events.on(type, listener);
  }

  async close(): Promise<void> {
    this.#stopPruner();
    await this.#engine.locks.close();
    const { store } = this.#engine.calls;
    if (canClose(store)) await store.close();
  }

  #withToken(source: IssuedSource): CreatedSession<Data> {
    return new FreshSession<Data>(this.#engine, source) as CreatedSession<Data>;
  }

  /** Opens a record of a list, as one of a session: the store may have listed something else. */
  #open(record: StoredRecord): Snapshot | null {
    const { vault } = this.#engine;
    return vault.open({ space: vault.space, lookup: record.lookup }, record);
  }

  async #update(snapshot: Snapshot, change: UpdateOptions<Data>): Promise<SaveResult> {
    const roles = change.roles === undefined ? undefined : checkRoles(change.roles);
    const extra = change.extra === undefined ? undefined : checkExtra(change.extra, this.#engine.options.bounds);
    const outcome = await this.#engine.write(snapshot, (current) => {
      const envelope = {
        ...current.envelope,
        roles: roles ?? current.envelope.roles,
        extra: extra ?? current.envelope.extra,
      };
      return change.data === undefined ? { envelope } : this.#changeData(current, envelope, change.data);
    });
    const { id, userId } = snapshot.envelope;
    if (outcome.status === "saved" && roles !== undefined) {
      this.#engine.events.emit("roles-changed", { id, userId, roles });
    }
    return outcome.status;
  }

  async #changeData(
    current: Snapshot,
    envelope: Envelope,
    change: (data: Data) => void | Promise<void>,
  ): Promise<SealedData> {
    const { vault, codec, options } = this.#engine;
    if ((envelope.wrap?.seal ?? options.seal) !== "server") {
      throw new NotSupportedError("update.data: needs seal: 'server'.");
    }
    const opened = vault.openData(current, null);
    const data = opened === null ? codec.initial() : codec.load(opened.text);
    await change(data as Data);
    codec.checkSchema(data);
    const known = { key: opened?.key ?? null, secret: null, seal: "server" as const };
    return vault.sealData(current.record.lookup, envelope, codec.encode(data), known);
  }

  async #listRecords(options: ListOptions, page: PageRequest): Promise<RecordPage> {
    const { calls } = this.#engine;
    if (options.userId !== undefined) return calls.ask("listByOwner", this.#ownerKey(options.userId), page);
    if (options.tenant !== undefined)
      return calls.ask("listByTenant", this.#tenantKey(checkId(options.tenant, "tenant")), page);
    throw new OptionsError("list: name a userId or a tenant.");
  }

  async #countOfUserInTenant(userId: string, tenant: string): Promise<number> {
    let count = 0;
    let cursor: string | null = null;
    do {
      const page: SessionPage = await this.list({ userId, tenant, cursor, limit: 1000 });
      count += page.sessions.length;
      cursor = page.cursor;
    } while (cursor !== null);
    return count;
  }

  /** Ends a tenant's sessions, or with null all of the namespace. */
  async #endTenant(tenant: string | null, reason: string | undefined): Promise<number> {
    const ending = endingOf(this.#engine, reason);
    const { calls } = this.#engine;
    const count = await this.#engine.endKinds((space) =>
      calls.ask("deleteByTenant", this.#tenantKey(tenant, space), ending),
    );
    this.#engine.events.emit("revoked-many", { userId: null, tenant, reason: ending.reason, count });
    return count;
  }

  #ownerKey(userId: string): OwnerKey {
    return this.#engine.vault.ownerOf(checkId(userId, "userId"));
  }

  #tenantKey(tenant: string | null, space: string = this.#engine.vault.space): TenantKey {
    if (tenant === null) return { space, tenant };
    return { space, tenant: this.#engine.vault.tenantOf(checkId(tenant, "tenant"), space) };
  }
}

/** A session with its token behind a getter of the class, where no log, inspection or serialisation finds it. */
class FreshSession<Data extends object> extends Session<Data> {
  readonly #issued: string;

  constructor(engine: Engine, source: IssuedSource) {
    super(engine, source);
    this.#issued = source.token;
  }

  get token(): string {
    return this.#issued;
  }
}
