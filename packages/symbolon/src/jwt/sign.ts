/** Signs tokens. */
import { CompactSign } from "jose";
import { OptionsError } from "../errors.ts";
import { toLowS } from "./algorithms.ts";
import type { JwtClaims } from "./claims.ts";
import { MAX_TOKEN } from "./compact.ts";
import type { SigningKey } from "./keys.ts";

/**
 * Signs claims as a token of one kind.
 *
 * @throws {OptionsError} when there are so many claims that no reader of ours would take the token.
 */
export async function signJwt({ kid, alg, signer }: SigningKey, typ: string, claims: JwtClaims): Promise<string> {
  const payload = Buffer.from(JSON.stringify(claims), "utf8");
  const text = await new CompactSign(payload).setProtectedHeader({ alg, kid, typ }).sign(signer);
  if (text.length > MAX_TOKEN)
    throw new OptionsError(`claims: the token would be longer than ${MAX_TOKEN} characters.`);
  return alg === "ES256" ? withLowS(text) : text;
}

function withLowS(text: string): string {
  const end = text.lastIndexOf(".") + 1;
  return text.slice(0, end) + toLowS(Buffer.from(text.slice(end), "base64url")).toString("base64url");
}
