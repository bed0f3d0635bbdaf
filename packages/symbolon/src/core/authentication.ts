/** What logs a user in and out of one request's session, and keeps it in step with the user's credentials and roles. */
import { NotAllowedError, OptionsError } from "../errors.ts";
import { beginSession } from "./begin-session.ts";
import { checkLogin, digestStamp, type LoginOptions } from "./beginning.ts";
import type { Step } from "./engine.ts";
import type { LiveSession, SaveResult } from "./live-session.ts";
import type { Envelope, Snapshot } from "./record.ts";
import { replaceToken } from "./rotate-token.ts";
import { canEndByOwner } from "./store.ts";
import { verifierMatches } from "./token.ts";

/** See `Session.login`. */
export async function logIn(live: LiveSession, userId: string, options: LoginOptions): Promise<void> {
  live.refuseUnsendable("login");
  const { engine, before, flashes } = live;
  const beginning = checkLogin(engine, userId, options, live.client, before?.envelope ?? null);
  const text = carriedText(live, options.carry, userId);
  const intent = flashes.intend();
  const begun = await beginSession(engine, {
    ...beginning,
    text,
    replacing: before,
    flashes: flashes.next(undefined, intent) ?? [],
  });
  flashes.settle(intent);
  live.begin(begun);
}

/** See `Session.logout`. */
export async function logOut(live: LiveSession): Promise<void> {
  live.refuseApiToken("logout");
  if (live.isGone) return;
  const ended = await live.end("logout");
  if (ended !== null) live.engine.events.emit("logout", { id: ended.id, userId: ended.userId });
}

/** See `Session.checkStamp`. */
export async function checkStamp(live: LiveSession, stamp: string | null): Promise<boolean> {
  const { snapshot } = live;
  if (live.isGone) return false;
  if (snapshot === null || snapshot.envelope.userId === null) return stamp === null;
  live.refuseOffline("checkStamp");
  // A newer version that this request has met may be another token's.
  const agrees = stampFits(snapshot.envelope, stamp) && live.data.isOpenedBy(snapshot);
  return agrees || checkNewest(live, snapshot, stamp);
}

/** See `Session.keepLogin`. */
export async function keepLogin(live: LiveSession, stamp: string): Promise<SaveResult> {
  const digest = digestStamp(stamp);
  if (live.isGone) return "gone";
  const { envelope: before, record } = requireUser(live, "keepLogin");
  if (before.actor !== undefined) {
    throw new NotAllowedError("keepLogin: who acts as a user cannot change the user's credentials.");
  }
  let isKeptByOther = false;
  const keep = ({ shut, ...envelope }: Envelope, isOwn: boolean): Envelope | null => {
    isKeptByOther = envelope.stamp === digest;
    // Another request may have seen the new credentials before this one could write them to its session.
    const { absoluteAt } = shut ?? envelope;
    return isOwn ? { ...envelope, absoluteAt, stamp: digest } : null;
  };
  const kept = await replaceToken(live, "stamp-changed", "at-once", keep, { opensShut: true });
  // Whoever else holds a token of this session by now did not prove to know the credentials.
  await endOthers(live, before, kept === "saved" || isKeptByOther ? [record.lookup] : []);
  return kept === "saved" ? kept : live.lose();
}

/** See `Session.setRoles`. */
export async function setRoles(live: LiveSession, roles: readonly string[]): Promise<SaveResult> {
  if (live.isGone) return "gone";
  const { envelope: before } = requireUser(live, "setRoles");
  const { id, userId } = before;
  let isRefused = false;
  const result = await replaceToken(live, "roles-changed", "at-once", (envelope, isOwn) => {
    // Roles are taken from any token, but given to none that this request has no part in.
    isRefused = !isOwn && !roles.every((role) => envelope.roles.includes(role));
    return isRefused || isSameList(envelope.roles, roles) ? null : { ...envelope, roles };
  });
  if (result === "gone") return live.lose();
  if (isRefused) return "gone";
  if (result === "saved") live.engine.events.emit("roles-changed", { id, userId, roles });
  return result;
}

