/**
 * Every error this package throws, and its stable code.
 *
 * Expected outcomes (no session, expired, revoked, conflict answered by a store) are values, not errors.
 * No message, property or cause set here ever carries a token, a key or application data.
 */

/** The stable codes; safe to switch on across releases. */
export type SymbolonErrorCode =
  | "ERR_OPTIONS_INVALID"
  | "ERR_KEY_INVALID"
  | "ERR_COOKIE_INVALID"
  | "ERR_DATA_INVALID"
  | "ERR_DATA_TOO_LARGE"
  | "ERR_RECORD_CORRUPT"
  | "ERR_CONFLICT"
  | "ERR_NOT_SUPPORTED"
  | "ERR_HEADERS_SENT"
  | "ERR_SESSION_MISSING"
  | "ERR_SESSION_ENDED"
  | "ERR_SESSION_LIMIT"
  | "ERR_NOT_ALLOWED"
  | "ERR_CSRF_REFUSED"
  | "ERR_LOCK_TIMEOUT"
  | "ERR_LEASE_LOST"
  | "ERR_STORE_UNAVAILABLE"
  | "ERR_STORE_TIMEOUT";

const brand = Symbol.for("symbolon.error");

/** In seconds: whatever keeps a store or a lock from us may be over by then. */
const TRY_AGAIN: Readonly<Record<string, string>> = Object.freeze({ "Retry-After": "5" });

/** The base of every error thrown by this package. */
export abstract class SymbolonError extends Error {
  /** What went wrong; stable across releases. */
  abstract readonly code: SymbolonErrorCode;
  /** The HTTP status a binding answers when the error reaches it. */
  readonly status: number = 500;
  /** Whether the same call may succeed later without a change to the program. */
  readonly retryable: boolean = false;
  /** Headers for the answer; Express, Fastify and Koa send those of an error along with its status. */
  readonly headers?: Readonly<Record<string, string>>;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Tells whether a value is an error of this package, also one of another copy of it. */
export function isSymbolonError(value: unknown): value is SymbolonError {
  return typeof value === "object" && value !== null && brand in value;
}

/** An option is wrong. Thrown at construction, with a message that says what to write instead. */
export class OptionsError extends SymbolonError {
  override readonly code = "ERR_OPTIONS_INVALID";
}

/** A key is missing, too short, or not random. The message never shows the key. */
export class KeyError extends SymbolonError {
  override readonly code = "ERR_KEY_INVALID";
}

/** A cookie cannot be written as asked (RFC 6265bis section 4.1, R-042, R-043). Thrown before any header is set. */
export class CookieError extends SymbolonError {
  override readonly code = "ERR_COOKIE_INVALID";
}

/** Session data holds something that cannot be stored, or fails the application's schema. `path` says where. */
export class DataInvalidError extends SymbolonError {
  override readonly code = "ERR_DATA_INVALID";
  /** Where the value is, as `cart.items[3]`; empty for the root. */
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** Session data is over one of the `bounds`. The stored session is unchanged. */
export class DataTooLargeError extends SymbolonError {
  override readonly code = "ERR_DATA_TOO_LARGE";
  override readonly status = 413;
}

/** A sealed part passed its integrity check but does not open; only a defect or a lost key leads here. */
export class RecordCorruptError extends SymbolonError {
  override readonly code = "ERR_RECORD_CORRUPT";
}

/** Another request changed the session's data first, and `conflicts: 'strict'` (or too many rounds) forbids a merge. */
export class ConflictError extends SymbolonError {
  override readonly code = "ERR_CONFLICT";
  override readonly status = 409;
  override readonly retryable = true;
}

/** The session ended before `session.lock` had it, or before what was changed under the lock was saved. */
export class SessionEndedError extends SymbolonError {
  override readonly code = "ERR_SESSION_ENDED";
  override readonly status = 401;
}

/** Others held the lock for longer than `wait`. Nothing was done under it. */
export class LockTimeoutError extends SymbolonError {
  override readonly code = "ERR_LOCK_TIMEOUT";
  override readonly status = 503;
  override readonly headers: Readonly<Record<string, string>> = TRY_AGAIN;
  override readonly retryable = true;
}

/** The lock was lost while it was held: its lease ran out unrenewed, so another may hold it. A write under it was not made. */
export class LeaseLostError extends SymbolonError {
  override readonly code = "ERR_LEASE_LOST";
  override readonly status = 409;
  override readonly retryable = true;
}

/** The store lacks the ability this call needs; docs/stores.md lists which store has which. */
export class NotSupportedError extends SymbolonError {
  override readonly code = "ERR_NOT_SUPPORTED";
}

/** The response headers have left, so a cookie can no longer be sent. */
export class HeadersSentError extends SymbolonError {
  override readonly code = "ERR_HEADERS_SENT";
}

/** `sessionOf(request)` found no session for this request, or more than one. */
export class SessionMissingError extends SymbolonError {
  override readonly code = "ERR_SESSION_MISSING";
}

/** The user, or all users together, have as many sessions as `limits` allows. No session was begun, and none ended. */
export class SessionLimitError extends SymbolonError {
  override readonly code = "ERR_SESSION_LIMIT";
  override readonly status = 403;
  /** Which of the two limits is reached. */
  readonly limit: "perUser" | "total";

  constructor(limit: "perUser" | "total", message: string) {
    super(message);
    this.limit = limit;
  }
}

/** The session may not do this: nobody is logged in, or somebody else acts as the user. Nothing was changed. */
export class NotAllowedError extends SymbolonError {
  override readonly code = "ERR_NOT_ALLOWED";
  override readonly status = 403;
}

/** The request may have been sent by another site, so it was not handled. The event `csrf-refused` says why. */
export class CsrfError extends SymbolonError {
  override readonly code = "ERR_CSRF_REFUSED";
  override readonly status = 403;
}

/** The store did not do its work; `cause` is the client's own error. Bindings answer 503. */
export class StoreUnavailableError extends SymbolonError {
  override readonly code: "ERR_STORE_UNAVAILABLE" | "ERR_STORE_TIMEOUT" = "ERR_STORE_UNAVAILABLE";
  override readonly status = 503;
  override readonly headers: Readonly<Record<string, string>> = TRY_AGAIN;
  override readonly retryable = true;
}

/** The store did not answer in time. A write may or may not have been applied. */
export class StoreTimeoutError extends StoreUnavailableError {
  override readonly code = "ERR_STORE_TIMEOUT";
}
