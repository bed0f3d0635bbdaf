/**
 * A model of sessions that knows no bytes: for every token ever issued, whose it is and what a request with it must
 * find; and the commands that play it beside the real thing.
 */
import { openSession, type SessionManager } from "symbolon";
import type { ManualClock } from "symbolon/testing";
import { expect } from "vitest";

export const IDLE = 60_000;
export const ABSOLUTE = 600_000;
export const SLACK = 60_000;
export const EVERY = 15_000;
export const GRACE = 10_000;
const TOUCH = IDLE / 10;
const USERS = ["user-1", "user-2", "user-3"] as const;

/** What the token of a session took the place of. */
interface Replaced {
  readonly at: number;
  /** Since when grace counts; null until the token is presented. */
  graceFrom: number | null;
  /** Answered with the token. */
  readonly good: string | null;
  /** Refused, and taken for nothing worse. */
  readonly dead: readonly string[];
}

interface ModelSession {
  readonly id: string;
  readonly userId: string | null;
  readonly createdAt: number;
  token: string;
  replaced: Replaced | null;
  /** All that were replaced, oldest first. */
  readonly old: string[];
  absoluteAt: number;
  lastSeenAt: number;
  data: Record<string, unknown>;
  roles: readonly string[];
  isEnded: boolean;
}

export interface Model {
  readonly sessions: ModelSession[];
  /** Ids of the sessions that an old token has ended, in that order. */
  readonly reused: string[];
}

export interface Real {
  readonly clock: ManualClock;
  readonly managers: readonly [SessionManager, SessionManager];
}

const isGraceOver = ({ graceFrom }: Replaced, now: number): boolean => graceFrom !== null && now - graceFrom >= GRACE;

/** What a token is to its session. */
function standingOf({ token, replaced }: ModelSession, presented: string, now: number) {
  if (presented === token) return "present";
  if (replaced === null || isGraceOver(replaced, now)) return "reused";
  if (presented === replaced.good) return "good";
  return replaced.dead.includes(presented) ? "dead" : "reused";
}

function mayRotate({ createdAt, replaced }: ModelSession, now: number): boolean {
  return replaced === null ? now - createdAt >= GRACE : isGraceOver(replaced, now);
}

function isRotationDue(about: ModelSession, now: number): boolean {
  return mayRotate(about, now) && now - (about.replaced?.at ?? about.createdAt) >= EVERY;
}

function replaceToken(about: ModelSession, next: string, manner: "grace" | "refresh" | "at-once", now: number): void {
  const { token, replaced } = about;
  const late = replaced === null || isGraceOver(replaced, now) ? [] : [replaced.good ?? [], replaced.dead].flat();
  about.old.push(token);
  about.token = next;
  about.lastSeenAt = Math.max(now, about.lastSeenAt);
  about.replaced =
    manner === "at-once"
      ? { at: now, graceFrom: null, good: null, dead: [token, ...late] }
      : { at: now, graceFrom: manner === "refresh" ? now : null, good: token, dead: [] };
}

/** What the model expects of a token that is presented: the token of its holder from now on, or null for no session. */
function present({ model }: Turn, about: ModelSession, token: string, now: number): string | null {
  if (!isAlive(about, now)) return null;
  const standing = standingOf(about, token, now);
  if (standing === "reused") {
    about.isEnded = true;
    model.reused.push(about.id);
  }
  return standing === "present" || standing === "good" ? about.token : null;
}

/** Use is noted when it is due, and always when a token arrives for the first time. */
function noteUse(about: ModelSession, token: string, now: number): void {
  const { replaced } = about;
  const arrives = token === about.token && replaced !== null && replaced.graceFrom === null;
  if (arrives) replaced.graceFrom = now;
  if (arrives || now - about.lastSeenAt >= TOUCH) about.lastSeenAt = Math.max(now, about.lastSeenAt);
}

const deadlineOf = (session: ModelSession): number => Math.min(session.lastSeenAt + IDLE, session.absoluteAt);
const isAlive = (session: ModelSession, now: number): boolean => !session.isEnded && now < deadlineOf(session);

/** One command of a client; `at` picks the session, `through` the manager. */
export interface Command {
  readonly kind: keyof typeof run;
  readonly at: number;
  readonly through: number;
  readonly value: number;
}

export interface Turn {
  readonly model: Model;
  readonly real: Real;
  readonly sessions: SessionManager;
  readonly now: number;
  readonly command: Command;
  /** The session the command is about; its token may be dead. */
  readonly about: ModelSession | undefined;
}

