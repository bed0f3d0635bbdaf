/** What a binding needs of `http`, and nothing else. */
export type { CookieReading } from "./cookie.ts";
export { normalAddress } from "../core/address.ts";
export type { SessionOpener } from "../core/access.ts";
export type { HeaderSource } from "./carrier.ts";
export { forwardedFor } from "./forwarded-for.ts";
export { lockFound, openSession, type OpenOptions } from "./open-session.ts";
export type { Connection } from "./request-facts.ts";
export type { CsrfQuestion, OpenedSession, Refusal } from "./request-session.ts";
export { mountSettings, type MountSettings } from "./mount.ts";
export { cacheControlFor, varyWith } from "./response-headers.ts";
export { attachSession, challengeOf, findOpened, refusalOf, sessionOf } from "./session-of.ts";
