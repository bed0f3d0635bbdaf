/** Every option of `createSessionManager`, its default and its check: the only home of defaults. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { OptionsError } from "../errors.ts";
import { checkFlag, checkFunction, checkId, checkName, oneOf, refuseUnknown, wholeNumber } from "./checks.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Bounds } from "./data.ts";
import type { NameDevice } from "./device.ts";
import { type PinOptions, type ResolvedPin, resolvePin } from "./pin.ts";
import { type Duration, type Lifetime, parseDuration } from "./lifetime.ts";
import { type Limits, type ResolvedLimits, resolveLimits } from "./limits.ts";
import { resolveOrigins } from "./origins.ts";
import { type ResolvedRotation, resolveRotation, type RotationOptions } from "./rotation.ts";
import { isCarrying, type Store } from "./store.ts";

/** Settings of the session cookie. Always HttpOnly, and Secure except in `development`. */
export interface CookieOptions {
  /** Default `__Host-sid`; `__Secure-sid` when `domain` or another `path` is set. */
  readonly name?: string;
  /** Default `/`. */
  readonly path?: string;
  /** Default none: the cookie goes to this host only. */
  readonly domain?: string;
  /** Default `Lax`; `None` when `partitioned`. */
  readonly sameSite?: "Lax" | "Strict" | "None";
  /** For pages embedded in other sites only (CHIPS). */
  readonly partitioned?: boolean;
  readonly priority?: "Low" | "Medium" | "High";
  /** Keeps the cookie when the browser closes, with a Max-Age that ends with the session. Default false. */
  readonly persistent?: boolean;
}

/** What `createSessionManager` takes. */
export interface SessionManagerOptions<Data extends object> {
  /** Where records live. */
  readonly store: Store;
  /** Root keys, newest first: 32 random bytes each, as base64url, base64 or hex. `generateKey()` makes one. */
  readonly keys: readonly (string | undefined)[];
  /** Digests user and tenant ids. Default: the only entry of `keys`; required once there are two. Never rotate it. */
  readonly indexKey?: string | undefined;
  /** Default idle 1 h, absolute 24 h (NIST SP 800-63B-4 AAL2); for remembered sessions 14 d and 30 d (AAL1). */
  readonly lifetime?: Lifetime & {
    readonly remember?: Lifetime;
    /** Use is written down at most this often; at most, and by default, a tenth of idle. */
    readonly touchEvery?: Duration;
  };
  /** Replaces the token of a session that goes on. Default every 15 min of use, with 10 s of grace. */
  readonly rotation?: RotationOptions;
  /** How many sessions a user, and all users, may have at once. Default 100 per user; the oldest gives way. */
  readonly limits?: Limits;
  /** Ties sessions to the client's address or user agent. Default off. */
  readonly pin?: PinOptions;
  /** Names the device a user logs in with, for lists: `nameDevice` of `symbolon/auth/device-name`. Default no name. */
  readonly nameDevice?: NameDevice;
  /** `split` (default): only store, server key and the client's token together open data. `server`: the key alone does. */
  readonly seal?: "split" | "server";
  /** `merge` (default) replays changes on a newer record; `strict` throws `ConflictError` instead. */
  readonly conflicts?: "merge" | "strict";
  /**
   * A synchronous Standard Schema of the data, checked on load and on save. Its output must pass it again. One that
   * strips unknown keys (zod's `z.object`) accepts older shapes by dropping values: use a strict one with `upgrade`.
   */
  readonly schema?: StandardSchemaV1<unknown, Data>;
  /** Turns data of an older shape, refused by `schema`, into the present one. */
  readonly upgrade?: (data: Record<string, unknown>) => unknown;
  /** Bounds on data: default 64 KiB, 32 levels, 1000 keys. */
  readonly bounds?: Partial<Bounds>;
  /** `deny` (default): a request whose session cannot be read fails. `anonymous`: it goes on, read-only, without one. */
  readonly onStoreFailure?: "deny" | "anonymous";
  /** How long to wait for one store call. Default 3 s. */
  readonly storeTimeout?: Duration;
  /** How often expired records are removed in the background; false for never. Default 5 min. */
  readonly pruneEvery?: Duration | false;
  readonly cookie?: CookieOptions;
  /**
   * Also accept `Authorization: Bearer`: tokens of sessions (true), of `symbolon/auth/api-tokens` (`api-tokens`), or both
   * (`any`). Default false.
   */
  readonly bearer?: boolean | "api-tokens" | "any";
  /**
   * The origins of the application's own pages, and of others that may send it requests, as `https://app.example`.
   * Browsers that send no `Sec-Fetch-Site` are judged by these; never learnt from a request.
   */
  readonly origins?: readonly string[];
  /**
   * Refuses requests that change something and may come from another site. `report` raises the event only;
   * `token` demands `session.csrfToken()` of every such request with a cookie. Default true.
   */
  readonly csrf?: boolean | "report" | "token";
  /** Whose `X-Forwarded-*` to believe: every direct peer's, or those of a list of addresses and networks. Default nobody. */
  readonly trustProxy?: boolean | readonly string[];
  /** Plain-http cookies on loopback, for browsers that refuse Secure ones there. Refused in production. */
  readonly development?: boolean;
  /** Separates managers that share a store. Default `default`. */
  readonly namespace?: string;
  /** Tenant of sessions that name none. */
  readonly tenant?: string;
  readonly clock?: Clock;
}

