/** Reads and writes one cookie, strictly: the only place that knows the grammar of `Cookie` and `Set-Cookie`. */
import { CookieError } from "../errors.ts";

/** A longer `Cookie` header is not looked at. */
export const MAX_COOKIE_HEADER_BYTES = 16_384;
/** A `Cookie` header of more pairs yields nothing. */
export const MAX_COOKIE_PAIRS = 100;
/** Name and value together; browsers drop a cookie of more than 4096 octets without a word. */
export const MAX_COOKIE_BYTES = 3800;
/** 400 days; browsers cut a longer `Max-Age` to this (RFC 6265bis section 5.5, R-046). */
export const MAX_COOKIE_AGE_SECONDS = 34_560_000;

const MAX_ATTRIBUTE_BYTES = 1024;

/** What a `Cookie` header says under one name. */
export type CookieReading =
  | { readonly kind: "none" }
  | { readonly kind: "value"; readonly value: string }
  /** Two different values came under the name: somebody planted one of them. */
  | { readonly kind: "ambiguous" };

const NONE: CookieReading = Object.freeze({ kind: "none" });
const AMBIGUOUS: CookieReading = Object.freeze({ kind: "ambiguous" });

const TAB = 0x09;
const SPACE = 0x20;
const EQUALS = 0x3d;

/**
 * Reads the cookie called `name` from a whole `Cookie` header: one latin1 string, several lines joined with `"; "`.
 *
 * Names are compared byte by byte and nothing is decoded; only SP and HTAB around a pair are removed, so quotes,
 * commas, `$Version` and a space before the `=` mean nothing here. Identical copies count as one value.
 * An empty value is none, yet still differs from a value. The answer never depends on a pair that was not looked at:
 * a header over a bound is refused as a whole. Never throws; the time is linear in the header.
 * The value may hold any byte but `;`: it still has to pass the grammar of a token.
 */
export function readCookie(header: string | null | undefined, name: string): CookieReading {
  if (typeof header !== "string" || header.length > MAX_COOKIE_HEADER_BYTES || name === "") return NONE;
  let found: string | undefined;
  let start = 0;
  for (let pairs = 0; start < header.length; pairs++) {
    if (pairs === MAX_COOKIE_PAIRS) return NONE;
    const semicolon = header.indexOf(";", start);
    const end = semicolon === -1 ? header.length : semicolon;
    const value = valueOfPair(header, start, end, name);
    if (value !== undefined) {
      if (found !== undefined && found !== value) return AMBIGUOUS;
      found = value;
    }
    start = end + 1;
  }
  return found === undefined || found === "" ? NONE : { kind: "value", value: found };
}

