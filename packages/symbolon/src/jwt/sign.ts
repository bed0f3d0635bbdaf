/** Signs tokens. */
import { CompactSign } from "jose";
import { OptionsError } from "../errors.ts";
import { toLowS } from "./algorithms.ts";
import type { JwtClaims } from "./claims.ts";
import { MAX_LEVELS, MAX_TOKEN, readCompact } from "./compact.ts";
import type { SigningKey } from "./keys.ts";

/**
 * Signs claims as a token of one kind.
 *
 * @throws {OptionsError} when the claims are such that no reader of ours would take the token.
 */
export async function signJwt({ kid, alg, signer }: SigningKey, typ: string, claims: JwtClaims): Promise<string> {
  const payload = Buffer.from(JSON.stringify(claims), "utf8");
  const signed = await new CompactSign(payload).setProtectedHeader({ alg, kid, typ }).sign(signer);
  const text = alg === "ES256" ? withLowS(signed) : signed;
  const read = readCompact(text);
  if (typeof read !== "string") return text;
  throw new OptionsError(
    read === "too-large"
      ? `claims: the token would be longer than ${MAX_TOKEN} characters.`
      : `claims: a token takes only well-formed text, and ${MAX_LEVELS} levels of it.`,
  );
}

function withLowS(text: string): string {
  const end = text.lastIndexOf(".") + 1;
  return text.slice(0, end) + toLowS(Buffer.from(text.slice(end), "base64url")).toString("base64url");
}
