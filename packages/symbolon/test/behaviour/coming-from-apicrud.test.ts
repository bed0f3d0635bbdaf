/** What apicrud's SessionManager does, without its flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const MINUTE = 60_000;

describe("coming from apicrud", () => {
  let clock: ManualClock;
  let sessions: SessionManager<{ step?: number }>;

  beforeEach(() => {
    clock = manualClock();
    sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false });
  });

  it("creates a session with roles and extra values that cannot shadow the session's own fields", async () => {
    const extra = { exp: 1, sub: "mallory", jti: "x", userId: "mallory", roles: ["admin"], expiresAt: 9e15 };
    const { token } = await sessions.create({ userId: "uid:with:colons", roles: ["user", "editor"], extra });
    const session = await sessions.validate(token);
    expect(session?.userId).toBe("uid:with:colons");
    expect(session?.roles).toEqual(["user", "editor"]);
    expect(session?.extra).toEqual(extra);
    expect(session?.expiresAt).toBe(clock.now() + 60 * MINUTE);
  });

  it("lets several sessions of one user stand side by side", async () => {
    const made = await Promise.all(Array.from({ length: 50 }, () => sessions.create({ userId: "ann" })));
    expect(new Set(made.map(({ token }) => token)).size).toBe(50);
    expect(await sessions.count({ userId: "ann" })).toBe(50);
  });

  it("gives a session its own lifetime, and an update does not extend it", async () => {
    const { token, id } = await sessions.create({ userId: "ann", lifetime: { absolute: "5m" } });
    clock.advance(4 * MINUTE);
    expect(await sessions.update("ann", id, { extra: { step: 2 } })).toBe("saved");
    clock.advance(MINUTE);
    expect(await sessions.validate(token)).toBeNull();
  });

  it("updates one value without losing another update", async () => {
    const { token } = await sessions.create({ userId: "ann", data: { step: 0 } });
    const increments = Array.from({ length: 20 }, async () => {
      const session = await sessions.validate(token);
      return session?.update((data) => void (data.step = (data.step ?? 0) + 1));
    });
    expect(new Set(await Promise.all(increments))).toEqual(new Set(["saved"]));
    expect((await sessions.validate(token))?.data.step).toBe(20);
  });

  it("answers an update of a session that is gone instead of failing", async () => {
    const session = await sessions.create({ userId: "ann" });
    await sessions.revoke("ann", session.id);
    expect(await session.update((data) => void (data.step = 1))).toBe("gone");
    expect(await sessions.update("ann", session.id, { roles: [] })).toBe("gone");
  });

  it("ends a session only for the whole token, not for a part of it", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    const lookalike = `${token.slice(0, 40)}${"A".repeat(40)}${token.slice(-3)}`;
    expect(await sessions.revokeToken(lookalike)).toBeNull();
    expect(await sessions.validate(token)).not.toBeNull();
    expect(await sessions.revokeToken(token)).toBe("ann");
    expect(await sessions.revokeToken(token)).toBeNull();
    expect(await sessions.validate(token)).toBeNull();
  });

  it("changes the roles of a live session, up and down", async () => {
    const { token, id } = await sessions.create({ userId: "ann", roles: ["user", "admin"] });
    await sessions.update("ann", id, { roles: ["user"] });
    expect((await sessions.validate(token))?.roles).toEqual(["user"]);
  });

  it("never adopts a token or a handle chosen by the caller", async () => {
    const options = { userId: "ann", id: "chosen", nonce: "chosen", token: "chosen" };
    await expect(sessions.create(options)).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
  });
});
