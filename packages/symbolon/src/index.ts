/** The public face of `symbolon`. What is not named here is internal. */
export { generateKey } from "./crypto/keyring.ts";
export { type Clock, systemClock } from "./core/clock.ts";
export type { CreateOptions, LoginOptions } from "./core/beginning.ts";
export type { Bounds } from "./core/data.ts";
export type { Client, NameDevice } from "./core/device.ts";
export type { PinOptions } from "./core/pin.ts";
export type { InspectReason } from "./core/engine.ts";
export type { CsrfRefusal, SessionEvent, SessionEvents, SessionListener } from "./core/events.ts";
export type { Inspection } from "./core/inspect-token.ts";
export type { Lease } from "./core/lease.ts";
export { type Duration, type Lifetime, lifetimePresets } from "./core/lifetime.ts";
export { limitPresets, type Limits } from "./core/limits.ts";
export type { LockOptions } from "./core/lock.ts";
export {
  createSessionManager,
  type ClaimsChange,
  type CreatedSession,
  type ListOptions,
  type RevokeAllOptions,
  type SessionManager,
  type SessionPage,
  type UpdateOptions,
} from "./core/manager.ts";
export type { CookieOptions, SessionManagerOptions } from "./core/options.ts";
export type { Device, SessionState } from "./core/record.ts";
export type { RotationOptions } from "./core/rotation.ts";
export type { SaveResult, Session } from "./core/session.ts";
export type { SessionInfo } from "./core/session-info.ts";
export type * from "./core/store.ts";
export {
  canAdmit,
  canClose,
  canLock,
  canPrune,
  canReplicate,
  canWarn,
  hasInvalidations,
  hasOwnerIndex,
  hasTenantIndex,
  isCaching,
  isCarrying,
  isTombstone,
  TOMBSTONE_MS,
} from "./core/store.ts";
export { tokenPattern } from "./core/token.ts";
export * from "./errors.ts";
export {
  challengeOf,
  type Connection,
  type CsrfQuestion,
  type HeaderSource,
  openSession,
  type OpenedSession,
  type OpenOptions,
  type Refusal,
  refusalOf,
  sessionOf,
  type SessionOpener,
} from "./http/index.ts";
