/** IssuedTokens: what a client is given at login and refresh. */
import type { Session } from "../core/session.ts";
import type { JwtClaims } from "./claims.ts";

/** The members of a token response (RFC 6749 section 5.1), to be sent as JSON with `Cache-Control: no-store`. */
export interface TokenResponse {
  readonly access_token: string;
  readonly token_type: "Bearer";
  /** Seconds. */
  readonly expires_in: number;
  readonly refresh_token?: string;
}

/** Tokens just issued: the only time they can be read. They are behind getters, where no log or inspection finds them. */
export class IssuedTokens<Data extends object = Record<string, unknown>> {
  readonly session: Session<Data>;
  readonly claims: JwtClaims;
  readonly #access: string;
  readonly #refresh: string | null;

  /** @internal Tokens come from a manager. */
  constructor(session: Session<Data>, claims: JwtClaims, access: string, refresh: string | null) {
    this.session = session;
    this.claims = claims;
    this.#access = access;
    this.#refresh = refresh;
  }

  /** The JWT. */
  get accessToken(): string {
    return this.#access;
  }

  /**
   * The session's own token, which `refresh` takes; null where the client has it already, and where the JWT is the only
   * token (`tokens: 'single'`).
   */
  get refreshToken(): string | null {
    return this.#refresh;
  }

  /** When the access token ends, in ms since the epoch. */
  get expiresAt(): number {
    return this.claims.exp * 1000;
  }

  /** What an HTTP API answers. */
  toResponse(): TokenResponse {
    return {
      access_token: this.#access,
      token_type: "Bearer",
      expires_in: this.claims.exp - this.claims.iat,
      ...(this.#refresh !== null && { refresh_token: this.#refresh }),
    };
  }
}
