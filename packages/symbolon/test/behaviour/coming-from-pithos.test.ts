/** What pithos' sessions do, without their flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, openSession, type SessionManager } from "symbolon";
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

  it("resets a session: empty and nobody's at once, and what was stored ends with the response", async () => {
    const made = await sessions.create({ userId: "ann", data: { note: "old" } });
    const request = await openSession(sessions, new Headers({ Cookie: `__Host-sid=${made.token}` }));
    request.session.reset();
    expect(request.session).toMatchObject({ state: "anonymous", id: null, data: {} });
    const [cookie] = await request.commit();
    expect(cookie).toMatch(/^__Host-sid=;/);
    expect(await sessions.inspect(made.token)).toMatchObject({ reason: "ended", ended: { reason: "reset" } });
  });

  it("ties a session to an address: that of the login, or the first that is met, and never an unknown one", async () => {
    const pin = { ip: "exact", onMismatch: "deny", adopt: true } as const;
    const pinned = createSessionManager({ store, keys, clock, pin, pruneEvery: false });
    const [home, elsewhere] = [{ ip: "203.0.113.9" }, { ip: "198.51.100.7" }];
    const atLogin = await pinned.create({ userId: "ann", client: home });
    const unknownAtLogin = await pinned.create({ userId: "ann" });
    expect(await pinned.validate(unknownAtLogin.token)).toBeNull();
    for (const { token } of [atLogin, unknownAtLogin]) {
      expect((await pinned.validate(token, home))?.userId).toBe("ann");
      // What was adopted is kept, although nothing else was changed.
      expect(await pinned.inspect(token, elsewhere)).toEqual({ ok: false, reason: "pin-mismatch" });
      expect(await pinned.validate(token)).toBeNull();
      expect((await pinned.validate(token, home))?.userId).toBe("ann");
    }
  });

  it("logs in under a new id and key, with extra values, and nothing is left of the session before", async () => {
    const before = await sessions.create({ data: { note: "of a visitor" } });
    const session = await sessions.validate(before.token);
    await session?.login("ann", { stamp: "digest of the password", extra: { method: "password" } });
    expect(session?.id).not.toBe(before.id);
    const after = await sessions.validate(session?.takeToken() ?? "");
    expect([after?.userId, after?.extra, after?.data]).toEqual(["ann", { method: "password" }, {}]);
    expect(await sessions.inspect(before.token)).toMatchObject({ reason: "ended" });
  });

  it("keeps the login in which the password was changed, also when it is loaded again, and ends all others", async () => {
    const [mine, other] = [
      await sessions.create({ userId: "ann", stamp: "before", data: { note: "mine" } }),
      await sessions.create({ userId: "ann", stamp: "before" }),
    ];
    const session = await sessions.validate(mine.token);
    expect(await session?.keepLogin("after")).toBe("saved");
    const loaded = await sessions.validate(session?.takeToken() ?? "");
    expect(await loaded?.checkStamp("after")).toBe(true);
    expect(loaded?.data.note).toBe("mine");
    expect(await sessions.validate(other.token)).toBeNull();
    expect(await sessions.count({ userId: "ann" })).toBe(1);
    const visitor = await sessions.create();
    await expect(visitor.keepLogin("after")).rejects.toMatchObject({ code: "ERR_NOT_ALLOWED" });
  });

  it("logs out whose check-value is another, and says so next; nobody's session fits nothing but null", async () => {
    const made = await sessions.create({ userId: "ann", stamp: "before" });
    const headers = new Headers({ Cookie: `__Host-sid=${made.token}` });
    const request = await openSession(sessions, headers);
    expect(await request.session.checkStamp("before")).toBe(true);
    expect(await request.session.checkStamp("after")).toBe(false);
    expect(request.session.userId).toBeNull();
    // The change may have been made in another tab, whose new cookie a deletion would take away.
    expect(await request.commit()).toEqual([]);
    const { session: next, refusal } = await openSession(sessions, headers);
    expect([next.state, refusal]).toMatchObject(["anonymous", { ended: { reason: "stamp-changed" } }]);
    const { session: visitor } = await openSession(sessions, new Headers());
    expect([await visitor.checkStamp(null), await visitor.checkStamp("after")]).toEqual([true, false]);
  });
});
