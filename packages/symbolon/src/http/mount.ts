import { engineBehind, type SessionOpener } from "../core/access.ts";
import { checkLock } from "../core/lock.ts";
import { OptionsError } from "../errors.ts";
import { accessCarrierOf } from "./access-carrier.ts";
import { carrierOf, lockOptionsOf, type OpenOptions } from "./open-session.ts";

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
  const access = accessCarrierOf(sessions);
  if (access?.cookie !== null) refuseSameName(carrierOf(engine).name, access?.cookie.name);
  checkLock(lockOptionsOf(options) ?? {});
  return { trustProxy: engine.options.trustProxy };
}

function refuseSameName(own: string, beside: string | undefined): void {
  if (own === beside)
    throw new OptionsError(`cookie.name: ${own} is the session's own; give the access token another.`);
}
