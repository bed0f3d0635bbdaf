/**
 * API tokens: long-lived, named, with roles of their own; shown once, listed and revoked by their owner.
 *
 * They are a kind of their own: no session token passes as one, nor the other way round. Each opens a session of
 * its user, at `validate` or, with the manager's option `bearer`, at every request with `Authorization: Bearer`. At rest
 * there is a digest of the secret.
 */
import { sealFirst, storeFirst } from "../core/begin-session.ts";
import { checkExtra, checkRoles } from "../core/beginning.ts";
import { checkId, checkPage, refuseUnknown, wholeNumber } from "../core/checks.ts";
import type { Client } from "../core/device.ts";
import type { Engine } from "../core/engine.ts";
import { endingOf, findSession, revokeSession } from "../core/find-session.ts";
import { type Inspection, inspectToken } from "../core/inspect-token.ts";
import { deadlineOf, type Duration, isExpired, parseDuration } from "../core/lifetime.ts";
import { engineOf, type SessionManager } from "../core/manager.ts";
import type { Envelope, Snapshot } from "../core/record.ts";
import type { Session } from "../core/session.ts";
import { type AdmissionRules, canAdmit, type OwnerKey, type PageRequest } from "../core/store.ts";
import { OptionsError, SessionLimitError } from "../errors.ts";

/** Settings of `apiTokens`. */
export interface ApiTokensOptions {
  /**
   * How many live API tokens a user may have; false for any number. Default 100, where the store can count. They do not
   * count against the manager's `limits`.
   */
  readonly perUser?: number | false;
}

/** What an API token is made with. */
export interface ApiTokenOptions {
  /** What its owner knows it by: 1 to 100 characters for people, not unique. */
  readonly name: string;
  /** What it may do: the roles of its session, whatever the user's own. Default none. */
  readonly roles?: readonly string[];
  /** From now until it ends, used or not; default 90 days, 366 at most. */
  readonly lifetime?: Duration;
  /** Values that its session shows and lists show, sealed under the server's key; as what else it is limited to. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Default the manager's. */
  readonly tenant?: string;
}

/** What may be shown of an API token; never the token. */
export interface ApiTokenInfo {
  /** Public handle, to find and to revoke by: safe to show and to log. */
  readonly id: string;
  readonly name: string;
  readonly userId: string;
  readonly tenant: string | null;
  readonly roles: readonly string[];
  readonly extra: Readonly<Record<string, unknown>>;
  /** Instants in ms since the epoch. */
  readonly createdAt: number;
  /** Null until it is used; after the first use exact to an hour. */
  readonly lastUsedAt: number | null;
  readonly expiresAt: number;
}

/** An API token just made. */
export interface CreatedApiToken {
  /** To be shown once: it cannot be read again. Ask for it by name: no log and no JSON of the whole holds it. */
  readonly token: string;
  readonly info: ApiTokenInfo;
}

/** One page of API tokens, newest first; `cursor` is null on the last. */
export interface ApiTokenPage {
  readonly tokens: readonly ApiTokenInfo[];
  readonly cursor: string | null;
}

