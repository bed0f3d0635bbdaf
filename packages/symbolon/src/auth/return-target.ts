/** Where to go after a login: judged, because anybody can put an address in a link to the login page. */
import { refuseUnknown } from "../core/checks.ts";
import { parseUrl, resolveOrigins } from "../core/origins.ts";
import { OptionsError } from "../errors.ts";

/** What `returnTarget` takes. */
export interface ReturnTargetOptions {
  /** Where absolute URLs may lead, such as `https://app.example.com`; empty for paths alone. */
  readonly origins: readonly string[];
  /** Where everything doubtful leads: a path, or a URL of one of `origins`. Default `/`. */
  readonly fallback?: string;
}

/** A longer address leads to the fallback. */
const MAX_LENGTH = 2048;
/** How many times somebody may decode a path on its way, and it still leads to the same origin. */
const DECODINGS = 2;

const PATH_OR_QUERY = /^(?:\/(?!\/)|\?)/;
// Two slashes, a plain host and its port: no user, no escapes, nothing that parsers read in different ways.
const HTTP_URL = /^https?:\/\/[A-Za-z0-9._:[\]-]+(?:[/?#]|$)/i;
const ODD_CHARACTER = /[\p{Control}\p{Surrogate}\s\\]/u;
const ODD_PATH = /[\p{Control}\\]|\/\//u;
const ASCII_ESCAPE = /%[0-7][0-9a-f]/gi;

/** A host that nobody has, to parse paths with. */
const NOWHERE = "https://nowhere.invalid";

/**
 * The address to redirect to: `value` when it is a path or a query, or a URL of exactly one of `origins`; else `fallback`.
 *
 * The answer is what the WHATWG URL parser made of it, in ASCII and fit for a `Location` header: path, query and fragment
 * of a relative `value` (a query alone belongs to `/`), the whole URL of an absolute one. Doubtful are also white space,
 * user names, more than 2048 characters, and in the path control characters, backslashes and empty segments, as it is or
 * decoded once or twice on its way. Never throws, whatever the value.
 *
 * @throws {OptionsError} for wrong options, whatever the value.
 */
export function returnTarget(value: unknown, options: ReturnTargetOptions): string {
  refuseUnknown(options, ["origins", "fallback"], "");
  const origins = resolveOrigins(options.origins);
  const fallback = judge(options.fallback ?? "/", origins);
  if (fallback === null) throw new OptionsError("fallback: write a path such as '/', or a URL of one of origins.");
  return judge(value, origins) ?? fallback;
}

/** The address in its normal form, or null when there is any doubt. */
function judge(value: unknown, origins: ReadonlySet<string>): string | null {
  if (typeof value !== "string" || value.length > MAX_LENGTH || ODD_CHARACTER.test(value)) return null;
  const isRelative = PATH_OR_QUERY.test(value);
  if (!isRelative && !HTTP_URL.test(value)) return null;
  const url = parseUrl(value, NOWHERE);
  if (url === null || isOddPath(url.pathname)) return null;
  const isKnown = isRelative ? url.origin === NOWHERE : origins.has(url.origin);
  const target = isRelative ? url.href.slice(NOWHERE.length) : url.href;
  return isKnown && target.length <= MAX_LENGTH ? target : null;
}

/** Whether a path, as it is or decoded further on, could be read as beginning with a host. */
function isOddPath(path: string): boolean {
  let text = path;
  for (let decodings = 0; decodings < DECODINGS; decodings++) {
    if (ODD_PATH.test(text)) return true;
    text = text.replaceAll(ASCII_ESCAPE, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)));
  }
  return ODD_PATH.test(text);
}
