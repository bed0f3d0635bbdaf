/** sessionOf: the request's session, in every framework, without changing anybody's types. */
import type { SessionOpener } from "../core/access.ts";
import type { Session } from "../core/session.ts";
import { SessionMissingError } from "../errors.ts";
import type { OpenedSession, Refusal } from "./request-session.ts";

/** The sessions of a request, the one opened last first. */
interface Mounted {
  readonly sessions: object;
  readonly opened: OpenedSession<object>;
  readonly before: Mounted | undefined;
}

/**
 * Where a request has its sessions. Not in a `WeakMap`: an entry of it outlives its request by a collection or two, with
 * all that the request holds.
 */
const MOUNTED = Symbol("symbolon.sessions");

interface Mounting {
  [MOUNTED]?: Mounted;
}

/** Ties an opened session to the framework's request object; bindings call it. */
export function attachSession<Data extends object>(
  request: object,
  sessions: SessionOpener<Data>,
  opened: OpenedSession<Data>,
): void {
  const mounting: Mounting = request;
  mounting[MOUNTED] = { sessions, opened, before: mounting[MOUNTED] };
}

/**
 * The session of a request, typed by the manager passed.
 *
 * @throws {SessionMissingError} when no binding handled this request, or two managers did and none is named.
 */
export function sessionOf<Data extends object = Record<string, unknown>>(
  request: object,
  sessions?: SessionOpener<Data>,
): Session<Data> {
  return openedOf(request, sessions).session as Session<Data>;
}

/** Why the token that came with the request opened no session; null when it did, or none came. */
export function refusalOf<Data extends object>(request: object, sessions?: SessionOpener<Data>): Refusal | null {
  return openedOf(request, sessions).refusal;
}

/**
 * The `WWW-Authenticate` value for an answer of 401 or 403 to a request, which guards send by themselves (RFC 6750 section
 * 3); null where the session comes in cookies only, or no binding has opened it.
 */
export function challengeOf<Data extends object>(
  request: object,
  session: Session<Data>,
  refusal: { readonly status: number; readonly code: string },
): string | null {
  return find(mountedOn(request), ({ opened }) => opened.session === session)?.challenge(refusal) ?? null;
}

/** The opened session of a request, if this manager's binding handled it before. */
export function findOpened<Data extends object>(
  request: object,
  sessions: SessionOpener<Data>,
): OpenedSession<Data> | null {
  const one = mountedOn(request);
  if (one === undefined) return null;
  return (find(one, (each) => each.sessions === sessions) as OpenedSession<Data> | undefined) ?? null;
}

function mountedOn(request: Mounting): Mounted | undefined {
  return request[MOUNTED];
}

function openedOf(request: object, sessions: object | undefined): OpenedSession<object> {
  const latest = mountedOn(request);
  if (latest === undefined) {
    throw new SessionMissingError("sessionOf: no session binding handled this request; mount one before this handler.");
  }
  if (sessions === undefined && latest.before !== undefined) {
    throw new SessionMissingError("sessionOf: several session managers handled this request; pass the one you mean.");
  }
  const opened = sessions === undefined ? latest.opened : find(latest, (one) => one.sessions === sessions);
  if (opened !== undefined) return opened;
  throw new SessionMissingError(
    "sessionOf: that manager did not handle this request; pass the one whose binding is mounted.",
  );
}

function find(latest: Mounted | undefined, fits: (one: Mounted) => boolean): OpenedSession<object> | undefined {
  for (let one = latest; one !== undefined; one = one.before) if (fits(one)) return one.opened;
  return undefined;
}
