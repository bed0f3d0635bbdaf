import { describe, expect, it } from "vitest";
import { openSession } from "../../src/http/open-session.ts";
import {
  createSessionManager,
  generateKey,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { manualClock } from "../../src/testing/manual-clock.ts";
import { intercept } from "../support/stores.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

function manager(options: Options = {}): SessionManager {
  return createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false, ...options });
}

async function validated(sessions: SessionManager, token: string): Promise<Session> {
  const session = await sessions.validate(token);
  if (session === null) throw new Error("The session does not open.");
  return session;
}

async function refreshed(sessions: SessionManager, token: string): Promise<string> {
  const next = await sessions.refresh(token);
  if (next === null) throw new Error("The token does not refresh.");
  return next.token;
}

/** Gives a session roles, and with them a token that takes the other's place at once. */
async function reroled(sessions: SessionManager, token: string): Promise<string> {
  const session = await validated(sessions, token);
  await session.setRoles(["editor"]);
  return session.takeToken() ?? "";
}

const GRACE = 10_000;

describe("a request that was under way while the token was refreshed", () => {
  it("does not bring the old token back to life by saving", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const late = await validated(sessions, token);
    late.data["b"] = 2;
    const next = await refreshed(sessions, token);
    await late.save();
    expect((await validated(sessions, next)).userId).toBe("user-1");
    expect((await validated(sessions, token)).takeToken()).toBe(next);
    clock.advance(GRACE);
    expect(await sessions.inspect(token)).toEqual({ ok: false, reason: "reuse-detected" });
  });

  it("does not bring the old token back to life by noting its use", async () => {
    const clock = manualClock();
    const inner = memoryStore();
    const keys = [generateKey()];
    const other = manager({ store: inner, clock, keys });
    let next: string | undefined;
    const store = intercept(inner, async (call) => {
      if (call.method === "update") next ??= await refreshed(other, token);
      return call.proceed();
    });
    const one = manager({ store, clock, keys });
    const { token } = await other.create({ userId: "user-1", data: { a: 1 } });
    clock.advance(3_000_000);
    expect((await validated(one, token)).takeToken()).toBe(next);
    expect((await validated(one, next ?? "")).takeToken()).toBeNull();
    clock.advance(GRACE);
    expect(await one.inspect(token)).toEqual({ ok: false, reason: "reuse-detected" });
  });

  it("keeps what it changed, for the holder of the new token", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const late = await validated(sessions, token);
    late.data["b"] = 2;
    const next = await refreshed(sessions, token);
    expect(await late.save()).toBe("saved");
    expect((await validated(sessions, next)).data).toEqual({ a: 1, b: 2 });
  });

  it("writes a session's first data for the holder of the new token", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const late = await validated(sessions, token);
    late.data["b"] = 2;
    const next = await refreshed(sessions, token);
    expect(await late.save()).toBe("saved");
    expect((await validated(sessions, next)).data).toEqual({ b: 2 });
  });

  it.each<[string, (sessions: SessionManager, token: string) => Promise<string>]>([
    ["twice", async (sessions, token) => refreshed(sessions, await refreshed(sessions, token))],
    ["where no grace is", async (sessions, token) => refreshed(sessions, token)],
    ["at once", async (sessions, token) => reroled(sessions, token)],
  ])("never leaves data that the new token cannot open: replaced %s", async (how, replace) => {
    const sessions = manager(how === "where no grace is" ? { rotation: { grace: 0 } } : {});
    const { token } = await sessions.create({ userId: "user-1" });
    const late = await validated(sessions, token);
    late.data["b"] = 2;
    const next = await replace(sessions, token);
    await expect(late.save()).rejects.toMatchObject({ code: "ERR_CONFLICT", retryable: true });
    const session = await validated(sessions, next);
    expect(session.data).toEqual({});
    session.data["c"] = 3;
    expect(await session.save()).toBe("saved");
  });

  it("finds the data as it was before it looked, however often the token was replaced", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { n: 1 } });
    const late = await validated(sessions, token);
    const next = await reroled(sessions, await refreshed(sessions, await refreshed(sessions, token)));
    expect(await late.update((data) => void (data["n"] = Number(data["n"]) + 1))).toBe("saved");
    expect(late.takeToken()).toBeNull();
    expect((await validated(sessions, next)).data).toEqual({ n: 2 });
  });

  it("may still write the data of a session sealed for the server", async () => {
    const sessions = manager({ seal: "server" });
    for (const data of [{ n: 1 }, undefined]) {
      const { token } = await sessions.create({ userId: "user-1", ...(data && { data }) });
      const late = await validated(sessions, token);
      const next = await refreshed(sessions, token);
      expect(
        await late.update((draft) => {
          draft["n"] = 2;
        }),
      ).toBe("saved");
      expect((await validated(sessions, next)).data).toEqual({ n: 2 });
    }
  });

  it.each([
    ["the successor", 1],
    ["nothing, where another has taken that one's place", 2],
  ])("sends no cookie with the old token, which would take the place of the new one, but %s", async (_, times) => {
    const clock = manualClock();
    const sessions = manager({ clock, cookie: { persistent: true } });
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const headers = { get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined) };
    const late = await openSession(sessions, headers);
    late.session.data["b"] = 2;
    clock.advance(600_000);
    const next = await refreshed(sessions, token);
    if (times === 2) await refreshed(sessions, next);
    const cookies = await late.commit();
    expect(cookies.map((cookie) => cookie.slice(11, 94))).toEqual(times === 2 ? [] : [next]);
  });
});

