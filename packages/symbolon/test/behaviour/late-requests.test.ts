/** Requests that were sent before their client had the new token, and arrive after it. */
import { createSessionManager, generateKey, openSession, type OpenedSession, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock, type ManualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";

interface Setting {
  readonly sessions: SessionManager;
  readonly clock: ManualClock;
}

function setting(): Setting {
  const clock = manualClock();
  return {
    clock,
    sessions: createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false }),
  };
}

function request(sessions: SessionManager, token: string): Promise<OpenedSession<Record<string, unknown>>> {
  return openSession(sessions, new Headers({ Cookie: `__Host-sid=${token}` }));
}

async function visit({ sessions }: Setting, token: string): Promise<string[]> {
  const opened = await request(sessions, token);
  opened.session.data["visited"] = true;
  return opened.needsCommit() ? opened.commit() : opened.cookies();
}

const ENDS: readonly [what: string, replace: (sessions: SessionManager, token: string) => Promise<unknown>][] = [
  ["a login", async (sessions, token) => (await sessions.validate(token))?.login("user-1")],
  ["a change of roles", async (sessions, token) => (await sessions.validate(token))?.setRoles(["admin"])],
  ["a change of the stamp", async (sessions, token) => (await sessions.validate(token))?.keepLogin("second")],
];

describe("a late request, with the token of before", () => {
  it.each(ENDS)("does not take the place of %s with a visitor's cookie", async (_what, replace) => {
    const stage = setting();
    const { token } = await stage.sessions.create({ userId: "user-1", stamp: "first" });
    await replace(stage.sessions, token);
    const stored = await stage.sessions.count();
    expect(await visit(stage, token)).toEqual([]);
    stage.clock.advance(59_999);
    expect(await visit(stage, token)).toEqual([]);
    expect(await stage.sessions.count()).toBe(stored);
  });

  it.each(ENDS)("is a visitor's again a minute after %s", async (_what, replace) => {
    const stage = setting();
    const { token } = await stage.sessions.create({ userId: "user-1", stamp: "first" });
    await replace(stage.sessions, token);
    stage.clock.advance(60_000);
    const [cookie = ""] = await visit(stage, token);
    expect(cookie).toMatch(/^__Host-sid=s1_/);
    expect((await stage.sessions.validate(cookie.slice(11, 94)))?.state).toBe("anonymous");
  });

  it("is given the token of a refresh, and a visitor's only once that was presented long after its grace", async () => {
    const stage = setting();
    const { token } = await stage.sessions.create({ userId: "user-1" });
    const next = (await stage.sessions.refresh(token))?.token ?? "";
    stage.clock.advance(9_999);
    expect((await visit(stage, token)).map((cookie) => cookie.slice(11, 94))).toEqual([next]);
    stage.clock.advance(1);
    const [cookie = ""] = await visit(stage, token);
    expect((await stage.sessions.validate(cookie.slice(11, 94)))?.state).toBe("anonymous");
    expect(await stage.sessions.inspect(next)).toMatchObject({ ended: { reason: "reuse-detected" } });
  });

  it("can log in, and then has a cookie", async () => {
    const { sessions } = setting();
    const { token } = await sessions.create({ data: { cart: 1 } });
    await (await sessions.validate(token))?.login("user-1");
    const late = await request(sessions, token);
    expect(late.refusal).toEqual({ reason: "ended", ended: { reason: "replaced", at: expect.any(Number) as number } });
    await late.session.login("user-2");
    late.session.data["mine"] = true;
    const [cookie = ""] = await late.commit();
    const session = await sessions.validate(cookie.slice(11, 94));
    expect([session?.userId, session?.data]).toEqual(["user-2", { mine: true }]);
  });

  it("does nothing to a visitor whose session was ended in another way", async () => {
    const stage = setting();
    const { token } = await stage.sessions.create({ data: { cart: 1 } });
    await (await stage.sessions.validate(token))?.logout();
    expect(await visit(stage, token)).toHaveLength(1);
  });
});
