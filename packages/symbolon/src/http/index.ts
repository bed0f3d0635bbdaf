/** What a binding needs of `http`, and nothing else. */
export type { CookieReading } from "./cookie.ts";
export type { HeaderSource } from "./carrier.ts";
export { type Connection, openSession, type OpenedSession, type Refusal } from "./request-session.ts";
export { mountSettings, type MountSettings } from "./mount.ts";
export { cacheControlFor, varyWith } from "./response-headers.ts";
export { attachSession, findOpened, refusalOf, sessionOf } from "./session-of.ts";
