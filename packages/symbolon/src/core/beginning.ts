/** What a caller may ask a session to begin with, and its checks. */
import { OptionsError } from "../errors.ts";
import { type Bounds, checkData } from "./data.ts";
import type { Beginning, Engine } from "./engine.ts";
import type { Lifetime } from "./lifetime.ts";
import { checkId, refuseUnknown, resolveLifetime } from "./options.ts";
import type { Device } from "./record.ts";

/** What a new session begins with. */
export interface CreateOptions<Data extends object> {
  /** Whose session it is: an opaque text the application chose. Left out: an anonymous session. */
  readonly userId?: string;
  readonly roles?: readonly string[];
  readonly data?: Data;
  /** Values the server can read and list without the token. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Uses the `lifetime.remember` timeouts. */
  readonly remember?: boolean;
  /** Timeouts of this session instead of the manager's. */
  readonly lifetime?: Lifetime;
  readonly device?: Device;
  readonly tenant?: string;
}

/** Checks what a caller asks a session to begin with. */
export function checkBeginning<Data extends object>(engine: Engine, options: CreateOptions<Data>): Beginning {
  refuseUnknown(options, ["userId", "roles", "data", "extra", "remember", "lifetime", "device", "tenant"], "create.");
  const { options: manager, codec } = engine;
  const { userId, tenant, roles, extra, device, data, remember = false } = options;
  const fallback = remember ? manager.remember : manager.lifetime;
  if (data !== undefined) codec.checkSchema(data);
  return {
    remember,
    lifetime: resolveLifetime(options.lifetime ?? {}, fallback, "create.lifetime"),
    text: data === undefined ? null : codec.encode(data),
    ...(userId !== undefined && { userId: checkId(userId, "userId") }),
    ...(tenant !== undefined && { tenant: checkId(tenant, "tenant") }),
    ...(roles !== undefined && { roles: checkRoles(roles) }),
    ...(extra !== undefined && { extra: checkExtra(extra, manager.bounds) }),
    ...(device !== undefined && { device: checkDevice(device) }),
  };
}

/** Checks a list of roles, and copies it. */
export function checkRoles(roles: readonly string[]): readonly string[] {
  const isGood = Array.isArray(roles) && roles.every((role) => typeof role === "string" && role.length > 0);
  if (!isGood) throw new OptionsError("roles: pass a list of texts, none empty.");
  return [...roles];
}

/** Checks values kept beside the data, and copies them. */
export function checkExtra(extra: unknown, bounds: Bounds): Readonly<Record<string, unknown>> {
  checkData(extra, bounds);
  // A copy, so that a later change by the caller is not in the session.
  return structuredClone(extra);
}

function checkDevice(device: Device): Device {
  refuseUnknown(device, ["name", "userAgent", "ip"], "device.");
  if (Object.values(device).some((value) => typeof value !== "string")) {
    throw new OptionsError("device: name, userAgent and ip are texts.");
  }
  return Object.fromEntries(Object.entries(device).map(([name, text]: [string, string]) => [name, text.slice(0, 512)]));
}
