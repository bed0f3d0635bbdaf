/** What may be shown of a session. */
import { deadlineOf } from "./lifetime.ts";
import type { Device, Envelope, SessionState } from "./record.ts";

/** What a list shows of a session; never its token or its data. */
export interface SessionInfo {
  /** Public handle, to revoke by. */
  readonly id: string;
  readonly state: SessionState;
  readonly userId: string | null;
  readonly tenant: string | null;
  readonly roles: readonly string[];
  readonly extra: Readonly<Record<string, unknown>>;
  readonly device: Device | null;
  /** Instants in ms since the epoch. */
  readonly createdAt: number;
  readonly authenticatedAt: number | null;
  readonly lastSeenAt: number;
  readonly expiresAt: number;
  readonly remember: boolean;
  /** Who acts as the user in it, if it is not the user. */
  readonly actor: string | null;
  /** Whether it is the one named by `current`. */
  readonly current: boolean;
}

/** Shows an envelope; `current` is the handle of the session that asks. */
export function infoOf(envelope: Envelope, current: string | null): SessionInfo {
  // By name, one by one: what an envelope gains later is not shown unless somebody says so here.
  const { id, state, userId, tenant, roles, extra, device, createdAt, authenticatedAt, lastSeenAt, remember } =
    envelope;
  const { actor = null } = envelope;
  const shown = { id, state, userId, tenant, roles, extra, device, createdAt, authenticatedAt, lastSeenAt, remember };
  return { ...shown, actor, expiresAt: deadlineOf(envelope), current: id === current };
}
