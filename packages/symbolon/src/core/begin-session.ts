/** beginSession: a new record and its token, counted against the limits, in the place of the session before. */
import { ConflictError, RecordCorruptError, SessionLimitError } from "../errors.ts";
import type { Engine } from "./engine.ts";
import { isExpired } from "./lifetime.ts";
import type { ResolvedLifetime } from "./options.ts";
import type { Device, Envelope, Flash, Pin, Snapshot } from "./record.ts";
import type { Admission, AdmissionRules, StoredRecord } from "./store.ts";
import { type MintedToken, respellToken, type TokenKind } from "./token.ts";

/** What a session begins with; what is left out is as for a visitor who is nobody yet. */
export interface Beginning {
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
  readonly apiToken?: string;
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

type OwnedRecord = StoredRecord & { readonly owner: string };

const MAX_REUSE_ROUNDS = 10;

/**
 * Stores a new session: first the new record, against the limits, then the end of the one it replaces. When that
 * fails, the new one is ended, too (DESIGN 8.8).
 *
 * @throws {SessionLimitError} when there is no room.
 */
export async function beginSession(engine: Engine, beginning: Beginning): Promise<Begun> {
  const { userId = null, awaiting, replacing = null } = beginning;
  const kind = awaiting === undefined ? "s1" : "p1";
  const token = beginning.token ?? engine.mint(userId, kind);
  const first = sealFirst(engine, kind, beginning, token);
  const isLogin = first.envelope.state === "authenticated" && beginning.actor === undefined;
  const limits = isLogin ? engine.options.limits : null;
  const rules = limits && { ...limits, replacing: replacing?.record.lookup ?? null };
  const begun = await admit(engine, first, rules);
  if (begun !== first) return { snapshot: begun, token: respell(engine, begun) };
  // Where sessions are counted, one of the same user has ended in that very step.
  const hasEnded = rules !== null && replacing?.record.owner === first.record.owner;
  if (replacing !== null && !hasEnded) await endReplaced(engine, replacing, first);
  engine.events.emit("created", { id: token.handle, userId, state: first.envelope.state });
  if (first.envelope.state === "authenticated") reportLogin(engine, first.envelope, replacing);
  else if (replacing?.envelope.state === "authenticated") reportReplaced(engine, replacing.envelope);
  return { snapshot: first, token: token.text };
}

function reportLogin(engine: Engine, envelope: Envelope, replacing: Snapshot | null): void {
  const { id, userId, tenant, remember, actor = null, device } = envelope;
  const replaced = replacing?.envelope.id ?? null;
  engine.events.emit("login", { id, userId, tenant, remember, actor, device, replaced });
}

/** A login that misses a step has taken the place of a whole one. */
function reportReplaced(engine: Engine, { id, userId }: Envelope): void {
  engine.events.emit("revoked", { id, userId, reason: "replaced" });
}

/** Seals the first record of a token of any kind; nothing is stored. */
export function sealFirst(engine: Engine, kind: TokenKind, beginning: Beginning, token: MintedToken): Snapshot {
  const { vault, options } = engine;
  const now = engine.now();
  const { userId = null, lifetime = options.lifetime, text = null } = beginning;
  const { freshAt, awaiting, actor, apiToken, stamp, pin, flashes } = beginning;
  const space = vault.spaces[kind];
  const isLoggedIn = userId !== null && awaiting === undefined;
  // Who acts as a user is not handed out as the user's own session.
  const isReused = kind === "s1" && isLoggedIn && actor === undefined && options.limits?.onLimit === "reuse";
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
    ...(apiToken !== undefined && { apiToken }),
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
  return vault.sealFirst(key, owner, sealed ?? { envelope: empty });
}

/**
 * Stores a first record: if there is room by `rules`, or with null in any case. An answer that was lost is settled by
 * reading.
 */
export async function storeFirst(
  engine: Engine,
  record: StoredRecord,
  rules: AdmissionRules | null,
): Promise<Exclude<Admission, { readonly status: "exists" }>> {
  const { calls } = engine;
  let answer: Admission | "created" | "exists";
  try {
    answer = await (rules === null ? calls.ask("create", record) : calls.ask("admit", record as OwnedRecord, rules));
  } catch (error) {
    if (!(await engine.wasApplied(record, error))) throw error;
    answer = "created";
  }
  if (answer === "created") return { status: answer, evicted: [] };
  if (answer !== "exists" && answer.status !== "exists") return answer;
  throw new RecordCorruptError("A fresh random id is taken.");
}

/** Stores a session while there is room; answers it, or the one that is handed out again instead. */
async function admit(engine: Engine, snapshot: Snapshot, rules: AdmissionRules | null): Promise<Snapshot> {
  const { record, envelope } = snapshot;
  for (let round = 0; round < MAX_REUSE_ROUNDS; round++) {
    const answer = await storeFirst(engine, record, rules);
    if (answer.status === "created") {
      for (const evicted of answer.evicted) reportEvicted(engine, evicted, envelope.id);
      return snapshot;
    }
    if (answer.status === "refused") throw limitError(engine, envelope.userId ?? "", answer.limit);
    const found = openListed(engine, answer.record);
    if (found !== null && found.envelope.secret !== undefined && !isExpired(found.envelope, engine.now())) return found;
    // It counts, but it cannot be handed out: its key is gone, or it was begun under other limits.
    await engine.end(answer.record, "evicted");
  }
  throw new ConflictError("Others keep beginning sessions of this user; try again.");
}

/** Opens what the store chose, as the record of a session. */
function openListed({ vault }: Engine, record: StoredRecord): Snapshot | null {
  return vault.open({ space: vault.space, lookup: record.lookup }, record);
}

function reportEvicted(engine: Engine, record: StoredRecord, by: string): void {
  const snapshot = openListed(engine, record);
  if (snapshot === null) return;
  const { id, userId } = snapshot.envelope;
  engine.events.emit("evicted", { id, userId, by });
}

function limitError(engine: Engine, userId: string, reached: "owner" | "total"): SessionLimitError {
  const limit = reached === "owner" ? "perUser" : "total";
  engine.events.emit("limit-reached", { userId, limit });
  const whose = limit === "perUser" ? "The user has" : "There are";
  return new SessionLimitError(limit, `${whose} as many sessions as limits.${limit} allows.`);
}

/** The token of a session that keeps its secret. */
function respell(engine: Engine, { record, envelope }: Snapshot): string {
  const bytes = Buffer.from(envelope.secret ?? "", "base64url");
  const token = respellToken("s1", engine.vault.ring, record.space, envelope.id, record.route, bytes);
  if (token === null) throw new RecordCorruptError("The session's key is gone.");
  return token;
}

async function endReplaced(engine: Engine, replaced: Snapshot, by: Snapshot): Promise<void> {
  try {
    await engine.end(replaced.record, "replaced");
  } catch (error) {
    // Half a login is none. Should this fail as well, the new session's token has gone nowhere.
    await engine.end(by.record, "replaced").catch(() => false);
    throw error;
  }
}
