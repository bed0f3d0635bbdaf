import {
  createSessionManager,
  generateKey,
  type SessionManager,
  type SessionManagerOptions,
  tokenPattern,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { spied } from "../support/stores.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

function manager(options: Options = {}): SessionManager {
  return createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false, ...options });
}

/** Calls as JavaScript would: no types hold it back. */
async function untyped(sessions: SessionManager, method: keyof SessionManager, ...args: unknown[]): Promise<unknown> {
  const found = Reflect.get(sessions, method) as (...args: unknown[]) => unknown;
  return Reflect.apply(found, sessions, args);
}

async function isAlive(sessions: SessionManager, token: string): Promise<boolean> {
  return (await sessions.validate(token)) !== null;
}

describe("create and validate", () => {
  it("give back what the session was begun with, under a token that appears nowhere else", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const about = { roles: ["a", "b"], extra: { plan: { free: true } }, device: { name: "Phone" }, tenant: "t1" };
    const created = await sessions.create({ userId: "user-1", ...about, data: { cart: ["tea"] } });
    const now = clock.now();
    const facts = { ...about, userId: "user-1", state: "authenticated", createdAt: now, authenticatedAt: now };
    for (const session of [created, await sessions.validate(created.token)]) {
      expect(session).toMatchObject({ ...facts, lastSeenAt: now, expiresAt: now + 3_600_000, isNew: false });
      expect(session).toMatchObject({ id: created.id, isModified: false, data: { cart: ["tea"] } });
    }
    expect(created.token).toMatch(new RegExp(`^${tokenPattern.source}$`));
  });

  it("begin an anonymous session without a user: it has a state, and is never listed or counted", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ data: { n: 1 }, tenant: "t1" });
    const session = await sessions.validate(token);
    expect(session).toMatchObject({ state: "anonymous", userId: null, authenticatedAt: null, roles: [] });
    expect(await sessions.count()).toBe(0);
    expect(await sessions.countUsers()).toBe(0);
    expect((await sessions.list({ tenant: "t1" })).sessions).toEqual([]);
    expect(await sessions.revokeToken(token)).toBeNull();
    expect(await sessions.validate(token)).toBeNull();
  });

  it.each<[unknown, string]>([
    ["", "empty"],
    [null, "null"],
    [{}, "an object"],
    [0, "zero"],
    [["a"], "a list"],
    ["x".repeat(513), "long"],
    ["\ud800", "half a character"],
  ])("refuse %j for a user id (%s)", async (userId) => {
    const sessions = manager();
    const create = untyped(sessions, "create", { userId });
    await expect(create).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID", message: /^userId: / });
    expect(await sessions.count()).toBe(0);
  });

  it("do not let the caller choose the handle or the token", async () => {
    const sessions = manager();
    for (const name of ["id", "token", "state", "createdAt"]) {
      const create = untyped(sessions, "create", { [name]: "x" });
      await expect(create).rejects.toMatchObject({
        message: expect.stringMatching(`^create.${name}: there is no such`),
      });
    }
  });

  it("keep what they were given, whatever the caller changes afterwards", async () => {
    const sessions = manager();
    const [roles, extra, data] = [["a"], { list: [1] }, { list: [1] }];
    const { token } = await sessions.create({ userId: "user-1", roles, extra, data });
    roles.push("admin");
    extra.list.push(2);
    data.list.push(2);
    expect(await sessions.validate(token)).toMatchObject({ roles: ["a"], extra: { list: [1] }, data: { list: [1] } });
  });

  it("read the store once a validation, and write nothing that is not due", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const { token } = await sessions.create({ userId: "user-1" });
    calls.length = 0;
    for (let round = 0; round < 5; round++) await (await sessions.validate(token))?.save();
    expect(calls).toEqual(["read", "read", "read", "read", "read"]);
  });
});

describe("inspect", () => {
  it("says why a token opens nothing", async () => {
    const clock = manualClock();
    const store = memoryStore();
    const keys = [generateKey()];
    const sessions = manager({ clock, store, keys });
    const replaced = (await sessions.create({ userId: "user-1" })).token;
    await (await sessions.validate(replaced))?.setRoles(["admin"]);
    const reused = (await sessions.create({ userId: "user-1" })).token;
    await sessions.refresh(reused);
    const ended = (await sessions.create({ userId: "user-1" })).token;
    await sessions.revokeToken(ended, "stolen");
    const expired = (await sessions.create({ lifetime: { idle: "1s" } })).token;
    const unknown = (await manager({ keys }).create()).token;
    clock.advance(10_000);
    expect(await sessions.inspect("garbage")).toEqual({ ok: false, reason: "malformed" });
    expect(await sessions.inspect((await manager().create()).token)).toEqual({ ok: false, reason: "unknown-key" });
    expect(await sessions.inspect(replaced)).toEqual({ ok: false, reason: "wrong-secret" });
    expect(await sessions.inspect(reused)).toEqual({ ok: false, reason: "reuse-detected" });
    expect(await sessions.inspect(reused)).toEqual({
      ok: false,
      reason: "ended",
      ended: { reason: "reuse-detected", at: clock.now() },
    });
    expect(await sessions.inspect(expired)).toEqual({ ok: false, reason: "expired" });
    expect(await sessions.inspect(unknown)).toEqual({ ok: false, reason: "unknown" });
    expect(await sessions.inspect(ended)).toEqual({
      ok: false,
      reason: "ended",
      ended: { reason: "stolen", at: clock.now() - 10_000 },
    });
  });
});

async function slowlyCountUp(data: Record<string, unknown>): Promise<void> {
  await Promise.resolve();
  data["n"] = Number(data["n"]) + 1;
}

