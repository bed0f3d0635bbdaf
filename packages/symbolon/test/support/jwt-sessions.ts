/** Managers of JWT sessions, and what their tokens open: for tests of `symbolon/jwt`. */
import { CompactSign, importJWK } from "jose";
import type { SessionManager } from "symbolon";
import {
  createJwtSessionManager,
  generateJwtKey,
  type IssuedTokens,
  type JwtSessionManager,
  type JwtSessionManagerOptions,
  unsafeDecodeJwt,
  type ValidateOptions,
} from "symbolon/jwt";

export type JwtOptions = Partial<Omit<JwtSessionManagerOptions<Record<string, unknown>>, "sessions">>;

export const ISSUER = "https://accounts.example";
export const AUDIENCE = "https://api.example";

/** Signs wherever a test names no key. */
export const jwtKey = await generateJwtKey();

/** JWT sessions over a manager's. */
export function jwtsOver(sessions: SessionManager, options: JwtOptions = {}): JwtSessionManager {
  return createJwtSessionManager({ sessions, issuer: ISSUER, audience: AUDIENCE, signing: [jwtKey], ...options });
}

/** What an access token opens, in words: `user-1`, or why nothing: `replaced`, `ended: logout`, `expired`. */
export async function foundBy(jwts: JwtSessionManager, token: string, options?: ValidateOptions): Promise<string> {
  const answer = await jwts.inspect(token, options);
  if (answer.ok) return answer.session.userId ?? answer.session.state;
  const { reason, ended } = answer;
  return ended === undefined ? reason : `${reason}: ${ended.reason}`;
}

/** The tokens that come with a refresh token; there must be some. */
export async function refreshedBy(jwts: JwtSessionManager, token: string | null): Promise<IssuedTokens> {
  const issued = await jwts.refresh(token ?? "");
  if (issued === null) throw new Error("The token does not refresh.");
  return issued;
}

/** The refresh token of a pair; there must be one. */
export function refreshOf({ refreshToken }: IssuedTokens): string {
  if (refreshToken === null) throw new Error("There is no refresh token.");
  return refreshToken;
}

/** Which of its session's tokens an access token was issued with, as its `jti` says. */
export function generationOf(accessToken: string): number {
  return Buffer.from(String(unsafeDecodeJwt(accessToken)?.payload["jti"]), "base64url").readUInt32BE(21);
}

/** A token with other claims than were issued, under the right key: what only a bug or a stolen key makes. */
export async function resigned({ claims }: IssuedTokens, changes: Readonly<Record<string, unknown>>): Promise<string> {
  const payload = Buffer.from(JSON.stringify({ ...claims, ...changes }));
  const header = { alg: jwtKey.alg, kid: jwtKey.kid ?? "", typ: "sess+jwt" };
  return new CompactSign(payload).setProtectedHeader(header).sign(await importJWK(jwtKey, jwtKey.alg));
}
