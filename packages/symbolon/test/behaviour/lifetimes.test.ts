import { createSessionManager, generateKey, type SessionManager, type SessionManagerOptions } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { spied } from "../support/stores.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly calls: string[];
  readonly key: string;
}

function world(options: Options = {}): World {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const key = generateKey();
  const sessions = createSessionManager({ store, keys: [key], indexKey: key, clock, pruneEvery: false, ...options });
  return { clock, sessions, calls, key };
}

async function isAlive({ sessions }: World, token: string): Promise<boolean> {
  return (await sessions.validate(token)) !== null;
}

describe("the idle timeout", () => {
  it("ends a session nobody used for an hour, to the millisecond, whatever the client keeps", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: "user-1" });
    const other = await one.sessions.create({ userId: "user-1" });
    one.clock.advance(HOUR - 1);
    expect(await isAlive(one, other.token)).toBe(true);
    one.clock.advance(1);
    expect(await one.sessions.inspect(token)).toEqual({ ok: false, reason: "expired" });
    expect(await isAlive(one, token)).toBe(false);
  });

  it("is put off by use, of any kind", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: "user-1", data: { n: 0 } });
    for (let round = 0; round < 5; round++) {
      one.clock.advance(HOUR - 1);
      const session = await one.sessions.validate(token);
      expect(session?.expiresAt).toBe(one.clock.now() + HOUR);
      one.clock.advance(HOUR - 1);
      expect(await session?.update((data) => void (data["n"] = round))).toBe("saved");
    }
  });

  it("writes use down at most every tenth of it, and ends at most so much too late", async () => {
    const one = world({ lifetime: { idle: "60s", absolute: "1h" } });
    const { token } = await one.sessions.create();
    one.calls.length = 0;
    for (let second = 0; second < 600; second++) {
      one.clock.advance(1000);
      expect(await isAlive(one, token)).toBe(true);
    }
    expect(one.calls.filter((method) => method === "update").length).toBeLessThanOrEqual(101);
    expect(one.calls.filter((method) => method === "read")).toHaveLength(600);
    one.clock.advance(66_000);
    expect(await isAlive(one, token)).toBe(false);
  });

  it("may be touched more often, but not less than a tenth of it", () => {
    expect(() => world({ lifetime: { idle: "1h", touchEvery: "6m" } })).not.toThrow();
    expect(() => world({ lifetime: { idle: "1h", touchEvery: "361s" } })).toThrowError(/touchEvery: at most a tenth/);
  });
});

describe("the absolute timeout", () => {
  it("ends a session on time however much it is used, and by whatever it is used", async () => {
    const one = world({ seal: "server" });
    const first = await one.sessions.create({ userId: "user-1", data: { n: 0 } });
    const end = one.clock.now() + DAY;
    let { token } = first;
    while (one.clock.now() + 30 * MINUTE < end) {
      one.clock.advance(30 * MINUTE);
      const session = await one.sessions.validate(token);
      expect(session?.expiresAt).toBeLessThanOrEqual(end);
      await session?.update((data) => void (data["n"] = one.clock.now()));
      session?.setDuration("30d");
      await session?.save();
      await one.sessions.update("user-1", first.id, {
        roles: ["r"],
        extra: { e: 1 },
        data: (data) => void (data["m"] = 1),
      });
      one.sessions.setKeys([generateKey(), one.key]);
      one.sessions.setKeys([one.key]);
      token = (await one.sessions.refresh(token))?.token ?? "";
    }
    one.clock.set(end - 1);
    const last = await one.sessions.validate(token);
    expect(last).toMatchObject({ expiresAt: end, createdAt: end - DAY, authenticatedAt: end - DAY });
    one.clock.set(end);
    expect(await last?.update((data) => void (data["n"] = 1))).toBe("gone");
    expect(await one.sessions.refresh(token)).toBeNull();
    expect(await one.sessions.get("user-1", first.id)).toBeNull();
    expect(await one.sessions.update("user-1", first.id, { roles: [] })).toBe("gone");
    expect(await one.sessions.count({ userId: "user-1" })).toBe(0);
    expect(await one.sessions.inspect(token)).toEqual({ ok: false, reason: "expired" });
  });

  it("stays what it was when the manager is given a longer one", async () => {
    const clock = manualClock();
    const options = { store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false } as const;
    const before = createSessionManager({ ...options, lifetime: { idle: "10m", absolute: "20m" } });
    const { token } = await before.create();
    const after = createSessionManager({ ...options, lifetime: { idle: "10d", absolute: "20d" } });
    clock.advance(9 * MINUTE);
    expect((await after.validate(token))?.expiresAt).toBe(clock.now() + 10 * MINUTE);
    clock.advance(9 * MINUTE);
    expect(await after.validate(token)).not.toBeNull();
    clock.advance(2 * MINUTE);
    expect(await after.validate(token)).toBeNull();
  });
});

