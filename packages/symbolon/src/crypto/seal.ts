/**
 * Authenticated encryption: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce.
 *
 * A key given here belongs to one record or one session, never to a whole deployment, so the number of messages under
 * it stays far below the 2^32 that random 96-bit nonces allow.
 *
 * sealed = header | nonce[12] | ciphertext | tag[16]; the header and the caller's context are associated data.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { publicRandom } from "./random.ts";

const ALGORITHM = "aes-256-gcm";
const NONCE = 12;
const TAG = 16;
const TAG_LENGTH = { authTagLength: TAG } as const;

/** Bytes that sealing adds to the header and the text. */
export const SEAL_OVERHEAD: number = NONCE + TAG;

/** Seals UTF-8 text; `context` says where the result belongs, and it opens nowhere else. */
export function seal(key: Buffer, header: Buffer, context: string, text: string): Buffer {
  const nonce = publicRandom(NONCE);
  const cipher = createCipheriv(ALGORITHM, key, nonce, TAG_LENGTH);
  cipher.setAAD(associatedData(header, context));
  const sealed = cipher.update(text, "utf8");
  cipher.final();
  return Buffer.concat([header, nonce, sealed, cipher.getAuthTag()]);
}

/** Opens what `seal` made with the same key and context; null, and nothing else, when anything differs. */
export function open(key: Buffer, headerLength: number, context: string, sealed: Buffer): string | null {
  const start = headerLength + NONCE;
  const end = sealed.length - TAG;
  if (end < start) return null;
  try {
    const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(headerLength, start), TAG_LENGTH);
    decipher.setAAD(associatedData(sealed.subarray(0, headerLength), context));
    decipher.setAuthTag(sealed.subarray(end));
    const plain = decipher.update(sealed.subarray(start, end));
    decipher.final();
    return plain.toString("utf8");
  } catch {
    return null;
  }
}

function associatedData(header: Buffer, context: string): Buffer {
  const data = Buffer.allocUnsafe(header.length + context.length);
  header.copy(data);
  data.write(context, header.length, "latin1");
  return data;
}
