import { describe, expect, it } from "vitest";
import { openSession } from "../../src/http/request-session.ts";
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

describe("a request that was under way while the token was refreshed", () => {
  it("does not bring the old token back to life by saving", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const late = await validated(sessions, token);
    late.data["b"] = 2;
    const next = await refreshed(sessions, token);
    await late.save();
    expect(await sessions.inspect(token)).toEqual({ ok: false, reason: "wrong-secret" });
    expect((await validated(sessions, next)).userId).toBe("user-1");
  });

  it("does not bring the old token back to life by noting its use", async () => {
    const clock = manualClock();
    const inner = memoryStore();
    const keys = [generateKey()];
    const other = manager({ store: inner, clock, keys });
    const store = intercept(inner, async (call) => {
      if (call.method === "update") await other.refresh(token);
      return call.proceed();
    });
    const one = manager({ store, clock, keys });
    const { token } = await other.create({ userId: "user-1", data: { a: 1 } });
    clock.advance(3_000_000);
    expect(await one.validate(token)).toBeNull();
    expect(await one.inspect(token)).toEqual({ ok: false, reason: "wrong-secret" });
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

  it("never leaves data that the new token cannot open", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const late = await validated(sessions, token);
    late.data["b"] = 2;
    const next = await refreshed(sessions, token);
    await expect(late.save()).rejects.toMatchObject({ code: "ERR_CONFLICT", retryable: true });
    const session = await validated(sessions, next);
    expect(session.data).toEqual({});
    session.data["c"] = 3;
    expect(await session.save()).toBe("saved");
  });

  it("is told of a conflict, not of a corrupt record, when it can no longer open the data", async () => {
    const inner = memoryStore();
    const sessions = manager({ store: intercept(inner, async (call) => call.proceed()) });
    const { token } = await sessions.create({ userId: "user-1", data: { n: 1 } });
    const late = await validated(sessions, token);
    const [next, updated] = await Promise.allSettled([
      refreshed(sessions, token),
      late.update((data) => void (data["n"] = 2)),
    ]);
    if (next.status === "rejected") throw next.reason;
    const { data } = await validated(sessions, next.value);
    if (updated.status === "fulfilled") expect([updated.value, data]).toEqual(["saved", { n: 2 }]);
    else expect([updated.reason, data]).toMatchObject([{ code: "ERR_CONFLICT" }, { n: 1 }]);
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

  it("sends no cookie with the old token, which would take the place of the new one", async () => {
    const clock = manualClock();
    const sessions = manager({ clock, cookie: { persistent: true } });
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const headers = { get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined) };
    const late = await openSession(sessions, headers);
    late.session.data["b"] = 2;
    clock.advance(600_000);
    await refreshed(sessions, token);
    expect(await late.commit()).toEqual([]);
  });
});

describe("refresh", () => {
  it("gives one of many callers the new token and the others none", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { a: 1 } });
    const answers = await Promise.all(Array.from({ length: 50 }, () => sessions.refresh(token)));
    const winners = answers.filter((answer) => answer !== null);
    expect(winners).toHaveLength(1);
    expect((await validated(sessions, winners[0]?.token ?? "")).data).toEqual({ a: 1 });
    expect(await sessions.validate(token)).toBeNull();
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

  it("of a dead, expired or replaced token answers null and changes nothing", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const { token } = await sessions.create({ userId: "user-1" });
    const next = await refreshed(sessions, token);
    expect(await sessions.refresh(token)).toBeNull();
    expect(await sessions.validate(next)).not.toBeNull();
    clock.advance(3_600_000);
    expect(await sessions.refresh(next)).toBeNull();
  });
});
