/** unsafeDecodeJwt: what a text that looks like a token says, whoever wrote it. */
import { readCompact } from "./compact.ts";

/** What nobody vouches for: neither session nor claims, and no type makes it either. */
export interface UntrustedJwt {
  readonly trusted: false;
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Reads a token without verifying anything, for tools and logs; null when it is none. Decide nothing by it. */
export function unsafeDecodeJwt(text: string): UntrustedJwt | null {
  const read = readCompact(text);
  return typeof read === "string" ? null : { trusted: false, header: read.header, payload: read.claims };
}
