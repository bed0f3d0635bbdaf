/** Whoever can write to the store gains nothing by it. */
import { createSessionManager, generateKey, isTombstone, type SessionManager, type StoredRecord } from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { intercept } from "../support/stores.ts";

type Edit = (record: StoredRecord) => unknown;

interface Stage {
  readonly store: MemoryStore;
  readonly clock: ManualClock;
  /** Never saw the session before: it opens everything from the record. */
  cold(): SessionManager;
  /** Has the session's last version in its memory. */
  readonly warm: SessionManager;
  readonly token: string;
  /** What every later read of the record is turned into. */
  edit: Edit;
  readonly alarms: string[];
}

const PROFILE = { userId: "user-1", roles: ["reader"], tenant: "t1", extra: { plan: "free" }, data: { cart: ["tea"] } };

async function stage(namespace = "default"): Promise<Stage> {
  const clock = manualClock();
  const inner = memoryStore();
  const alarms: string[] = [];
  const made = { edit: ((record) => record) as Edit };
  const store = intercept(inner, (call) => {
    const answer = call.proceed();
    if (call.method !== "read" || answer === null || isTombstone(answer as StoredRecord)) return answer;
    return made.edit(answer as StoredRecord);
  });
  const keys = [generateKey()];
  const cold = (): SessionManager => {
    const sessions = createSessionManager({ store, keys, clock, namespace, pruneEvery: false });
    sessions.on("bad-seal", ({ id }) => alarms.push(id));
    return sessions;
  };
  const warm = cold();
  const { token } = await warm.create(PROFILE);
  await warm.validate(token);
  return Object.assign(made, { store: inner, clock, cold, warm, token, alarms });
}

/** Everything the session says of itself, its data too. */
async function describeSession(sessions: SessionManager, token: string): Promise<unknown> {
  const session = await sessions.validate(token);
  if (session === null) return null;
  const { state, id, userId, roles, extra, tenant, createdAt, authenticatedAt, lastSeenAt, expiresAt, data } = session;
  return { state, id, userId, roles, extra, tenant, createdAt, authenticatedAt, lastSeenAt, expiresAt, data };
}

async function expectRefused(one: Stage, edit: Edit, label: string): Promise<void> {
  one.edit = edit;
  for (const sessions of [one.cold(), one.warm]) {
    one.alarms.length = 0;
    expect(await describeSession(sessions, one.token), label).toBeNull();
    expect(one.alarms, label).toHaveLength(1);
    expect(await sessions.inspect(one.token), label).toEqual({ ok: false, reason: "bad-seal" });
    expect(await sessions.refresh(one.token), label).toBeNull();
    expect(await sessions.revokeToken(one.token), label).toBeNull();
  }
  // What was there before opens still: a tampered record harms nothing but itself.
  one.edit = (record) => record;
  expect(await one.warm.validate(one.token), label).not.toBeNull();
}

/** The edit may go unnoticed, but then it changes nothing. */
async function expectUnchanged(one: Stage, edit: Edit, label: string): Promise<void> {
  one.edit = (record) => record;
  const before = await describeSession(one.cold(), one.token);
  expect(before).toMatchObject(PROFILE);
  one.edit = edit;
  for (const sessions of [one.cold(), one.warm]) {
    const after = await describeSession(sessions, one.token);
    if (after !== null) expect(after, label).toEqual(before);
  }
  one.edit = (record) => record;
}

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
}

async function recordOf(one: Stage): Promise<StoredRecord> {
  const { entries } = await one.store.scan({ cursor: null, limit: 10 }, { now: 0, signal: AbortSignal.abort() });
  const [record] = entries;
  if (record === undefined || isTombstone(record)) throw new Error("There is no record.");
  return record;
}

describe("a record whose sealed bytes were changed", () => {
  it.each(["envelope", "data"] as const)("opens no session, whichever byte of its %s was changed", async (part) => {
    const one = await stage();
    const bytes = (await recordOf(one))[part] ?? new Uint8Array();
    for (let at = 0; at < bytes.length; at++) {
      await expectRefused(one, (record) => ({ ...record, [part]: flipped(bytes, at, at % 8) }), `${part} byte ${at}`);
    }
    expect(bytes.length).toBeGreaterThan(40);
  });

  it.each(["envelope", "data"] as const)("opens no session with a longer, shorter or empty %s", async (part) => {
    const one = await stage();
    const bytes = (await recordOf(one))[part] ?? new Uint8Array();
    for (let length = 0; length < bytes.length; length++) {
      await expectRefused(one, (record) => ({ ...record, [part]: bytes.slice(0, length) }), `${part} cut to ${length}`);
    }
    await expectRefused(one, (record) => ({ ...record, [part]: Buffer.concat([bytes, Buffer.from([0])]) }), "longer");
  });

  it("opens no session when its data is taken away, or is that of nobody", async () => {
    const one = await stage();
    await expectRefused(one, (record) => ({ ...record, data: null }), "no data");
    await expectRefused(one, (record) => ({ ...record, data: record.envelope }), "the envelope as data");
    await expectRefused(one, (record) => ({ ...record, envelope: record.data }), "the data as envelope");
  });

  it("opens no session with JSON or another text where sealed bytes belong", async () => {
    const one = await stage();
    const forged = JSON.stringify({ state: "authenticated", userId: "admin", roles: ["admin"] });
    for (const envelope of [forged, `\u0001${forged}`, "null", ""]) {
      await expectRefused(one, (record) => ({ ...record, envelope: Buffer.from(envelope) }), envelope);
    }
  });
});

