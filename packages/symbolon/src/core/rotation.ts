/**
 * Rotation: a session goes on under another token (DESIGN 8.4, R-131 to R-135).
 *
 *   R0 ──rotate──▶ R1 ──presented──▶ grace ──over──▶ R1 may rotate
 *   R0 is good until then, and answered with R1 · afterwards it ends the session
 *
 * A token has one successor, whose secret is kept wrapped for the holder of the token. At most two tokens of a session
 * are good at a time, because none rotates while the one before may still be on its way.
 */
import { OptionsError } from "../errors.ts";
import { refuseUnknown } from "./checks.ts";
import { type Duration, parseDuration } from "./lifetime.ts";
import type { Device, Envelope, Snapshot } from "./record.ts";
import { type TokenClaims, verifierMatches } from "./token.ts";

/** How often a session gets a new token by itself, where a cookie carries it. */
export interface RotationOptions {
  /**
   * Default 15 min of use; `request`: with every request, once its `grace` lets it; false: never, as where clients carry
   * their sessions themselves, or several of them share a token (`onLimit: 'reuse'`).
   */
  readonly every?: Duration | "request" | false;
  /**
   * How long the token before stays good once the new one was presented: for requests that were on their way. Default
   * 10 s, at most 60 s. With 0 a token is good for one rotation only: of parallel requests with it, all but one are
   * refused, and a lost response logs its user out.
   */
  readonly grace?: Duration;
}

/** Rotation in milliseconds; `every` is null for never. */
export interface ResolvedRotation {
  readonly every: number | null;
  readonly grace: number;
}

/** What the present token of a session took the place of. */
export interface Replaced {
  /** When, in ms since the epoch: the present token is as old. */
  readonly at: number;
  /** SHA-256 of the secrets an honest client may still present, that of the direct predecessor first; base64url. */
  readonly verifiers: readonly string[];
  /** Since when grace counts, in ms since the epoch: when the present token was first presented. */
  readonly graceFrom?: number;
  /** Who got the present token. */
  readonly by: Device | null;
}

/** What a genuine token is to its session. */
export type Standing =
  /** The token. */
  | "present"
  /** The token before, still good. */
  | "predecessor"
  /** A token before that is good for nothing, though an honest client may well present it. */
  | "replaced"
  /** A token so old that its client must have had a later one: somebody has a copy (RFC 9700 section 4.14.2). */
  | "reused";

const MAX_GRACE = 60_000;
/** Roles and credentials do not change more often than this within one grace. */
const MAX_LATE = 8;

/** Checks `rotation`; `unless`: why no token may rotate by itself here, null where it may. */
export function resolveRotation(rotation: RotationOptions | undefined, unless: string | null): ResolvedRotation {
  const { every = unless === null ? "15m" : false, grace = "10s" } = rotation ?? {};
  refuseUnknown(rotation ?? {}, ["every", "grace"], "rotation.");
  if (unless !== null && every !== false) throw new OptionsError(`rotation.every: ${unless}; write false.`);
  const graceMs = grace === 0 ? 0 : parseDuration(grace, "rotation.grace");
  if (graceMs > MAX_GRACE) throw new OptionsError("rotation.grace: at most 60 s.");
  const everyMs = every === "request" ? 0 : every === false ? null : parseDuration(every, "rotation.every");
  return Object.freeze({ every: everyMs, grace: graceMs });
}

/** What a token whose tag is right is to a session; the tag says that it was issued, so it needs not be remembered. */
export function standingOf(snapshot: Snapshot, { verifier }: TokenClaims, now: number, grace: number): Standing {
  if (verifierMatches(verifier, snapshot.verifier)) return "present";
  const { replaced, successor } = snapshot.envelope;
  // The first token of a session: the other one is from a write that the storage has lost.
  if (replaced === undefined) return "replaced";
  const place = replaced.verifiers.indexOf(verifier.toString("base64url"));
  if (place === -1 || isGraceOver(replaced, now, grace)) return "reused";
  return place === 0 && successor !== undefined ? "predecessor" : "replaced";
}

/**
 * Whether the present token may be replaced: it is no younger than `grace`, it has arrived, and nothing with the one
 * before can be on its way any more.
 */
export function mayRotate({ createdAt, replaced }: Envelope, now: number, grace: number): boolean {
  return replaced === undefined ? now - createdAt >= grace : isGraceOver(replaced, now, grace);
}

/** Whether a token that was presented is due to be replaced. */
export function isRotationDue(envelope: Envelope, now: number, { every, grace }: ResolvedRotation): boolean {
  if (every === null || now - (envelope.replaced?.at ?? envelope.createdAt) < every) return false;
  return mayRotate(withArrival(envelope, now), now, grace);
}

/** Whether it is to be written down that the present token was presented: grace counts from then on. */
export function isArrivalDue({ replaced }: Envelope): boolean {
  return replaced !== undefined && replaced.graceFrom === undefined;
}

/** An envelope once its present token was presented. */
export function withArrival(envelope: Envelope, now: number): Envelope {
  const { replaced } = envelope;
  return replaced === undefined ? envelope : { ...envelope, replaced: { graceFrom: now, ...replaced } };
}

/** Tokens besides the present one that an honest client may still present: one that is to be dead at once keeps them. */
export function lateTokens({ replaced }: Envelope, now: number, grace: number): readonly string[] {
  return replaced === undefined || isGraceOver(replaced, now, grace) ? [] : replaced.verifiers.slice(0, MAX_LATE);
}

function isGraceOver({ graceFrom }: Replaced, now: number, grace: number): boolean {
  return graceFrom !== undefined && now - graceFrom >= grace;
}
