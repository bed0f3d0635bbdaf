/** Compiled only: what nobody verified passes for nothing that was, and parties are texts. */
import type { Session, SessionManager } from "symbolon";
import {
  createJwtSessionManager,
  createJwtVerifier,
  type JwksDocument,
  type JwtClaims,
  type JwtKey,
  type JwtVerification,
  type UntrustedJwt,
  unsafeDecodeJwt,
} from "symbolon/jwt";

export function trustsNothingThatIsOnlyDecoded(text: string): void {
  const decoded: UntrustedJwt | null = unsafeDecodeJwt(text);
  if (decoded === null) return;
  const isTrusted: false = decoded.trusted;
  const claim: unknown = decoded.payload["sub"];
  void [isTrusted, claim];

  // @ts-expect-error no session (R-118)
  const session: Session = decoded;
  // @ts-expect-error no claims
  const claims: JwtClaims = decoded;
  // @ts-expect-error nor is what it says
  const payload: JwtClaims = decoded.payload;
  // @ts-expect-error and it was not verified
  const verified: JwtVerification = decoded;
  // @ts-expect-error a user's id is what was verified
  const user: string = decoded.payload["sub"];
  void [session, claims, payload, verified, user];
}

export async function givesClaimsOfGenuineTokensOnly(keys: JwksDocument, text: string): Promise<void> {
  const verified = await createJwtVerifier({ issuer: "i", audience: ["a", "b"], keys }).verify(text);
  // @ts-expect-error only once it is known to be genuine
  void verified.claims;
  if (!verified.ok) return;
  const user: string = verified.claims.sub;
  // @ts-expect-error they are shared between requests
  verified.claims.sub = "somebody else";
  void user;
}

export function takesTextsForParties(sessions: SessionManager, keys: JwksDocument, key: JwtKey): void {
  createJwtSessionManager({ sessions, issuer: "i", audience: "a", signing: [key, process.env["JWT_KEY"]] });
  // @ts-expect-error no patterns (R-122)
  createJwtSessionManager({ sessions, issuer: /i/, audience: "a", signing: [key] });
  // @ts-expect-error no patterns
  createJwtSessionManager({ sessions, issuer: "i", audience: /a/, signing: [key] });
  // @ts-expect-error nor in a list
  createJwtSessionManager({ sessions, issuer: "i", audience: ["a", /b/], signing: [key] });
  // @ts-expect-error no patterns
  createJwtVerifier({ issuer: /i/, audience: "a", keys });
  // @ts-expect-error one issuer, whose keys these are
  createJwtVerifier({ issuer: ["i", "j"], audience: "a", keys });
  // @ts-expect-error no patterns
  createJwtVerifier({ issuer: "i", audience: [/a/], keys });
  // @ts-expect-error an address is nothing to fetch keys from by itself (R-113)
  createJwtVerifier({ issuer: "i", audience: "a", keys: "https://id.example/jwks.json" });
}
