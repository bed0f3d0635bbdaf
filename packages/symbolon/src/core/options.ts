/** Every option of `createSessionManager`, its default and its check: the only home of defaults. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { OptionsError } from "../errors.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Bounds } from "./data.ts";
import { type Duration, type Lifetime, parseDuration } from "./lifetime.ts";
import type { Store } from "./store.ts";

/** Settings of the session cookie. Always HttpOnly, and Secure except in `development`. */
export interface CookieOptions {
  /** Default `__Host-sid`; `__Secure-sid` when `domain` or another `path` is set. */
  readonly name?: string;
  /** Default `/`. */
  readonly path?: string;
  /** Default none: the cookie goes to this host only (R-041). */
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
  /** Also accept `Authorization: Bearer`. Default false. */
  readonly bearer?: boolean;
  /** Whose `X-Forwarded-Proto` to believe: every direct peer, or a list of addresses and networks. Default nobody. */
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
  readonly seal: "split" | "server";
  readonly strict: boolean;
  readonly schema: StandardSchemaV1 | null;
  readonly upgrade: ((data: Record<string, unknown>) => unknown) | null;
  readonly bounds: Bounds;
  readonly onStoreFailure: "deny" | "anonymous";
  readonly storeTimeout: number;
  readonly pruneEvery: number | null;
  readonly cookie: CookieOptions;
  readonly bearer: boolean;
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
  return Object.freeze({
    lifetime,
    remember: resolveLifetime(remember ?? {}, { idle: 1_209_600_000, absolute: 2_592_000_000 }, "lifetime.remember"),
    touchEvery: resolveTouchEvery(touchEvery, lifetime.idle),
    seal: oneOf(options.seal, ["split", "server"], "seal"),
    strict: oneOf(options.conflicts, ["merge", "strict"], "conflicts") === "strict",
    schema: checkSchema(options.schema),
    upgrade: checkFunction(options.upgrade, "upgrade") ?? null,
    bounds: resolveBounds(options.bounds ?? {}),
    onStoreFailure: oneOf(options.onStoreFailure, ["deny", "anonymous"], "onStoreFailure"),
    storeTimeout: parseDuration(options.storeTimeout ?? "3s", "storeTimeout"),
    pruneEvery: options.pruneEvery === false ? null : parseDuration(options.pruneEvery ?? "5m", "pruneEvery"),
    cookie: options.cookie ?? {},
    bearer: checkFlag(options.bearer, "bearer"),
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

// Half a character has no UTF-8 form: such ids would all be digested as one and the same.
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Checks an id the application chose: text, not empty, at most 512 characters (R-015). */
export function checkId(value: unknown, name: string): string {
  if (typeof value === "string" && value.length > 0 && value.length <= 512 && !LONE_SURROGATE.test(value)) return value;
  throw new OptionsError(`${name}: must be well-formed text of 1 to 512 characters.`);
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

function checkTrustProxy(value: unknown): boolean | readonly string[] {
  if (typeof value === "boolean") return value;
  if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return [...value];
  throw new OptionsError("trustProxy: write true, false, or a list such as ['10.0.0.0/8'].");
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

function checkFunction<F>(value: F, name: string): F {
  if (value === undefined || typeof value === "function") return value;
  throw new OptionsError(`${name}: must be a function.`);
}

function checkName(value: unknown, name: string): string {
  if (typeof value === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(value)) return value;
  throw new OptionsError(`${name}: use 1 to 64 letters, digits, '.', '_' or '-'.`);
}

/** Checks an option that is true or false, false when left out. */
export function checkFlag(value: boolean | undefined, name: string): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw new OptionsError(`${name}: write true or false.`);
}

function oneOf<const T extends string>(value: T | undefined, allowed: readonly [T, ...T[]], name: string): T {
  if (value === undefined) return allowed[0];
  if (allowed.includes(value)) return value;
  throw new OptionsError(`${name}: write one of ${allowed.map((entry) => `'${entry}'`).join(", ")}.`);
}

/** Checks a number within bounds. */
export function wholeNumber(value: number, least: number, most: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new OptionsError(`${name}: write a whole number from ${least} to ${most}.`);
}

/** Refuses misspelt options instead of ignoring them. */
export function refuseUnknown(options: object, names: readonly string[], prefix: string): void {
  if (typeof options !== "object" || options === null)
    throw new OptionsError(`${prefix || "options"}: pass an object.`);
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new OptionsError(`${prefix}${unknown}: there is no such option; the options are ${names.join(", ")}.`);
}
