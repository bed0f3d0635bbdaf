/** The public face of `symbolon/jwt`. What is not named here is internal. */
export type { SigningAlgorithm, VerifyingAlgorithm } from "./algorithms.ts";
export type { JwtClaims } from "./claims.ts";
export type { JwtRefusal, JwtVerification } from "./genuine.ts";
export type { IssuedTokens, TokenResponse } from "./issued-tokens.ts";
export {
  claimsOf,
  createJwtSessionManager,
  type JwtInspection,
  type JwtSessionManager,
  type RevokeTarget,
  type ValidateOptions,
} from "./jwt-session-manager.ts";
export { generateJwtKey, type JwksDocument, type JwtKey } from "./keys.ts";
export type { JwtSessionManagerOptions } from "./options.ts";
export { unsafeDecodeJwt, type UntrustedJwt } from "./unsafe-decode.ts";
export { createJwtVerifier, type JwtVerifier, type JwtVerifierOptions } from "./verifier.ts";
