/**
 * The front door of every JWT: one spelling, small, three parts of JSON, before any library sees it.
 *
 * A signature says nothing about spelling: libraries take padding, white space, spare bits, members given twice. What
 * has passed here is still unverified.
 */
import { type JsonObject, readJsonObject } from "./strict-json.ts";

/** A token in its parts; nothing in it is verified. */
export interface CompactJwt {
  /** As it came: a string that has one spelling. */
  readonly text: string;
  readonly header: JsonObject;
  readonly claims: JsonObject;
  readonly signature: Buffer;
}

/** What the shape of a text is refused for. */
export type ShapeRefusal =
  /** Not a text, not three parts of base64url, or a part that is no JSON object of ours. */
  | "malformed"
  /** Longer than a token may be. */
  | "too-large"
  /** Another spelling of a token: padding, white space or spare bits. */
  | "not-canonical";

/** The longest token that is looked at, in characters. */
export const MAX_TOKEN = 8192;
/** How deep the JSON of a part may be nested; the part itself is level 1. */
export const MAX_LEVELS = 32;
const MAX_HEADER_BYTES = 1024;
const PARTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
/** The same with what decoders forgive: padding, white space, the other alphabet. */
const FORGIVEN_PARTS = /^[\w\s=+/-]+\.[\w\s=+/-]+\.[\w\s=+/-]+$/;

/** Takes a text apart, or says why it is no token. Never throws; linear in the text, which is looked at only when short. */
export function readCompact(text: unknown): CompactJwt | ShapeRefusal {
  if (typeof text !== "string") return "malformed";
  if (text.length > MAX_TOKEN) return "too-large";
  const parts = PARTS.exec(text);
  if (parts === null) return FORGIVEN_PARTS.test(text) ? "not-canonical" : "malformed";
  const [header, claims, signature] = parts.slice(1).map((part) => Buffer.from(part, "base64url")) as Parts;
  if (![header, claims, signature].every((bytes, index) => bytes.toString("base64url") === parts[index + 1])) {
    return "not-canonical";
  }
  if (header.length > MAX_HEADER_BYTES) return "too-large";
  const read = { header: readJsonObject(header, MAX_LEVELS), claims: readJsonObject(claims, MAX_LEVELS) };
  if (read.header === null || read.claims === null) return "malformed";
  return { text, header: read.header, claims: read.claims, signature };
}

type Parts = [header: Buffer, claims: Buffer, signature: Buffer];
