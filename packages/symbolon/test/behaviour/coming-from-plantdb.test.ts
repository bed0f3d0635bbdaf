/** What plantdb's plain SessionManager does, without its flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const HOUR = 3_600_000;

describe("coming from plantdb", () => {
  let clock: ManualClock;
  let sessions: SessionManager;

  beforeEach(() => {
    clock = manualClock();
    const lifetime = { idle: "2h", absolute: "2h" } as const;
    sessions = createSessionManager({
      store: memoryStore(),
      keys: [generateKey()],
      clock,
      lifetime,
      pruneEvery: false,
    });
  });

  it("creates and validates a session, and keeps a record of its times", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    const session = await sessions.validate(token);
    expect(session).toMatchObject({ userId: "ann", createdAt: clock.now(), lastSeenAt: clock.now() });
    expect(session?.expiresAt).toBe(clock.now() + 2 * HOUR);
  });

  it("answers null for an unknown and for an expired session, and says which on request", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    expect(await sessions.validate("unknown")).toBeNull();
    clock.advance(2 * HOUR);
    expect(await sessions.validate(token)).toBeNull();
    expect(await sessions.inspect(token)).toMatchObject({ ok: false, reason: "expired" });
  });

  it("notes the last access, at most every tenth of the idle timeout", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    const start = clock.now();
    clock.advance(1000);
    expect((await sessions.validate(token))?.lastSeenAt).toBe(start);
    clock.advance(HOUR / 2);
    expect((await sessions.validate(token))?.lastSeenAt).toBe(clock.now());
  });

  it("ends a session and answers whose it was, again and again", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    expect(await sessions.revokeToken(token)).toBe("ann");
    expect(await sessions.revokeToken(token)).toBeNull();
    expect(await sessions.revokeToken("unknown")).toBeNull();
  });

  it("counts live sessions only, and cleans up the expired ones only", async () => {
    await sessions.create({ userId: "ann" });
    clock.advance(HOUR);
    const { token } = await sessions.create({ userId: "bob" });
    expect(await sessions.count()).toBe(2);
    clock.advance(HOUR + 61_000);
    expect(await sessions.count()).toBe(1);
    expect(await sessions.prune()).toBe(1);
    expect(await sessions.prune()).toBe(0);
    expect((await sessions.validate(token))?.userId).toBe("bob");
  });

  it("refreshes a session: same session, new token, the old one dead, the end unmoved", async () => {
    const first = await sessions.create({ userId: "ann" });
    clock.advance(HOUR);
    const second = await sessions.refresh(first.token);
    expect(second?.userId).toBe("ann");
    expect(second?.id).toBe(first.id);
    expect(second?.token).not.toBe(first.token);
    expect(await sessions.validate(first.token)).toBeNull();
    expect(await sessions.refresh(first.token)).toBeNull();
    clock.advance(HOUR);
    expect(await sessions.validate(second?.token ?? "")).toBeNull();
  });

  it("loses no session when a refresh is refused", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    expect(await sessions.refresh("unknown")).toBeNull();
    const answers = await Promise.all([sessions.refresh(token), sessions.refresh(token)]);
    const winners = answers.filter((answer) => answer !== null);
    expect(winners).toHaveLength(1);
    expect(await sessions.count({ userId: "ann" })).toBe(1);
    expect(await sessions.validate(winners[0]?.token ?? "")).not.toBeNull();
  });

  it("refuses a user id that is empty or no text", async () => {
    for (const userId of ["", null, 0, {}, ["ann"]]) {
      await expect(sessions.create({ userId: userId as string })).rejects.toMatchObject({
        code: "ERR_OPTIONS_INVALID",
      });
    }
  });

  it("lists a user's sessions without their tokens", async () => {
    const made = await sessions.create({ userId: "ann", device: { name: "Firefox on Linux" } });
    const page = await sessions.list({ userId: "ann", current: made.id });
    expect(page.sessions).toMatchObject([{ id: made.id, current: true, device: { name: "Firefox on Linux" } }]);
    expect(JSON.stringify(page)).not.toContain(made.token.slice(3, 20));
  });
});
