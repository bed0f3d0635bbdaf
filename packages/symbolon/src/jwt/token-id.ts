/**
 * The `jti` of a session's access token. It names the token, and says where the session is: so that nothing need be
 * stored for a token, and its session is found by the `jti` alone.
 *
 *   base64url( handle[18] | masked route[3] | generation[4] | milliseconds[2] | random[6] )      33 bytes, 44 characters
 */
import { publicRandom } from "../crypto/random.ts";
import type { Vault } from "../core/record.ts";
import type { RecordKey } from "../core/store.ts";
import { lookupOfHandle } from "../core/token.ts";

/** What a `jti` says. */
export interface TokenId {
  /** The session's public handle. */
  readonly handle: string;
  /** Where the session's record is. */
  readonly place: RecordKey;
  /** Which token of the session it was issued with. */
  readonly generation: number;
  /** The part of the time of issue below a second. */
  readonly milliseconds: number;
}

const HANDLE = 18;
const ROUTE = 18;
const GENERATION = 21;
const MILLISECONDS = 25;
const RANDOM = 27;
const LENGTH = 33;

/** Makes a `jti`. */
export function makeTokenId(
  vault: Vault,
  session: { readonly handle: string; readonly route: number; readonly generation: number },
  now: number,
): string {
  const bytes = Buffer.alloc(LENGTH);
  bytes.write(session.handle, "base64url");
  bytes.writeUIntBE(session.route ^ vault.routeMaskOf(session.handle), ROUTE, 3);
  bytes.writeUInt32BE(session.generation, GENERATION);
  bytes.writeUInt16BE(now % 1000, MILLISECONDS);
  publicRandom(LENGTH - RANDOM).copy(bytes, RANDOM);
  return bytes.toString("base64url");
}

/** Reads a `jti`; null for any that is none of ours, or of a session whose key was removed. */
export function readTokenId(vault: Vault, text: unknown): TokenId | null {
  if (typeof text !== "string" || !/^[A-Za-z0-9_-]{44}$/.test(text)) return null;
  const bytes = Buffer.from(text, "base64url");
  const handle = bytes.toString("base64url", 0, HANDLE);
  const lookup = lookupOfHandle("s1", vault.ring, vault.space, handle);
  if (lookup === null) return null;
  return {
    handle,
    place: { space: vault.space, route: bytes.readUIntBE(ROUTE, 3) ^ vault.routeMaskOf(handle), lookup },
    generation: bytes.readUInt32BE(GENERATION),
    milliseconds: bytes.readUInt16BE(MILLISECONDS),
  };
}
