import { createSessionManager, generateKey, type SessionManager, type Store } from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { intercept, spied } from "../support/stores.ts";

const OLD = generateKey();
const NEW = generateKey();
const WORLD = { userId: "user-1", data: { cart: ["tea"] } };

const clock = manualClock();

function manager(store: Store, keys: readonly string[]): SessionManager {
  return createSessionManager({ store, keys, indexKey: OLD, clock, pruneEvery: false });
}

/** The key id in the clear part of the stored envelope. */
async function sealedUnder(store: MemoryStore): Promise<(number | undefined)[]> {
  const { entries } = await store.scan({ cursor: null, limit: 100 }, { now: 0, signal: AbortSignal.abort() });
  return entries.map((entry) => ("envelope" in entry ? Buffer.from(entry.envelope).readUInt16BE(1) : undefined));
}

const keyIdOf = (token: string): number => Buffer.from(token.slice(3), "base64url").readUInt16BE(0);

describe("a new key in front of the old one", () => {
  it("names and seals what is new, and still opens what is old", async () => {
    const store = memoryStore();
    const old = await manager(store, [OLD]).create(WORLD);
    const sessions = manager(store, [NEW, OLD]);
    const fresh = await sessions.create(WORLD);
    expect(keyIdOf(fresh.token)).not.toBe(keyIdOf(old.token));
    expect((await sessions.validate(old.token))?.data).toEqual(WORLD.data);
    expect(await sealedUnder(store)).toEqual([keyIdOf(old.token), keyIdOf(fresh.token)]);
  });

  it("takes a record over with its next write, and not with a mere read", async () => {
    const store = memoryStore();
    const { token } = await manager(store, [OLD]).create(WORLD);
    const sessions = manager(store, [NEW, OLD]);
    const session = await sessions.validate(token);
    expect(await sealedUnder(store)).toEqual([keyIdOf(token)]);
    await session?.update((data) => void (data["n"] = 1));
    const [keyId] = await sealedUnder(store);
    expect(keyId).not.toBe(keyIdOf(token));
    expect((await manager(store, [NEW, OLD]).validate(token))?.data).toEqual({ ...WORLD.data, n: 1 });
  });

  it("finds, lists, counts and ends a user's sessions of both", async () => {
    const store = memoryStore();
    const old = await manager(store, [OLD]).create(WORLD);
    const sessions = manager(store, [NEW, OLD]);
    const fresh = await sessions.create(WORLD);
    expect(await sessions.count({ userId: "user-1" })).toBe(2);
    const { sessions: listed } = await sessions.list({ userId: "user-1" });
    expect(new Set(listed.map(({ id }) => id))).toEqual(new Set([old.id, fresh.id]));
    expect(await sessions.revokeAll("user-1", { except: old.id })).toBe(1);
    expect(await sessions.revoke("user-1", old.id)).toBe("user-1");
  });

  it("keeps the key id of a token through a refresh", async () => {
    const store = memoryStore();
    const { token } = await manager(store, [OLD]).create(WORLD);
    const sessions = manager(store, [NEW, OLD]);
    const next = await sessions.refresh(token);
    expect(keyIdOf(next?.token ?? "")).toBe(keyIdOf(token));
    expect((await sessions.validate(next?.token ?? ""))?.data).toEqual(WORLD.data);
  });

  it("opens nothing of a process that does not have it yet, and says so", async () => {
    const store = memoryStore();
    const { token } = await manager(store, [OLD]).create(WORLD);
    await (await manager(store, [NEW, OLD]).validate(token))?.update((data) => void (data["n"] = 1));
    const behind = manager(store, [OLD]);
    expect(await behind.inspect(token)).toEqual({ ok: false, reason: "bad-seal" });
  });
});

