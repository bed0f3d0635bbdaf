/** What a caller may ask a session to begin with, and its checks. */
import { digestText } from "../crypto/derive.ts";
import { OptionsError } from "../errors.ts";
import { checkFlag, checkId, checkName, refuseUnknown } from "./checks.ts";
import { type Bounds, checkData } from "./data.ts";
import { type Client, noteDevice } from "./device.ts";
import { pinOf } from "./pin.ts";
import type { Beginning } from "./begin-session.ts";
import type { Engine } from "./engine.ts";
import type { Lifetime } from "./lifetime.ts";
import { type ResolvedLifetime, resolveLifetime } from "./options.ts";
import type { Device, Envelope } from "./record.ts";

/** What a logged-in session begins with, besides its user. */
export interface LoginOptions {
  readonly roles?: readonly string[];
  /** Changes when the user's credentials do: see `checkStamp`. Only its digest is kept, sealed. */
  readonly stamp?: string;
  /** Values the server can read and list without the token. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Uses the `lifetime.remember` timeouts; such a session is not fresh, so `requireFresh` refuses it. */
  readonly remember?: boolean;
  /** Timeouts of this session instead of the manager's. */
  readonly lifetime?: Lifetime;
  /** Instead of what is noted of the client by itself. */
  readonly device?: Device;
  /** Instead of what the request says of the client. */
  readonly client?: Client;
  readonly tenant?: string;
  /**
   * The login misses a step, and this names it: `second-factor`, `new-password`. Such a session is `pending` for five
   * minutes at most, has no user and no roles, and opens only what `requirePending` with that name guards.
   */
  readonly pending?: string;
  /**
   * Who acts as the user: an impersonation. It lasts an hour at most, is never fresh, and cannot change the
   * user's credentials. No limit refuses it, and nothing gives way to it; while it lives it counts as the user's others.
   */
  readonly actor?: string;
  /**
   * Keys of the present data that the new session keeps; everything else is dropped. `all` is for logging the
   * session's own user in again.
   */
  readonly carry?: readonly string[] | "all";
}

/** What a new session begins with. */
export interface CreateOptions<Data extends object> extends Omit<LoginOptions, "carry"> {
  /** Whose session it is: an opaque text the application chose. Left out: an anonymous session. */
  readonly userId?: string;
  readonly data?: Data;
}

const PENDING: ResolvedLifetime = { idle: 300_000, absolute: 300_000 };
const ACTING: ResolvedLifetime = { idle: 900_000, absolute: 3_600_000 };
const LOGIN_NAMES = "roles stamp extra remember lifetime device client tenant pending actor".split(" ");

/** Checks what `create` was asked. */
export function checkCreate<Data extends object>(engine: Engine, options: CreateOptions<Data>): Beginning {
  refuseUnknown(options, [...LOGIN_NAMES, "userId", "data"], "create.");
  const { userId, data } = options;
  if (data !== undefined) engine.codec.checkSchema(data);
  const text = data === undefined ? null : engine.codec.encode(data);
  if (userId !== undefined) return { ...checkUser(engine, userId, options, {}, null), text };
  for (const name of ["stamp", "pending", "actor"] as const) {
    if (options[name] !== undefined) throw new OptionsError(`create.${name}: needs a userId.`);
  }
  return { ...checkCommon(engine, options, null), text };
}

/** Checks what `login` was asked; `before` is the session it happens in. */
export function checkLogin(
  engine: Engine,
  userId: unknown,
  options: LoginOptions,
  client: Client,
  before: Envelope | null,
): Beginning {
  refuseUnknown(options, [...LOGIN_NAMES, "carry"], "login.");
  if (engine.options.limits?.onLimit === "reuse") {
    throw new OptionsError("login: a login is a new session, so limits.onLimit cannot be 'reuse'; use create.");
  }
  return checkUser(engine, userId, options, client, before);
}

function checkUser(
  engine: Engine,
  userId: unknown,
  options: Omit<LoginOptions, "carry">,
  known: Client,
  before: Envelope | null,
): Beginning & { readonly userId: string } {
  const id = checkId(userId, "userId");
  const { stamp, pending, actor } = options;
  if (pending !== undefined) refuseBeside(options, "pending", ["roles", "remember", "actor"]);
  if (actor !== undefined) refuseBeside(options, "actor", ["remember"]);
  const fallback = pending !== undefined ? PENDING : actor !== undefined ? ACTING : null;
  const common = checkCommon(engine, options, fallback);
  const client = options.client ?? known;
  const { pin, nameDevice, clock } = engine.options;
  const device = common.device ?? noteDevice(client, nameDevice);
  // Being remembered proves nothing; logging in again, in a session of the same user, does.
  const isAgain = before?.state === "authenticated" && before.userId === id;
  const isFresh = pending === undefined && actor === undefined && (common.remember !== true || isAgain);
  return {
    ...common,
    userId: id,
    ...(device !== null && { device }),
    ...(pin !== null && { pin: pinOf(client, pin) }),
    ...(stamp !== undefined && { stamp: digestStamp(stamp) }),
    ...(pending !== undefined && { awaiting: checkName(pending, "pending") }),
    ...(actor !== undefined && { actor: checkId(actor, "actor") }),
    ...(isFresh && { freshAt: clock.now() }),
  };
}

/** `most`: the lifetime a special session has, and may not exceed. */
function checkCommon(engine: Engine, options: Omit<LoginOptions, "carry">, most: ResolvedLifetime | null): Beginning {
  const { tenant, roles, extra, device } = options;
  const remember = checkFlag(options.remember, "remember");
  const usual = remember ? engine.options.remember : engine.options.lifetime;
  const lifetime = resolveLifetime(options.lifetime ?? {}, most ?? usual, "lifetime");
  if (most !== null && lifetime.absolute > most.absolute) {
    throw new OptionsError(`lifetime.absolute: at most ${most.absolute / 60_000} minutes for such a session.`);
  }
  return {
    remember,
    lifetime,
    ...(tenant !== undefined && { tenant: checkId(tenant, "tenant") }),
    ...(roles !== undefined && { roles: checkRoles(roles) }),
    ...(extra !== undefined && { extra: checkExtra(extra, engine.options.bounds) }),
    ...(device !== undefined && { device: checkDevice(device) }),
  };
}

/** The digest of a stamp: what a record keeps of it. */
export function digestStamp(stamp: unknown): string {
  return digestText(checkId(stamp, "stamp"));
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
  refuseUnknown(device, ["name", "network", "userAgent", "ip"], "device.");
  if (Object.values(device).some((value) => typeof value !== "string")) {
    throw new OptionsError("device: name, network, userAgent and ip are texts.");
  }
  return Object.fromEntries(Object.entries(device).map(([name, text]: [string, string]) => [name, text.slice(0, 512)]));
}

function refuseBeside(options: LoginOptions, name: string, others: readonly (keyof LoginOptions)[]): void {
  const other = others.find((one) => options[one] !== undefined);
  if (other !== undefined) throw new OptionsError(`${other}: not together with '${name}'.`);
}
