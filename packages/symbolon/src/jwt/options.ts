/** Every option of `createJwtSessionManager` and `createJwtVerifier`, its default and its check. */
import { checkFunction, oneOf, refuseUnknown, wholeNumber } from "../core/checks.ts";
import { type Duration, parseDuration } from "../core/lifetime.ts";
import type { SessionManager } from "../core/manager.ts";
import type { CookieOptions, ResolvedOptions } from "../core/options.ts";
import type { SessionInfo } from "../core/session-info.ts";
import { OptionsError } from "../errors.ts";
import type { JwtKey } from "./keys.ts";

/** What `createJwtSessionManager` takes. */
export interface JwtSessionManagerOptions<Data extends object> {
  /** Whose sessions stand behind the tokens. */
  readonly sessions: SessionManager<Data>;
  /** `iss` of the tokens: who issues them, as `https://accounts.example`. */
  readonly issuer: string;
  /** `aud` of the tokens: who they are for. One of several is enough for a token to be taken. */
  readonly audience: string | readonly string[];
  /** Keys as JWK or as its JSON, newest first: the first signs, all verify. `generateJwtKey()` makes one. */
  readonly signing: readonly (JwtKey | string | undefined)[];
  /** How long an access token lives; never longer than its session. Default 10 min. */
  readonly accessTtl?: Duration;
  /**
   * `pair` (default): a short JWT, and beside it the session's own opaque token, which rotates with every `refresh`.
   * `single`: the JWT alone, which `refresh` replaces by another; needs `seal: 'server'`.
   */
  readonly tokens?: "pair" | "single";
  /**
   * `stateful` (default): every request asks the store, so that an end is seen at once. `offline`: none does, so a token
   * is good until it expires, unless this very process knows of its end; `accessTtl` is then an hour at most.
   */
  readonly verification?: "stateful" | "offline";
  /**
   * `bearer` (default): the access token comes in the `Authorization` header. `cookie`: in a cookie beside that of the
   * session, and bindings see to both. Not with `tokens: 'single'`.
   */
  readonly carrier?: "bearer" | "cookie";
  /** The cookie of the access token. Default `__Host-access`; `__Secure-access` with a `domain` or another `path`. */
  readonly cookie?: CookieOptions;
  /** Further claims of a session's tokens, which everybody who has one can read; the registered ones stay ours. */
  readonly claims?: (session: SessionInfo) => Readonly<Record<string, unknown>>;
  /** How many verified tokens are remembered, so that a signature is looked at once. Default 4096; 0 for none. */
  readonly remember?: number;
}

/** Options with every default filled in, checked. */
export interface ResolvedJwtOptions {
  readonly issuer: string;
  readonly audiences: ReadonlySet<string>;
  readonly accessTtl: number;
  readonly isSingle: boolean;
  readonly isOffline: boolean;
  /** Null where tokens come in the `Authorization` header. */
  readonly cookie: CookieOptions | null;
  readonly claims: ((session: SessionInfo) => Readonly<Record<string, unknown>>) | null;
  readonly remember: number;
}

const NAMES: readonly (keyof JwtSessionManagerOptions<object>)[] = [
  "sessions",
  "issuer",
  "audience",
  "signing",
  "accessTtl",
  "tokens",
  "verification",
  "carrier",
  "cookie",
  "claims",
  "remember",
];

const MAX_OFFLINE = 3_600_000;

/** Checks all options but the keys; `sessions` are those of the manager behind. */
export function resolveJwtOptions<Data extends object>(
  options: JwtSessionManagerOptions<Data>,
  sessions: Pick<ResolvedOptions, "seal" | "limits">,
): ResolvedJwtOptions {
  refuseUnknown(options, NAMES, "");
  const isSingle = oneOf(options.tokens, ["pair", "single"], "tokens") === "single";
  const isOffline = oneOf(options.verification, ["stateful", "offline"], "verification") === "offline";
  const isInCookie = oneOf(options.carrier, ["bearer", "cookie"], "carrier") === "cookie";
  const accessTtl = parseDuration(options.accessTtl ?? "10m", "accessTtl");
  if (accessTtl < 1000) throw new OptionsError("accessTtl: at least a second; JWTs count in seconds.");
  if (isOffline && accessTtl > MAX_OFFLINE) {
    throw new OptionsError("accessTtl: an hour at most with verification: 'offline', for nobody can end such a token.");
  }
  if (sessions.limits?.onLimit === "reuse") {
    throw new OptionsError(
      "limits.onLimit: 'reuse' is not for JWT sessions: of clients with one token, one refreshes.",
    );
  }
  if (isSingle && sessions.seal !== "server") {
    throw new OptionsError("tokens: 'single' needs seal: 'server', for no JWT opens split data.");
  }
  if (isSingle && isOffline) {
    throw new OptionsError("tokens: 'single' needs verification: 'stateful', where a replaced token ends at once.");
  }
  if (isSingle && isInCookie) {
    throw new OptionsError("tokens: 'single' is for clients that carry the token themselves; leave carrier out.");
  }
  if (!isInCookie && options.cookie !== undefined) throw new OptionsError("cookie: needs carrier: 'cookie'.");
  return {
    issuer: checkParty(options.issuer, "issuer"),
    audiences: checkAudiences(options.audience),
    accessTtl,
    isSingle,
    isOffline,
    cookie: isInCookie ? withName(options.cookie) : null,
    claims: checkFunction(options.claims, "claims") ?? null,
    remember: wholeNumber(options.remember ?? 4096, 0, 1_000_000, "remember"),
  };
}

/** Checks one or several audiences: whole texts, no patterns. */
export function checkAudiences(audience: unknown): ReadonlySet<string> {
  const list = [audience].flat();
  if (list.length === 0) throw new OptionsError("audience: name at least one.");
  return new Set(list.map((one) => checkParty(one, "audience")));
}

/** Checks the name of an issuer or an audience. */
export function checkParty(value: unknown, name: string): string {
  if (typeof value === "string" && value !== "" && value.length <= 512) return value;
  throw new OptionsError(`${name}: pass a text of 1 to 512 characters; it is compared as a whole.`);
}

function withName(cookie: CookieOptions = {}): CookieOptions {
  const isHost = cookie.domain === undefined && (cookie.path ?? "/") === "/";
  return { name: isHost ? "__Host-access" : "__Secure-access", ...cookie };
}
