/** rotateToken: another token for the session of one request. */
import type { Engine, Succession, WriteTerms } from "./engine.ts";
import type { SessionEvents } from "./events.ts";
import type { LiveSession, SaveResult } from "./live-session.ts";
import type { Envelope, Snapshot } from "./record.ts";
import { mayRotate, withArrival } from "./rotation.ts";

/** Why a token was replaced. */
export type RotationReason = SessionEvents["rotated"]["reason"];

/** Tells that a session has a new token. */
export function reportRotated(engine: Engine, { envelope }: Snapshot, reason: RotationReason): void {
  const { id, userId, generation } = envelope;
  engine.events.emit("rotated", { id, userId, reason, generation });
}

/** See `Session.rotate`. */
export async function rotateToken(live: LiveSession): Promise<SaveResult> {
  live.refuseUnsendable("rotate");
  if (live.isGone) return "gone";
  // A session that is not stored has no token.
  if (live.snapshot === null) return "unchanged";
  live.refuseAccess("rotate");
  // Whoever came with the token before gets that one's successor, and no other, however long the request takes.
  const { engine, tokenIs } = live;
  if (tokenIs === "owed") return "unchanged";
  const result = await replaceToken(live, "requested", "grace", (envelope) => {
    const now = engine.now();
    const arrived = tokenIs === "presented" ? withArrival(envelope, now) : envelope;
    return mayRotate(arrived, now, engine.options.rotation.grace) ? envelope : null;
  });
  return result === "gone" ? live.lose() : result;
}

/** Replaces the token, in one conditional write with what `change` makes of the envelope. */
export async function replaceToken(
  live: LiveSession,
  reason: RotationReason,
  manner: Succession["manner"],
  change: (envelope: Envelope, isOwn: boolean) => Envelope | null,
  terms: WriteTerms = {},
): Promise<SaveResult> {
  const { engine, snapshot, data, client } = live;
  if (snapshot === null || data.token === null) return "gone";
  const under = live.lock?.heldOf(snapshot) ?? null;
  const outcome = await engine.rotate(snapshot, data.token, { manner, client }, change, { ...terms, under });
  if (outcome.status === "gone") return "gone";
  // With grace the token is owed only: should the response take long, another may be the session's by then.
  const mustBeSent = outcome.isOurs && outcome.snapshot.envelope.successor === undefined;
  live.adopt(outcome.snapshot, mustBeSent ? outcome.token : null);
  if (outcome.isOurs) reportRotated(engine, outcome.snapshot, reason);
  return outcome.status;
}