/** A request with a token of a session: what it finds must be what the model says, and its use is noted. */
export async function request(turn: Turn, token: string | undefined = turn.about?.token) {
  const { sessions, now, about } = turn;
  if (about === undefined || token === undefined) return null;
  const expected = present(turn, about, token, now);
  const session = await sessions.validate(token);
  expect(session !== null).toBe(expected !== null);
  if (session === null) return null;
  noteUse(about, token, now);
  expect(session).toMatchObject({
    id: about.id,
    userId: about.userId,
    roles: about.roles,
    expiresAt: deadlineOf(about),
  });
  expect(session.data).toEqual(about.data);
  expect(session.takeToken()).toBe(token === about.token ? null : about.token);
  return session;
}

/** A request with a token in a cookie; answers the one that it is given. */
async function visit(turn: Turn, token: string): Promise<void> {
  const { sessions, now, about } = turn;
  if (about === undefined) return;
  const expected = present(turn, about, token, now);
  const opened = await openSession(sessions, { get: (name) => (name === "cookie" ? `__Host-sid=${token}` : null) });
  expect(opened.session.id).toBe(expected === null ? null : about.id);
  const cookies = opened.needsCommit() ? await opened.commit() : opened.cookies();
  const [given] = cookies.map((cookie) => cookie.slice(11, 94));
  if (expected === null || token !== about.token) {
    expect(given).toBe(expected ?? undefined);
    if (expected !== null) noteUse(about, token, now);
    return;
  }
  const isDue = isRotationDue(about, now);
  expect(given !== undefined).toBe(isDue);
  noteUse(about, token, now);
  if (given !== undefined) replaceToken(about, given, "grace", now);
}

/** A token that the session has had, the latest more often. */
function oldToken({ about, command }: Turn): string | undefined {
  return about?.old.at(-1 - (command.value % 3));
}

const wrote = (turn: Turn): void => {
  if (turn.about !== undefined) turn.about.lastSeenAt = Math.max(turn.now, turn.about.lastSeenAt);
};