/** See `Session.setExtra`. */
export async function setExtra(live: LiveSession, extra: Envelope["extra"]): Promise<SaveResult> {
  if (live.isGone) return "gone";
  if (live.snapshot === null) return "unchanged";
  live.refuseOffline("setExtra");
  live.refuseApiToken("setExtra");
  live.refuseUncarried();
  const step: Step = ({ envelope }) => ({ envelope: { ...envelope, extra } });
  const outcome = await live.engine.write(live.snapshot, step, { under: live.lock?.heldOf(live.snapshot) ?? null });
  if (outcome.status === "gone") return live.lose();
  live.adopt(outcome.snapshot);
  return outcome.status;
}

/** The data of the present session that goes over to the next, as text. */
function carriedText(live: LiveSession, carry: LoginOptions["carry"], userId: string): string | null {
  const isList = Array.isArray(carry) && carry.every((key) => typeof key === "string");
  if (carry !== undefined && carry !== "all" && !isList) {
    throw new OptionsError("login.carry: pass a list of keys, or 'all'.");
  }
  if (carry === undefined || live.isGone) return null;
  if (carry === "all" && live.snapshot?.envelope.userId !== userId) {
    throw new OptionsError("login.carry: 'all' is for logging the session's own user in again; name the keys.");
  }
  const present = Object.entries(live.open());
  const kept = carry === "all" ? present : present.filter(([key]) => carry.includes(key));
  if (kept.length === 0) return null;
  const { codec } = live.engine;
  const data = { ...codec.initial(), ...Object.fromEntries(kept) };
  codec.checkSchema(data);
  return codec.encode(data);
}

/** How long a session that was shut may be opened again: a request takes no longer from the change to `keepLogin`. */
const SHUT_MS = 60_000;

/** The stamps differ: but another request of this session may have changed the credentials, and kept the login. */
async function checkNewest(live: LiveSession, snapshot: Snapshot, stamp: string | null): Promise<boolean> {
  const { engine } = live;
  const outcome = await engine.write(snapshot, ({ envelope }) => {
    if (stampFits(envelope, stamp)) return null;
    const { verifier, absoluteAt } = envelope;
    const lastSeenAt = engine.now();
    const end = Math.min(absoluteAt, lastSeenAt + SHUT_MS);
    return { envelope: { ...envelope, lastSeenAt, absoluteAt: end, verifier: "", shut: { verifier, absoluteAt } } };
  });
  if (outcome.status === "saved") {
    const { id, userId } = snapshot.envelope;
    engine.events.emit("stamp-changed", { id, userId });
  }
  if (outcome.status !== "unchanged") {
    live.lose();
    return false;
  }
  live.adopt(outcome.snapshot);
  // With the token of before the change, this request may be the thief's.
  if (live.data.isOpenedBy(outcome.snapshot)) return true;
  live.lose();
  return false;
}

/** Insists on a user who is logged in, and on a way to send a new token. */
function requireUser(live: LiveSession, what: string): Snapshot {
  live.refuseUnsendable(what);
  live.refuseAccess(what);
  const { snapshot, data } = live;
  if (snapshot?.envelope.state !== "authenticated" || data.token === null) {
    throw new NotAllowedError(`${what}: nobody is logged in.`);
  }
  return snapshot;
}

/** Ends all other sessions of the user; without an owner index, their next check of the stamp does. */
async function endOthers(live: LiveSession, { userId }: Envelope, kept: readonly string[]): Promise<void> {
  const { engine } = live;
  if (userId === null || !canEndByOwner(engine.calls.store)) return;
  await engine.endAllOf(userId, kept, "stamp-changed", "keep");
}

/**
 * Compares digests, in constant time; a session without a stamp fits none but null. An API token outlives a change of
 * credentials, but not the user.
 */
function stampFits({ stamp, apiToken }: Envelope, given: string | null): boolean {
  if (apiToken !== undefined) return given !== null;
  if (stamp === undefined || given === null) return stamp === undefined && given === null;
  return verifierMatches(Buffer.from(digestStamp(given)), Buffer.from(stamp));
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((entry, index) => entry === b[index]);
}