describe("get and update by handle", () => {
  it("change roles and extra of a session without its token, for the next request to see", async () => {
    const sessions = manager();
    const { token, id } = await sessions.create({ userId: "user-1", roles: ["a"], extra: { x: 1 }, data: { n: 1 } });
    expect(await sessions.update("user-1", id, { roles: ["b"] })).toBe("saved");
    expect(await sessions.update("user-1", id, { extra: { y: 2 } })).toBe("saved");
    expect(await sessions.get("user-1", id)).toMatchObject({ id, roles: ["b"], extra: { y: 2 }, current: false });
    expect(await sessions.validate(token)).toMatchObject({ roles: ["b"], extra: { y: 2 }, data: { n: 1 } });
  });

  it("change data without its token where the server's key opens it, and wait for the change", async () => {
    const sessions = manager({ seal: "server" });
    const { token, id } = await sessions.create({ userId: "user-1", data: { n: 0 } });
    await Promise.all(Array.from({ length: 20 }, () => sessions.update("user-1", id, { data: slowlyCountUp })));
    expect((await sessions.validate(token))?.data).toEqual({ n: 20 });
    await expect(manager().update("user-1", id, { data: slowlyCountUp })).resolves.toBe("gone");
  });

  it("answer another user's handle exactly as an unknown one", async () => {
    const sessions = manager();
    const { token, id } = await sessions.create({ userId: "user-1" });
    const stranger = (await manager().create({ userId: "user-1" })).id;
    for (const handle of [id, stranger, "", "x", "*", `${id}A`, `${id} `, id.toLowerCase(), token]) {
      expect(await sessions.get("user-2", handle)).toBeNull();
      expect(await sessions.update("user-2", handle, { roles: ["admin"] })).toBe("gone");
      expect(await sessions.revoke("user-2", handle)).toBeNull();
    }
    expect(await sessions.validate(id)).toBeNull();
    expect(await sessions.validate(token)).toMatchObject({ roles: [] });
  });
});

describe("ending sessions", () => {
  it("by handle or token answers whose it was, once, and null ever after", async () => {
    const sessions = manager();
    const [a, b] = [await sessions.create({ userId: "user-1" }), await sessions.create({ userId: "user-1" })];
    expect(await sessions.revoke("user-1", a.id)).toBe("user-1");
    expect(await sessions.revoke("user-1", a.id)).toBeNull();
    expect(await sessions.revokeToken(b.token)).toBe("user-1");
    expect(await sessions.revokeToken(b.token)).toBeNull();
    expect(await sessions.count({ userId: "user-1" })).toBe(0);
  });

  it("of a user spares those excepted, other users, and nothing else", async () => {
    const sessions = manager();
    const mine = await Promise.all(Array.from({ length: 5 }, () => sessions.create({ userId: "user-1" })));
    const other = await sessions.create({ userId: "user-2" });
    expect(await sessions.revokeAll("user-1", { except: [mine[1]?.id ?? "", "unknown"] })).toBe(4);
    expect(await sessions.revokeAll("user-1", { except: mine[1]?.id ?? "" })).toBe(0);
    const alive = await Promise.all([...mine, other].map(({ token }) => isAlive(sessions, token)));
    expect(alive).toEqual([false, true, false, false, false, true]);
  });

  it("refuses a misspelt option instead of ending more than was meant", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const revoke = untyped(sessions, "revokeAll", "user-1", { expect: "x" });
    await expect(revoke).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    expect(await sessions.validate(token)).not.toBeNull();
  });

  it("of a tenant, or of everybody, ends anonymous ones too, and stays within the namespace", async () => {
    const [store, keys] = [memoryStore(), [generateKey()]];
    const [one, other] = [manager({ store, keys, namespace: "one" }), manager({ store, keys, namespace: "other" })];
    const asked = [{ userId: "user-1", tenant: "t1" }, { tenant: "t1" }, { userId: "user-1" }, {}];
    const mine = await Promise.all(asked.map((options) => one.create(options)));
    const theirs = await Promise.all(asked.map((options) => other.create(options)));
    const alive = async (): Promise<boolean[]> => Promise.all(mine.map(({ token }) => isAlive(one, token)));
    expect(await one.revokeTenant("t1")).toBe(2);
    expect(await alive()).toEqual([false, false, true, true]);
    expect(await one.revokeEverything()).toBe(2);
    expect(await alive()).toEqual([false, false, false, false]);
    for (const { token } of theirs) expect(await isAlive(other, token)).toBe(true);
  });

  it.each(["", "x\ny", "a".repeat(101), "caf\u00e9", 5, null])("refuses %j for a reason", async (reason) => {
    const sessions = manager();
    const { id } = await sessions.create({ userId: "user-1" });
    const revoke = untyped(sessions, "revoke", "user-1", id, reason);
    await expect(revoke).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    expect(await sessions.count()).toBe(1);
  });
});

describe("user ids that look alike", () => {
  it("are different users", async () => {
    const sessions = manager();
    const ids = [
      "user",
      "User",
      "user ",
      " user",
      "user\0",
      "us\u0000er",
      "\u00e9",
      "e\u0301",
      "\ufffd",
      "__proto__",
      "1",
      "01",
    ];
    for (const userId of ids) await sessions.create({ userId });
    for (const userId of ids) {
      expect(await sessions.count({ userId })).toBe(1);
      expect((await sessions.list({ userId })).sessions.map((info) => info.userId)).toEqual([userId]);
    }
    expect(await sessions.countUsers()).toBe(ids.length);
    for (const userId of ids) expect(await sessions.revokeAll(userId)).toBe(1);
  });
});
