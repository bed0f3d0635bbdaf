/** createJwtSessionManager: sessions whose clients carry JWTs, and which end when they are ended. */
import { type AccessInspection, type AccessManager, type AccessRefusal, offerAccess } from "../core/access.ts";
import type { CreateOptions } from "../core/beginning.ts";
import { refuseUnknown } from "../core/checks.ts";
import type { Client } from "../core/device.ts";
import type { Engine } from "../core/engine.ts";
import { revokeSession } from "../core/find-session.ts";
import { engineOf, type SessionManager } from "../core/manager.ts";
import type { Envelope, Snapshot } from "../core/record.ts";
import { refreshToken } from "../core/refresh-token.ts";
import { requestSide, Session } from "../core/session.ts";
import { NotAllowedError, OptionsError, SessionEndedError } from "../errors.ts";
import type { JwtClaims } from "./claims.ts";
import { GenuineTokens } from "./genuine.ts";
import { IssuedTokens } from "./issued-tokens.ts";
import { type JwksDocument, type JwtKey, publishedKeys, readSigningKeys, type SigningKeys } from "./keys.ts";
import { KnownEndings } from "./known-endings.ts";
import { type AccessOpened, findLive, isOf, openClaimed, openStored, openUsers } from "./open-session.ts";
import { type JwtSessionManagerOptions, type ResolvedJwtOptions, resolveJwtOptions } from "./options.ts";
import { replaceToken } from "./replace-token.ts";
import { claimsOfSession, issuedAtOf, SESSION_CLAIMS, SESSION_TYP, type SessionClaims } from "./session-claims.ts";
import { signJwt } from "./sign.ts";
import { readTokenId, type TokenId } from "./token-id.ts";

/** Of what a session is to be ended: by a token of it, whether expired or not, by its `jti`, or by user and handle. */
export type RevokeTarget = string | { readonly jti: string } | { readonly userId: string; readonly sid: string };

/** How a token is looked at. */
export interface ValidateOptions {
  /** Who asks, where sessions are pinned. */
  readonly client?: Client;
  /** Asks the store, also where the manager verifies offline: for what must not wait until a token expires. */
  readonly verification?: "stateful";
}

/** What `inspect` finds; the reason of a refusal is for logs, never for the client. */
export type JwtInspection<Data extends object> =
  | { readonly ok: true; readonly session: Session<Data>; readonly claims: JwtClaims }
  | (AccessInspection<Data> & { readonly ok: false });

/**
 * Issues access tokens for sessions, and opens sessions by them. Bindings take it in the place of the session manager.
 *
 * A token is good while it has not expired, its session lives, and it was issued with the session's present token: one
 * that was logged out, refreshed away or never issued opens nothing. Only with `verification: 'offline'` other processes
 * take it until it expires.
 */
export interface JwtSessionManager<Data extends object = Record<string, unknown>> extends AccessManager<Data> {
  /** The manager whose sessions these are: lists, counts and ends them, too. */
  readonly sessions: SessionManager<Data>;
  /**
   * Begins a session of a user and issues its tokens. One store write, in which it is counted against `limits`; when it
   * is refused, the sessions there are stay as they were.
   *
   * @throws {SessionLimitError} when there is no room.
   */
  create(options: CreateOptions<Data> & { readonly userId: string }): Promise<IssuedTokens<Data>>;
  /**
   * Issues tokens for a session that a request has: after `session.login`, whose new token this takes, or one that was
   * opened by its own token. No store call; offline one read, where sessions of the user were ended together lately.
   *
   * @throws {NotAllowedError} when nobody is logged in, or the session was opened by an access token.
   * @throws {SessionEndedError} when the session is known to have ended meanwhile.
   */
  issue(session: Session<Data>): Promise<IssuedTokens<Data>>;
  /**
   * The session an access token opens, or null. One store read, and a write when use is due to be noted. Its data opens
   * with `seal: 'server'` only. Offline no store call: then it says who somebody is, in which roles and who acts as them,
   * but nothing else (no tenant, no extra values, no device), it is never fresh, and is written only to end it.
   */
  validate(token: string, options?: ValidateOptions): Promise<Session<Data> | null>;
  /** As `validate`, with the claims, or the reason when there is no session. */
  inspect(token: string, options?: ValidateOptions): Promise<JwtInspection<Data>>;
  /**
   * Gives a session its next tokens, for its refresh token (with `tokens: 'single'`, for its JWT), in one conditional
   * write; null when that opens none. The access tokens of before are dead from then on. For `rotation.grace` the token
   * given up is answered with the same successor, since the answer may have been lost; after that it ends the session
   * . Nobody is logged out by a refresh that fails.
   */
  refresh(token: string, client?: Client): Promise<IssuedTokens<Data> | null>;
  /**
   * Ends a session; idempotent. Answers whose it was, or null when there was none. A token may have expired or been
   * refreshed away, but its key must still be there. One store read and one write.
   */
  revoke(target: RevokeTarget, reason?: string): Promise<string | null>;
  /** Whose session an access token opens, or null; as `validate`, but notes no use. */
  userOf(token: string, options?: ValidateOptions): Promise<string | null>;
  /** Counts live sessions of logged-in users: of a user, a tenant, or all. */
  count(options?: { userId?: string; tenant?: string }): Promise<number>;
  /** Removes expired sessions now; answers how many. Runs in the background too. */
  prune(): Promise<number>;
  /** The public keys, for whoever verifies tokens without us (RFC 7517); none for HS256 and HS512. */
  jwks(): JwksDocument;
  /**
   * Replaces the keys, newest first, without a restart; refused keys change nothing. Tokens under a removed key are refused
   * from then on: so first publish the new one as the last of the list, then sign with it as the first, and remove the old
   * one when its last token has expired.
   */
  setKeys(signing: readonly (JwtKey | string | undefined)[]): void;
}

