/**
 * JSON as strictly as a token has to be read: UTF-8 without errors or a byte order mark, an object, no member twice at
 * any depth, no half of a character (RFC 7519 section 4, RFC 8725 section 3.7, RFC 7493 section 2.1; R-119).
 * `JSON.parse` alone takes the last of two members.
 */

/** A JSON object that nothing vouches for yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

// A byte order mark is kept, so that the parser stumbles over it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// Only an escape can say one. Two that differ would be the same once written as UTF-8.
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Reads an object of at most so many levels; null for anything else. Never throws; linear in the bytes. */
export function readJsonObject(bytes: Uint8Array, levels: number): JsonObject | null {
  try {
    const text = utf8.decode(bytes);
    // Before the parser, which takes its time over what is nested deep.
    if (!isPlain(text, levels)) return null;
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && !Array.isArray(value) ? (value as JsonObject | null) : null;
  } catch {
    return null;
  }
}

/** Walks what may be JSON: its depth, the names of members of every object in it, and its strings. */
function isPlain(text: string, levels: number): boolean {
  // The names met so far in each object around; null for a list.
  const around: (Set<string> | null)[] = [];
  let isNameNext = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{" || character === "[") {
      around.push(character === "{" ? new Set() : null);
      if (around.length > levels) return false;
      isNameNext = character === "{";
    } else if (character === "}" || character === "]") {
      around.pop();
    } else if (character === ",") {
      isNameNext = around.at(-1) !== null;
    } else if (character === '"') {
      const end = endOfString(text, at);
      const content = contentOf(text.slice(at, end));
      if (content === null || (isNameNext && !isNewName(around.at(-1), content))) return false;
      isNameNext = false;
      at = end - 1;
    }
  }
  return true;
}

function isNewName(names: Set<string> | null | undefined, name: string): boolean {
  // A member of this name changes what an object is once somebody merges it.
  if (name === "__proto__" || names?.has(name) === true) return false;
  names?.add(name);
  return true;
}

/** What a string literal says; null for half a character. */
function contentOf(literal: string): string | null {
  if (!literal.includes("\\")) return literal.slice(1, -1);
  const content = JSON.parse(literal) as string;
  return LONE_SURROGATE.test(content) ? null : content;
}

/** The place behind the closing quote, or behind the text when there is none. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}
