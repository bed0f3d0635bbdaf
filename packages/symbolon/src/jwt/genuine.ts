/** GenuineTokens: tells tokens that were signed by a known key from all others. */
import { compactVerify } from "jose";
import { digestText } from "../crypto/derive.ts";
import { RecentMap } from "../core/recent-map.ts";
import { isLowS } from "./algorithms.ts";
import {
  type ClaimsPolicy,
  type ClaimsRefusal,
  hasClaimTypes,
  judgeClaims,
  judgeTimes,
  type JwtClaims,
} from "./claims.ts";
import { MAX_TOKEN, readCompact, type ShapeRefusal } from "./compact.ts";
import { type HeaderRefusal, judgeHeader } from "./header.ts";
import type { VerifyingKey, VerifyingKeys } from "./keys.ts";

/** What a token is refused for. Never send it to a client: it tells guesses apart. */
export type JwtRefusal = ShapeRefusal | HeaderRefusal | "bad-signature" | ClaimsRefusal;

/** What a token turned out to be. */
export type JwtVerification =
  | { readonly ok: true; readonly claims: JwtClaims }
  | { readonly ok: false; readonly reason: JwtRefusal };

/** What tokens are held against. */
export interface JwtPolicy extends ClaimsPolicy {
  /** The only `typ` of a header that is taken. */
  readonly typ: string;
  /** Whether the keys are ours alone, so that of two valid spellings of an ES256 signature one is no token of ours. */
  readonly isIssuer: boolean;
}

export class GenuineTokens {
  readonly #policy: JwtPolicy;
  /** The claims of tokens that were verified, under a digest of the whole token. */
  readonly #known: RecentMap<JwtClaims> | null;
  #keys: VerifyingKeys;

  /** `remembered`: how many verified tokens are remembered at most; 0 for none. */
  constructor(keys: VerifyingKeys, policy: JwtPolicy, remembered: number) {
    this.#keys = keys;
    this.#policy = policy;
    this.#known = remembered === 0 ? null : new RecentMap(Math.ceil(remembered / 2));
  }

  /** Replaces the keys. Tokens under a removed one are refused from the next call on. */
  setKeys(keys: VerifyingKeys): void {
    this.#keys = keys;
    this.#known?.clear();
  }

  /** Verifies a token: shape, header, signature, claims, in this order. Never throws. */
  async verify(text: unknown, now: number): Promise<JwtVerification> {
    const verified = await this.identify(text, now);
    if (!verified.ok) return verified;
    const reason = judgeTimes(verified.claims, this.#policy, now);
    return reason === null ? verified : { ok: false, reason };
  }

  /** As `verify`, but takes tokens of any time: what has expired may still say what is to be ended. */
  async identify(text: unknown, now: number): Promise<JwtVerification> {
    const known = this.#remembered(text);
    if (known !== null) return known;
    const read = readCompact(text);
    if (typeof read === "string") return { ok: false, reason: read };
    const key = judgeHeader(read.header, this.#keys, this.#policy.typ);
    if (typeof key === "string") return { ok: false, reason: key };
    const { claims, signature } = read;
    if (!hasClaimTypes(claims, this.#policy.required)) return { ok: false, reason: "claims-invalid" };
    if (this.#policy.isIssuer && key.alg === "ES256" && !isLowS(signature)) {
      return { ok: false, reason: "not-canonical" };
    }
    if (!(await isSignedBy(key, read.text))) return { ok: false, reason: "bad-signature" };
    if (!this.#isInForce(key)) return { ok: false, reason: "unknown-key" };
    const reason = judgeClaims(claims, this.#policy, now);
    if (reason !== null && reason !== "expired") return { ok: false, reason };
    const shared = frozen(claims);
    if (reason === null) this.#known?.set(digestText(read.text), shared);
    return { ok: true, claims: shared };
  }

  /** The keys may have been replaced while the signature was looked at. */
  #isInForce({ kid, alg, key }: VerifyingKey): boolean {
    const present = this.#keys.byKid.get(kid);
    return present !== undefined && present.alg === alg && present.key.equals(key);
  }

  #remembered(text: unknown): JwtVerification | null {
    if (this.#known === null || typeof text !== "string" || text.length > MAX_TOKEN) return null;
    const claims = this.#known.get(digestText(text));
    return claims === undefined ? null : { ok: true, claims };
  }
}

async function isSignedBy({ key, alg }: VerifyingKey, text: string): Promise<boolean> {
  try {
    await compactVerify(text, key, { algorithms: [alg] });
    return true;
  } catch {
    return false;
  }
}

/** Claims are shared between requests. */
function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(frozen);
  return Object.freeze(value);
}
