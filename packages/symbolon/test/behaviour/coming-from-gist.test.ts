/** What the Flask and Redis gist does, without its flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const HOUR = 3_600_000;

describe("coming from the gist", () => {
  let clock: ManualClock;
  let sessions: SessionManager;

  beforeEach(() => {
    clock = manualClock();
    sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false });
  });

  it("slides the expiry with use, up to the absolute end", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    for (let step = 0; step < 47; step++) {
      clock.advance(HOUR / 2);
      expect((await sessions.validate(token))?.userId).toBe("ann");
    }
    clock.advance(HOUR / 2);
    expect(await sessions.inspect(token)).toMatchObject({ reason: "expired" });
  });

  it("forces a user out everywhere, and only that user", async () => {
    const mine = await Promise.all([1, 2, 3].map(() => sessions.create({ userId: "ann.*[a]" })));
    const other = await sessions.create({ userId: "ann.bob" });
    expect(await sessions.revokeAll("ann.*[a]", { reason: "hijacked" })).toBe(3);
    for (const { token } of mine) {
      expect(await sessions.inspect(token)).toMatchObject({ reason: "ended", ended: { reason: "hijacked" } });
    }
    expect(await sessions.validate(other.token)).not.toBeNull();
  });

  it("counts distinct users, and sessions and users of an organisation", async () => {
    await sessions.create({ userId: "ann", tenant: "acme" });
    await sessions.create({ userId: "ann", tenant: "acme" });
    await sessions.create({ userId: "bob", tenant: "acme" });
    await sessions.create({ userId: "cid", tenant: "other" });
    await sessions.create();
    expect(await sessions.countUsers()).toBe(3);
    expect(await sessions.countUsers({ tenant: "acme" })).toBe(2);
    expect(await sessions.count({ tenant: "acme" })).toBe(3);
    expect(await sessions.revokeTenant("acme")).toBe(3);
    expect(await sessions.count()).toBe(1);
  });

  it("does nothing to anybody's session when junk comes with a known beginning", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    const junk = `${token.slice(0, 50)}${"B".repeat(33)}`;
    expect(await sessions.inspect(junk)).toMatchObject({ ok: false, reason: "forged" });
    expect(await sessions.validate(token)).not.toBeNull();
  });

  it("keeps a persistent cookie's Max-Age in step with the server, whenever it is sent", async () => {
    const persistent = createSessionManager<{ n?: number }>({
      store: memoryStore(),
      keys: [generateKey()],
      clock,
      cookie: { persistent: true },
      pruneEvery: false,
    });
    const handler = withSession(persistent, (_request, session) => {
      session.data.n ??= 1;
      return new Response();
    });
    const first = await handler(new Request("https://app.example/"));
    const [cookie = ""] = first.headers.getSetCookie();
    expect(cookie).toContain("Max-Age=3600");
    clock.advance(HOUR / 2);
    const headers = { Cookie: cookie.split(";")[0] ?? "" };
    const second = await handler(new Request("https://app.example/", { headers }));
    expect(second.headers.getSetCookie()[0]).toContain("Max-Age=3600");
    clock.advance(HOUR - 1);
    const third = await handler(new Request("https://app.example/", { headers }));
    expect(third.headers.getSetCookie()[0]).toContain("Max-Age=3600");
  });
});
