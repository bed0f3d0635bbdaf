import { engineBehind, type SessionOpener } from "../core/access.ts";
import { checkLock } from "../core/lock.ts";
import { accessCarrierOf } from "./access-carrier.ts";
import { carrierOf, lockOptionsOf, type OpenOptions } from "./request-session.ts";

/** What a binding has to know of a manager's options. */
export interface MountSettings {
  readonly trustProxy: boolean | readonly string[];
}

/** Checks a manager's HTTP options, and the binding's, when that is mounted, so that a mistake shows at start. */
export function mountSettings<Data extends object>(
  sessions: SessionOpener<Data>,
  options: OpenOptions = {},
): MountSettings {
  const engine = engineBehind(sessions);
  if (accessCarrierOf(sessions)?.cookie !== null) carrierOf(engine);
  checkLock(lockOptionsOf(options) ?? {});
  return { trustProxy: engine.options.trustProxy };
}
