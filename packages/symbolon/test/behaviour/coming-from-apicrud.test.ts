/** What apicrud's SessionManager does, without its flaws; docs/coming-from.md names these tests. */
import {
  createSessionManager,
  generateKey,
  LeaseLostError,
  LockTimeoutError,
  type LoginOptions,
  type SessionManager,
} from "symbolon";
import { apiTokens } from "symbolon/auth/api-tokens";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { requireLogin, requirePending, withSession } from "symbolon/frameworks/fetch";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const MINUTE = 60_000;

function requestWith(token: string): Request {
  return new Request("https://app.example/", { headers: { Cookie: `__Host-sid=${token}` } });
}

describe("coming from apicrud", () => {
  let clock: ManualClock;
  let sessions: SessionManager<{ step?: number }>;
  const keys = [generateKey()];
  let store: MemoryStore;

  beforeEach(() => {
    clock = manualClock();
    store = memoryStore();
    sessions = createSessionManager({ store, keys, clock, pruneEvery: false });
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

  it("gives every privilege a lifetime of its own, which no use lengthens", async () => {
    const lifetimes: readonly (readonly [LoginOptions, number])[] = [
      [{ roles: ["user"], lifetime: { idle: "2h", absolute: "2h" } }, 120],
      [{ roles: ["admin"], lifetime: { idle: "15m", absolute: "15m" } }, 15],
      [{ pending: "new-password" }, 5],
      [{ pending: "second-factor", lifetime: { idle: "2m", absolute: "2m" } }, 2],
    ];
    for (const [options, minutes] of lifetimes) {
      const { token } = await sessions.create({ userId: "ann", ...options });
      for (let minute = 1; minute < minutes; minute++) {
        clock.advance(MINUTE);
        const session = await sessions.validate(token);
        expect(await session?.update((data) => void (data.step = minute))).toBe("saved");
      }
      clock.advance(MINUTE);
      expect(await sessions.inspect(token)).toMatchObject({ reason: "expired" });
    }
    const tooLong = sessions.create({ userId: "ann", pending: "second-factor", lifetime: { absolute: "6m" } });
    await expect(tooLong).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
  });

  it("keeps a login apart that awaits a one-time password or a new password, until that step is done", async () => {
    const whoami = withSession(
      sessions,
      requireLogin()((_request, session) => new Response(session.userId)),
    );
    for (const awaiting of ["second-factor", "new-password"]) {
      const finish = withSession(
        sessions,
        requirePending(awaiting)(async (_request, session) => {
          await session.login(session.pending?.userId ?? "", { roles: ["user"] });
          return new Response();
        }),
      );
      const first = await sessions.create();
      await first.login("ann", { pending: awaiting });
      const pending = first.takeToken() ?? "";
      expect(first).toMatchObject({ state: "pending", userId: null, roles: [], pending: { userId: "ann", awaiting } });
      expect((await whoami(requestWith(pending))).status).toBe(401);
      const [cookie = ""] = (await finish(requestWith(pending))).headers.getSetCookie();
      const full = /(s1_[\w-]+)/.exec(cookie)?.[1] ?? "";
      expect(await (await whoami(requestWith(full))).text()).toBe("ann");
      // The step cannot be done twice, nor by who is logged in already, nor in place of another.
      for (const token of [pending, full]) expect((await finish(requestWith(token))).status).toBe(401);
      const other = await sessions.create({ userId: "ann", pending: "something-else" });
      expect((await finish(requestWith(other.token))).status).toBe(401);
    }
  });

  it("confirms once, with a token that is for one purpose and opens no session", async () => {
    const tokens = oneTimeTokens(sessions);
    const options = { userId: "ann", extra: { email: "ann@app.example" }, lifetime: "1h" } as const;
    const token = await tokens.issue("confirm-email", options);
    expect(await sessions.validate(token)).toBeNull();
    expect(await tokens.consume("reset-password", token)).toBeNull();
    expect(await tokens.peek("confirm-email", token)).toMatchObject({ userId: "ann" });
    const uses = await Promise.all(Array.from({ length: 10 }, () => tokens.consume("confirm-email", token)));
    expect(uses.filter((use) => use !== null)).toMatchObject([{ userId: "ann", extra: { email: "ann@app.example" } }]);
    expect(await tokens.consume("confirm-email", token)).toBeNull();
    const late = await tokens.issue("confirm-email", options);
    clock.advance(60 * MINUTE);
    expect(await tokens.consume("confirm-email", late)).toBeNull();
  });

  it("serialises what only one may do at a time: it tries once or waits, and says when that was in vain", async () => {
    const order: string[] = [];
    const migrate = (who: string) => async (): Promise<void> => {
      order.push(`${who} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${who} ends`);
    };
    const broken = new Error("broken");
    await Promise.all([
      sessions.lock("migrate", migrate("one")),
      expect(sessions.lock("migrate", { wait: 0 }, migrate("the hasty one"))).rejects.toBeInstanceOf(LockTimeoutError),
      // What its function throws is not hidden by the release, and frees the lock.
      expect(sessions.lock("migrate", () => Promise.reject(broken))).rejects.toBe(broken),
      sessions.lock("migrate", { wait: "1m" }, migrate("another")),
      sessions.lock("something else", { wait: 0 }, () => undefined),
    ]);
    expect(order).toEqual(["one begins", "one ends", "another begins", "another ends"]);
    {
      await using _lease = await sessions.lock("migrate", { wait: 0 });
      await expect(sessions.lock("migrate", { wait: 0 })).rejects.toMatchObject({ code: "ERR_LOCK_TIMEOUT" });
    }
    await sessions.lock("migrate", { wait: 0 }, () => undefined);
  });

  it("tells who held a mutex too long, instead of failing otherwise, and takes it from nobody", async () => {
    const late = await sessions.lock("migrate", { lease: "5s" });
    clock.advance(5000);
    const elsewhere = createSessionManager({ store, keys, clock, pruneEvery: false });
    const next = await elsewhere.lock("migrate", { wait: 0 });
    // What is written by then can tell which of the two comes late.
    expect(next.fence).toBeGreaterThan(late.fence);
    await expect(late.release()).rejects.toBeInstanceOf(LeaseLostError);
    await expect(sessions.lock("migrate", { wait: 0 })).rejects.toBeInstanceOf(LockTimeoutError);
    await next.release();
    // Also when nobody has it.
    const another = await sessions.lock("migrate", { lease: "5s" });
    clock.advance(5000);
    await expect(another.release()).rejects.toBeInstanceOf(LeaseLostError);
    await sessions.lock("migrate", { wait: 0 }, () => undefined);
  });

  it("finds and ends an API key by its public id, which opens nothing", async () => {
    const apiKeys = apiTokens(sessions, { perUser: 2 });
    const { token, info } = await apiKeys.create("ann", { name: "deploy", roles: ["user"] });
    expect(await apiKeys.get("ann", info.id)).toMatchObject({ name: "deploy", roles: ["user"] });
    expect([await apiKeys.get("bob", info.id), await apiKeys.validate(info.id)]).toEqual([null, null]);
    // Sessions are not found by it, and the same right three characters are not enough.
    expect([await sessions.get("ann", info.id), await sessions.validate(token)]).toEqual([null, null]);
    const forged = `k1_${"A".repeat(77)}${token.slice(-3)}`;
    expect([await apiKeys.validate(forged), await apiKeys.revokeToken(forged)]).toEqual([null, null]);
    expect((await apiKeys.validate(token))?.roles).toEqual(["user"]);
    // Too many.
    await apiKeys.create("ann", { name: "second" });
    await expect(apiKeys.create("ann", { name: "third" })).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
    expect(await apiKeys.revoke("ann", info.id)).toBe("ann");
    expect([await apiKeys.get("ann", info.id), await apiKeys.validate(token)]).toEqual([null, null]);
  });
});