/** Makes, opens, lists and revokes API tokens, in the store and under the keys of a session manager. */
export interface ApiTokens<Data extends object = Record<string, unknown>> {
  /**
   * Makes an API token: the only time that it can be read. One store write, in which it is also counted.
   *
   * @throws {SessionLimitError} when the user has `perUser` of them. Nothing gives way.
   */
  create(userId: string, options: ApiTokenOptions): Promise<CreatedApiToken>;
  /**
   * The session that an API token opens, or null. Its user is the owner, its roles are the token's, `session.apiToken`
   * says so, and it is never fresh. One store read; at the first use, and then each hour, a write.
   */
  validate(token: string, client?: Client): Promise<Session<Data> | null>;
  /** As `validate`, with the reason when there is no session. The reason is for logs, not for clients. */
  inspect(token: string, client?: Client): Promise<Inspection<Data>>;
  /** A page of a user's live API tokens, `limit` at a time: default 50, at most 1000. One store read. */
  list(userId: string, page?: Partial<PageRequest>): Promise<ApiTokenPage>;
  /** One API token of a user by its handle; another user's is answered as an unknown one: null. One store read. */
  get(userId: string, id: string): Promise<ApiTokenInfo | null>;
  /** Counts the user's live API tokens. */
  count(userId: string): Promise<number>;
  /** Ends one API token of a user, for the next request with it; idempotent. Answers whose it was, or null for none. */
  revoke(userId: string, id: string, reason?: string): Promise<string | null>;
  /** Ends an API token that somebody found where it should not be; idempotent. Answers whose it was, or null for none. */
  revokeToken(token: string, reason?: string): Promise<string | null>;
  /** Ends all API tokens of a user; answers how many. */
  revokeAll(userId: string, reason?: string): Promise<number>;
}

const PER_USER = 100;
const DAY_MS = 86_400_000;
const USUAL_MS = 90 * DAY_MS;
const LONGEST_MS = 366 * DAY_MS;

/** For people, in one line; nothing in it can steer a terminal or turn the text around it. */
const NAME = /^[^\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Surrogate}]{1,100}$/u;

/**
 * Makes the API tokens of a session manager.
 *
 * @throws {OptionsError} for a wrong option, or a limit where the store cannot count.
 * @throws {NotSupportedError} where clients carry their sessions in sealed cookies.
 */
export function apiTokens<Data extends object>(
  sessions: SessionManager<Data>,
  options: ApiTokensOptions = {},
): ApiTokens<Data> {
  const engine = engineOf(sessions);
  engine.refuseCarrying("An API token");
  return new KeptApiTokens<Data>(engine, resolveRules(options, engine));
}

class KeptApiTokens<Data extends object> implements ApiTokens<Data> {
  readonly #engine: Engine;
  /** Null where nothing is counted. */
  readonly #rules: AdmissionRules | null;

  constructor(engine: Engine, rules: AdmissionRules | null) {
    this.#engine = engine;
    this.#rules = rules;
  }

  async create(userId: string, options: ApiTokenOptions): Promise<CreatedApiToken> {
    const engine = this.#engine;
    refuseUnknown(options, ["name", "roles", "lifetime", "extra", "tenant"], "apiToken.");
    const { name, roles = [], lifetime = USUAL_MS, extra = {}, tenant } = options;
    const absolute = checkLifetime(lifetime);
    const beginning = {
      userId: checkId(userId, "userId"),
      apiToken: checkName(name),
      roles: checkRoles(roles),
      extra: checkExtra(extra, engine.options.bounds),
      lifetime: { idle: absolute, absolute },
      ...(tenant !== undefined && { tenant: checkId(tenant, "tenant") }),
    };
    const token = engine.mint(userId, "k1");
    const snapshot = sealFirst(engine, "k1", beginning, token);
    await this.#store(snapshot);
    engine.events.emit("api-token-created", { id: token.handle, userId, name });
    return new FreshApiToken(token.text, infoOf(snapshot.envelope));
  }

  async validate(token: string, client?: Client): Promise<Session<Data> | null> {
    const found = await this.inspect(token, client);
    return found.ok ? found.session : null;
  }

