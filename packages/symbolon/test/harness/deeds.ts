/** What operations do with a session, or with a manager. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Session, SessionManager } from "symbolon";
import type { Answer } from "./history.ts";
import type { Call } from "./orders.ts";
import type { Operation } from "./plan.ts";

export interface Data {
  a?: number;
  b?: number;
  log?: number[];
  locked?: number[];
}

type Act = (session: Session<Data>, operation: Operation, user: string) => Promise<Partial<Answer>>;

/** What the handlers of requests do. */
export const ACTS: Readonly<Partial<Record<Operation["does"], Act>>> = {
  read: async () => ({}),
  login: async (session, _operation, user) => {
    await session.login(user);
    return {};
  },
  logout: async (session) => {
    await session.logout();
    return {};
  },
  rotate: async (session) => ({ outcome: await session.rotate() }),
  write: async (session, { key = "a", number }) => {
    session.data[key] = number;
    return {};
  },
  append: async (session, { number }) => {
    let wrote: number[] = [];
    const outcome = await session.update((data) => {
      wrote = [...(data.log ?? []), number];
      data.log = wrote;
    });
    return { outcome, wrote: [...wrote] };
  },
  lockedAppend: async (session, { number, takes }) => {
    const wrote = await session.lock(async () => {
      const { locked = [] } = session.data;
      if (takes > 0) await sleep(takes);
      return (session.data.locked = [...locked, number]);
    });
    return { outcome: "saved", wrote: [...wrote] };
  },
  lockedRequest: async (session, { number }) => {
    const wrote = (session.data.locked = [...(session.data.locked ?? []), number]);
    return { wrote: [...wrote] };
  },
};

type Direct = (sessions: SessionManager<Data>, call: Call) => Promise<Partial<Answer>>;

/** What is done without a request. */
export const DIRECT: Readonly<Partial<Record<Operation["does"], Direct>>> = {
  validate: async (sessions, { token }) => {
    const found = await sessions.inspect(token ?? "");
    if (!found.ok) return { refused: found.reason };
    const given = found.session.takeToken();
    return { ...lookInto(found.session), ...(given !== null && { given }) };
  },
  refresh: async (sessions, { token }) => {
    const session = await sessions.refresh(token ?? "");
    return session === null ? {} : { ...lookInto(session), given: session.token };
  },
  revoke: async (sessions, { user, session }) => {
    if (session !== null) await sessions.revoke(user, session);
    return {};
  },
  revokeToken: async (sessions, { token }) => ({ hasEnded: (await sessions.revokeToken(token ?? "")) !== null }),
  revokeAll: async (sessions, { user }) => {
    await sessions.revokeAll(user);
    return {};
  },
  look: async (sessions, { user, handles = [] }) => {
    const found = await Promise.all(handles.map(async (id) => ((await sessions.get(user, id)) === null ? [] : [id])));
    const { sessions: listed } = await sessions.list({ userId: user, limit: 1000 });
    const counted = await sessions.count({ userId: user });
    return { look: { found: found.flat(), listed: listed.map(({ id }) => id), counted } };
  },
};

/** Which session it is, and what it holds; that it is there counts also when its data does not open. */
export function lookInto(session: Session<Data>): Partial<Answer> {
  const found = { ...(session.id !== null && { found: session.id }) };
  try {
    return { ...found, saw: structuredClone(session.data) };
  } catch (error) {
    return { ...found, failure: textOf(error) };
  }
}

export function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
