/** What plantdb's plain SessionManager does, without its flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, limitPresets, type Limits, type SessionManager } from "symbolon";
import { type ApiTokens, apiTokens } from "symbolon/auth/api-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const HOUR = 3_600_000;

/** A manager that limits how many sessions there may be. */
function limited(limits: Limits, clock: ManualClock): SessionManager {
  return createSessionManager({
    store: memoryStore(),
    keys: [generateKey()],
    clock,
    lifetime: { idle: "1h", absolute: "1h" },
    limits,
    ...(limits.onLimit === "reuse" && { seal: "server" }),
    pruneEvery: false,
  });
}

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
    expect(second?.expiresAt).toBe(first.expiresAt);
    // A client that lost the answer asks again; any later somebody has a copy.
    clock.advance(9_999);
    expect((await sessions.refresh(first.token))?.token).toBe(second?.token);
    expect((await sessions.validate(second?.token ?? ""))?.userId).toBe("ann");
    clock.advance(1);
    expect(await sessions.validate(first.token)).toBeNull();
    expect(await sessions.validate(second?.token ?? "")).toBeNull();
    const last = await sessions.create({ userId: "ann" });
    clock.advance(HOUR);
    const next = await sessions.refresh(last.token);
    clock.advance(HOUR);
    expect(await sessions.validate(next?.token ?? "")).toBeNull();
  });

  it("loses no session when a refresh is refused", async () => {
    const { token } = await sessions.create({ userId: "ann" });
    expect(await sessions.refresh("unknown")).toBeNull();
    const [one, other] = await Promise.all([sessions.refresh(token), sessions.refresh(token)]);
    expect(other?.token).toBe(one?.token);
    expect(await sessions.count({ userId: "ann" })).toBe(1);
    expect((await sessions.validate(one?.token ?? ""))?.userId).toBe("ann");
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

  it("refuses one session more than the limit of all, until one ends or expires", async () => {
    const few = limited({ total: 2 }, clock);
    const refused = { code: "ERR_SESSION_LIMIT", limit: "total" };
    const first = await few.create({ userId: "ann" });
    await few.create({ userId: "bob" });
    clock.advance(HOUR / 2);
    await expect(few.create({ userId: "cid" })).rejects.toMatchObject(refused);
    expect(await few.revokeToken(first.token)).toBe("ann");
    const third = await few.create({ userId: "cid" });
    await expect(few.create({ userId: "ann" })).rejects.toMatchObject(refused);
    clock.advance(HOUR / 2);
    // Bob's has expired.
    await few.create({ userId: "ann" });
    expect((await few.validate(third.token))?.userId).toBe("cid");
    expect(await few.count()).toBe(2);
  });

  it("keeps to the limit however many begin a session at once", async () => {
    const few = limited({ total: 5 }, clock);
    const tries = Array.from({ length: 10 }, (_, index) => few.create({ userId: `user-${index}` }));
    const outcomes = await Promise.allSettled(tries);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
    expect(await few.count()).toBe(5);
  });

  it("lets no user take the places of others, with a limit for each", async () => {
    const few = limited({ perUser: 2, onLimit: "reject" }, clock);
    await few.create({ userId: "ann" });
    await few.create({ userId: "ann" });
    await expect(few.create({ userId: "ann" })).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT", limit: "perUser" });
    expect((await few.create({ userId: "bob" })).userId).toBe("bob");
  });

  it("has one session in all: others are refused while it lives, and it keeps its place when it is refreshed", async () => {
    const single = limited(limitPresets.onlyOne, clock);
    const first = await single.create({ userId: "ann" });
    await expect(single.create({ userId: "bob" })).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
    await expect(single.create({ userId: "ann" })).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
    expect((await single.validate(first.token))?.userId).toBe("ann");
    const second = await single.refresh(first.token);
    expect((await single.validate(second?.token ?? ""))?.userId).toBe("ann");
    await single.revokeToken(second?.token ?? "");
    expect((await single.create({ userId: "bob" })).userId).toBe("bob");
  });

  it("hands a user the session there is, as plantdb's documentation says", async () => {
    const same = limited(limitPresets.sameAgain, clock);
    const first = await same.create({ userId: "ann", data: { n: 1 } });
    const again = await same.create({ userId: "ann" });
    expect([again.id, again.token]).toEqual([first.id, first.token]);
    expect(again.data).toEqual({ n: 1 });
    expect((await same.create({ userId: "bob" })).id).not.toBe(first.id);
    expect(await same.count({ userId: "ann" })).toBe(1);
    clock.advance(HOUR);
    expect((await same.create({ userId: "ann" })).id).not.toBe(first.id);
  });

  it("refuses a user who has a session, as plantdb's code does", async () => {
    const first = limited(limitPresets.firstWins, clock);
    const { token } = await first.create({ userId: "ann" });
    await expect(first.create({ userId: "ann" })).rejects.toMatchObject({
      code: "ERR_SESSION_LIMIT",
      limit: "perUser",
    });
    expect((await first.validate(token))?.userId).toBe("ann");
    expect((await first.create({ userId: "bob" })).userId).toBe("bob");
    await first.revokeToken(token);
    expect((await first.create({ userId: "ann" })).userId).toBe("ann");
  });

  it("lets a user have any number of sessions, as plantdb's later code does", async () => {
    const any = limited({ perUser: false }, clock);
    for (let count = 1; count <= 150; count++) await any.create({ userId: "ann" });
    expect(await any.count({ userId: "ann" })).toBe(150);
  });

  it("puts a new session in the place of the user's old one, and can say so to who held that", async () => {
    const newest = limited(limitPresets.newestWins, clock);
    const first = await newest.create({ userId: "ann" });
    const bob = await newest.create({ userId: "bob" });
    const second = await newest.create({ userId: "ann" });
    expect(await newest.inspect(first.token)).toMatchObject({ reason: "ended", ended: { reason: "evicted" } });
    for (const { token } of [second, bob]) expect(await newest.validate(token)).not.toBeNull();
  });

  it("gives out API tokens with a scope and an end, lists them, and revokes them for every process at once", async () => {
    const store = memoryStore();
    const keys = [generateKey()];
    const [one, two] = [1, 2].map(() => apiTokens(createSessionManager({ store, keys, clock, pruneEvery: false }))) as [
      ApiTokens,
      ApiTokens,
    ];
    const datasets = { "arabidopsis*": ["read"] };
    const { token, info } = await one.create("ann", { name: "robot", lifetime: "1h", extra: { datasets } });
    expect(await two.validate(token)).toMatchObject({
      userId: "ann",
      apiToken: { name: "robot" },
      extra: { datasets },
    });
    expect((await two.list("ann")).tokens).toEqual([{ ...info, lastUsedAt: null }]);
    // A token without datasets, one that is none, and one of the wrong type.
    expect((await one.create("ann", { name: "plain" })).info.extra).toEqual({});
    expect(await one.validate("malformed")).toBeNull();
    const session = await sessions.create({ userId: "ann" });
    expect([await one.validate(session.token), await one.revokeToken(session.token)]).toEqual([null, null]);
    expect(await two.revokeToken(token)).toBe("ann");
    expect([await one.validate(token), await one.revokeToken(token)]).toEqual([null, null]);
    const late = await one.create("ann", { name: "late", lifetime: "1h" });
    clock.advance(HOUR);
    expect(await two.inspect(late.token)).toMatchObject({ ok: false, reason: "expired" });
    for (const lifetime of [0, -1, 1.5, "yesterday" as "1h"]) {
      await expect(one.create("ann", { name: "never", lifetime })).rejects.toMatchObject({
        code: "ERR_OPTIONS_INVALID",
      });
    }
  });
});
