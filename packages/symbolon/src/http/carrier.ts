/** How a token travels: in a cookie, or in the `Authorization` header where the application switched that on. */
import { checkFlag, refuseUnknown } from "../core/checks.ts";
import { type CookieOptions } from "../core/options.ts";
import { type CookieAttributes, type CookieReading, cookieWriter, readCookie } from "./cookie.ts";

/**
 * Where request headers are read from: Web `Headers`, or a binding's own object.
 *
 * `get` takes a lower-case name. Several `Cookie` lines come back as one string joined with `"; "`.
 */
export interface HeaderSource {
  get(name: string): string | null | undefined;
}

/** Carries the token in a cookie. */
export interface CookieCarrier {
  /** The name on the wire, which development mode shortens. */
  readonly name: string;
  readonly persistent: boolean;
  /** What the request carries; not yet checked against the grammar of a token. */
  read(headers: HeaderSource): CookieReading;
  /** The `Set-Cookie` value; without `maxAgeSeconds` the cookie ends with the browser. */
  set(token: string, maxAgeSeconds?: number): string;
  /** The `Set-Cookie` value that deletes the cookie. */
  clear(): string;
}

/** What a request's cookies carry: a token and, where clients carry their records, the record as text. */
export interface Carried {
  readonly token: string;
  readonly carried?: string | undefined;
}

/** What was found in a request's cookies; not yet checked in any way. */
export type CarriedReading = ({ readonly kind: "value" } & Carried) | { readonly kind: "none" | "ambiguous" };

/** Carries a session, in one cookie or in several. */
export interface SessionCarrier {
  readonly name: string;
  readonly persistent: boolean;
  read(headers: HeaderSource): CarriedReading;
  /** The `Set-Cookie` values; `headers` are the request's, which say what the client has. */
  set(carried: Carried, headers: HeaderSource, maxAgeSeconds?: number): string[];
  /** The `Set-Cookie` values that delete what the client has. */
  clear(headers: HeaderSource): string[];
}

/** Carries a token, and nothing else. */
export function tokenCarrier(options: CookieOptions | undefined, development: boolean): SessionCarrier {
  const cookie = cookieCarrier(options, development);
  return {
    name: cookie.name,
    persistent: cookie.persistent,
    read(headers) {
      const reading = cookie.read(headers);
      return reading.kind === "value" ? { kind: "value", token: reading.value } : reading;
    },
    set: ({ token }, _, maxAgeSeconds) => [cookie.set(token, maxAgeSeconds)],
    clear: () => [cookie.clear()],
  };
}

/** A stand-in for a store whose sessions travel in a way of its own. */
export interface HasCarrier {
  carrier(options: CookieOptions | undefined, development: boolean): SessionCarrier;
}

/** Tells such a one from a store. */
export function hasCarrier(store: object): store is HasCarrier {
  return "carrier" in store;
}

/** As long as a JWT may be, behind the scheme. */
const MAX_AUTHORIZATION_BYTES = 8192 + "Bearer ".length;
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;
const PREFIX = /^__(?:host-http|host|http|secure)-/i;

/**
 * Makes the carrier of the session cookie: `__Host-sid; Path=/; Secure; HttpOnly; SameSite=Lax` unless told otherwise.
 *
 * In development mode (plain http on loopback) the cookie is not Secure and its name loses a prefix that demands it.
 *
 * @throws {OptionsError} for an unknown option; {CookieError} for settings that no browser would accept together.
 */
export function cookieCarrier(options: CookieOptions | undefined, development: boolean): CookieCarrier {
  const { name: chosen, path = "/", sameSite, persistent = false, ...rest } = checkOptions(options);
  const attributes: CookieAttributes = {
    ...rest,
    path,
    sameSite: sameSite ?? (rest.partitioned ? "None" : "Lax"),
    secure: !development,
    httpOnly: true,
  };
  const safest = rest.domain === undefined && path === "/" ? "__Host-sid" : "__Secure-sid";
  const name = development ? (chosen ?? safest).replace(PREFIX, "") : (chosen ?? safest);
  return {
    ...cookieWriter(name, attributes),
    name,
    persistent,
    read: (headers) => readCookie(headers.get("cookie"), name),
  };
}

/**
 * Reads the token of an `Authorization: Bearer` header (RFC 6750 section 2.1), or null.
 *
 * Null too for another scheme, no or more than one token, a list, or a token of more than 8192 octets. Never throws.
 */
export function readBearer(headers: HeaderSource): string | null {
  const header = headers.get("authorization");
  if (typeof header !== "string" || header.length > MAX_AUTHORIZATION_BYTES) return null;
  return BEARER.exec(header)?.[1] ?? null;
}

const NAMES = ["name", "path", "domain", "sameSite", "partitioned", "priority", "persistent"];

/** What the writer does not check itself: types cannot hold back a JavaScript caller or a configuration file. */
function checkOptions(options: CookieOptions = {}): CookieOptions {
  refuseUnknown(options, NAMES, "cookie.");
  checkFlag(options.partitioned, "cookie.partitioned");
  checkFlag(options.persistent, "cookie.persistent");
  return options;
}