describe("a record whose columns were changed", () => {
  const bound: readonly [string, readonly unknown[]][] = [
    ["owner", [null, "", "A".repeat(22), "x\ny", 5, undefined, {}]],
    ["tenant", [null, "", "A".repeat(22), 5, undefined, {}]],
    ["version", [0, 2, -1, Number.NaN, 1.5, "2", null, undefined, 2 ** 60]],
    ["lookup", ["", "A".repeat(43), null, undefined, 5]],
  ];

  it.each(bound)("opens no session when %s is another", async (column, values) => {
    const one = await stage();
    for (const value of values) {
      await expectRefused(one, (record) => ({ ...record, [column]: value }), `${column} = ${String(value)}`);
    }
  });

  const hints: readonly [string, readonly unknown[]][] = [
    ["route", [0, 1, 2 ** 24, -1, null, "x", undefined]],
    ["createdAt", [0, 2 ** 52, -1, Number.NaN, "x", null, undefined, 1e18]],
    ["touchedAt", [0, 2 ** 52, -1, Number.NaN, "x", null, undefined, 1e18]],
    ["deadline", [0, 2 ** 52, -1, Number.NaN, "x", null, undefined, 1e18]],
    ["space", ["", "A".repeat(11), null]],
  ];

  it.each(hints)("is no more powerful for another %s", async (column, values) => {
    const one = await stage();
    for (const value of values) {
      await expectUnchanged(one, (record) => ({ ...record, [column]: value }), `${column} = ${String(value)}`);
    }
  });

  it.each([0, -1, Number.NaN, 2 ** 52, 1e18, "x", null])(
    "dies on time whatever its deadline says: %s",
    async (deadline) => {
      const one = await stage();
      one.edit = (record) => ({ ...record, deadline, touchedAt: deadline });
      one.clock.advance(3_600_000 - 1);
      expect((await one.cold().validate(one.token))?.userId).toBe("user-1");
      one.clock.advance(3_600_000);
      expect(await one.cold().inspect(one.token)).toEqual({ ok: false, reason: "expired" });
      expect(await one.warm.validate(one.token)).toBeNull();
    },
  );

  it.each<[string, unknown]>([
    ["text", "abc"],
    ["a number", 5],
    ["null", null],
    ["nothing", undefined],
    ["an object", {}],
    ["an array", [1, 2, 3]],
  ])("opens no session, and throws nothing, with %s for sealed bytes", async (_, value) => {
    const one = await stage();
    for (const part of ["envelope", "data"]) {
      await expectRefused(one, (record) => ({ ...record, [part]: value }), part);
    }
  });
});

describe("parts of other records", () => {
  it("open no session: each part of another user's record in turn, and all but the place of it", async () => {
    const one = await stage();
    const { token } = await one.warm.create({ ...PROFILE, userId: "admin", roles: ["admin"] });
    let admin: StoredRecord | undefined;
    one.edit = (record) => {
      admin = record;
      return record;
    };
    await one.warm.validate(token);
    if (admin === undefined) throw new Error("There is no record.");
    const { envelope, data, owner, tenant } = admin;
    for (const parts of [{ envelope }, { data }, { envelope, data }, { envelope, data, owner, tenant }, { owner }]) {
      await expectRefused(one, (record) => ({ ...record, ...parts }), Object.keys(parts).join());
    }
    await expectRefused(one, () => admin, "the whole record of another");
    await expectRefused(one, (record) => ({ ...admin, lookup: record.lookup }), "in this one's place");
  });

  it("open no session when they are older ones of the same record", async () => {
    const one = await stage();
    const first = await recordOf(one);
    const session = await one.warm.validate(one.token);
    await session?.update((data) => void (data["cart"] = []));
    await one.warm.update("user-1", session?.id ?? "", { roles: [] });
    for (const parts of [
      { envelope: first.envelope },
      { data: first.data },
      { envelope: first.envelope, data: first.data },
      { version: first.version },
      { envelope: first.envelope, version: first.version },
    ]) {
      await expectRefused(one, (record) => ({ ...record, ...parts }), Object.keys(parts).join());
    }
  });

  it("open no session when they come from another namespace under the same keys", async () => {
    const keys = [generateKey()];
    const clock = manualClock();
    const [mine, theirs] = [memoryStore(), memoryStore()];
    const options = { keys, clock, pruneEvery: false } as const;
    const here = createSessionManager({ ...options, store: mine, namespace: "here" });
    const there = createSessionManager({ ...options, store: theirs, namespace: "there" });
    const { token } = await there.create(PROFILE);
    expect(await here.inspect(token)).toEqual({ ok: false, reason: "forged" });
    const own = await here.create(PROFILE);
    const page = await theirs.scan({ cursor: null, limit: 1 }, { now: 0, signal: AbortSignal.abort() });
    const [foreign] = page.entries as StoredRecord[];
    const moved = intercept(mine, (call) => {
      const found = call.proceed();
      return call.method === "read"
        ? { ...(found as StoredRecord), envelope: foreign?.envelope, data: foreign?.data }
        : found;
    });
    const cold = createSessionManager({ ...options, store: moved, namespace: "here" });
    expect(await cold.inspect(own.token)).toEqual({ ok: false, reason: "bad-seal" });
  });
});

describe("a store that answers with nonsense", () => {
  it.each<[string, unknown]>([
    ["an empty object", {}],
    ["an empty array", []],
    ["a record of nothing but null", Object.fromEntries(["lookup", "envelope", "data"].map((name) => [name, null]))],
  ])("opens no session: %s", async (_, nonsense) => {
    const one = await stage();
    one.edit = () => nonsense;
    for (const sessions of [one.cold(), one.warm]) {
      expect(await sessions.validate(one.token)).toBeNull();
      expect(await sessions.refresh(one.token)).toBeNull();
    }
  });
});
