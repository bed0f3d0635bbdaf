import { describe, expect, it } from "vitest";
import { openSession } from "../../src/http/open-session.ts";
import type { OpenedSession } from "../../src/http/request-session.ts";
import { createSessionManager, generateKey, type SessionManager } from "../../src/index.ts";
import { type MemoryStore, memoryStore } from "../../src/stores/memory.ts";
import { type FaultyStore, faultyStore } from "../../src/testing/index.ts";

interface Stage {
  readonly faulty: FaultyStore<MemoryStore>;
  readonly sessions: SessionManager;
  readonly token: string;
  readonly open: () => Promise<OpenedSession<Record<string, unknown>>>;
}

async function stage(onStoreFailure: "deny" | "anonymous"): Promise<Stage> {
  const faulty = faultyStore(memoryStore());
  const options = { store: faulty.store, keys: [generateKey()], onStoreFailure, pruneEvery: false } as const;
  const sessions = createSessionManager({ ...options, cookie: { persistent: true } });
  const { token } = await sessions.create({ userId: "user-1", data: { n: 1 } });
  const headers = { get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined) };
  return { faulty, sessions, token, open: () => openSession(sessions, headers) };
}

const UNAVAILABLE = { code: "ERR_STORE_UNAVAILABLE", status: 503 };

describe("onStoreFailure: 'deny'", () => {
  it("fails the request whose session cannot be read, and not the one that carries none", async () => {
    const { faulty, sessions, open } = await stage("deny");
    faulty.fail();
    await expect(open()).rejects.toMatchObject(UNAVAILABLE);
    const visitor = await openSession(sessions, { get: () => undefined });
    expect(await visitor.commit()).toEqual([]);
    faulty.heal();
    expect((await open()).session.userId).toBe("user-1");
  });

  it("sends no cookie, and no deletion, when the save fails", async () => {
    const { faulty, open, sessions, token } = await stage("deny");
    const request = await open();
    request.session.data["n"] = 2;
    faulty.fail();
    await expect(request.commit()).rejects.toMatchObject(UNAVAILABLE);
    expect(request.cookies()).toEqual([]);
    faulty.heal();
    expect((await sessions.validate(token))?.data).toEqual({ n: 1 });
    expect(await request.commit()).toHaveLength(1);
    expect((await sessions.validate(token))?.data).toEqual({ n: 2 });
  });

  it("keeps the cookie when the server could not end the session", async () => {
    const { faulty, open, sessions, token } = await stage("deny");
    const request = await open();
    faulty.fail();
    await expect(request.session.logout()).rejects.toMatchObject(UNAVAILABLE);
    expect(request.cookies()).toEqual([]);
    faulty.heal();
    expect(await sessions.validate(token)).not.toBeNull();
    await request.session.logout();
    expect(request.cookies()).toEqual([expect.stringContaining("Max-Age=0")]);
  });

  it("begins no session, and sends no cookie, for a visitor whose first data cannot be stored", async () => {
    const { faulty, sessions } = await stage("deny");
    const visitor = await openSession(sessions, { get: () => undefined });
    visitor.session.data["n"] = 1;
    faulty.fail();
    await expect(visitor.commit()).rejects.toMatchObject(UNAVAILABLE);
    expect(visitor.cookies()).toEqual([]);
    expect(visitor.session.id).toBeNull();
  });
});

describe("onStoreFailure: 'anonymous'", () => {
  it("goes on without a session: read-only, no cookie, no deletion, no write", async () => {
    const { faulty, open, sessions, token } = await stage("anonymous");
    faulty.fail();
    const request = await open();
    faulty.heal();
    const { session } = request;
    expect(session).toMatchObject({ state: "anonymous", userId: null, id: null, roles: [] });
    expect(session.data).toEqual({});
    expect(await session.save()).toBe("unchanged");
    expect(await request.commit()).toEqual([]);
    const before = faulty.calls.length;
    session.data["n"] = 2;
    await expect(session.save()).rejects.toMatchObject(UNAVAILABLE);
    await expect(session.update((data) => void (data["n"] = 3))).rejects.toMatchObject(UNAVAILABLE);
    await expect(session.logout()).rejects.toMatchObject(UNAVAILABLE);
    await expect(request.commit()).rejects.toMatchObject(UNAVAILABLE);
    expect(request.cookies()).toEqual([]);
    expect(faulty.calls).toHaveLength(before);
    expect((await sessions.validate(token))?.data).toEqual({ n: 1 });
  });

  it("is over with the next request, without a restart", async () => {
    const { faulty, open } = await stage("anonymous");
    faulty.fail();
    expect((await open()).session.userId).toBeNull();
    faulty.heal();
    expect((await open()).session.userId).toBe("user-1");
  });

  it("holds for reading in requests only: the manager's own methods fail", async () => {
    const { faulty, sessions, token } = await stage("anonymous");
    faulty.fail();
    await expect(sessions.validate(token)).rejects.toMatchObject(UNAVAILABLE);
    await expect(sessions.create()).rejects.toMatchObject(UNAVAILABLE);
  });

  it("does not hide a failure to save what was read before", async () => {
    const { faulty, open } = await stage("anonymous");
    const request = await open();
    request.session.data["n"] = 2;
    faulty.fail();
    await expect(request.commit()).rejects.toMatchObject(UNAVAILABLE);
  });
});
