import { createSessionManager, generateKey, type SessionManager, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";
import type { FullStore } from "../support/stores.ts";

const stores: readonly [string, () => FullStore][] = [
  ["memory", () => memoryStore()],
  ["sqlite", () => sqliteStore(sqliteFile().connect())],
];

function manager(store: Store, clock: ManualClock = manualClock(), namespace = "default"): SessionManager {
  return createSessionManager({ store, keys: [generateKey()], clock, namespace, pruneEvery: false });
}

/** All pages one after the other; answers their handles. */
async function pagesOf(sessions: SessionManager, by: { userId?: string; tenant?: string }, limit: number) {
  const pages: string[][] = [];
  let cursor: string | null = null;
  do {
    const page = await sessions.list({ ...by, cursor, limit });
    pages.push(page.sessions.map(({ id }) => id));
    cursor = page.cursor;
  } while (cursor !== null);
  return pages;
}

describe.each(stores)("listing on the %s store", (_, open) => {
  it("gives a user's sessions newest first, in pages that leave nothing out and repeat nothing", async () => {
    const clock = manualClock();
    const sessions = manager(open(), clock);
    const ids: string[] = [];
    for (let index = 0; index < 25; index++) {
      // Some at the same instant, so that the order within it matters too.
      if (index % 3 === 0) clock.advance(1000);
      ids.push((await sessions.create({ userId: "user-1", tenant: "t1" })).id);
      await sessions.create({ userId: "user-2", tenant: index % 2 === 0 ? "t1" : "t2" });
      await sessions.create({ tenant: "t1" });
    }
    const pages = await pagesOf(sessions, { userId: "user-1" }, 10);
    expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
    expect(new Set(pages.flat())).toEqual(new Set(ids));
    const { sessions: all } = await sessions.list({ userId: "user-1", limit: 1000 });
    const created = all.map(({ createdAt }) => createdAt);
    expect(created).toEqual(created.toSorted((a, b) => b - a));
    expect((await pagesOf(sessions, { tenant: "t1" }, 7)).flat()).toHaveLength(25 + 13);
    expect((await pagesOf(sessions, { userId: "user-2", tenant: "t2" }, 5)).flat()).toHaveLength(12);
  });

  it("counts sessions and users, by user, tenant, both and in all, and only what lives", async () => {
    const clock = manualClock();
    const sessions = manager(open(), clock);
    const begin = (userId: string, tenant: string): Promise<{ id: string }> => sessions.create({ userId, tenant });
    const [first] = [await begin("user-1", "t1"), await begin("user-1", "t2"), await begin("user-2", "t1")];
    await sessions.create({ tenant: "t1" });
    await sessions.create({ userId: "user-1", tenant: "t1", lifetime: { absolute: "1m" } });
    expect([await sessions.count(), await sessions.countUsers()]).toEqual([4, 2]);
    expect([await sessions.count({ tenant: "t1" }), await sessions.countUsers({ tenant: "t1" })]).toEqual([3, 2]);
    expect(await sessions.count({ userId: "user-1" })).toBe(3);
    expect(await sessions.count({ userId: "user-1", tenant: "t1" })).toBe(2);
    clock.advance(60_000);
    await sessions.revoke("user-1", first.id);
    expect([await sessions.count(), await sessions.countUsers()]).toEqual([2, 2]);
    expect([await sessions.count({ tenant: "t1" }), await sessions.countUsers({ tenant: "t1" })]).toEqual([1, 1]);
    expect(await sessions.count({ userId: "user-1", tenant: "t1" })).toBe(0);
    expect(await sessions.count({ tenant: "none" })).toBe(0);
  });

  it("keeps two namespaces under the same keys and users apart", async () => {
    const store = open();
    const keys = [generateKey()];
    const [one, other] = ["one", "other"].map((namespace) =>
      createSessionManager({ store, keys, namespace, pruneEvery: false }),
    ) as [SessionManager, SessionManager];
    const { id, token } = await one.create({ userId: "user-1", tenant: "t1" });
    await other.create({ userId: "user-1", tenant: "t1" });
    expect(await other.validate(token)).toBeNull();
    expect(await other.get("user-1", id)).toBeNull();
    expect(await other.revoke("user-1", id)).toBeNull();
    expect((await one.list({ userId: "user-1" })).sessions.map((info) => info.id)).toEqual([id]);
    expect((await one.list({ tenant: "t1" })).sessions.map((info) => info.id)).toEqual([id]);
    expect([await one.count(), await other.count()]).toEqual([1, 1]);
    expect(await other.revokeAll("user-1")).toBe(1);
    expect(await one.validate(token)).not.toBeNull();
  });

  it("shows what a user needs to know of a session, and never the token or the data", async () => {
    const sessions = manager(open());
    const about = { userId: "user-1", roles: ["a"], extra: { e: 1 }, device: { name: "Phone" }, tenant: "t1" };
    const { id, token } = await sessions.create({ ...about, data: { secret: "tea" } });
    await sessions.create({ userId: "user-1" });
    const { sessions: listed } = await sessions.list({ userId: "user-1", current: id });
    const info = listed.find((each) => each.id === id);
    expect(info).toEqual({
      ...about,
      id,
      state: "authenticated",
      createdAt: expect.any(Number),
      authenticatedAt: expect.any(Number),
      lastSeenAt: expect.any(Number),
      expiresAt: expect.any(Number),
      remember: false,
      actor: null,
      current: true,
    });
    expect(listed.filter(({ current }) => current)).toHaveLength(1);
    expect(JSON.stringify(listed)).not.toContain("cup of tea");
    expect(JSON.stringify(listed)).not.toContain(token.slice(3, 20));
  });

  it("answers an empty last page to a cursor that nobody gave out", async () => {
    const sessions = manager(open());
    for (let index = 0; index < 3; index++) await sessions.create({ userId: "user-1" });
    for (const cursor of ["", "x", "' OR 1=1 --", "bnVsbA", Buffer.from("[1,2,3]").toString("base64url"), "[]"]) {
      expect(await sessions.list({ userId: "user-1", cursor })).toEqual({ sessions: [], cursor: null });
    }
  });

  it("prunes what is long expired, also more than fits in one batch, and never what lives", async () => {
    const clock = manualClock();
    const sessions = manager(open(), clock);
    const pruned: number[] = [];
    sessions.on("pruned", ({ count }) => pruned.push(count));
    await Promise.all(Array.from({ length: 1201 }, () => sessions.create({ lifetime: { absolute: "1m" } })));
    const { token } = await sessions.create();
    clock.advance(120_000);
    expect(await sessions.prune()).toBe(1201);
    expect(pruned).toEqual([1201]);
    expect(await sessions.validate(token)).not.toBeNull();
  });
});

describe("list", () => {
  it.each<[object, RegExp]>([
    [{}, /^list: name a userId or a tenant/],
    [{ userId: "" }, /^userId: must be/],
    [{ user: "x" }, /^list\.user: there is no such option/],
    [{ userId: "x", limit: 0 }, /^list\.limit: write a whole number from 1 to 1000/],
    [{ userId: "x", limit: 1001 }, /^list\.limit/],
    [{ userId: "x", limit: 1.5 }, /^list\.limit/],
    [{ userId: "x", cursor: 5 }, /^list\.cursor/],
    [{ userId: "x", cursor: "x".repeat(1025) }, /^list\.cursor/],
  ])("refuses %j with a message that says what to write", async (options, message) => {
    const sessions = manager(memoryStore());
    await expect(sessions.list(options)).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    await expect(sessions.list(options)).rejects.toThrowError(message);
  });

  it("says which ability a store lacks, for everything that needs one", async () => {
    const inner = memoryStore();
    const sessions = manager({
      read: (key, call) => inner.read(key, call),
      create: (record, call) => inner.create(record, call),
      update: (key, version, change, call) => inner.update(key, version, change, call),
      delete: (key, ending, call) => inner.delete(key, ending, call),
    });
    const missing = { code: "ERR_NOT_SUPPORTED" };
    await expect(sessions.list({ userId: "user-1" })).rejects.toMatchObject(missing);
    await expect(sessions.count()).rejects.toMatchObject(missing);
    await expect(sessions.countUsers()).rejects.toMatchObject(missing);
    await expect(sessions.revokeAll("user-1")).rejects.toMatchObject(missing);
    await expect(sessions.revokeTenant("t1")).rejects.toMatchObject(missing);
    await expect(sessions.prune()).rejects.toMatchObject(missing);
    const { token, id } = await sessions.create({ userId: "user-1" });
    expect(await sessions.get("user-1", id)).toMatchObject({ id });
    expect(await sessions.revokeToken(token)).toBe("user-1");
    await sessions.close();
  });
});
