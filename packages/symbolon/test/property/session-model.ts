/**
 * A model of sessions that knows no bytes: for every token ever issued, whose it is and what a request with it must
 * find; and the commands that play it beside the real thing.
 */
import type { SessionManager } from "symbolon";
import type { ManualClock } from "symbolon/testing";
import { expect } from "vitest";

export const IDLE = 60_000;
export const ABSOLUTE = 600_000;
export const SLACK = 60_000;
const TOUCH = IDLE / 10;
const USERS = ["user-1", "user-2", "user-3"] as const;

interface ModelSession {
  readonly id: string;
  readonly userId: string | null;
  /** The only good one. */
  token: string;
  absoluteAt: number;
  lastSeenAt: number;
  data: Record<string, unknown>;
  roles: readonly string[];
  isEnded: boolean;
}

export interface Model {
  readonly sessions: ModelSession[];
  /** Replaced ones; never good again. */
  readonly deadTokens: string[];
}

export interface Real {
  readonly clock: ManualClock;
  readonly managers: readonly [SessionManager, SessionManager];
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

/** A request with the token of a session: what it finds must be what the model says, and its use is noted. */
export async function request({ sessions, now, about }: Turn) {
  if (about === undefined) return null;
  const session = await sessions.validate(about.token);
  expect(session !== null).toBe(isAlive(about, now));
  if (session === null) return null;
  if (now - about.lastSeenAt >= TOUCH) about.lastSeenAt = now;
  expect(session).toMatchObject({
    id: about.id,
    userId: about.userId,
    roles: about.roles,
    expiresAt: deadlineOf(about),
  });
  expect(session.data).toEqual(about.data);
  return session;
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
      token,
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
    const { model, sessions, now, about } = turn;
    if (about === undefined) return;
    const next = await sessions.refresh(about.token);
    expect(next !== null).toBe(isAlive(about, now));
    if (next === null) return;
    model.deadTokens.push(about.token);
    about.token = next.token;
    about.lastSeenAt = now;
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
    // Read, given another token by another process, then saved: the data is kept, the old token stays dead.
    const session = await request(turn);
    if (session === null || turn.about === undefined) return;
    session.data["late"] = turn.command.value;
    const hadData = Object.keys(turn.about.data).length > 0;
    await run.refresh({ ...turn, sessions: otherOf(turn) });
    if (!hadData) return;
    const changes = turn.about.data["late"] !== turn.command.value;
    expect(await session.save()).toBe(changes ? "saved" : "unchanged");
    turn.about.data = { ...turn.about.data, late: turn.command.value };
    if (changes) wrote(turn);
    await run.presentDead(turn);
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
  async expire({ real }: Turn) {
    real.clock.advance(IDLE);
  },
  async prune({ sessions }: Turn) {
    await sessions.prune();
  },
  async presentDead({ model, sessions }: Turn) {
    for (const token of model.deadTokens.slice(-3)) expect(await sessions.validate(token)).toBeNull();
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

function otherOf({ real, command }: Turn): SessionManager {
  return real.managers[command.through === 0 ? 1 : 0];
}
