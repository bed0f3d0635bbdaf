/**
 * Tokens: what the client carries. Made, read and checked here, and nowhere else.
 *
 *   "s1_" + base64url( key id[2] | route[3] | id[16] | secret[32] | tag[7] )      60 bytes, 80 characters
 *
 * One HMAC under the key named by the key id, over (kind, space, id), yields the lookup by which the store finds the
 * record, a mask that hides the route, and the key of the tag. The tag covers everything before it and is
 * checked before any store call, so that garbage and guesses never reach the store.
 */
import { timingSafeEqual } from "node:crypto";
import { digestBytes, digestText, hmac } from "../crypto/derive.ts";
import type { Key, Keyring } from "../crypto/keyring.ts";
import { secretBytes } from "../crypto/random.ts";

/**
 * The kinds of token: of a session, of a pending login, of one use, of an API's client. Each has its own prefix and its
 * own space of records, and its keys serve no other kind.
 */
export type TokenKind = "s1" | "p1" | "o1" | "k1";

/** Matches every token in a text, for log scrubbers and secret scanners; CSRF tokens and JWTs, too. */
export const tokenPattern: RegExp =
  /\b(?:[spok]1_[A-Za-z0-9_-]{80}|x1_[A-Za-z0-9_-]{128}|eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2})(?![A-Za-z0-9_-])/g;

/** What the token itself proves once its tag is right. */
export interface TokenClaims {
  readonly keyId: number;
  readonly route: number;
  /** Public handle: key id and id, 24 characters. */
  readonly handle: string;
  readonly lookup: string;
  /** SHA-256 of the secret, compared with the stored one. */
  readonly verifier: Buffer;
}

/** A token just made, and what it stands for. */
export interface MintedToken extends TokenClaims {
  readonly text: string;
  readonly secret: Buffer;
}

/** Why a token was refused without asking the store. */
export type TokenRefusal = "malformed" | "unknown-key" | "forged";

const ROUTE = 2;
const ID = 5;
const SECRET = 21;
const TAG = 53;
const LENGTH = 60;
const TEXT_LENGTH = 80;

// Safe as module state: every use is synchronous, between two awaits.
const scratch = Buffer.alloc(LENGTH);

/** Makes a token with a fresh id (R-001: 128-bit id, 256-bit secret). */
export function mintToken(kind: TokenKind, key: Key, space: string, route: number): MintedToken {
  return assemble(kind, key, space, route, secretBytes(16), secretBytes(32));
}

/** Makes another token for the same session: same id, new secret. */
export function remintToken(
  kind: TokenKind,
  ring: Keyring,
  space: string,
  handle: string,
  route: number,
): MintedToken | null {
  const named = readHandle(handle, ring);
  return named === null ? null : assemble(kind, named.key, space, route, named.id, secretBytes(32));
}

/** Spells a token again from its parts, where the secret was kept. */
export function respellToken(
  kind: TokenKind,
  ring: Keyring,
  space: string,
  handle: string,
  route: number,
  secret: Buffer,
): string | null {
  const named = readHandle(handle, ring);
  return named === null ? null : assemble(kind, named.key, space, route, named.id, secret).text;
}

/** Which kind of session a token claims to be of; a pending login's goes where a session's goes. */
export function sessionKindOf(text: unknown): "s1" | "p1" {
  return typeof text === "string" && text.startsWith("p1_") ? "p1" : "s1";
}

/** Which kind of token a bearer's may be taken for, as the option `bearer` says. */
export function bearerKindOf(text: string, bearer: boolean | "api-tokens" | "any"): TokenKind {
  const isApiToken = bearer === "api-tokens" || (bearer === "any" && text.startsWith("k1_"));
  return isApiToken ? "k1" : sessionKindOf(text);
}

/** The key under which a session's handle was made; undefined once it was removed. */
export function keyOfHandle(ring: Keyring, handle: string): Key | undefined {
  return readHandle(handle, ring)?.key;
}

/** Reads a token: its claims when the tag is right, else why not. Never throws, asks no store. */
export function readToken(kind: TokenKind, ring: Keyring, space: string, text: unknown): TokenClaims | TokenRefusal {
  if (!decode(kind, text)) return "malformed";
  const key = ring.byId.get(scratch.readUInt16BE(0));
  if (key === undefined) return "unknown-key";
  const derived = derive(kind, key, space, scratch.subarray(ID, SECRET));
  if (!timingSafeEqual(tagOf(derived, scratch), scratch.subarray(TAG, LENGTH))) return "forged";
  return {
    keyId: key.id,
    route: scratch.readUIntBE(ROUTE, 3) ^ derived.readUIntBE(32, 3),
    handle: handleOf(key.id, scratch.subarray(ID, SECRET)),
    lookup: derived.toString("base64url", 0, 32),
    verifier: digestBytes(scratch.subarray(SECRET, TAG)),
  };
}

