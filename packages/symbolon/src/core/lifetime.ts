/** Idle and absolute timeouts as pure functions of what is sealed in the record, and now. */
import { OptionsError } from "../errors.ts";

/** A span of time: integer milliseconds, or text such as `'30m'`, `'12h'`, `'30d'` (units ms, s, m, h, d). */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** How long sessions live. */
export interface Lifetime {
  /** A session nobody used for this long ends. */
  readonly idle?: Duration | undefined;
  /** A session of this age ends, whatever happens; nothing but a fresh login moves that moment. */
  readonly absolute?: Duration | undefined;
}

/**
 * The longest lifetimes that NIST SP 800-63B-4 allows at each assurance level, for `lifetime`. The default is
 * that of level 2; level 1 is what a remembered session claims.
 */
export const lifetimePresets: { readonly aal1: Lifetime; readonly aal2: Lifetime; readonly aal3: Lifetime } = {
  aal1: { idle: "14d", absolute: "30d" },
  aal2: { idle: "1h", absolute: "24h" },
  aal3: { idle: "15m", absolute: "12h" },
};

/** The part of an envelope that decides about time. All in milliseconds, instants since the epoch. */
export interface Times {
  readonly createdAt: number;
  readonly lastSeenAt: number;
  readonly idle: number;
  readonly absoluteAt: number;
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** The longest lifetime accepted: 400 days, the longest a browser keeps a cookie (RFC 6265bis section 5.5). */
export const MAX_LIFETIME: number = 400 * UNITS.d;

/** Reads a duration in milliseconds: whole, positive, at most 400 days. */
export function parseDuration(value: unknown, name: string): number {
  const milliseconds = typeof value === "number" ? value : parseText(value);
  if (Number.isSafeInteger(milliseconds) && milliseconds > 0 && milliseconds <= MAX_LIFETIME) return milliseconds;
  throw new OptionsError(`${name}: write a duration such as '30m' or '12h', or whole milliseconds; 400 days at most.`);
}

/** The moment the session ends if nobody uses it: the earlier of the idle and the absolute end. */
export function deadlineOf(times: Times): number {
  return Math.min(times.lastSeenAt + times.idle, times.absoluteAt);
}

/** One rule everywhere: expired when now has reached the deadline. */
export function isExpired(times: Times, now: number): boolean {
  return now >= deadlineOf(times);
}

/** Whether use of the session should be written down: at most once per `touchEvery`, so reads stay reads. */
export function isTouchDue(times: Times, now: number, touchEvery: number): boolean {
  return now - times.lastSeenAt >= Math.min(touchEvery, times.idle / 10);
}

function parseText(value: unknown): number {
  if (typeof value !== "string") return Number.NaN;
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(value);
  return match === null ? Number.NaN : Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
}
