/**
 * CSRF tokens: what a page sends back to show that it was made for this session.
 *
 *   "x1_" + base64url( mask[48] | mask XOR ( random[16] | HMAC-SHA256(key, "csrf/1\n" + lookup + random)[32] ) )
 *
 * 96 bytes, 128 characters. Nothing is stored. Every call makes another text, so that a compressed page does not leak it.
 * A login makes a session with another lookup, so that no earlier token serves it; a new token of the same session keeps
 * its lookup, so that open forms survive.
 */
import { timingSafeEqual } from "node:crypto";
import { hmac, type MacKey } from "../crypto/derive.ts";
import { secretBytes } from "../crypto/random.ts";

const PREFIX = "x1_";
const RANDOM = 16;
const PLAIN = 48;
const SPELLING = /^x1_[A-Za-z0-9_-]{128}$/;

/** Makes a token for the session with this lookup: 131 characters, different at every call. */
export function mintCsrfToken(key: MacKey, lookup: string): string {
  const random = secretBytes(RANDOM);
  const mask = secretBytes(PLAIN);
  const masked = xor(mask, Buffer.concat([random, macOf(key, lookup, random)]));
  return PREFIX + Buffer.concat([mask, masked]).toString("base64url");
}

/**
 * Tells whether a text is a token made for the session with this lookup, under this key.
 *
 * Any value may be asked about: what is not the one spelling of 96 bytes is none. Compares in constant time, never throws.
 */
export function csrfTokenMatches(key: MacKey, lookup: string, text: unknown): boolean {
  if (typeof text !== "string" || !SPELLING.test(text)) return false;
  const bytes = Buffer.from(text.slice(PREFIX.length), "base64url");
  const plain = xor(bytes.subarray(0, PLAIN), bytes.subarray(PLAIN));
  return timingSafeEqual(plain.subarray(RANDOM), macOf(key, lookup, plain.subarray(0, RANDOM)));
}

/** The random part is last and of fixed length: no two pairs of lookup and random make the same message. */
function macOf(key: MacKey, lookup: string, random: Buffer): Buffer {
  return hmac(key, Buffer.concat([Buffer.from(`csrf/1\n${lookup}`), random]));
}

function xor(one: Buffer, other: Buffer): Buffer {
  return Buffer.from(one.map((byte, index) => byte ^ (other[index] ?? 0)));
}