/** Idle and absolute timeout in milliseconds. */
export interface ResolvedLifetime {
  readonly idle: number;
  readonly absolute: number;
}

/** Options with every default filled in, checked and frozen. */
export interface ResolvedOptions {
  readonly lifetime: ResolvedLifetime;
  readonly remember: ResolvedLifetime;
  readonly touchEvery: number;
  readonly rotation: ResolvedRotation;
  readonly limits: ResolvedLimits;
  readonly pin: ResolvedPin | null;
  readonly nameDevice: NameDevice | null;
  readonly seal: "split" | "server";
  readonly strict: boolean;
  readonly schema: StandardSchemaV1 | null;
  readonly upgrade: ((data: Record<string, unknown>) => unknown) | null;
  readonly bounds: Bounds;
  readonly onStoreFailure: "deny" | "anonymous";
  readonly storeTimeout: number;
  readonly pruneEvery: number | null;
  readonly cookie: CookieOptions;
  readonly bearer: boolean | "api-tokens" | "any";
  readonly origins: ReadonlySet<string>;
  readonly csrf: boolean | "report" | "token";
  readonly trustProxy: boolean | readonly string[];
  readonly development: boolean;
  readonly namespace: string;
  readonly tenant: string | null;
  readonly clock: Clock;
}

const NAMES: readonly (keyof SessionManagerOptions<object>)[] = [
  "store",
  "keys",
  "indexKey",
  "lifetime",
  "rotation",
  "limits",
  "pin",
  "nameDevice",
  "seal",
  "conflicts",
  "schema",
  "upgrade",
  "bounds",
  "onStoreFailure",
  "storeTimeout",
  "pruneEvery",
  "cookie",
  "bearer",
  "origins",
  "csrf",
  "trustProxy",
  "development",
  "namespace",
  "tenant",
  "clock",
];

/** Checks all options once, with messages that say what to write instead. */
export function resolveOptions<Data extends object>(options: SessionManagerOptions<Data>): ResolvedOptions {
  refuseUnknown(options, NAMES, "");
  if (typeof options.store?.read !== "function" || typeof options.store.update !== "function") {
    throw new OptionsError("store: pass a store such as memoryStore().");
  }
  const { idle, absolute, remember, touchEvery } = options.lifetime ?? {};
  refuseUnknown(options.lifetime ?? {}, ["idle", "absolute", "remember", "touchEvery"], "lifetime.");
  const lifetime = resolveLifetime({ idle, absolute }, { idle: 3_600_000, absolute: 86_400_000 }, "lifetime");
  const seal = oneOf(options.seal, ["split", "server"], "seal");
  return Object.freeze({
    lifetime,
    remember: resolveLifetime(remember ?? {}, { idle: 1_209_600_000, absolute: 2_592_000_000 }, "lifetime.remember"),
    touchEvery: resolveTouchEvery(touchEvery, lifetime.idle),
    rotation: resolveRotation(options.rotation, whyFixed(options)),
    limits: resolveLimits(options.limits, options.store, seal),
    pin: resolvePin(options.pin),
    nameDevice: checkFunction(options.nameDevice, "nameDevice") ?? null,
    seal,
    strict: oneOf(options.conflicts, ["merge", "strict"], "conflicts") === "strict",
    schema: checkSchema(options.schema),
    upgrade: checkFunction(options.upgrade, "upgrade") ?? null,
    bounds: resolveBounds(options.bounds ?? {}),
    onStoreFailure: oneOf(options.onStoreFailure, ["deny", "anonymous"], "onStoreFailure"),
    storeTimeout: parseDuration(options.storeTimeout ?? "3s", "storeTimeout"),
    pruneEvery: options.pruneEvery === false ? null : parseDuration(options.pruneEvery ?? "5m", "pruneEvery"),
    cookie: options.cookie ?? {},
    bearer: checkBearer(options.store, options.bearer),
    origins: resolveOrigins(options.origins),
    csrf: flagOr(options.csrf ?? true, ["report", "token"], "csrf"),
    trustProxy: checkTrustProxy(options.trustProxy ?? false),
    development: checkDevelopment(checkFlag(options.development, "development")),
    namespace: checkName(options.namespace ?? "default", "namespace"),
    tenant: options.tenant === undefined ? null : checkId(options.tenant, "tenant"),
    clock: checkClock(options.clock ?? systemClock),
  });
}

