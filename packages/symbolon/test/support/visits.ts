/** Requests that carry their token in a cookie, as browsers send them, and what their responses give. */
import { type Connection, openSession, type OpenedSession, type Session, type SessionManager } from "symbolon";

export type Request = OpenedSession<Record<string, unknown>>;

/** What a response tells the browser. */
export interface Answer {
  /** The token of its cookie; null where it has none. */
  readonly token: string | null;
  /** Seconds; null for a cookie that ends with the browser, and for none. */
  readonly maxAge: number | null;
}

/** An answer, and what the request found: whose session, `anonymous`, or why none: `reuse-detected`, `ended: logout`. */
export interface Visit extends Answer {
  readonly found: string;
}

/** Opens the session of a request that carries a token, and further headers. */
export function request(
  sessions: SessionManager,
  token: string,
  headers: Readonly<Record<string, string>> = {},
  connection?: Connection,
): Promise<Request> {
  const all: Readonly<Record<string, string>> = { cookie: `__Host-sid=${token}`, ...headers };
  return openSession(sessions, { get: (name) => all[name] }, connection);
}

/** Ends a request as a binding does. */
export async function respond(opened: Request): Promise<Answer> {
  const cookies = opened.needsCommit() ? await opened.commit() : opened.cookies();
  if (cookies.length > 1) throw new Error("The response has several cookies.");
  const [, token = null] = /^__Host-sid=([^;]*)/.exec(cookies[0] ?? "") ?? [];
  const [, maxAge = null] = /; Max-Age=(\d+)/.exec(cookies[0] ?? "") ?? [];
  return { token, maxAge: maxAge === null ? null : Number(maxAge) };
}

/** A whole request; `use` is its handler. */
export async function visit(
  sessions: SessionManager,
  token: string,
  use: (session: Session) => unknown = () => undefined,
): Promise<Visit> {
  const opened = await request(sessions, token);
  await use(opened.session);
  const found = whatIsFound(opened);
  return { found, ...(await respond(opened)) };
}

/** A request that must be given a token; answers that. */
export async function next(sessions: SessionManager, token: string): Promise<string> {
  const given = (await visit(sessions, token)).token;
  if (given === null) throw new Error("The response carries no token.");
  return given;
}

function whatIsFound({ refusal, session }: Request): string {
  if (refusal !== null) return refusal.reason === "ended" ? `ended: ${refusal.ended?.reason}` : refusal.reason;
  return session.userId ?? session.state;
}