/** The secret in a token that was read before: 32 bytes, half of the key to the data. Kept no longer than needed. */
export function secretOf(text: string): Buffer {
  return Buffer.from(text.slice(-TEXT_LENGTH), "base64url").subarray(SECRET, TAG);
}

/** What a record holds of a token that was read before: SHA-256 of its secret, base64url. */
export function verifierOf(text: string): string {
  return digestText(secretOf(text));
}

/** Whether a value has prefix and length of a token: the check that costs nothing, before any other. */
export function looksLikeToken(kind: TokenKind, value: unknown): value is string {
  return typeof value === "string" && value.length === kind.length + 1 + TEXT_LENGTH && value.startsWith(`${kind}_`);
}

/** Where a session's record is, from its public handle; null for anything that is not one of our handles. */
export function lookupOfHandle(kind: TokenKind, ring: Keyring, space: string, handle: unknown): string | null {
  const named = readHandle(handle, ring);
  return named === null ? null : derive(kind, named.key, space, named.id).toString("base64url", 0, 32);
}

/** Names a token in caches without holding it. */
export function fingerprint(text: string): string {
  return digestText(text);
}

/** Tells, in constant time, whether a secret is the one the record was made for. */
export function verifierMatches(presented: Buffer, stored: Buffer): boolean {
  return presented.length === stored.length && timingSafeEqual(presented, stored);
}

function assemble(kind: TokenKind, key: Key, space: string, route: number, id: Buffer, secret: Buffer): MintedToken {
  const derived = derive(kind, key, space, id);
  scratch.writeUInt16BE(key.id, 0);
  scratch.writeUIntBE(route ^ derived.readUIntBE(32, 3), ROUTE, 3);
  id.copy(scratch, ID);
  secret.copy(scratch, SECRET);
  tagOf(derived, scratch).copy(scratch, TAG);
  return {
    text: `${kind}_${scratch.toString("base64url", 0, LENGTH)}`,
    keyId: key.id,
    route,
    handle: handleOf(key.id, id),
    lookup: derived.toString("base64url", 0, 32),
    secret,
    verifier: digestBytes(secret),
  };
}

/** Fills the scratch buffer; false for anything but the one spelling of 60 bytes. */
function decode(kind: TokenKind, text: unknown): text is string {
  if (!looksLikeToken(kind, text)) return false;
  const body = text.slice(-TEXT_LENGTH);
  // Node's decoder skips what it does not know and takes two alphabets: only the spelling we write is ours.
  return scratch.write(body, "base64url") === LENGTH && scratch.toString("base64url", 0, LENGTH) === body;
}

/** 64 bytes: lookup[32] | route mask[3] | tag key[29]. */
function derive(kind: TokenKind, key: Key, space: string, id: Buffer): Buffer {
  const message = Buffer.allocUnsafe(kind.length + space.length + id.length);
  message.write(kind + space, "latin1");
  id.copy(message, kind.length + space.length);
  return hmac(key.token, message);
}

/** A hash with the key in front is a sound MAC here: key and message have fixed lengths, and most of it is cut off. */
function tagOf(derived: Buffer, token: Buffer): Buffer {
  return digestBytes(Buffer.concat([derived.subarray(35, 64), token.subarray(0, TAG)])).subarray(0, LENGTH - TAG);
}

function handleOf(keyId: number, id: Buffer): string {
  const handle = Buffer.allocUnsafe(18);
  handle.writeUInt16BE(keyId, 0);
  id.copy(handle, 2);
  return handle.toString("base64url", 0, 18);
}

function readHandle(handle: unknown, ring: Keyring): { key: Key; id: Buffer } | null {
  if (typeof handle !== "string" || !/^[A-Za-z0-9_-]{24}$/.test(handle)) return null;
  const bytes = Buffer.from(handle, "base64url");
  const key = ring.byId.get(bytes.readUInt16BE(0));
  return key === undefined ? null : { key, id: bytes.subarray(2) };
}
