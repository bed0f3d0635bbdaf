/** Origins an application lists as its own or as trusted: written exactly as browsers write them. */
import { OptionsError } from "../errors.ts";

/**
 * Checks the option `origins`: a list of scheme, host and port, each spelt as a browser spells it. Left out, it is empty.
 *
 * @throws {OptionsError} for anything else, with the spelling to use where there is one.
 */
export function resolveOrigins(list: unknown = []): ReadonlySet<string> {
  if (!Array.isArray(list)) throw new OptionsError("origins: write a list such as ['https://app.example.com'].");
  return new Set(Array.from(list, (entry: unknown, position) => checkOrigin(entry, `origins[${position}]`)));
}

/** Parses a URL as browsers do (WHATWG); null where that fails. Not `URL.canParse`, which Node 20 gets wrong for `ü`. */
export function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

function checkOrigin(entry: unknown, name: string): string {
  const origin = originOf(entry);
  if (origin === null) {
    throw new OptionsError(`${name}: write a scheme and a host in full, such as 'https://app.example.com'.`);
  }
  if (origin !== entry) throw new OptionsError(`${name}: write '${origin}'.`);
  return origin;
}

/** Null for what names no single origin of http or https: a pattern would match nothing, as origins are compared whole. */
function originOf(entry: unknown): string | null {
  if (typeof entry !== "string" || entry.includes("*")) return null;
  const url = parseUrl(entry);
  return url?.protocol === "https:" || url?.protocol === "http:" ? url.origin : null;
}
