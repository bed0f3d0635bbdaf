/**
 * JSON as strictly as a token has to be read: UTF-8 without errors or a byte order mark, an object, no member twice at
 * any depth (RFC 7519 section 4, RFC 8725 section 3.7; R-119). `JSON.parse` alone takes the last of two members.
 */

/** A JSON object that nothing vouches for yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

// A byte order mark is kept, so that the parser stumbles over it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads an object of at most so many levels; null for anything else. Never throws; linear in the bytes. */
export function readJsonObject(bytes: Uint8Array, levels: number): JsonObject | null {
  try {
    const text = utf8.decode(bytes);
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && hasPlainMembers(text, levels) ? (value as JsonObject) : null;
  } catch {
    return null;
  }
}

/** Walks well-formed JSON: its depth, and the names of members of every object in it. */
function hasPlainMembers(text: string, levels: number): boolean {
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
      if (isNameNext && !isNewName(around.at(-1), text.slice(at, end))) return false;
      isNameNext = false;
      at = end - 1;
    }
  }
  return true;
}

function isNewName(names: Set<string> | null | undefined, literal: string): boolean {
  const name = JSON.parse(literal) as string;
  // A member of this name changes what an object is once somebody merges it.
  if (name === "__proto__" || names?.has(name) === true) return false;
  names?.add(name);
  return true;
}

/** The place behind the closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}
