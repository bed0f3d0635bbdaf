/**
 * Access: a way into the sessions of a manager besides their own tokens. `symbolon/jwt` offers one; bindings take what
 * offers it in the place of a session manager, and know no more of it than this.
 */
import type { Client } from "./device.ts";
import type { Engine, InspectReason } from "./engine.ts";
import { engineOf, type SessionManager } from "./manager.ts";
import type { CookieOptions } from "./options.ts";
import type { Session } from "./session.ts";
import type { Ending } from "./store.ts";

/** Why an access token opens no session. For logs; never send it to a client. */
export type AccessRefusal =
  | InspectReason
  /** Longer than a token may be. */
  | "too-large"
  /** Another spelling of a token. */
  | "not-canonical"
  /** Its header names no algorithm, key or type as it should. */
  | "header-invalid"
  /** It brings a key, or says where to get one. */
  | "key-in-header"
  /** It asks for something that not every reader would do. */
  | "extension"
  /** Its key is for another algorithm. */
  | "wrong-algorithm"
  /** It is of another kind. */
  | "wrong-type"
  | "bad-signature"
  /** A claim is missing, or not of its type. */
  | "claims-invalid"
  | "wrong-issuer"
  | "wrong-audience"
  /** Issued in the future, or valid only from then on. */
  | "not-yet-valid"
  /** Valid for longer than tokens are issued for. */
  | "too-long-lived"
  /** A newer one has taken its place. */
  | "replaced";

/** What an access token turned out to be. */
export type AccessInspection<Data extends object> =
  | { readonly ok: true; readonly session: Session<Data> }
  | { readonly ok: false; readonly reason: AccessRefusal; readonly ended?: Ending };

/** What request handling asks of an access. */
export interface Access {
  readonly engine: Engine;
  /** The cookie that carries access tokens, beside the session's own; null where they come as bearer tokens. */
  readonly cookie: CookieOptions | null;
  /** Whether an access token is looked at before the session's own cookie, as where that spares the store. */
  readonly isFirst: boolean;
  /** The session that an access token opens; the request's commit notes its use. */
  open(text: string, client: Client): Promise<AccessInspection<object>>;
  /** An access token for a session that was opened by its own token; null when the one that came fits it as it is now. */
  issueFor(session: Session<object>, presented: string | null): Promise<string | null>;
}

/** Opens sessions in the place of the manager `sessions`, as what `createJwtSessionManager` makes. */
export interface AccessManager<Data extends object> {
  readonly sessions: SessionManager<Data>;
}

/** What bindings open the sessions of requests with. */
export type SessionOpener<Data extends object> = SessionManager<Data> | AccessManager<Data>;

const accesses = new WeakMap<object, Access>();

/** Lets bindings take a manager of access tokens. */
export function offerAccess<Data extends object>(manager: AccessManager<Data>, access: Access): void {
  accesses.set(manager, access);
}

/** The access that a manager offers; null for a session manager. */
export function accessOf(opener: object): Access | null {
  return accesses.get(opener) ?? null;
}

/** The engine behind what a binding was given. */
export function engineBehind<Data extends object>(opener: SessionOpener<Data>): Engine {
  return accessOf(opener)?.engine ?? engineOf(opener as SessionManager<Data>);
}
