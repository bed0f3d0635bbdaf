/** Managers, and what their tokens open: for tests of logins. */
import {
  createSessionManager,
  generateKey,
  type LoginOptions,
  openSession,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { sqliteFile } from "./sqlite.ts";
import type { FullStore } from "./stores.ts";

export type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

/** A manager on a store of its own, unless told. */
export function manager(options: Options = {}): SessionManager {
  return createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false, ...options });
}

/** The session that a token opens; it must open one. */
export async function opened(sessions: SessionManager, token: string): Promise<Session> {
  const session = await sessions.validate(token);
  if (session === null) throw new Error("The session does not open.");
  return session;
}

/** What a token opens, in words: `authenticated: user-1`, `anonymous`, or why nothing: `ended: logout`, `expired`. */
export async function found(sessions: SessionManager, token: string): Promise<string> {
  const answer = await sessions.inspect(token);
  if (!answer.ok) return answer.reason === "ended" ? `ended: ${answer.ended?.reason}` : answer.reason;
  const { state, userId } = answer.session;
  return userId === null ? state : `${state}: ${userId}`;
}

/** The session of a visitor who has none yet; nothing is stored. */
export async function visitor(sessions: SessionManager): Promise<Session> {
  return (await openSession(sessions, { get: () => undefined })).session;
}

/** The token that a session was just given; there must be one. */
export function taken(session: Session): string {
  const token = session.takeToken();
  if (token === null) throw new Error("No token was issued.");
  return token;
}

/** Logs a user in, in a session that a token opens; answers the new token. */
export async function logIn(
  sessions: SessionManager,
  token: string,
  userId: string,
  options?: LoginOptions,
): Promise<string> {
  const session = await opened(sessions, token);
  await session.login(userId, options);
  return taken(session);
}

/** Two ways into one store, as of two processes. */
export type StorePair = readonly [FullStore, FullStore];

/** Pairs by the name of the store: memory, and a SQLite file with a connection for each. */
export const storePairs: readonly (readonly [name: string, make: () => StorePair])[] = [
  [
    "memory",
    () => {
      const store = memoryStore();
      return [store, store];
    },
  ],
  [
    "SQLite",
    () => {
      const file = sqliteFile();
      return [sqliteStore(file.connect()), sqliteStore(file.connect())];
    },
  ],
];

/** Calls as JavaScript would: no types hold it back. */
export async function untyped(target: object, method: string, ...args: unknown[]): Promise<unknown> {
  const called = Reflect.get(target, method) as (...args: unknown[]) => unknown;
  return Reflect.apply(called, target, args);
}

/** Keeps every event that a manager raises. */
export function listen(sessions: SessionManager): { readonly type: string }[] {
  const heard: { readonly type: string }[] = [];
  sessions.on("*", (event) => heard.push(event));
  return heard;
}