describe("lifetimes of single sessions", () => {
  it("are longer for a remembered one: 14 days idle, 30 days in all", async () => {
    const one = world();
    const { token, createdAt } = await one.sessions.create({ userId: "user-1", remember: true });
    const start = createdAt ?? 0;
    one.clock.set(start + 14 * DAY - 1);
    expect(await isAlive(one, token)).toBe(true);
    one.clock.advance(14 * DAY - 1);
    expect(await isAlive(one, token)).toBe(true);
    one.clock.set(start + 30 * DAY);
    expect(await isAlive(one, token)).toBe(false);
  });

  it("may be set when it is created", async () => {
    const one = world();
    const { token } = await one.sessions.create({ lifetime: { idle: "1m", absolute: "3m" } });
    for (let round = 0; round < 3; round++) {
      expect(await isAlive(one, token)).toBe(true);
      one.clock.advance(MINUTE - 1);
    }
    expect(await isAlive(one, token)).toBe(true);
    one.clock.advance(3);
    expect(await isAlive(one, token)).toBe(false);
  });

  it("are shortened by setDuration, never lengthened, from the moment it is saved", async () => {
    const one = world();
    const { token } = await one.sessions.create();
    const session = await one.sessions.validate(token);
    const end = one.clock.now() + 5 * MINUTE;
    session?.setDuration("5m");
    session?.setDuration("2d");
    expect(session?.isModified).toBe(true);
    expect(await session?.save()).toBe("saved");
    expect(session).toMatchObject({ expiresAt: end, isModified: false });
    session?.setDuration("6m");
    await session?.save();
    one.clock.set(end - 1);
    expect((await one.sessions.validate(token))?.expiresAt).toBe(end);
    one.clock.set(end);
    expect(await isAlive(one, token)).toBe(false);
  });

  it("of a new anonymous session are shortened by setDuration before it is stored", async () => {
    const one = world();
    const created = await one.sessions.create();
    await created.logout();
    created.setDuration("1m");
    created.data["n"] = 1;
    expect(await created.save()).toBe("saved");
    expect(created.expiresAt).toBe(one.clock.now() + MINUTE);
  });
});

describe("a clock that jumps", () => {
  it("back does not end a session, nor lengthen its life", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: "user-1", data: { n: 0 } });
    const start = one.clock.now();
    one.clock.advance(30 * MINUTE);
    const session = await one.sessions.validate(token);
    one.clock.advance(-2 * HOUR);
    expect(await isAlive(one, token)).toBe(true);
    await session?.update((data) => void (data["n"] = 1));
    const next = await one.sessions.refresh(token);
    one.clock.set(start + 30 * MINUTE + HOUR);
    expect(await isAlive(one, next?.token ?? "")).toBe(false);
  });

  it("far ahead and back ends only what was used in between", async () => {
    const one = world();
    const idle = await one.sessions.create({ userId: "user-1" });
    one.clock.advance(400 * DAY);
    one.clock.advance(-400 * DAY);
    expect(await isAlive(one, idle.token)).toBe(true);
    expect(await one.sessions.count({ userId: "user-1" })).toBe(1);
  });
});

describe("an expired session", () => {
  it("is not revived by an update that took too long", async () => {
    const one = world();
    const { token } = await one.sessions.create({ data: { n: 0 } });
    const session = await one.sessions.validate(token);
    const answer = await session?.update((data) => {
      data["n"] = 1;
      one.clock.advance(2 * HOUR);
    });
    expect(answer).toBe("gone");
    expect(await isAlive(one, token)).toBe(false);
  });

  it("is removed by prune once a minute of slack has passed, and by nobody before", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: "user-1" });
    const later = await one.sessions.create({ userId: "user-1", remember: true });
    one.clock.advance(HOUR + MINUTE - 1);
    expect(await one.sessions.prune()).toBe(0);
    one.clock.advance(MINUTE);
    expect(await one.sessions.prune()).toBe(1);
    expect(await one.sessions.inspect(token)).toEqual({ ok: false, reason: "unknown" });
    expect(await isAlive(one, later.token)).toBe(true);
  });
});
