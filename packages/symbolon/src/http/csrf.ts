/**
 * Whether another site may have sent a request: judged from what browsers say of it, and from the CSRF token where they
 * say nothing (R-161 to R-167).
 *
 * `Host`, `X-Forwarded-Host`, `Content-Type`, the query and the cookies' values have no say: a sender chooses them.
 */
import type { CsrfRefusal } from "../core/events.ts";
import { type HeaderSource, readBearer } from "./carrier.ts";

/** What is judged. */
export interface CsrfRequest {
  /** As it came: methods are case-sensitive (RFC 9110 section 9.1). */
  readonly method: string;
  readonly headers: HeaderSource;
  /** A form field, where the binding knows the body. */
  readonly formToken?: string | undefined;
}

/** The session the request came with, if any. */
export interface CsrfSession {
  /** Whether the request carried the session cookie, whatever it holds. */
  readonly hasCookie: boolean;
  /** Whether a text is a CSRF token of this session; must not throw. */
  readonly tokenMatches: (token: string) => boolean;
}

/** The request headers that the judgement depends on, for `Vary`. */
export const CSRF_VARY = "Sec-Fetch-Site, Origin";

/**
 * What a request can do, in the order of suspicion: `safe` changes nothing, `stream` reads server-sent events, `upgrade`
 * opens a WebSocket, which no same-origin policy guards, and everything else may change something.
 */
type Kind = "safe" | "stream" | "upgrade" | "unsafe";

/** Who sent the request: the application's own pages, nobody knows, or somebody else. */
type Provenance = "own" | "unknown" | CsrfRefusal;

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
const WEBSOCKET = /(?:^|,)\s*websocket\s*(?:[,/]|$)/i;
const EVENT_STREAM = /(?:^|,)\s*text\/event-stream\s*(?:[,;]|$)/i;
// RFC 9651 section 3.3.4.
const SINGLE_TOKEN = /^[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*$/;

/**
 * Says why a request has to be refused, or null when it may pass.
 *
 * With `tokenAlways`, unsafe methods with the session cookie need the token although the browser vouches for them (NIST
 * SP 800-63B-4 section 5.1). A token never makes up for a foreign origin, nor a bearer header for a cookie.
 * Never throws; the time is linear in the headers.
 */
export function judgeCsrf(
  request: CsrfRequest,
  session: CsrfSession,
  origins: ReadonlySet<string>,
  tokenAlways: boolean,
): CsrfRefusal | null {
  const { method, headers } = request;
  // No form can send a bearer header, and a script of another site only where CORS lets it.
  if (!session.hasCookie && readBearer(headers) !== null) return null;
  const kind = kindOf(method, headers);
  if (kind === "safe") return null;
  const provenance = provenanceOf(headers, origins);
  if (provenance !== "own" && provenance !== "unknown") return provenance;
  if (kind === "stream") return null;
  const isTrusted = provenance === "own" || !mayBeBrowser(headers, session);
  const needsToken = tokenAlways && session.hasCookie && kind === "unsafe";
  if (isTrusted && !needsToken) return null;
  // A WebSocket has no place for a token: provenance is all it can show.
  return kind === "upgrade" ? "token-missing" : judgeToken(request, session);
}

/** Whether a request can be refused at all, so that its response depends on `CSRF_VARY`. */
export function isCsrfRelevant(method: string, headers: HeaderSource): boolean {
  return kindOf(method, headers) !== "safe";
}

function kindOf(method: string, headers: HeaderSource): Kind {
  if (WEBSOCKET.test(readHeader(headers, "upgrade") ?? "")) return "upgrade";
  if (!SAFE_METHODS.has(method)) return "unsafe";
  return EVENT_STREAM.test(readHeader(headers, "accept") ?? "") ? "stream" : "safe";
}

/**
 * Origins compare as whole texts: browsers have one spelling for each, and `null` is none (RFC 6454 section 6.2). Beside
 * `Sec-Fetch-Site: same-origin` it is a form of a page with `Referrer-Policy: no-referrer` (Fetch, "append a request
 * `Origin` header"), which says nothing against it.
 */
function provenanceOf(headers: HeaderSource, origins: ReadonlySet<string>): Provenance {
  const site = readHeader(headers, "sec-fetch-site");
  const origin = readHeader(headers, "origin");
  if (site !== null && !SINGLE_TOKEN.test(site)) return "malformed";
  if (origin !== null && origins.has(origin)) return "own";
  if (site === "same-site" || site === "cross-site") return "cross-site";
  const isOwnSite = site === "same-origin" || site === "none";
  const isSilent = origin === null || (site === "same-origin" && origin === "null");
  if (isOwnSite && (isSilent || origins.size === 0)) return "own";
  return origin === null ? "unknown" : "foreign-origin";
}

/**
 * Whether a request of unknown provenance could be a browser's: it has the session cookie, or `Sec-Fetch-Site` with a
 * value yet unknown. Without either there is no authority to abuse, and browsers say where login forms come from.
 */
function mayBeBrowser(headers: HeaderSource, session: CsrfSession): boolean {
  return session.hasCookie || readHeader(headers, "sec-fetch-site") !== null;
}

function judgeToken({ headers, formToken }: CsrfRequest, session: CsrfSession): CsrfRefusal | null {
  const token: unknown = readHeader(headers, "x-csrf-token") ?? formToken;
  if (typeof token !== "string" || token === "") return "token-missing";
  return session.tokenMatches(token) ? null : "token-wrong";
}

/** A header as one text: several lines make a list, however the binding hands them over (RFC 9110 section 5.3). */
function readHeader(headers: HeaderSource, name: string): string | null {
  const value: unknown = headers.get(name);
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return null;
  return [value]
    .flat()
    .filter((line) => typeof line === "string")
    .join(", ");
}
