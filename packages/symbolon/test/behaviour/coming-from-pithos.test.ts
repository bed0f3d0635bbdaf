/** What pithos' sessions do, without their flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const MINUTE = 60_000;

describe("coming from pithos", () => {
  let clock: ManualClock;
  let sessions: SessionManager<{ note?: string }>;
  const store = memoryStore();
  const keys = [generateKey()];

  beforeEach(() => {
    clock = manualClock();
    sessions = createSessionManager({ store, keys, clock, pruneEvery: false });
  });

  it("comes into being with the first value, and has no handle before", async () => {
    const seen: (string | null)[] = [];
    const handler = withSession(sessions, async (_request, session) => {
      seen.push(session.id);
      expect(session.isNew).toBe(true);
      session.data.note = "first";
      expect(await session.save()).toBe("saved");
      seen.push(session.id);
      return new Response();
    });
    await handler(new Request("https://app.example/"));
    expect(seen).toEqual([null, expect.stringMatching(/^[\w-]{24}$/)]);
  });

  it("opens the data with store, key and token only", async () => {
    const made = await sessions.create({ userId: "ann", data: { note: "for the holder" } });
    const otherKey = createSessionManager({ store, keys: [generateKey()], clock, pruneEvery: false });
    expect(await otherKey.validate(made.token)).toBeNull();
    await expect(sessions.update("ann", made.id, { data: () => undefined })).rejects.toMatchObject({
      code: "ERR_NOT_SUPPORTED",
    });
    expect((await sessions.validate(made.token))?.data.note).toBe("for the holder");
  });

  it("shortens a session's life, durably, and never lengthens it", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    const session = await sessions.validate(token);
    session?.setDuration("5m");
    session?.setDuration("30m");
    expect(await session?.save()).toBe("saved");
    clock.advance(4 * MINUTE);
    expect(await sessions.validate(token)).not.toBeNull();
    clock.advance(MINUTE);
    expect(await sessions.inspect(token)).toMatchObject({ reason: "expired" });
  });

  it("gives a new empty session for a cookie that is bad, expired or tampered with, and no error", async () => {
    const made = await sessions.create({ data: { note: "old" }, lifetime: { absolute: "1m" } });
    clock.advance(MINUTE);
    const handler = withSession(sessions, (_request, session) => Response.json(session.data));
    for (const token of [made.token, "bad", `${made.token.slice(0, -1)}x`]) {
      const response = await handler(
        new Request("https://app.example/", { headers: { Cookie: `__Host-sid=${token}` } }),
      );
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({});
    }
  });

  it("keeps extra values of the login beside the data", async () => {
    const { token } = await sessions.create({ userId: "ann", extra: { method: "password" }, data: { note: "x" } });
    const session = await sessions.validate(token);
    expect(session?.extra).toEqual({ method: "password" });
    expect(Object.keys(session?.data ?? {})).toEqual(["note"]);
  });

  it("marks a session unmodified after a save and after loading", async () => {
    const made = await sessions.create({ data: { note: "a" } });
    const session = await sessions.validate(made.token);
    expect(session?.isModified).toBe(false);
    if (session !== null) session.data.note = "b";
    expect(session?.isModified).toBe(true);
    expect([await session?.save(), await session?.save()]).toEqual(["saved", "unchanged"]);
    expect(session?.isModified).toBe(false);
  });
});
