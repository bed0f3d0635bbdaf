/**
 * The server's keys: one that seals, others that only open what they sealed before.
 *
 * Every sealed thing and every token names its key by id; keys are looked up, never tried in turn.
 */
import { KeyError } from "../errors.ts";
import { deriveKey, macKey, type MacKey } from "./derive.ts";
import { secretBytes } from "./random.ts";

/** One root key as the keys of its purposes. */
export interface Key {
  /** 16-bit id, derived from the key itself. */
  readonly id: number;
  readonly token: MacKey;
  readonly envelope: MacKey;
  readonly wrap: MacKey;
  readonly csrf: MacKey;
}

/** All keys in force. */
export interface Keyring {
  readonly primary: Key;
  readonly byId: ReadonlyMap<number, Key>;
}

/** The keys that digest user and tenant ids for the store's indexes; they open nothing and never rotate. */
export interface IndexKeys {
  readonly owner: MacKey;
  readonly tenant: MacKey;
}

/** Makes a key: 32 random bytes as base64url. */
export function generateKey(): string {
  return secretBytes(32).toString("base64url");
}

/** Makes the keyring, newest key first. Refuses what is not random; no message shows a key. */
export function createKeyring(keys: readonly (string | undefined)[]): Keyring {
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new KeyError(`keys: pass at least one key, newest first. ${HOW_TO_MAKE_ONE}`);
  }
  const byId = new Map<number, Key>();
  for (const [position, text] of keys.entries()) {
    const key = makeKey(parseKey(text, `keys[${position}]`));
    if (byId.has(key.id)) {
      throw new KeyError(`keys[${position}]: has the id of a key before it. ${HOW_TO_MAKE_ONE}`);
    }
    byId.set(key.id, key);
  }
  return { primary: byId.values().next().value as Key, byId };
}

/** Makes the index keys: from `indexKey`, or from the only entry of `keys`. */
export function createIndexKeys(indexKey: string | undefined, keys: readonly (string | undefined)[]): IndexKeys {
  if (indexKey === undefined && keys.length !== 1) {
    throw new KeyError("indexKey: required with two keys: the first key ever used.");
  }
  const root = indexKey === undefined ? parseKey(keys[0], "keys[0]") : parseKey(indexKey, "indexKey");
  return {
    owner: macKey("sha256", deriveKey(root, "owner", 32)),
    tenant: macKey("sha256", deriveKey(root, "tenant", 32)),
  };
}

function makeKey(root: Buffer): Key {
  return {
    id: deriveKey(root, "key-id", 2).readUInt16BE(),
    token: macKey("sha512", deriveKey(root, "token", 64)),
    envelope: macKey("sha256", deriveKey(root, "envelope", 32)),
    wrap: macKey("sha256", deriveKey(root, "wrap", 32)),
    csrf: macKey("sha256", deriveKey(root, "csrf", 32)),
  };
}

const HOW_TO_MAKE_ONE = "generateKey() makes one.";

function parseKey(text: unknown, name: string): Buffer {
  if (text === undefined)
    throw new KeyError(`${name}: is undefined; is the environment variable set? ${HOW_TO_MAKE_ONE}`);
  const bytes = typeof text === "string" ? decodeKey(text) : null;
  if (bytes === null || bytes.length < 32) {
    throw new KeyError(`${name}: must be at least 32 bytes as base64url, base64 or hex. ${HOW_TO_MAKE_ONE}`);
  }
  if (looksChosen(text as string, bytes)) {
    throw new KeyError(`${name}: does not look random. ${HOW_TO_MAKE_ONE}`);
  }
  return bytes;
}

function decodeKey(text: string): Buffer | null {
  // Hex that is too short is not base64 by luck: no random key looks like it.
  if (/^[0-9a-f]+$/i.test(text)) return /^(?:[0-9a-f]{2}){32,}$/i.test(text) ? Buffer.from(text, "hex") : null;
  if (/^[A-Za-z0-9_-]{43,}$/.test(text) || /^[A-Za-z0-9+/]{43,}={0,2}$/.test(text)) return Buffer.from(text, "base64");
  return null;
}

/**
 * Signs that no random key shows: few different bytes or steps between them, all printable once decoded, or a text of
 * one kind of character. 32 random bytes fail one of these less than once in a billion keys.
 */
export function looksChosen(text: string, bytes: Buffer): boolean {
  const steps = bytes.map((byte, index) => byte - (bytes[index - 1] ?? 0));
  if (new Set(bytes).size < 20 || new Set(steps).size < 16) return true;
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return true;
  if (/^[0-9a-f]+$/i.test(text)) return new Set(text.toLowerCase()).size < 10;
  return !/[a-z]/.test(text) || !/[A-Z]/.test(text) || new Set(text).size < 16;
}
