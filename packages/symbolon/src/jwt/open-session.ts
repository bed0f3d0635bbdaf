/** The session behind an access token that is genuine: as the store has it, or as the token says. */
import type { Client } from "../core/device.ts";
import type { Engine, Opened } from "../core/engine.ts";
import type { AccessRefusal } from "../core/access.ts";
import { isExpired } from "../core/lifetime.ts";
import { checkPin } from "../core/pin.ts";
import type { Envelope, Snapshot, Vault } from "../core/record.ts";
import type { SessionSource } from "../core/session.ts";
import { type Ending, isTombstone } from "../core/store.ts";
import type { JwtClaims } from "./claims.ts";
import type { SessionClaims } from "./session-claims.ts";
import type { TokenId } from "./token-id.ts";

/** What an access token opens. */
export type AccessOpened =
  | { readonly ok: true; readonly source: SessionSource & { readonly snapshot: Snapshot } }
  | { readonly ok: false; readonly reason: AccessRefusal; readonly ended?: Ending };

/** A session's user at one moment: whose tokens are whose. */
export function isOf({ state, userId }: Envelope, claims: JwtClaims): boolean {
  return state === "authenticated" && userId === claims.sub;
}

/** The session as the store has it now, while it lives; else why there is none. One read. */
export async function findLive(
  engine: Engine,
  { place, handle }: Pick<TokenId, "place" | "handle">,
): Promise<Snapshot | (AccessOpened & { readonly ok: false })> {
  const found = await engine.read(place);
  if (found === null) return { ok: false, reason: "unknown" };
  if (isTombstone(found)) return refusedAs("ended", { reason: found.reason, at: found.endedAt });
  const snapshot = engine.vault.open(place, found);
  if (snapshot === null) {
    engine.events.emit("bad-seal", { id: handle });
    return { ok: false, reason: "bad-seal" };
  }
  const { envelope } = snapshot;
  if (isExpired(envelope, engine.now())) return { ok: false, reason: "expired" };
  if (envelope.shut !== undefined) return refusedAs("ended", { reason: "stamp-changed", at: envelope.lastSeenAt });
  return snapshot;
}

/** Opens the session in the store, of which the token is, or was: it lives, it is the user's, and the client fits. */
export async function openUsers(
  engine: Engine,
  claims: SessionClaims,
  id: TokenId,
  client: Client,
): Promise<AccessOpened> {
  const snapshot = await findLive(engine, id);
  if ("ok" in snapshot) return snapshot;
  if (!isOf(snapshot.envelope, claims)) return { ok: false, reason: "unknown" };
  const found: Opened & { readonly ok: true } = { ok: true, snapshot };
  const { pin } = engine.options;
  const opened = pin === null ? found : await checkPin(engine, found, client, pin);
  if (!opened.ok) return { ok: false, reason: opened.reason };
  const { needsStepUp = false } = opened;
  return { ok: true, source: { snapshot: opened.snapshot, token: null, client, needsStepUp } };
}

/** As `openUsers`, for a token that was issued with the session's present one: all others were refreshed away. */
export async function openStored(
  engine: Engine,
  claims: SessionClaims,
  id: TokenId,
  client: Client,
): Promise<AccessOpened> {
  const opened = await openUsers(engine, claims, id, client);
  if (!opened.ok || opened.source.snapshot.envelope.generation === id.generation) return opened;
  return { ok: false, reason: "replaced" };
}

/** The session as its token says, without asking the store: who somebody is, until the token expires. Never fresh. */
export function openClaimed(vault: Vault, claims: SessionClaims, id: TokenId, client: Client): AccessOpened {
  const [issuedAt, expiresAt] = [claims.iat * 1000, claims.exp * 1000];
  const loggedInAt = claims.auth_time === undefined ? issuedAt : claims.auth_time * 1000;
  const envelope: Envelope = {
    id: claims.sid,
    state: "authenticated",
    userId: claims.sub,
    tenant: null,
    roles: claims.auth ?? [],
    extra: {},
    device: null,
    createdAt: loggedInAt,
    authenticatedAt: loggedInAt,
    lastSeenAt: issuedAt,
    idle: expiresAt - issuedAt,
    absoluteAt: expiresAt,
    remember: false,
    ...(claims.act !== undefined && { actor: claims.act.sub }),
    generation: id.generation,
    verifier: "",
    wrap: null,
    dataVersion: 0,
    dataDigest: null,
  };
  const record = {
    ...id.place,
    owner: null,
    tenant: null,
    createdAt: loggedInAt,
    touchedAt: issuedAt,
    deadline: expiresAt,
    version: 0,
    envelope: NOTHING,
    data: null,
  };
  const key = { server: vault.ring.primary, bytes: NOTHING };
  const snapshot: Snapshot = { record, envelope, verifier: NOTHING, key, opened: null, dataKey: null };
  return { ok: true, source: { snapshot, token: null, client, limit: "offline" } };
}

/** Nothing of such a session is ever sealed or stored. */
const NOTHING = Buffer.alloc(0);

function refusedAs(reason: "ended", ended: Ending): AccessOpened & { readonly ok: false } {
  return { ok: false, reason, ended };
}
