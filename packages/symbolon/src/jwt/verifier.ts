/** createJwtVerifier: tells genuine tokens of an issuer from all others, by its public keys alone. */
import { refuseUnknown, wholeNumber } from "../core/checks.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { type Duration, parseDuration } from "../core/lifetime.ts";
import { OptionsError } from "../errors.ts";
import { GenuineTokens, type JwtVerification } from "./genuine.ts";
import { type JwksDocument, readVerifyingKeys } from "./keys.ts";
import { checkAudiences, checkParty } from "./options.ts";
import { SESSION_CLAIMS, SESSION_TYP } from "./session-claims.ts";

/** What `createJwtVerifier` takes. */
export interface JwtVerifierOptions {
  /** The only `iss` that is taken, compared as a whole. */
  readonly issuer: string;
  /** Who we are to the issuer: one of the tokens' `aud` has to be one of these, as a whole. */
  readonly audience: string | readonly string[];
  /** The issuer's public keys, each with its `alg`: EdDSA, ES256, ES384, RS256 or PS256. */
  readonly keys: JwksDocument;
  /** The only `typ` that is taken. Default `sess+jwt`, the kind that `createJwtSessionManager` issues. */
  readonly typ?: string;
  /** Claims a token needs besides `iss`, `aud`, `iat` and `exp`. Default `sub`, `sid` and `jti`. */
  readonly requires?: readonly string[];
  /** The longest that a token may be valid for. Default 1 h. */
  readonly maxTtl?: Duration;
  /** By how much the clocks may differ; default 30 s, 60 s at most, 0 for not at all. */
  readonly tolerance?: Duration;
  /** How many verified tokens are remembered. Default 4096; 0 for none. */
  readonly remember?: number;
  readonly clock?: Clock;
}

/** Verifies tokens without a store: until they expire, whatever becomes of what is behind them. */
export interface JwtVerifier {
  /** The claims of a token, or why it is refused; that is for logs, never for the client. Never throws. */
  verify(token: string): Promise<JwtVerification>;
  /** Replaces the keys, as when the issuer publishes others; refused keys change nothing. */
  setKeys(keys: JwksDocument): void;
}

const NAMES = ["issuer", "audience", "keys", "typ", "requires", "maxTtl", "tolerance", "remember", "clock"];
const MAX_TOLERANCE = 60_000;

/**
 * Makes a verifier: for services that cannot reach the store, and for tokens of other issuers. Nothing in a token makes
 * it look for a key anywhere: who publishes keys is asked by the application, which passes them on.
 *
 * @throws {OptionsError} or {KeyError} with a message that says what to write instead.
 */
export function createJwtVerifier(options: JwtVerifierOptions): JwtVerifier {
  refuseUnknown(options, NAMES, "");
  const { tolerance = "30s", requires = SESSION_CLAIMS, clock = systemClock } = options;
  const leeway = tolerance === 0 ? 0 : parseDuration(tolerance, "tolerance");
  if (leeway > MAX_TOLERANCE) throw new OptionsError("tolerance: at most 60 s.");
  const policy = {
    issuer: checkParty(options.issuer, "issuer"),
    audiences: checkAudiences(options.audience),
    typ: checkParty(options.typ ?? SESSION_TYP, "typ"),
    required: [requires].flat().map((name) => checkParty(name, "requires")),
    maxTtl: parseDuration(options.maxTtl ?? "1h", "maxTtl"),
    ahead: leeway,
    behind: leeway,
    isIssuer: false,
  };
  const remembered = wholeNumber(options.remember ?? 4096, 0, 1_000_000, "remember");
  const tokens = new GenuineTokens(readVerifyingKeys(options.keys), policy, remembered);
  return {
    verify: (token) => tokens.verify(token, clock.now()),
    setKeys: (keys) => tokens.setKeys(readVerifyingKeys(keys)),
  };
}
