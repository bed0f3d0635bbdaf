/** Random bytes, only from the platform's generator. */
import { randomBytes, randomFillSync } from "node:crypto";

// One request for 512 bytes costs about as much as one for 12. Only public values (nonces, salts) are pooled.
const pool = Buffer.alloc(512);
let used = pool.length;

/** Fresh random bytes that need not be secret: nonces and salts, at most 32 at a time. */
export function publicRandom(length: number): Buffer {
  if (used + length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += length;
  return Buffer.from(pool.subarray(used - length, used));
}

/** Fresh secret bytes, asked for one by one so that no copy lingers in a pool. */
export function secretBytes(length: number): Buffer {
  return randomBytes(length);
}