/** How far the clock of another process of ours may be ahead. */
const AHEAD_MS = 5000;

const claimsBySession = new WeakMap<Session<object>, JwtClaims>();

/** The claims of the access token that opened a session; null when something else did. */
export function claimsOf<Data extends object>(session: Session<Data>): JwtClaims | null {
  return claimsBySession.get(session) ?? null;
}

/**
 * Makes a manager of JWT sessions. Options are checked here, once.
 *
 * @throws {OptionsError} or {KeyError} with a message that says what to write instead.
 */
export function createJwtSessionManager<Data extends object = Record<string, unknown>>(
  options: JwtSessionManagerOptions<Data>,
): JwtSessionManager<Data> {
  if (typeof options?.sessions !== "object") {
    throw new OptionsError("sessions: pass what createSessionManager returned.");
  }
  const engine = engineOf(options.sessions);
  engine.refuseCarrying("An access token");
  const resolved = resolveJwtOptions(options, engine.options);
  return new Manager<Data>(engine, options.sessions, resolved, readSigningKeys(options.signing));
}

class Manager<Data extends object> implements JwtSessionManager<Data> {
  readonly sessions: SessionManager<Data>;
  readonly #engine: Engine;
  readonly #options: ResolvedJwtOptions;
  readonly #tokens: GenuineTokens;
  /** Where the store is not asked. */
  readonly #endings: KnownEndings | null;
  #keys: SigningKeys;

  constructor(engine: Engine, sessions: SessionManager<Data>, options: ResolvedJwtOptions, keys: SigningKeys) {
    this.sessions = sessions;
    this.#engine = engine;
    this.#options = options;
    this.#keys = keys;
    const { issuer, audiences, accessTtl: ttl, remember } = options;
    this.#endings = options.isOffline ? new KnownEndings(engine.events, { ttl, ahead: AHEAD_MS }) : null;
    const policy = {
      issuer,
      audiences,
      maxTtl: ttl,
      required: SESSION_CLAIMS,
      ahead: AHEAD_MS,
      behind: 0,
      typ: SESSION_TYP,
      isIssuer: true,
    };
    this.#tokens = new GenuineTokens(keys, policy, remember);
    const { cookie, isOffline: isFirst } = options;
    offerAccess(this, {
      engine,
      cookie,
      isFirst,
      open: (text, client) => this.#inspect(text, client, this.#endings),
      issueFor: (session, presented) => this.#issueFor(session as Session<Data>, presented),
    });
  }

  async create(options: CreateOptions<Data> & { readonly userId: string }): Promise<IssuedTokens<Data>> {
    if (options?.userId === undefined) throw new OptionsError("create.userId: a token is of a user.");
    if (options.pending !== undefined) {
      throw new OptionsError("create.pending: a login that misses a step has no access token yet.");
    }
    const session = await this.sessions.create(options);
    try {
      return await this.#issue(session, snapshotToIssueFor(session), session.token);
    } catch (error) {
      // A session nobody has the token of would count against the limits.
      await this.sessions.revokeToken(session.token, "not-issued").catch(() => null);
      throw error;
    }
  }

  async issue(session: Session<Data>): Promise<IssuedTokens<Data>> {
    return this.#issue(session, snapshotToIssueFor(session), session.takeToken());
  }