/** The value of the pair in `header[start, end)` when it is called `name`. */
function valueOfPair(header: string, start: number, end: number, name: string): string | undefined {
  let first = start;
  while (first < end && isBlank(header.charCodeAt(first))) first++;
  const equals = first + name.length;
  // The cheap test first: almost every other cookie fails it. A name holds no `;`, so a match ends inside the pair.
  if (header.charCodeAt(equals) !== EQUALS || !header.startsWith(name, first)) return undefined;
  let last = end;
  // An empty value ends at the equals sign.
  while (isBlank(header.charCodeAt(last - 1))) last--;
  return header.slice(equals + 1, last);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** The values of `SameSite`, spelt as they are written. */
export const SAME_SITE = ["Lax", "Strict", "None"] as const;
/** One value of `SameSite`. */
export type SameSite = (typeof SAME_SITE)[number];

/** The values of `Priority`, which tells Chromium what to drop first when a site has too many cookies. */
export const COOKIE_PRIORITY = ["Low", "Medium", "High"] as const;
/** One value of `Priority`. */
export type CookiePriority = (typeof COOKIE_PRIORITY)[number];

/** Everything of a cookie but its name and value; `SameSite` is always written. */
export interface CookieAttributes {
  readonly path: string;
  /** Left out, the cookie belongs to the answering host alone. */
  readonly domain?: string;
  readonly secure: boolean;
  readonly httpOnly: boolean;
  readonly sameSite: SameSite;
  readonly partitioned?: boolean;
  readonly priority?: CookiePriority;
  /** Whole seconds, cut to 400 days; left out, the cookie ends with the browser. */
  readonly maxAge?: number;
}

/** Writes one cookie again and again: everything but the value is checked and spelt once. */
export interface CookieWriter {
  /** The `Set-Cookie` value; `maxAge` in whole seconds takes the place of the attribute given at construction. */
  set(value: string, maxAge?: number): string;
  /** The `Set-Cookie` value that deletes the cookie: the same attributes, empty, `Max-Age=0`. */
  clear(): string;
}

/**
 * Writes the value of a `Set-Cookie` header.
 *
 * Nothing is encoded or dropped: what comes back says exactly what was asked, else this throws.
 *
 * @throws {CookieError} for whatever a browser would refuse, cut or read differently.
 */
export function writeCookie(name: string, value: string, attributes: CookieAttributes): string {
  return cookieWriter(name, attributes).set(value);
}

/**
 * Makes the writer of one cookie.
 *
 * @throws {CookieError} at once for a name or attribute that is malformed or contradictory; `set` only for its arguments.
 */
export function cookieWriter(name: string, attributes: CookieAttributes): CookieWriter {
  checkName(name);
  checkAttributes(attributes);
  checkPrefix(name, attributes);
  const scope = writeAttributes(attributes);
  const plain = scope + writeMaxAge(attributes.maxAge);
  const room = MAX_COOKIE_BYTES - name.length;
  return {
    set(value, maxAge) {
      checkValue(value, room);
      return `${name}=${value}${maxAge === undefined ? plain : scope + writeMaxAge(maxAge)}`;
    },
    clear: () => `${name}=${scope}; Max-Age=0`,
  };
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const COOKIE_OCTETS = /^[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*$/;
// RFC 6265bis allows more; `?` and `#` end the path of a URL, so a cookie with one would never come back.
const PATH = /^\/[\x21\x24-\x2B\x2D-\x3A\x3C-\x3E\x40-\x5B\x5D-\x7E]*$/;
const DOMAIN = /^(?!.*(?:\.[.-]|-\.|[.-]$|[^.]{64}))[0-9a-z][0-9a-z.-]*$/i;

function checkName(name: string): void {
  if (typeof name !== "string" || !TOKEN.test(name) || name.length > MAX_COOKIE_BYTES) {
    refuse("A cookie name is an RFC 9110 token: letters, digits, - or _");
  }
}

function checkValue(value: string, room: number): void {
  if (typeof value !== "string" || !COOKIE_OCTETS.test(value)) {
    refuse('A cookie value is ASCII without space " , ; \\');
  }
  if (value.length > room) refuse(`Name and value of a cookie are at most ${MAX_COOKIE_BYTES} octets`);
}

function checkAttributes({ path, domain, secure, sameSite, partitioned, priority }: CookieAttributes): void {
  if (typeof path !== "string" || !PATH.test(path) || path.length > MAX_ATTRIBUTE_BYTES) {
    refuse('A cookie path starts with / and is ASCII without space " , ; ? # \\');
  }
  if (domain !== undefined && !isDomain(domain)) {
    refuse("A cookie domain is a host name such as example.com");
  }
  if (!SAME_SITE.includes(sameSite)) refuse(`SameSite is one of ${SAME_SITE.join(", ")}`);
  if (priority !== undefined && !COOKIE_PRIORITY.includes(priority)) {
    refuse(`Priority is one of ${COOKIE_PRIORITY.join(", ")}`);
  }
  if ((sameSite === "None" || partitioned) && !secure) refuse("SameSite=None and Partitioned need Secure (https)");
}

/** A host name by RFC 1123 section 2.1. */
function isDomain(domain: string): boolean {
  return typeof domain === "string" && domain.length <= 253 && DOMAIN.test(domain);
}

const PREFIX = /^__(?:secure-|(host-)?(http-)?)/i;

/** RFC 6265bis section 4.1.3; without regard to case, because browsers match prefixes so. */
function checkPrefix(name: string, { path, domain, secure, httpOnly }: CookieAttributes): void {
  const [prefix = "", host, http] = PREFIX.exec(name) ?? [];
  if (prefix.length > 2 && !secure) refuse("A cookie with that prefix needs Secure");
  if (http !== undefined && !httpOnly) refuse("A cookie with that prefix needs HttpOnly");
  if (host !== undefined && (path !== "/" || domain !== undefined)) {
    refuse("A cookie with that prefix has the path / and no domain");
  }
}

function writeAttributes({
  path,
  domain,
  secure,
  httpOnly,
  sameSite,
  partitioned,
  priority,
}: CookieAttributes): string {
  const parts = [`; Path=${path}`];
  if (domain !== undefined) parts.push(`; Domain=${domain}`);
  if (secure) parts.push("; Secure");
  if (httpOnly) parts.push("; HttpOnly");
  parts.push(`; SameSite=${sameSite}`);
  if (partitioned) parts.push("; Partitioned");
  if (priority !== undefined) parts.push(`; Priority=${priority}`);
  return parts.join("");
}

// No Expires beside it: every browser of today knows Max-Age, prefers it, and need not trust the client's clock for it.
function writeMaxAge(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  if (!Number.isSafeInteger(seconds) || seconds < 0) refuse("Max-Age is a whole number of seconds, 0 or more");
  return `; Max-Age=${Math.min(seconds, MAX_COOKIE_AGE_SECONDS)}`;
}

function refuse(message: string): never {
  throw new CookieError(`${message}.`);
}