export const run = {
  async create({ model, sessions, now, command }: Turn) {
    const userId = USERS[command.value % 4] ?? null;
    const data = command.at % 2 === 0 ? {} : { n: 0 };
    const made = await sessions.create({ ...(userId !== null && { userId }), ...(command.at % 2 === 1 && { data }) });
    const { id, token } = made;
    model.sessions.push({
      id,
      userId,
      createdAt: now,
      token,
      replaced: null,
      old: [],
      absoluteAt: now + ABSOLUTE,
      lastSeenAt: now,
      data,
      roles: [],
      isEnded: false,
    });
  },
  async validate(turn: Turn) {
    await request(turn);
  },
  async writeKey(turn: Turn) {
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    const [key, value] = [`k${turn.command.value % 3}`, turn.command.value];
    const changes = turn.about.data[key] !== value;
    session.data[key] = value;
    expect(await session.save()).toBe(changes ? "saved" : "unchanged");
    turn.about.data = { ...turn.about.data, [key]: value };
    if (changes) wrote(turn);
  },
  async removeKey(turn: Turn) {
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    const key = `k${turn.command.value % 3}`;
    const { [key]: removed, ...rest } = turn.about.data;
    delete session.data[key];
    expect(await session.save()).toBe(removed === undefined ? "unchanged" : "saved");
    turn.about.data = rest;
    if (removed !== undefined) wrote(turn);
  },
  async increment(turn: Turn) {
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    expect(await session.update((data) => void (data["n"] = Number(data["n"] ?? 0) + 1))).toBe("saved");
    turn.about.data = { ...turn.about.data, n: Number(turn.about.data["n"] ?? 0) + 1 };
    wrote(turn);
  },
  async race(turn: Turn) {
    // Two requests, one in each process, both opened before either writes.
    const [first, second] = [await request(turn), await request({ ...turn, sessions: otherOf(turn) })];
    if (first === null || second === null || turn.about === undefined) return;
    first.data["a"] = turn.command.value;
    second.data["b"] = { v: turn.command.value };
    const answers = await Promise.all([first.save(), second.save()]);
    const after = { ...turn.about.data, a: turn.command.value, b: { v: turn.command.value } };
    if (answers.includes("saved")) wrote(turn);
    turn.about.data = after;
  },
  async refresh(turn: Turn) {
    await refresh(turn, turn.about?.token);
  },
  async refreshOld(turn: Turn) {
    await refresh(turn, oldToken(turn));
  },
  async presentOld(turn: Turn) {
    await request(turn, oldToken(turn));
  },
  async visit(turn: Turn) {
    await visit(turn, turn.about?.token ?? "");
  },
  async visitOld(turn: Turn) {
    const token = oldToken(turn);
    if (token !== undefined) await visit(turn, token);
  },
  async rotate(turn: Turn) {
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    const isAllowed = mayRotate(turn.about, turn.now);
    expect(await session.rotate()).toBe(isAllowed ? "saved" : "unchanged");
    if (isAllowed) replaceToken(turn.about, session.takeToken() ?? "", "grace", turn.now);
  },
  async changeRoles(turn: Turn) {
    const session = await request(turn);
    if (session === null || turn.about === undefined || turn.about.userId === null) return;
    const roles = [`own${turn.command.value}`];
    const changes = turn.about.roles[0] !== roles[0];
    expect(await session.setRoles(roles)).toBe(changes ? "saved" : "unchanged");
    if (changes) replaceToken(turn.about, session.takeToken() ?? "", "at-once", turn.now);
    turn.about.roles = roles;
  },
  async setRoles({ sessions, now, about, command }: Turn) {
    if (about?.userId === undefined || about.userId === null) return;
    const roles = [`r${command.value}`];
    const answer = await sessions.update(about.userId, about.id, { roles });
    expect(answer).toBe(isAlive(about, now) ? "saved" : "gone");
    if (answer === "saved") about.roles = roles;
  },
  async shorten(turn: Turn) {
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    const duration = 1 + turn.command.value * 1000;
    session.setDuration(duration);
    const absoluteAt = Math.min(turn.about.absoluteAt, turn.now + duration);
    expect(await session.save()).toBe(absoluteAt < turn.about.absoluteAt ? "saved" : "unchanged");
    if (absoluteAt < turn.about.absoluteAt) wrote(turn);
    turn.about.absoluteAt = absoluteAt;
  },
  async logout(turn: Turn) {
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    await session.logout();
    turn.about.isEnded = true;
  },
  async lateSave(turn: Turn) {
    // Read, ended by another process, then saved.
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    const changes = turn.about.data["late"] !== turn.command.value;
    session.data["late"] = turn.command.value;
    await otherOf(turn).revokeToken(turn.about.token);
    turn.about.isEnded = true;
    // What writes nothing does not ask the store, and so does not learn of the end.
    expect(await session.save()).toBe(changes ? "gone" : "unchanged");
  },
  async saveAfterRefresh(turn: Turn) {
    // Read, given another token by another process, then saved: the data is kept, for the new token.
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    session.data["late"] = turn.command.value;
    await refresh({ ...turn, sessions: otherOf(turn) }, turn.about.token);
    const changes = turn.about.data["late"] !== turn.command.value;
    expect(await session.save()).toBe(changes ? "saved" : "unchanged");
    turn.about.data = { ...turn.about.data, late: turn.command.value };
    if (changes) wrote(turn);
    expect(session.takeToken()).toBe(changes ? turn.about.token : null);
  },
  async revoke({ sessions, now, about }: Turn) {
    if (about?.userId === undefined || about.userId === null) return;
    expect(await sessions.revoke(about.userId, about.id)).toBe(isAlive(about, now) ? about.userId : null);
    if (isAlive(about, now)) about.isEnded = true;
  },
  async revokeAll({ model, sessions, now, command, about }: Turn) {
    const userId = USERS[command.value % 3] ?? "";
    const except = command.value > 50 && about !== undefined ? [about.id] : [];
    await sessions.revokeAll(userId, { except });
    for (const session of model.sessions) {
      if (session.userId === userId && isAlive(session, now) && !except.includes(session.id)) session.isEnded = true;
    }
  },
  async advance({ real, command }: Turn) {
    real.clock.advance(command.value * 700);
  },
  async tick({ real, command }: Turn) {
    real.clock.advance(command.value * 110);
  },
  async expire({ real }: Turn) {
    real.clock.advance(IDLE);
  },
  async prune({ sessions }: Turn) {
    await sessions.prune();
  },
  async count({ model, sessions, now }: Turn) {
    for (const userId of USERS) {
      const alive = model.sessions.filter((session) => session.userId === userId && isAlive(session, now));
      expect(await sessions.count({ userId })).toBe(alive.length);
      const { sessions: listed } = await sessions.list({ userId, limit: 1000 });
      expect(new Set(listed.map(({ id }) => id))).toEqual(new Set(alive.map(({ id }) => id)));
    }
    const owned = model.sessions.filter((session) => session.userId !== null && isAlive(session, now));
    expect(await sessions.count()).toBe(owned.length);
    expect(await sessions.countUsers()).toBe(new Set(owned.map(({ userId }) => userId)).size);
  },
};

async function refresh(turn: Turn, token: string | undefined): Promise<void> {
  const { sessions, now, about } = turn;
  if (about === undefined || token === undefined) return;
  const expected = present(turn, about, token, now);
  const next = await sessions.refresh(token);
  expect(next !== null).toBe(expected !== null);
  if (next === null) return;
  if (token === about.token) replaceToken(about, next.token, "refresh", now);
  expect(next.token).toBe(about.token);
}

function otherOf({ real, command }: Turn): SessionManager {
  return real.managers[command.through === 0 ? 1 : 0];
}