/** The lifetime of one session: what the caller asks for, else the manager's. */
export function resolveLifetime(asked: Lifetime, fallback: ResolvedLifetime, name: string): ResolvedLifetime {
  refuseUnknown(asked, ["idle", "absolute"], `${name}.`);
  const absolute = asked.absolute === undefined ? undefined : parseDuration(asked.absolute, `${name}.absolute`);
  const idle = asked.idle === undefined ? undefined : parseDuration(asked.idle, `${name}.idle`);
  if (idle !== undefined && absolute !== undefined && idle > absolute) {
    throw new OptionsError(`${name}: idle must not be longer than absolute.`);
  }
  const end = absolute ?? Math.max(fallback.absolute, idle ?? 0);
  return { idle: Math.min(idle ?? fallback.idle, end), absolute: end };
}

/** Why no token may rotate by itself; null where it may. */
function whyFixed({ store, limits }: Pick<SessionManagerOptions<object>, "store" | "limits">): string | null {
  if (isCarrying(store)) return "without a store nobody can tell an old token from a new one";
  return limits?.onLimit === "reuse" ? "limits.onLimit 'reuse' gives one token to several clients" : null;
}

function resolveTouchEvery(value: Duration | undefined, idle: number): number {
  const touchEvery = value === undefined ? idle / 10 : parseDuration(value, "lifetime.touchEvery");
  if (touchEvery <= idle / 10) return touchEvery;
  throw new OptionsError("lifetime.touchEvery: at most a tenth of lifetime.idle.");
}

function resolveBounds(bounds: Partial<Bounds>): Bounds {
  refuseUnknown(bounds, ["bytes", "depth", "keys"], "bounds.");
  return Object.freeze({
    bytes: wholeNumber(bounds.bytes ?? 65_536, 1, 16_777_216, "bounds.bytes"),
    depth: wholeNumber(bounds.depth ?? 32, 1, 256, "bounds.depth"),
    keys: wholeNumber(bounds.keys ?? 1000, 1, 1_000_000, "bounds.keys"),
  });
}

function checkBearer(store: Store, value: unknown = false): ResolvedOptions["bearer"] {
  if (value !== false && isCarrying(store)) {
    throw new OptionsError("bearer: a token alone opens no session that clients carry in sealed cookies; use a store.");
  }
  return flagOr(value, ["api-tokens", "any"], "bearer");
}

function checkTrustProxy(value: unknown): boolean | readonly string[] {
  if (typeof value === "boolean") return value;
  if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return [...value];
  throw new OptionsError("trustProxy: write true, false, or a list such as ['10.0.0.0/8'].");
}

/** Checks an option that is true, false or one of two words. */
function flagOr<const T extends string>(value: unknown, words: readonly [T, T], name: string): boolean | T {
  const [one, other] = words;
  if (typeof value === "boolean" || value === one || value === other) return value as boolean | T;
  throw new OptionsError(`${name}: write true, false, '${one}' or '${other}'.`);
}

function checkDevelopment(development: boolean): boolean {
  if (!development) return false;
  if (process.env["NODE_ENV"] === "production") {
    throw new OptionsError("development: refused when NODE_ENV is production.");
  }
  return true;
}

/** Said once a manager is made with it: where the options are refused there is nothing to warn of. */
export function warnDevelopment(): void {
  process.emitWarning("development: true sends cookies over plain http. Do not deploy it.", "SymbolonWarning");
}

function checkSchema(schema: Partial<StandardSchemaV1> | null | undefined): StandardSchemaV1 | null {
  if (schema === undefined) return null;
  const standard = schema?.["~standard"];
  if (typeof standard?.validate === "function") return schema as StandardSchemaV1;
  throw new OptionsError("schema: pass a Standard Schema.");
}

function checkClock(clock: Clock): Clock {
  if (typeof clock.now === "function") return clock;
  throw new OptionsError("clock: pass an object with now(), in milliseconds.");
}