  async inspect(token: string, client: Client = {}): Promise<Inspection<Data>> {
    return inspectToken(this.#engine, token, client, "k1");
  }

  async list(userId: string, page: Partial<PageRequest> = {}): Promise<ApiTokenPage> {
    refuseUnknown(page, ["cursor", "limit"], "list.");
    const { vault, calls } = this.#engine;
    const owner = this.#ownerKey(userId);
    const { records, cursor } = await calls.ask("listByOwner", owner, checkPage(page));
    const now = this.#engine.now();
    const tokens = records.flatMap((record) => {
      // The store may have listed something else.
      const snapshot = vault.open({ space: owner.space, lookup: record.lookup }, record);
      return snapshot === null || isExpired(snapshot.envelope, now) ? [] : [infoOf(snapshot.envelope)];
    });
    return { tokens, cursor };
  }

  async get(userId: string, id: string): Promise<ApiTokenInfo | null> {
    const found = await this.#find(userId, id);
    return found === null ? null : infoOf(found.envelope);
  }

  async count(userId: string): Promise<number> {
    return this.#engine.calls.ask("countByOwner", this.#ownerKey(userId));
  }

  async revoke(userId: string, id: string, reason = "revoked"): Promise<string | null> {
    const found = await this.#find(userId, id);
    return found === null ? null : revokeSession(this.#engine, found, reason);
  }

  async revokeToken(token: string, reason = "revoked"): Promise<string | null> {
    const opened = await this.#engine.open(token, null, "k1");
    return opened.ok ? revokeSession(this.#engine, opened.snapshot, reason) : null;
  }

  async revokeAll(userId: string, reason?: string): Promise<number> {
    const { calls, events } = this.#engine;
    const ending = endingOf(this.#engine, reason);
    const count = await calls.ask("deleteByOwner", this.#ownerKey(userId), [], ending);
    events.emit("revoked-many", { userId, tenant: null, reason: ending.reason, count });
    return count;
  }

  async #store(snapshot: Snapshot): Promise<void> {
    const { status } = await storeFirst(this.#engine, snapshot.record, this.#rules);
    if (status === "created") return;
    throw new SessionLimitError("perUser", "The user has as many API tokens as perUser allows.");
  }

  /** Null too for one that `checkStamp` has found to be nobody's any more. */
  async #find(userId: string, id: string): Promise<Snapshot | null> {
    const found = await findSession(this.#engine, "k1", userId, id);
    return found?.envelope.shut === undefined ? found : null;
  }

  #ownerKey(userId: string): OwnerKey {
    const { vault } = this.#engine;
    return vault.ownerOf(checkId(userId, "userId"), vault.spaces.k1);
  }
}

/** The token is behind a getter of the class, where no log, inspection or serialisation finds it. */
class FreshApiToken implements CreatedApiToken {
  readonly #token: string;
  readonly info: ApiTokenInfo;

  constructor(token: string, info: ApiTokenInfo) {
    this.#token = token;
    this.info = info;
  }

  get token(): string {
    return this.#token;
  }
}

/** Shows an envelope: by name, one by one, so that what it gains later is not shown unless somebody says so here. */
function infoOf(envelope: Envelope): ApiTokenInfo {
  const { id, apiToken: name = "", userId, tenant, roles, extra, createdAt, lastSeenAt } = envelope;
  const lastUsedAt = lastSeenAt === createdAt ? null : lastSeenAt;
  const expiresAt = deadlineOf(envelope);
  return { id, name, userId: userId ?? "", tenant, roles, extra, createdAt, lastUsedAt, expiresAt };
}

function resolveRules(options: ApiTokensOptions, { calls }: Engine): AdmissionRules | null {
  refuseUnknown(options, ["perUser"], "apiTokens.");
  const { perUser = canAdmit(calls.store) ? PER_USER : false } = options;
  if (perUser === false) return null;
  const perOwner = wholeNumber(perUser, 1, 1_000_000, "apiTokens.perUser");
  if (!canAdmit(calls.store)) throw new OptionsError("apiTokens.perUser: this store cannot count; see docs/stores.md.");
  return { perOwner, total: null, onLimit: "reject", replacing: null };
}

function checkName(name: unknown): string {
  if (typeof name === "string" && NAME.test(name) && name.trim() !== "") return name;
  throw new OptionsError("apiToken.name: use 1 to 100 characters for people to read, in one line.");
}

function checkLifetime(lifetime: Duration): number {
  const milliseconds = parseDuration(lifetime, "apiToken.lifetime");
  if (milliseconds <= LONGEST_MS) return milliseconds;
  throw new OptionsError("apiToken.lifetime: at most 366 days.");
}
