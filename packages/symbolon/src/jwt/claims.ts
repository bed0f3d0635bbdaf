/** What a token says, and whether that is what it should say. */
import type { JsonObject } from "./strict-json.ts";

/** The claims of a token that was verified. Instants are whole seconds since the epoch, as the RFC has it. */
export interface JwtClaims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  /** The user's id. */
  readonly sub: string;
  readonly iat: number;
  readonly exp: number;
  readonly nbf?: number;
  /** Names the token; of our own tokens it also says where the session is. */
  readonly jti?: string;
  /** The session's public handle. */
  readonly sid?: string;
  /** The session's roles when the token was issued. */
  readonly auth?: readonly string[];
  /** When the user logged in. */
  readonly auth_time?: number;
  /** Who acts as the user, where that is not the user (RFC 8693 section 4.1). */
  readonly act?: { readonly sub: string };
  readonly [name: string]: unknown;
}

/** What the claims of a token are refused for. */
export type ClaimsRefusal =
  /** A claim is missing, or not of its type. */
  | "claims-invalid"
  | "wrong-issuer"
  | "wrong-audience"
  | "expired"
  /** Issued in the future, or valid only from then on. */
  | "not-yet-valid"
  /** Valid for longer than tokens are issued for. */
  | "too-long-lived";

/** What claims are held against. */
export interface ClaimsPolicy {
  readonly issuer: string;
  readonly audiences: ReadonlySet<string>;
  /** Claims a token needs besides `iss`, `aud`, `iat` and `exp`. */
  readonly required: readonly string[];
  /** The longest that a token may be valid for, in ms. */
  readonly maxTtl: number;
  /** By how much the issuer's clock may be ahead of ours, in ms. */
  readonly ahead: number;
  /** For how long an expired token is taken still, in ms: where the issuer's clock may be behind. */
  readonly behind: number;
}

/** Claims that have a type of their own. */
const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  iss: isText,
  aud: (value) => isText(value) || (isTexts(value) && value.length > 0),
  sub: isText,
  jti: isText,
  sid: isText,
  iat: isInstant,
  exp: isInstant,
  nbf: isInstant,
  auth: isTexts,
  auth_time: isInstant,
  act: (value) => typeof value === "object" && value !== null && isText((value as { sub?: unknown }).sub),
};

/** Whether every claim is of its type, and none is missing: what needs no signature to be refused. */
export function hasClaimTypes(claims: JsonObject, required: readonly string[]): claims is JwtClaims {
  const isMissing = (name: string): boolean => !Object.hasOwn(claims, name);
  if (["iss", "aud", "iat", "exp", ...required].some(isMissing)) return false;
  return Object.entries(TYPES).every(([name, fits]) => !Object.hasOwn(claims, name) || fits(claims[name]));
}

/** Holds the claims of a genuine token against the policy; `now` in ms. Null when they pass. */
export function judgeClaims(claims: JwtClaims, policy: ClaimsPolicy, now: number): ClaimsRefusal | null {
  if (claims.iss !== policy.issuer) return "wrong-issuer";
  if (![claims.aud].flat().some((audience) => policy.audiences.has(audience))) return "wrong-audience";
  return judgeTimes(claims, policy, now);
}

/** The part of the judgement that changes with time. One rule everywhere: expired when now has reached the end. */
export function judgeTimes(
  { iat, exp, nbf = iat }: JwtClaims,
  { maxTtl, ahead, behind }: ClaimsPolicy,
  now: number,
): ClaimsRefusal | null {
  const from = Math.max(iat, nbf);
  if (exp <= from) return "claims-invalid";
  if ((exp - iat) * 1000 > maxTtl) return "too-long-lived";
  if (from * 1000 > now + ahead) return "not-yet-valid";
  return now >= exp * 1000 + behind ? "expired" : null;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

/** Whole seconds, up to the year 5138: a claim in milliseconds is a mistake, and so is one before 1970. */
function isInstant(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 100_000_000_000;
}
