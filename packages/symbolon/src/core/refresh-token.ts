/** refreshToken: another token for a session, outside a request, for whoever has its present one. */
import type { Client } from "./device.ts";
import type { Engine } from "./engine.ts";
import type { Envelope } from "./record.ts";
import { reportRotated } from "./rotate-token.ts";
import type { SessionSource } from "./session.ts";

/** What a session is made from whose token is to be handed out. */
export type IssuedSource = SessionSource & { readonly token: string };

/** See `SessionManager.refresh`; a session that is not accepted keeps its token. */
export async function refreshToken(
  engine: Engine,
  token: string,
  client: Client,
  accepts: (envelope: Envelope) => boolean = () => true,
): Promise<IssuedSource | null> {
  const opened = await engine.open(token, client);
  if (!opened.ok || !accepts(opened.snapshot.envelope)) return null;
  const { snapshot, successor, needsStepUp = false } = opened;
  if (successor !== undefined) return { snapshot, token: successor, client, needsStepUp };
  const outcome = await engine.rotate(snapshot, token, { manner: "refresh", client });
  if (outcome.token === null) return null;
  if (outcome.isOurs) reportRotated(engine, outcome.snapshot, "refresh");
  return { snapshot: outcome.snapshot, token: outcome.token, client, needsStepUp };
}
