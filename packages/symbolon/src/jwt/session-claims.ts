/** What a session's access token says, and what one has to say to be of a session. */
import { checkExtra } from "../core/beginning.ts";
import type { Engine } from "../core/engine.ts";
import { deadlineOf } from "../core/lifetime.ts";
import type { Snapshot } from "../core/record.ts";
import { infoOf } from "../core/session-info.ts";
import { OptionsError } from "../errors.ts";
import type { JwtClaims } from "./claims.ts";
import type { ResolvedJwtOptions } from "./options.ts";
import { makeTokenId } from "./token-id.ts";

/** The kind of token, as its header says. */
export const SESSION_TYP = "sess+jwt";

/** The claims of a token that has a session behind it. */
export type SessionClaims = JwtClaims & { readonly sid: string; readonly jti: string };

/** The claims without which a token is none of ours. */
export const SESSION_CLAIMS: readonly string[] = ["sub", "sid", "jti"];

/** Names that the application gives no claim: what they say is checked or vouched for. */
const RESERVED = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth", "auth_time", "act", "cnf"];

/**
 * The claims of a new token for a session as it is now, issued at `now`; it ends with the session, if not before.
 *
 * @throws {OptionsError} or {DataInvalidError} when the application's claims are none that a token can have.
 */
export function claimsOfSession(
  engine: Engine,
  { issuer, audiences, accessTtl, claims }: ResolvedJwtOptions,
  { envelope, record }: Snapshot,
  now: number,
): SessionClaims {
  const { id, userId, roles, authenticatedAt, actor, generation } = envelope;
  const [first = "", ...others] = audiences;
  const own = claims === null ? {} : checkOwn(claims(infoOf(envelope, null)), engine);
  return {
    ...own,
    iss: issuer,
    sub: userId ?? "",
    aud: others.length === 0 ? first : [first, ...others],
    iat: secondsOf(now),
    exp: Math.min(secondsOf(now) + secondsOf(accessTtl), secondsOf(deadlineOf(envelope))),
    jti: makeTokenId(engine.vault, { handle: id, route: record.route, generation }, now),
    sid: id,
    auth: roles,
    ...(authenticatedAt !== null && { auth_time: secondsOf(authenticatedAt) }),
    ...(actor !== undefined && { act: { sub: actor } }),
  };
}

/** When a token was issued, in ms: its `jti` has the part below a second. */
export function issuedAtOf({ iat }: JwtClaims, { milliseconds }: { readonly milliseconds: number }): number {
  return iat * 1000 + milliseconds;
}

function checkOwn(claims: unknown, engine: Engine): Readonly<Record<string, unknown>> {
  const checked = checkExtra(claims, engine.options.bounds);
  const reserved = Object.keys(checked).find((name) => RESERVED.includes(name));
  if (reserved === undefined) return checked;
  throw new OptionsError(`claims: '${reserved}' is ours; name it otherwise.`);
}

function secondsOf(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
