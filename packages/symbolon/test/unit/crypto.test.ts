import { createHmac, createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { deriveKey, digestBytes, digestText, hmac, macKey } from "../../src/crypto/derive.ts";
import { createIndexKeys, createKeyring, generateKey } from "../../src/crypto/keyring.ts";
import { open, seal, SEAL_OVERHEAD } from "../../src/crypto/seal.ts";
import { KeyError } from "../../src/errors.ts";

describe("hmac", () => {
  it.each(["sha256", "sha512"] as const)("is HMAC-%s for messages of every length from 0 to 1200", (algorithm) => {
    const block = algorithm === "sha256" ? 64 : 128;
    for (const keyLength of [0, 1, 32, block - 1, block]) {
      const raw = randomBytes(keyLength);
      const key = macKey(algorithm, raw);
      const message = randomBytes(1200);
      for (let length = 0; length <= message.length; length += keyLength === 32 ? 1 : 37) {
        const part = message.subarray(0, length);
        expect(hmac(key, part).equals(createHmac(algorithm, raw).update(part).digest())).toBe(true);
      }
    }
  });

  it("keeps its answers apart: an earlier one is not changed by a later call", () => {
    const key = macKey("sha256", randomBytes(32));
    const first = hmac(key, Buffer.from("one"));
    const copy = Buffer.from(first);
    hmac(key, Buffer.from("two"));
    hmac(macKey("sha512", randomBytes(64)), Buffer.from("three"));
    expect(first.equals(copy)).toBe(true);
  });

  it("answers as the plain hashes do where it stands on them", () => {
    const message = randomBytes(100);
    expect(digestBytes(message).equals(createHash("sha256").update(message).digest())).toBe(true);
    expect(digestText(message)).toBe(createHash("sha256").update(message).digest("base64url"));
  });
});

describe("derived keys", () => {
  it("differ by purpose and by root, in every part of them", () => {
    const [one, two] = [randomBytes(32), randomBytes(32)];
    const purposes = ["key-id", "token", "envelope", "wrap", "owner", "tenant"];
    const keys = [one, two].flatMap((root) => purposes.map((purpose) => deriveKey(root, purpose, 32)));
    const pieces = keys.flatMap((key) => [key.toString("hex", 0, 8), key.toString("hex", 24, 32)]);
    expect(new Set(pieces).size).toBe(pieces.length);
    expect(deriveKey(one, "token", 32)).toEqual(deriveKey(one, "token", 32));
  });
});

describe("seal and open", () => {
  const key = randomBytes(32);
  const header = Buffer.from([1, 2, 3]);

  it("give back every text, of every length, under the same key and context", () => {
    const text = "a\u00e9\ud83d\ude00\0\n".repeat(40);
    for (let length = 0; length < text.length; length++) {
      const plain = Buffer.from(text.slice(0, length)).toString();
      const sealed = seal(key, header, "context", plain);
      expect(sealed.length).toBe(header.length + Buffer.byteLength(plain) + SEAL_OVERHEAD);
      expect(open(key, header.length, "context", sealed)).toBe(plain);
    }
  });

  it("open nothing when any bit is another, or when a byte is missing or too many", () => {
    const sealed = seal(key, header, "context", "The text that is sealed.");
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8((changed[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      expect(open(key, header.length, "context", changed)).toBeNull();
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(open(key, header.length, "context", sealed.subarray(0, length))).toBeNull();
    }
    expect(open(key, header.length, "context", Buffer.concat([sealed, Buffer.alloc(1)]))).toBeNull();
    expect(open(key, header.length, "context", Buffer.alloc(0))).toBeNull();
    expect(open(key, header.length, "context", Buffer.alloc(10_000))).toBeNull();
  });

  it("never use a nonce twice, in 100 000 seals", () => {
    const nonces = new Set<string>();
    for (let round = 0; round < 100_000; round++) {
      const sealed = seal(key, header, "context", "same");
      nonces.add(sealed.toString("latin1", header.length, header.length + 12));
    }
    expect(nonces.size).toBe(100_000);
  });
});

const PASSWORDS = [
  "correct-horse-battery-staple-correct-horse-battery",
  "thisisaverylongpasswordthatsomebodywouldtype",
  "change-me-change-me-change-me-change-me-change-me",
  "my-super-secret-session-key-for-production-2026",
  "0123456789012345678901234567890123456789012345",
  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const REFUSED: readonly [string, unknown][] = [
  ["nothing", undefined],
  ["null", null],
  ["empty text", ""],
  ["a number", 5],
  ["a Buffer", randomBytes(32)],
  ["a list", [generateKey()]],
  ["31 random bytes", randomBytes(31).toString("base64url")],
  ["31 random bytes as hex", randomBytes(31).toString("hex")],
  ["half a byte more, as hex", `${randomBytes(32).toString("hex")}0`],
  ["22 random bytes as hex", randomBytes(22).toString("hex")],
  ["32 times a", "a".repeat(32)],
  ["64 times a", "a".repeat(64)],
  ["32 zero bytes", Buffer.alloc(32).toString("base64url")],
  ["32 zero bytes as hex", "0".repeat(64)],
  ["a sequence of bytes", Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString("base64url")],
  ["a falling sequence", Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index)).toString("hex")],
  ["a passphrase as base64", Buffer.from("a passphrase of more than 32 bytes, typed").toString("base64")],
  ["a passphrase as hex", Buffer.from("A Passphrase of more than 32 bytes, TYPED").toString("hex")],
  ["16 random bytes twice", Buffer.concat(Array(2).fill(randomBytes(16)) as Buffer[]).toString("hex")],
  ["a key with a space", `${generateKey()} `],
  ["a key with a line end", `${generateKey()}\n`],
  ["a key in quotes", `"${generateKey()}"`],
  ...PASSWORDS.map((password): [string, unknown] => [`the password ${password.slice(0, 12)}...`, password]),
];

describe("keys", () => {
  it.each(REFUSED)("are refused: %s; the message says how to make one and does not show it", (_, key) => {
    const make = (): unknown => Reflect.apply(createKeyring, undefined, [[generateKey(), key]]);
    expect(make).toThrow(KeyError);
    try {
      make();
    } catch (error) {
      const { message, stack } = error as Error;
      expect(message).toMatch(/^keys\[1\]: .*generateKey\(\) makes one/);
      if (typeof key === "string" && key.length > 8) expect(`${message}${stack}`).not.toContain(key.slice(0, 9));
    }
  });

  it.each(["base64url", "base64", "hex"] as const)("of random bytes are never refused: 2000 as %s", (encoding) => {
    for (let round = 0; round < 2000; round++) {
      const bytes = randomBytes(32 + (round % 5) * 8);
      const { primary } = createKeyring([bytes.toString(encoding)]);
      expect(primary.id).toBe(createKeyring([bytes.toString("base64url")]).primary.id);
    }
  });

  it("are refused when one is listed twice, in whatever spelling", () => {
    const bytes = randomBytes(32);
    const twice = [bytes.toString("base64url"), bytes.toString("hex")];
    expect(() => createKeyring(twice)).toThrowError(/^keys\[1\]: has the id of a key before it/);
  });

  it.each([[undefined], [null], ["text"], [[]]])("are needed: %j is no list of them", (keys) => {
    const make = (): unknown => Reflect.apply(createKeyring, undefined, [keys]);
    expect(make).toThrowError(/^keys: pass at least one key, newest first/);
  });

  it("are found by id, in the order they were given, the newest for what is new", () => {
    const keys = [generateKey(), generateKey(), generateKey()];
    const ring = createKeyring(keys);
    expect([...ring.byId.keys()]).toEqual(keys.map((key) => createKeyring([key]).primary.id));
    expect(ring.byId.get(ring.primary.id)).toBe(ring.primary);
  });

  it("for the index are checked as the others are, and named as what they are", () => {
    expect(() => createIndexKeys("short", [generateKey()])).toThrowError(/^indexKey: must be at least 32/);
    expect(() => createIndexKeys(undefined, [generateKey(), generateKey()])).toThrowError(/^indexKey: required/);
    const key = generateKey();
    expect(createIndexKeys(undefined, [key])).toEqual(createIndexKeys(key, [generateKey(), generateKey()]));
  });
});
