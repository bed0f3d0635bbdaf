/** Passwords, kept as scrypt hashes that only they fit. */
import { randomBytes, scrypt, type ScryptOptions, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

interface Cost {
  /** The logarithm of scrypt's N. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

/** 32 MiB and three passes, as the OWASP Password Storage Cheat Sheet asks. Every hash names its own, so these may rise. */
const COST: Cost = { ln: 15, r: 8, p: 3 };
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** The bounds of a new password, in characters. The upper one only bounds the work. */
export const PASSWORD_LENGTH = { least: 12, most: 200 } as const;

const HASH = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([\w-]+)\$([\w-]+)$/;

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

/** Nobody's hash: no password is known to fit. */
const NOBODY = spell(COST, Buffer.alloc(SALT_BYTES), Buffer.alloc(KEY_BYTES));

/** Hashes a new password under a salt of its own; runs outside the event loop. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return spell(COST, salt, await deriveKey(password, COST, salt));
}

/** Whether the password is the one that was hashed. For nobody's hash, null, it takes as long to say no. */
export async function passwordMatches(password: string, hash: string | null): Promise<boolean> {
  const { cost, salt, key } = read(hash ?? NOBODY);
  const isSame = timingSafeEqual(await deriveKey(password, cost, salt), key);
  return isSame && hash !== null;
}

/** What is wrong with a new password; null when it will do. A larger application also refuses those that leaked before. */
export function problemOfPassword(password: string): string | null {
  const { least, most } = PASSWORD_LENGTH;
  if (password.length < least) return `Choose a password of ${least} or more characters. Several words are good.`;
  return password.length > most ? `Choose a password of at most ${most} characters.` : null;
}

/** Keyboards compose the same letter in different ways, so passwords are brought to one form. */
function deriveKey(password: string, { ln, r, p }: Cost, salt: Buffer): Promise<Buffer> {
  const N = 2 ** ln;
  return derive(password.normalize("NFKC"), salt, KEY_BYTES, { N, r, p, maxmem: 256 * N * r });
}

/** The usual spelling of hashes: algorithm, cost, salt, key. */
function spell({ ln, r, p }: Cost, salt: Buffer, key: Buffer): string {
  return `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toString("base64url")}$${key.toString("base64url")}`;
}

function read(hash: string): { readonly cost: Cost; readonly salt: Buffer; readonly key: Buffer } {
  const [, ln, r, p, salt = "", key = ""] = HASH.exec(hash) ?? [];
  if (p === undefined) throw new Error("A stored password hash is damaged.");
  return {
    cost: { ln: Number(ln), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, "base64url"),
    key: Buffer.from(key, "base64url"),
  };
}
