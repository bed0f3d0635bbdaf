/** inspectToken: the session that a token opens, outside a request, or why it opens none. */
import type { Client } from "./device.ts";
import type { Engine, InspectReason, Opened } from "./engine.ts";
import type { Snapshot } from "./record.ts";
import { isArrivalDue, withArrival } from "./rotation.ts";
import { Session, type SessionSource } from "./session.ts";
import type { Ending } from "./store.ts";
import type { TokenKind } from "./token.ts";

/** What `inspect` finds. */
export type Inspection<Data extends object> =
  | { readonly ok: true; readonly session: Session<Data> }
  | { readonly ok: false; readonly reason: InspectReason; readonly ended?: Ending };

/** One store read, and a write when use is due to be noted. `kind` is left out for sessions and pending logins. */
export async function inspectToken<Data extends object>(
  engine: Engine,
  token: string,
  client: Client,
  kind?: TokenKind,
): Promise<Inspection<Data>> {
  const opened = await engine.open(token, client, kind);
  if (!opened.ok) {
    const { reason, ended } = opened;
    return { ok: false, reason, ...(ended !== undefined && { ended }) };
  }
  const noted = await noteUse(engine, opened, token);
  if (noted === null) return { ok: false, reason: "ended" };
  const { needsStepUp = false } = opened;
  return { ok: true, session: new Session<Data>(engine, { ...noted, client, needsStepUp }) };
}

/** Notes that a session is in use, or that its token has arrived, when that is due. Null when it ended meanwhile. */
async function noteUse(
  engine: Engine,
  { snapshot, successor }: Opened & { readonly ok: true },
  token: string,
): Promise<SessionSource | null> {
  const isOwed = successor !== undefined;
  const unnoted: SessionSource = isOwed ? { snapshot, token: successor, tokenIs: "owed" } : { snapshot, token };
  const hasArrived = ({ envelope }: Snapshot): boolean => !isOwed && isArrivalDue(envelope);
  if (!engine.isTouchDue(snapshot) && !hasArrived(snapshot)) return unnoted;
  try {
    const outcome = await engine.write(snapshot, (current) => {
      const arrives = hasArrived(current) && engine.tokenIn(current, token) === token;
      if (!engine.isTouchDue(current) && !arrives) return null;
      const now = engine.now();
      const touched = { ...current.envelope, lastSeenAt: Math.max(now, current.envelope.lastSeenAt) };
      return { envelope: arrives ? withArrival(touched, now) : touched };
    });
    const present = outcome.status === "gone" ? null : engine.tokenIn(outcome.snapshot, token);
    if (present === null) return null;
    engine.remember(token, outcome.snapshot);
    return { snapshot: outcome.snapshot, token: present, ...(present !== token && { tokenIs: "owed" }) };
  } catch {
    // The session was read and is valid; a touch that fails only lets it end sooner. The event has been raised.
    return unnoted;
  }
}