  async validate(token: string, options?: ValidateOptions): Promise<Session<Data> | null> {
    const found = await this.inspect(token, options);
    return found.ok ? found.session : null;
  }

  async inspect(token: string, options: ValidateOptions = {}): Promise<JwtInspection<Data>> {
    const found = await this.#inspect(token, options.client, this.#endingsFor(options));
    // Nobody commits a session outside a request; a touch that fails only lets it end sooner.
    if (found.ok && (await requestSide.commit(found.session).catch(() => null)) === "gone") {
      return { ok: false, reason: "ended" };
    }
    return found;
  }

  async refresh(token: string, client: Client = {}): Promise<IssuedTokens<Data> | null> {
    if (this.#options.isSingle) return this.#refreshSingle(token, client);
    const refreshed = await refreshToken(this.#engine, token, client, isUsers);
    if (refreshed === null) return null;
    const session = new Session<Data>(this.#engine, refreshed);
    return this.#sign(session, snapshotToIssueFor(session), refreshed.token);
  }

  async revoke(target: RevokeTarget, reason = "revoked"): Promise<string | null> {
    if (typeof target === "string") return this.#revokeToken(target, reason);
    if (typeof target !== "object" || target === null)
      throw new OptionsError("revoke: pass a token, a jti, or a session.");
    if ("sid" in target) return this.sessions.revoke(target.userId, target.sid, reason);
    const id = readTokenId(this.#engine.vault, target.jti);
    return id === null ? null : this.#end(id, reason);
  }

  async userOf(token: string, options: ValidateOptions = {}): Promise<string | null> {
    const found = await this.#inspect(token, options.client, this.#endingsFor(options));
    return found.ok ? found.session.userId : null;
  }

  count(options?: { userId?: string; tenant?: string }): Promise<number> {
    return this.sessions.count(options);
  }

  prune(): Promise<number> {
    return this.sessions.prune();
  }

  jwks(): JwksDocument {
    return publishedKeys(this.#keys);
  }

  setKeys(signing: readonly (JwtKey | string | undefined)[]): void {
    const keys = readSigningKeys(signing);
    this.#keys = keys;
    this.#tokens.setKeys(keys);
  }

  /** What is asked instead of the store; null where that is asked. */
  #endingsFor(options: ValidateOptions): KnownEndings | null {
    refuseUnknown(options, ["client", "verification"], "validate.");
    const { verification } = options;
    if (verification === undefined) return this.#endings;
    if (verification === "stateful") return null;
    throw new OptionsError("validate.verification: write 'stateful', or leave it out.");
  }

  async #inspect(text: string, client: Client = {}, endings: KnownEndings | null): Promise<JwtInspection<Data>> {
    const opened = await this.#open(text, client, endings);
    if (!opened.ok) return opened;
    const session = new Session<Data>(this.#engine, opened.source);
    claimsBySession.set(session, opened.claims);
    return { ok: true, session, claims: opened.claims };
  }

  async #open(text: string, client: Client, endings: KnownEndings | null): Promise<OpenedByToken> {
    const engine = this.#engine;
    const known = await this.#identify(text);
    if (!known.ok) return known;
    const { claims, id } = known;
    if (endings !== null && isCovered(known, endings)) return { ok: false, reason: "ended" };
    const opened =
      endings === null ? await openStored(engine, claims, id, client) : openClaimed(engine.vault, claims, id, client);
    if (opened.ok) return { ...opened, claims };
    this.#noteRefused(id, opened.reason);
    return opened;
  }

  /** What the store was asked this process knows from then on. */
  #noteRefused({ handle, generation }: TokenId, reason: AccessRefusal): void {
    const now = this.#engine.now();
    if (reason === "replaced") this.#endings?.noteGeneration(handle, generation + 1, now);
    if (reason === "ended" || reason === "unknown" || reason === "expired") this.#endings?.noteEnd(handle, now);
  }

  /** What a token says, and where its session would be. */
  async #identify(text: unknown, isExpiredTaken = false): Promise<Identified> {
    const now = this.#engine.now();
    const verified = await (isExpiredTaken ? this.#tokens.identify(text, now) : this.#tokens.verify(text, now));
    if (!verified.ok) return verified;
    const claims = verified.claims as SessionClaims;
    const id = readTokenId(this.#engine.vault, claims.jti);
    return id?.handle === claims.sid ? { ok: true, claims, id } : { ok: false, reason: "unknown" };
  }

  async #issueFor(session: Session<Data>, presented: string | null): Promise<string | null> {
    const snapshot = requestSide.snapshotOf(session);
    if (snapshot?.envelope.state !== "authenticated" || requestSide.tokenOf(session) === null) return null;
    const known = presented === null ? null : await this.#identify(presented);
    const isGood = known?.ok === true && isStillSo(known, snapshot) && !isCovered(known, this.#endings);
    return isGood ? null : ((await this.#sign(session, snapshot, null))?.accessToken ?? null);
  }

  async #issue(session: Session<Data>, snapshot: Snapshot, refresh: string | null): Promise<IssuedTokens<Data>> {
    const issued = await this.#sign(session, snapshot, refresh);
    if (issued === null) throw new SessionEndedError("issue: the session has ended meanwhile.");
    return issued;
  }

  /** Null where the session is known to have ended since it was read. */
  async #sign(session: Session<Data>, snapshot: Snapshot, refresh: string | null): Promise<IssuedTokens<Data> | null> {
    const { envelope } = snapshot;
    const now = this.#engine.now();
    // Before the store is asked: an end that comes meanwhile is the token's, too.
    const issuedAt = this.#endings?.issueTime(envelope, now) ?? now;
    if (this.#endings?.mayHaveEnded(envelope) === true && !(await this.#isLive(snapshot))) return null;
    const claims = claimsOfSession(this.#engine, this.#options, snapshot, issuedAt);
    const access = await signJwt(this.#keys.primary, SESSION_TYP, claims);
    return new IssuedTokens(session, claims, access, this.#options.isSingle ? null : refresh);
  }

  async #isLive({ record, envelope }: Snapshot): Promise<boolean> {
    return !("ok" in (await findLive(this.#engine, { place: record, handle: envelope.id })));
  }

  async #refreshSingle(token: string, client: Client): Promise<IssuedTokens<Data> | null> {
    const known = await this.#identify(token);
    if (!known.ok) return null;
    const opened = await openUsers(this.#engine, known.claims, known.id, client);
    const snapshot = opened.ok ? await replaceToken(this.#engine, opened.source.snapshot, known.id, client) : null;
    if (!opened.ok || snapshot === null) return null;
    return this.#sign(new Session<Data>(this.#engine, { ...opened.source, snapshot }), snapshot, null);
  }

  async #revokeToken(token: string, reason: string): Promise<string | null> {
    if (!token.includes(".")) return this.sessions.revokeToken(token, reason);
    const known = await this.#identify(token, true);
    return known.ok ? this.#end(known.id, reason) : null;
  }

  async #end(id: TokenId, reason: string): Promise<string | null> {
    const found = await findLive(this.#engine, id);
    if (!("ok" in found)) return revokeSession(this.#engine, found, reason);
    this.#noteRefused(id, found.reason);
    return null;
  }
}

/** A genuine token, in what it says. */
interface Genuine {
  readonly ok: true;
  readonly claims: SessionClaims;
  readonly id: TokenId;
}

type Identified = Genuine | (AccessOpened & { readonly ok: false });

/** A session that a token opened, with what that says. */
type OpenedByToken =
  | (AccessOpened & { readonly ok: true } & { readonly claims: JwtClaims })
  | (AccessOpened & { readonly ok: false });

/** The session that tokens are to be issued for, as it is stored. */
function snapshotToIssueFor(session: Session<object>): Snapshot {
  const snapshot = requestSide.snapshotOf(session);
  if (snapshot?.envelope.state !== "authenticated") throw new NotAllowedError("issue: nobody is logged in.");
  if (requestSide.tokenOf(session) === null || snapshot.envelope.apiToken !== undefined) {
    throw new NotAllowedError("issue: what opened the session is no token of its own, so no more are issued for it.");
  }
  return snapshot;
}

/** Whether a token is one of a session that is known to have ended, or to go on without it. */
function isCovered({ claims, id }: Genuine, endings: KnownEndings | null): boolean {
  return endings?.covers(id, claims.sub, issuedAtOf(claims, id)) === true;
}

/** Sessions of nobody keep the token they have. */
function isUsers({ state }: Envelope): boolean {
  return state === "authenticated";
}

/** Whether a token says what is true of a session now. */
function isStillSo({ claims, id }: Genuine, { envelope }: Snapshot): boolean {
  const { auth = [] } = claims;
  const isSameSession = id.handle === envelope.id && id.generation === envelope.generation && isOf(envelope, claims);
  return (
    isSameSession && auth.length === envelope.roles.length && auth.every((role, at) => role === envelope.roles[at])
  );
}
