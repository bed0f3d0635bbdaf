/** findSession: a user's session by its handle; revokeSession: its end by somebody else. */
import { OptionsError } from "../errors.ts";
import { checkId } from "./checks.ts";
import type { Engine } from "./engine.ts";
import { isExpired } from "./lifetime.ts";
import type { Snapshot } from "./record.ts";
import { type Ending, isTombstone } from "./store.ts";
import { lookupOfHandle, type TokenKind } from "./token.ts";

/** One store read. Null for another user's handle, as for an unknown one. */
export async function findSession(
  engine: Engine,
  kind: TokenKind,
  userId: string,
  id: string,
): Promise<Snapshot | null> {
  engine.refuseCarrying("A handle");
  const { vault } = engine;
  const { space, route, owner } = vault.ownerOf(checkId(userId, "userId"), vault.spaces[kind]);
  const lookup = lookupOfHandle(kind, vault.ring, space, id);
  if (lookup === null) return null;
  const found = await engine.read({ space, route, lookup });
  // Another user's session is not even opened, so that asking for it takes no longer than for an unknown one.
  if (found === null || isTombstone(found) || found.owner !== owner) return null;
  const snapshot = vault.open({ space, lookup }, found);
  if (snapshot === null || snapshot.envelope.userId !== userId) return null;
  return isExpired(snapshot.envelope, engine.now()) ? null : snapshot;
}

/** Ends what was found; answers whose it was, or null when it had ended already. */
export async function revokeSession(engine: Engine, snapshot: Snapshot, reason: string): Promise<string | null> {
  const { id, userId } = snapshot.envelope;
  const ending = endingOf(engine, reason);
  if (!(await engine.end(snapshot.record, ending.reason))) return null;
  engine.events.emit("revoked", { id, userId, reason: ending.reason });
  return userId;
}

/** Checks a reason that the application gives. */
export function endingOf(engine: Engine, reason = "revoked"): Ending {
  if (typeof reason !== "string" || !/^[\w .:/-]{1,100}$/.test(reason)) {
    throw new OptionsError("reason: use 1 to 100 letters, digits, spaces or '.:/_-'.");
  }
  return { reason, at: engine.now() };
}
