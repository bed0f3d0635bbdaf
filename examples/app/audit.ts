/** The audit log: what happened to sessions and accounts, one line each, and no secret in it. */
import { type AuditValue, auditLog, ndjsonSink } from "symbolon/auth/audit-log";
import type { Sessions } from "./sessions.ts";

/** What is written down besides the sessions' own events. */
export type AccountEvent =
  | "signed-up"
  | "login-failed"
  | "password-changed"
  | "account-deleted"
  | "admin-given"
  | "admin-taken";

/** An open log. */
export interface Audit {
  note(type: AccountEvent, facts: Readonly<Record<string, AuditValue>>): void;
  /** Settles when everything is written. */
  close(): Promise<void>;
}

/** Opens the log; every event of the sessions goes there by itself. */
export function openAudit(path: string, sessions: Sessions): Audit {
  const sink = ndjsonSink(path);
  auditLog(sessions, sink);
  return {
    note(type, facts) {
      const at = Date.now();
      sink.write({ type, time: new Date(at).toISOString(), at, ...facts });
    },
    close: () => sink.close(),
  };
}
