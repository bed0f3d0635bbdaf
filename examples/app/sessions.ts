/** The session manager, and what this application keeps in a session. */
import { createSessionManager, type SessionManager, type Store } from "symbolon";
import { nameDevice } from "symbolon/auth/device-name";
import type { RefusedForm } from "./form.ts";
import type { Settings } from "./settings.ts";

/** A note as it is kept in the session. */
export interface Note {
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What this application keeps in a session. */
export interface Visit {
  visits?: number;
  /** By a key of its own each, so that notes added at the same time are all kept. */
  notes?: Record<string, Note>;
  /** A form to be shown again, once. */
  refusedForm?: RefusedForm;
}

/** Sessions of this application. */
export type Sessions = SessionManager<Visit>;

/** What a visitor wrote before logging in comes along; everything else of the anonymous session is dropped. */
export const CARRIED_OVER: readonly (keyof Visit)[] = ["visits", "notes"];

/** Why this application ends sessions. The word is kept with what remains of one, so that its holder can be told. */
export const END_REASONS = {
  byUser: "ended-by-user",
  byAdmin: "ended-by-admin",
  accountDeleted: "account-deleted",
} as const;

/** Makes the manager. `origin` is the address visitors use: forms come from there or not at all. */
export function createSessions(store: Store, key: string, origin: string, settings: Settings): Sessions {
  const { production, devicesPerUser } = settings;
  return createSessionManager<Visit>({
    store,
    keys: [key],
    origins: [origin],
    limits: { perUser: devicesPerUser, onLimit: "evict-oldest" },
    nameDevice,
    ...(production === null ? { development: true } : { trustProxy: production.trustProxy }),
  });
}
