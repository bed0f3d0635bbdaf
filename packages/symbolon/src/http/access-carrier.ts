/** How access tokens travel: as bearer tokens, or in a cookie beside that of the session. */
import { type Access, accessOf } from "../core/access.ts";
import { type CookieCarrier, cookieCarrier, type HeaderSource, type SessionCarrier } from "./carrier.ts";
import type { CookieReading } from "./cookie.ts";

/** The access tokens of what a binding was given. */
export interface AccessCarrier {
  readonly access: Access;
  /** Null where they come as bearer tokens, and no cookie at all is read or written. */
  readonly cookie: CookieCarrier | null;
}

const carriers = new WeakMap<Access, AccessCarrier>();

/** Finds how access tokens are carried; null for a session manager. Checks the cookie's settings, once. */
export function accessCarrierOf(opener: object): AccessCarrier | null {
  const access = accessOf(opener);
  if (access === null) return null;
  const known = carriers.get(access);
  if (known !== undefined) return known;
  const cookie = access.cookie === null ? null : cookieCarrier(access.cookie, access.engine.options.development);
  const made = { access, cookie };
  carriers.set(access, made);
  return made;
}

/** What a request's cookies hold of access tokens. */
export function readAccessCookie(carrier: AccessCarrier | null, headers: HeaderSource): CookieReading {
  return carrier?.cookie?.read(headers) ?? { kind: "none" };
}

/** Where access tokens come as bearer tokens, the session cookie that another binding has set has no say. */
export const NO_COOKIE: SessionCarrier = {
  name: "",
  persistent: false,
  read: () => ({ kind: "none" }),
  set: () => [],
  clear: () => [],
};
