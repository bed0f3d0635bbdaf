import { checkLock } from "../core/lock.ts";
import { engineOf, type SessionManager } from "../core/manager.ts";
import { carrierOf, lockOptionsOf, type OpenOptions } from "./request-session.ts";

/** What a binding has to know of a manager's options. */
export interface MountSettings {
  readonly trustProxy: boolean | readonly string[];
}

/** Checks a manager's HTTP options, and the binding's, when that is mounted, so that a mistake shows at start. */
export function mountSettings<Data extends object>(
  sessions: SessionManager<Data>,
  options: OpenOptions = {},
): MountSettings {
  const engine = engineOf(sessions);
  carrierOf(engine);
  checkLock(lockOptionsOf(options) ?? {});
  return { trustProxy: engine.options.trustProxy };
}