describe("refresh", () => {
  it("gives many callers one and the same token", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const answers = await Promise.all(Array.from({ length: 50 }, () => refreshed(sessions, token)));
    const [next = "", ...others] = new Set(answers);
    expect([others, next === token]).toEqual([[], false]);
    expect((await validated(sessions, next)).data).toEqual({ a: 1 });
  });

  it("gives one of many callers the new token and the others none, where there is no grace", async () => {
    const sessions = manager({ rotation: { grace: 0 } });
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const answers = await Promise.all(Array.from({ length: 50 }, () => sessions.refresh(token)));
    const winners = answers.filter((answer) => answer !== null);
    expect(winners).toHaveLength(1);
    expect((await validated(sessions, winners[0]?.token ?? "")).data).toEqual({ a: 1 });
    expect(await sessions.inspect(token)).toEqual({ ok: false, reason: "reuse-detected" });
  });

  it("keeps the handle, the user, the data and both ends of the session's life", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const first = await sessions.create({ userId: "user-1", roles: ["a"], data: { deep: { a: [1] } }, tenant: "t" });
    clock.advance(1_800_000);
    const next = await refreshed(sessions, first.token);
    const session = await validated(sessions, next);
    expect(session).toMatchObject({ id: first.id, userId: "user-1", roles: ["a"], tenant: "t" });
    expect(session).toMatchObject({ createdAt: first.createdAt, authenticatedAt: first.authenticatedAt });
    expect(session.data).toEqual({ deep: { a: [1] } });
    clock.set((first.createdAt ?? 0) + 86_400_000);
    expect(await sessions.refresh(next)).toBeNull();
  });

  it("of a dead, expired, foreign or forged token answers null and changes nothing", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const { token } = await sessions.create({ userId: "user-1" });
    const next = await reroled(sessions, token);
    const other = await manager({ clock }).create({ userId: "user-1" });
    for (const dead of [token, other.token, `${next.slice(0, -1)}${next.endsWith("A") ? "B" : "A"}`, "garbage"]) {
      expect(await sessions.refresh(dead)).toBeNull();
      expect(await sessions.validate(next)).not.toBeNull();
    }
    clock.advance(3_600_000);
    expect(await sessions.refresh(next)).toBeNull();
  });

  it("of a replaced token answers the same successor for as long as the grace is, and then ends the session", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const { token } = await sessions.create({ userId: "user-1" });
    const next = await refreshed(sessions, token);
    clock.advance(GRACE - 1);
    expect(await refreshed(sessions, token)).toBe(next);
    expect(await sessions.validate(next)).not.toBeNull();
    clock.advance(1);
    expect(await sessions.refresh(token)).toBeNull();
    expect(await sessions.inspect(next)).toMatchObject({ ok: false, ended: { reason: "reuse-detected" } });
  });
});
