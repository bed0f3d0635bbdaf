/**
 * Keyed and plain digests, synchronous.
 *
 * HMAC is written as its definition (RFC 2104) over two one-shot hashes: measured on Node 20, that costs about a
 * quarter of `createHmac` and allocates no native handle. A test compares it with `createHmac`.
 */
import { createHmac, hash, hkdfSync } from "node:crypto";

/** An HMAC key as its two padded blocks, made once per purpose. Never shown: hold it in a private field. */
export interface MacKey {
  readonly algorithm: "sha256" | "sha512";
  readonly inner: Buffer;
  readonly outer: Buffer;
  readonly raw: Buffer;
}

const BLOCK = { sha256: 64, sha512: 128 } as const;

// Safe as module state: every use is synchronous, between two awaits.
const innerScratch = Buffer.alloc(1024);
const outerScratch = { sha256: Buffer.alloc(64 + 32), sha512: Buffer.alloc(128 + 64) };

/** Prepares a key of at most one block for `hmac`. */
export function macKey(algorithm: "sha256" | "sha512", raw: Buffer): MacKey {
  const inner = Buffer.alloc(BLOCK[algorithm], 0x36);
  const outer = Buffer.alloc(BLOCK[algorithm], 0x5c);
  for (const [index, byte] of raw.entries()) {
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  }
  return { algorithm, inner, outer, raw };
}

/** HMAC of a message under a prepared key: 32 or 64 bytes. */
export function hmac(key: MacKey, message: Uint8Array): Buffer {
  const block = BLOCK[key.algorithm];
  const length = block + message.length;
  if (length > innerScratch.length) return createHmac(key.algorithm, key.raw).update(message).digest();
  innerScratch.set(key.inner);
  innerScratch.set(message, block);
  const outer = outerScratch[key.algorithm];
  outer.set(key.outer);
  outer.write(hash(key.algorithm, innerScratch.subarray(0, length), "binary"), block, "latin1");
  return Buffer.from(hash(key.algorithm, outer, "binary"), "latin1");
}

/** Derives the key of one purpose from a root key (HKDF-SHA-256, RFC 5869; R-067). */
export function deriveKey(root: Uint8Array, purpose: string, bytes: 2 | 32 | 64): Buffer {
  return Buffer.from(hkdfSync("sha256", root, "symbolon/v1", purpose, bytes));
}

/** SHA-256 as base64url text, 43 characters. */
export function digestText(message: string | Uint8Array): string {
  return hash("sha256", message, "base64url");
}

/** SHA-256 as bytes. */
export function digestBytes(message: Uint8Array): Buffer {
  return Buffer.from(hash("sha256", message, "binary"), "latin1");
}
