import { engineOf, type SessionManager } from "../core/manager.ts";
import { carrierOf } from "./request-session.ts";

/** What a binding has to know of a manager's options. */
export interface MountSettings {
  readonly trustProxy: boolean | readonly string[];
}

/** Checks a manager's HTTP options when a binding is mounted, so that a mistake shows at start. */
export function mountSettings<Data extends object>(sessions: SessionManager<Data>): MountSettings {
  const engine = engineOf(sessions);
  carrierOf(engine);
  return { trustProxy: engine.options.trustProxy };
}