describe("removing a key", () => {
  it("ends what is under it at once, without a restart, for a token that was just seen as well", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager(store, [OLD]);
    const { token } = await sessions.create(WORLD);
    sessions.setKeys([NEW, OLD]);
    const other = await sessions.create(WORLD);
    expect(await sessions.validate(token)).not.toBeNull();
    sessions.setKeys([NEW]);
    calls.length = 0;
    expect(await sessions.inspect(token)).toEqual({ ok: false, reason: "unknown-key" });
    expect(await sessions.refresh(token)).toBeNull();
    expect(calls).toEqual([]);
    expect(await sessions.validate(other.token)).not.toBeNull();
  });

  it("ends it also for a request whose read was on its way, from the next request on", async () => {
    const inner = memoryStore();
    let whileReading: (() => void) | undefined;
    const store = intercept(inner, async (call) => {
      const answer = await call.proceed();
      if (call.method === "read") whileReading?.();
      return answer;
    });
    const sessions = manager(store, [NEW, OLD]);
    const { token } = await manager(inner, [OLD]).create(WORLD);
    // Its record is under the new key by now; the token itself is still named after the old one.
    await (await sessions.validate(token))?.update((data) => void (data["n"] = 1));
    sessions.setKeys([NEW, OLD]);
    whileReading = () => {
      whileReading = undefined;
      sessions.setKeys([NEW]);
    };
    await sessions.validate(token);
    expect(await sessions.inspect(token)).toEqual({ ok: false, reason: "unknown-key" });
  });

  it("ends a session whose data was sealed under it, also when its token was not", async () => {
    const store = memoryStore();
    const { token } = await manager(store, [OLD]).create({ userId: "user-1" });
    const between = manager(store, [NEW, OLD]);
    await (await between.validate(token))?.update((data) => void (data["n"] = 1));
    // The order of the ring was turned back, and the envelope came back under the old key; the data key did not.
    const back = manager(store, [OLD, NEW]);
    await (await back.validate(token))?.update((data) => void (data["n"] = 2));
    back.setKeys([OLD]);
    expect(await back.inspect(token)).toEqual({ ok: false, reason: "bad-seal" });
    expect(await back.refresh(token)).toBeNull();
  });

  it("is announced by key ids alone", () => {
    const sessions = manager(memoryStore(), [OLD]);
    const heard: unknown[] = [];
    sessions.on("keys-changed", (event) => heard.push(event));
    sessions.setKeys([NEW, OLD]);
    expect(heard).toHaveLength(1);
    expect(heard[0]).toMatchObject({ keys: [expect.stringMatching(/^[0-9a-f]{4}$/), expect.any(String)] });
    const text = JSON.stringify(heard);
    for (const key of [OLD, NEW]) {
      expect(text).not.toContain(key.slice(0, 8));
      expect(text).not.toContain(Buffer.from(key, "base64url").toString("hex").slice(0, 8));
    }
  });
});

describe("keys that are refused", () => {
  it.each<[string, readonly (string | undefined)[]]>([
    ["none", []],
    ["a short one", [NEW, "short"]],
    ["one that is missing", [NEW, undefined]],
    ["one twice", [NEW, NEW]],
    ["one that repeats itself", ["a".repeat(43)]],
  ])("leave the ring in force as it was: %s", async (_, keys) => {
    const sessions = manager(memoryStore(), [OLD]);
    const { token } = await sessions.create(WORLD);
    let announced = 0;
    sessions.on("keys-changed", () => announced++);
    expect(() => sessions.setKeys(keys)).toThrowError(expect.objectContaining({ code: "ERR_KEY_INVALID" }) as Error);
    expect(announced).toBe(0);
    expect((await sessions.validate(token))?.data).toEqual(WORLD.data);
    expect(keyIdOf((await sessions.create()).token)).toBe(keyIdOf(token));
  });
});

describe("the index key", () => {
  it("must be named once there are two keys, and says what to write", () => {
    const options = { store: memoryStore(), keys: [NEW, OLD] };
    expect(() => createSessionManager(options)).toThrowError(/^indexKey: required with two keys/);
  });

  it("keeps a user's sessions together over every change of keys", async () => {
    const store = memoryStore();
    const one = await createSessionManager({ store, keys: [OLD], pruneEvery: false }).create(WORLD);
    const later = createSessionManager({ store, keys: [NEW, OLD], indexKey: OLD, pruneEvery: false });
    expect(await later.get("user-1", one.id)).toMatchObject({ id: one.id });
    expect(await later.revokeAll("user-1")).toBe(1);
  });

  it("opens nothing by itself", async () => {
    const store = memoryStore();
    const { token } = await createSessionManager({ store, keys: [NEW], indexKey: OLD, pruneEvery: false }).create(
      WORLD,
    );
    const thief = createSessionManager({ store, keys: [OLD], indexKey: OLD, pruneEvery: false });
    expect(await thief.inspect(token)).toEqual({ ok: false, reason: "unknown-key" });
    expect((await thief.list({ userId: "user-1" })).sessions).toEqual([]);
  });
});
