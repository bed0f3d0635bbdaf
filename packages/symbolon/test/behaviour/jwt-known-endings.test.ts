/** KnownEndings: what it forgets, and that it refuses too much rather than too little. */
import { describe, expect, it, vi } from "vitest";
import { EventHub } from "../../src/core/events.ts";
import { KnownEndings } from "../../src/jwt/known-endings.ts";
import { manualClock } from "../../src/testing/index.ts";

const TTL = 60_000;
const AHEAD = 5;
const MOST = 100_000;
const USER = "user-1";

function known() {
  const clock = manualClock();
  const events = new EventHub(clock);
  const endings = new KnownEndings(events, { ttl: TTL - AHEAD, ahead: AHEAD });
  const revoke = (id: string): void => events.emit("revoked", { id, userId: USER, reason: "revoked" });
  const covers = (handle: string, issuedAt: number, userId = USER, generation = 1): boolean =>
    endings.covers({ handle, generation }, userId, issuedAt);
  return { clock, events, endings, revoke, covers };
}

describe("what a process knows of ended sessions", () => {
  it("is kept as long as a token can live, and then forgotten", () => {
    const { clock, revoke, covers } = known();
    const issuedAt = clock.now();
    revoke("a");
    clock.advance(TTL - 1);
    revoke("b");
    expect([covers("a", issuedAt), covers("b", issuedAt), covers("c", issuedAt)]).toEqual([true, true, false]);
    clock.advance(1);
    revoke("c");
    expect([covers("a", issuedAt), covers("b", issuedAt)]).toEqual([false, true]);
  });

  it("is kept longer when it is told of again", () => {
    const { clock, events, revoke, covers } = known();
    const issuedAt = clock.now();
    events.emit("revoked-many", { userId: USER, tenant: null, reason: "revoked", count: 1 });
    clock.advance(TTL - 1);
    events.emit("revoked-many", { userId: USER, tenant: null, reason: "revoked", count: 0 });
    clock.advance(TTL - 1);
    revoke("x");
    expect([covers("a", issuedAt), covers("a", issuedAt, "user-2")]).toEqual([true, false]);
  });

  it("refuses everybody's older tokens rather than forget one that lives", () => {
    const { clock, revoke, covers, endings } = known();
    const issuedAt = clock.now();
    clock.advance(1);
    for (let count = 0; count < MOST; count++) revoke(`s${count}`);
    expect([covers("s0", issuedAt), covers("stranger", issuedAt, "user-2")]).toEqual([true, false]);
    clock.advance(1);
    const between = clock.now();
    revoke("one too many");
    expect([covers("s0", issuedAt), covers("stranger", issuedAt, "user-2")]).toEqual([true, true]);
    expect(endings.issueTime({ id: "stranger", userId: "user-2" }, between)).toBe(between + 1);
    expect([covers("stranger", between, "user-2"), covers("stranger", between + 1, "user-2")]).toEqual([true, false]);
    // What is still remembered is refused, whenever it was issued.
    expect([covers("one too many", between + 1), covers("s1", between + 1)]).toEqual([true, true]);
  });

  it("never grows beyond that", () => {
    const { clock, revoke } = known();
    // The only map that is written meanwhile.
    const set = vi.spyOn(Map.prototype, "set");
    let most = 0;
    for (let count = 0; count < MOST + 5000; count++) {
      revoke(`s${count}`);
      if (count % 1000 === 0) clock.advance(1);
      most = Math.max(most, (set.mock.contexts.at(-1) as Map<unknown, unknown>).size);
      set.mockClear();
    }
    set.mockRestore();
    expect(most).toBe(MOST);
  });

  it("tells tokens of one session apart by their generation, and is not undone by a rotation", () => {
    const { clock, events, covers } = known();
    const facts = { id: "a", userId: USER };
    events.emit("rotated", { ...facts, reason: "refresh", generation: 3 });
    const later = clock.now() + 1;
    expect([covers("a", later, USER, 2), covers("a", later, USER, 3)]).toEqual([true, false]);
    // Events may come late.
    events.emit("rotated", { ...facts, reason: "refresh", generation: 2 });
    expect(covers("a", later, USER, 2)).toBe(true);
    events.emit("logout", facts);
    events.emit("rotated", { ...facts, reason: "refresh", generation: 4 });
    expect(covers("a", later + TTL, USER, 4)).toBe(true);
  });

  it("has the tokens between two ends of one millisecond", () => {
    const { clock, events, endings, covers } = known();
    const end = (userId: string | null): void =>
      events.emit("revoked-many", { userId, tenant: null, reason: "revoked", count: 1 });
    for (const userId of [USER, null]) {
      end(userId);
      const issuedAt = endings.issueTime({ id: "a", userId: USER }, clock.now());
      expect(covers("a", issuedAt)).toBe(false);
      end(userId);
      expect(covers("a", issuedAt)).toBe(true);
    }
  });

  it("has the tokens of before the clock was set back, as far as clocks may differ", () => {
    const clock = manualClock();
    const events = new EventHub(clock);
    const endings = new KnownEndings(events, { ttl: TTL, ahead: 5000 });
    const facts = { id: "a", userId: USER };
    const issuedAt = endings.issueTime(facts, clock.now());
    clock.advance(-3000);
    events.emit("revoked-many", { userId: USER, tenant: null, reason: "revoked", count: 1 });
    expect(endings.covers({ handle: "a", generation: 1 }, USER, issuedAt)).toBe(true);
    expect(endings.issueTime(facts, clock.now())).toBe(issuedAt + 1);
    clock.advance(-3_600_000);
    events.emit("revoked-many", { userId: "user-2", tenant: null, reason: "revoked", count: 1 });
    // An hour is no difference between clocks: new tokens have to be good.
    expect(endings.issueTime({ id: "b", userId: "user-2" }, clock.now())).toBe(clock.now() + 5001);
  });

  it("goes back with no clock", () => {
    const { clock, events, covers } = known();
    const issuedAt = clock.now();
    events.emit("revoked-many", { userId: null, tenant: null, reason: "revoked", count: 1 });
    clock.advance(-5000);
    events.emit("revoked-many", { userId: null, tenant: "t", reason: "revoked", count: 1 });
    expect(covers("a", issuedAt)).toBe(true);
  });

  it("takes no notice of what ends nothing", () => {
    const { clock, events, endings } = known();
    const facts = { id: "a", userId: USER };
    events.emit("created", { ...facts, state: "authenticated" });
    events.emit("merged", facts);
    events.emit("pin-mismatch", { ...facts, pin: "ip", action: "deny" });
    events.emit("store-failed", { method: "read", error: null });
    expect(endings.mayHaveEnded(facts)).toBe(false);
    expect(endings.covers({ handle: "a", generation: 0 }, USER, clock.now())).toBe(false);
  });
});
