import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { apiTokens } from "../../src/auth/api-tokens.ts";
import { engineOf } from "../../src/core/manager.ts";
import { digestBytes } from "../../src/crypto/derive.ts";
import type { Snapshot } from "../../src/core/record.ts";
import { isTombstone, type StoredRecord } from "../../src/core/store.ts";
import { createSessionManager, generateKey, type SessionManager } from "../../src/index.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { sqliteStore } from "../../src/stores/sqlite.ts";
import { manualClock } from "../../src/testing/manual-clock.ts";
import { sqliteFile } from "../support/sqlite.ts";
import type { FullStore } from "../support/stores.ts";

const WINDOW = 8;
const KEY = generateKey();

interface Stage {
  readonly store: FullStore;
  /** Everything that somebody who steals the store has. */
  dump(): Promise<Buffer>;
}

const stages: readonly [string, () => Stage][] = [
  [
    "memory",
    () => {
      const store = memoryStore();
      return { store, dump: async () => bytesOf(await entriesOf(store)) };
    },
  ],
  [
    "sqlite",
    () => {
      const file = sqliteFile();
      const store = sqliteStore(file.connect());
      return { store, dump: async () => Buffer.concat([file.bytes(), bytesOf(await entriesOf(store))]) };
    },
  ],
];

async function entriesOf(store: FullStore): Promise<unknown[]> {
  const call = { now: 0, signal: new AbortController().signal };
  const { entries, cursor } = await store.scan({ cursor: null, limit: 1000 }, call);
  expect(cursor).toBeNull();
  return [...entries];
}

/** Every text and every byte string of the entries, and the texts once more as what they may encode. */
function bytesOf(entries: readonly unknown[]): Buffer {
  const parts = valuesOf(entries).flatMap((value) =>
    typeof value === "string"
      ? [Buffer.from(value), Buffer.from(value, "base64url"), Buffer.from(value, "hex")]
      : [value],
  );
  return Buffer.concat(parts);
}

function valuesOf(entries: readonly unknown[]): (string | Uint8Array)[] {
  return entries
    .flatMap((entry) => Object.values(entry as object) as unknown[])
    .filter((value) => typeof value === "string" || value instanceof Uint8Array);
}

function windowsOf(needles: readonly Buffer[]): Set<string> {
  const windows = new Set<string>();
  for (const needle of needles) {
    for (let at = 0; at + WINDOW <= needle.length; at++) windows.add(needle.toString("latin1", at, at + WINDOW));
  }
  return windows;
}

/** The windows that occur in a dump. */
function findWindows(dump: Buffer, windows: ReadonlySet<string>): string[] {
  const text = dump.toString("latin1");
  const found: string[] = [];
  for (let at = 0; at + WINDOW <= text.length; at++) {
    const window = text.slice(at, at + WINDOW);
    if (windows.has(window)) found.push(window);
  }
  return found;
}

interface Secrets {
  readonly needles: Buffer[];
  readonly tokens: string[];
}

/** A hundred sessions with a life behind them: updated, refreshed, some ended. */
async function live(sessions: SessionManager): Promise<Secrets> {
  const secrets: Secrets = { needles: [], tokens: [] };
  const tell = (value: string): string => {
    secrets.needles.push(Buffer.from(value));
    return value;
  };
  const word = (): string => tell(randomBytes(12).toString("hex"));
  for (let index = 0; index < 100; index++) {
    const userId = word();
    const about = { roles: [word()], extra: { note: word() }, device: { userAgent: word() }, tenant: word() };
    const created = await sessions.create({ userId, ...about, data: { name: word(), list: [word()] } });
    created.data["later"] = { deep: word() };
    await created.save();
    await created.update((data) => {
      data["count"] = word();
    });
    const tokens = [created.token];
    if (index % 3 === 0) tokens.push((await sessions.refresh(created.token))?.token ?? "");
    if (index % 10 === 0) await sessions.revoke(userId, created.id);
    for (const token of tokens) {
      secrets.tokens.push(token);
      secrets.needles.push(Buffer.from(token), Buffer.from(token.slice(3), "base64url"), Buffer.from(created.id));
    }
  }
  return secrets;
}

/** Twenty API tokens that were used. */
async function liveByApiToken(sessions: SessionManager): Promise<Secrets> {
  const secrets: Secrets = { needles: [], tokens: [] };
  const word = (): string => {
    const text = randomBytes(12).toString("hex");
    secrets.needles.push(Buffer.from(text));
    return text;
  };
  const apiKeys = apiTokens(sessions);
  for (let index = 0; index < 20; index++) {
    const options = { name: word(), roles: [word()], extra: { note: word() }, tenant: word() };
    const { token, info } = await apiKeys.create(word(), options);
    await (await apiKeys.validate(token))?.update((data) => void (data["cursor"] = word()));
    secrets.tokens.push(token);
    secrets.needles.push(Buffer.from(token), Buffer.from(token.slice(3), "base64url"), Buffer.from(info.id));
  }
  return secrets;
}

describe.each(stages)("a dump of the %s store after 100 sessions", (_, open) => {
  it("holds no 8-byte window of any token, name, handle, user, tenant, role, note, device or data value", async () => {
    for (const seal of ["split", "server"] as const) {
      const stage = open();
      const sessions = createSessionManager({ store: stage.store, keys: [KEY], seal, pruneEvery: false });
      const { needles } = await live(sessions);
      needles.push(...(await liveByApiToken(sessions)).needles);
      const windows = windowsOf(needles);
      const dump = await stage.dump();
      expect(windows.size).toBeGreaterThan(10_000);
      expect(dump.length).toBeGreaterThan(50_000);
      expect(findWindows(dump, windows)).toEqual([]);
      // The search itself works: one of the values, put into the dump, is found.
      const planted = Buffer.concat([dump, needles[17] ?? Buffer.alloc(0)]);
      expect(findWindows(planted, windows).length).toBeGreaterThan(0);
    }
  });

  it("holds nothing that is accepted as a token", async () => {
    const stage = open();
    const sessions = createSessionManager({ store: stage.store, keys: [KEY], pruneEvery: false });
    const { tokens } = await live(sessions);
    await liveByApiToken(sessions);
    const apiKeys = apiTokens(sessions);
    const values = valuesOf(await entriesOf(stage.store));
    expect(values.length).toBeGreaterThan(400);
    for (const value of values) {
      const texts = typeof value === "string" ? [value] : encodingsOf(value);
      for (const text of texts) {
        expect(await sessions.validate(text)).toBeNull();
        expect(await sessions.validate(`s1_${text}`)).toBeNull();
        expect(await apiKeys.validate(`k1_${text}`)).toBeNull();
      }
    }
    expect(await sessions.validate(tokens.at(-1) ?? "")).not.toBeNull();
  });
});

function encodingsOf(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes);
  const pieces = [buffer, buffer.subarray(0, 60), buffer.subarray(-60), buffer.subarray(3, 63)];
  return pieces.flatMap((piece) => [piece.toString("base64url"), piece.toString("hex"), piece.toString("latin1")]);
}

/** The secret half of the data key that a token carries. */
function secretOf(token: string): Buffer {
  return Buffer.from(token.slice(3), "base64url").subarray(21, 53);
}

type Way = (thief: SessionManager, snapshot: Snapshot, secret: Buffer) => boolean;

const opensData: Way = (thief, snapshot, secret) => engineOf(thief).vault.openData(snapshot, secret) !== null;

/** Whether a secret gives the session a next token that opens the data. */
function opensByNextToken(thief: SessionManager, snapshot: Snapshot, before: Buffer): boolean {
  const engine = engineOf(thief);
  const next = engine.mintNext(snapshot);
  if (next === null) throw new Error("The session's key is gone.");
  const tokens = { before, next, keepsSuccessor: true };
  const envelope = engine.vault.succeed(snapshot.record.lookup, snapshot.envelope, tokens);
  return engine.vault.openData({ ...snapshot, envelope }, next.secret) !== null;
}

/** Whether a secret gets the present token out of the envelope, or the data. */
function opensBySuccessor(thief: SessionManager, snapshot: Snapshot, before: Buffer): boolean {
  const { vault } = engineOf(thief);
  const secret = vault.successorOf(snapshot, before);
  if (secret === null) return false;
  return digestBytes(secret).equals(snapshot.verifier) || vault.openData(snapshot, secret) !== null;
}

async function snapshotsOf(thief: SessionManager, store: FullStore): Promise<Snapshot[]> {
  const { vault } = engineOf(thief);
  const records = (await entriesOf(store)) as StoredRecord[];
  return records
    .filter((entry) => !isTombstone(entry))
    .map((record) => {
      const snapshot = vault.open(record, record);
      if (snapshot === null) throw new Error("The envelope does not open with its key.");
      return snapshot;
    });
}

describe("the store and the server's key together, without the tokens", () => {
  it("open the envelopes but no data of a split session, by no path and with no other secret", async () => {
    const store = memoryStore();
    const owner = createSessionManager({ store, keys: [KEY], pruneEvery: false });
    const { tokens } = await live(owner);
    const thief = createSessionManager({ store, keys: [KEY], pruneEvery: false });
    const { vault } = engineOf(thief);
    const snapshots = await snapshotsOf(thief, store);
    expect(snapshots).toHaveLength(90);
    for (const snapshot of snapshots) {
      const { envelope, record } = snapshot;
      const inTheEnvelope = JSON.stringify(envelope).match(/[A-Za-z0-9_-]{22,}/g) ?? [];
      const guesses = [...inTheEnvelope, record.lookup, record.owner ?? ""].map((text) =>
        Buffer.from(text, "base64url"),
      );
      for (const guess of [null, Buffer.alloc(0), Buffer.alloc(32), randomBytes(32), ...guesses]) {
        expect(vault.openData(snapshot, guess)).toBeNull();
        if (guess === null) continue;
        if (guess.length === 32) expect(vault.openDataWith(guess, snapshot)).toBeNull();
        expect(vault.openDataWith(vault.dataKeyOf(snapshot, guess) ?? guess, snapshot)).toBeNull();
        expect(opensByNextToken(thief, snapshot, guess)).toBe(false);
        expect(opensBySuccessor(thief, snapshot, guess)).toBe(false);
      }
      await expect(thief.update(envelope.userId ?? "", envelope.id, { data: () => undefined })).rejects.toMatchObject({
        code: "ERR_NOT_SUPPORTED",
      });
    }
    // A token opens its own session's data, and only that.
    let opened = 0;
    for (const token of tokens) {
      // Read afresh for each, because what was opened once may be remembered.
      const found = (await snapshotsOf(thief, store)).map((snapshot) => vault.openData(snapshot, secretOf(token)));
      opened += found.filter((data) => data !== null).length;
    }
    expect(opened).toBe(90);
  });

  it("open the data where the seal is 'server', as documented", async () => {
    const store = memoryStore();
    const owner = createSessionManager({ store, keys: [KEY], seal: "server", pruneEvery: false });
    const { id } = await owner.create({ userId: "user-1", data: { cart: ["tea"] } });
    const admin = createSessionManager({ store, keys: [KEY], seal: "server", pruneEvery: false });
    const [snapshot] = await snapshotsOf(admin, store);
    expect(snapshot && engineOf(admin).vault.openData(snapshot, null)?.text).toBe('{"cart":["tea"]}');
    const seen: unknown[] = [];
    await admin.update("user-1", id, { data: (data) => void seen.push(data["cart"]) });
    expect(seen).toEqual([["tea"]]);
  });

  it("open no API token's secret, also where sessions keep theirs to be handed out again", async () => {
    const store = memoryStore();
    const limits = { perUser: 1, onLimit: "reuse" } as const;
    const sessions = createSessionManager({ store, keys: [KEY], seal: "server", limits, pruneEvery: false });
    await sessions.create({ userId: "user-1" });
    await apiTokens(sessions).create("user-1", { name: "build server" });
    const kept = (await snapshotsOf(sessions, store)).map(({ envelope }) => [envelope.apiToken, envelope.secret]);
    expect(kept).toHaveLength(2);
    expect(kept).toContainEqual(["build server", undefined]);
    expect(kept).toContainEqual([undefined, expect.any(String)]);
  });

  it("keep a session split that began so, after the manager was switched to 'server'", async () => {
    const store = memoryStore();
    const before = createSessionManager({ store, keys: [KEY], pruneEvery: false });
    const { id } = await before.create({ userId: "user-1", data: { cart: ["tea"] } });
    const after = createSessionManager({ store, keys: [KEY], seal: "server", pruneEvery: false });
    await expect(after.update("user-1", id, { data: () => undefined })).rejects.toMatchObject({
      code: "ERR_NOT_SUPPORTED",
    });
  });
});

/** A session, its first token, and what a thief of store and key finds with a token: the present one, the data. */
async function rotating() {
  const store = memoryStore();
  const clock = manualClock();
  const sessions = createSessionManager({ store, keys: [KEY], clock, pruneEvery: false });
  const { token } = await sessions.create({ userId: "user-1", data: { secret: "tea" } });
  const thief = createSessionManager({ store, keys: [KEY], clock, pruneEvery: false });
  /** Read afresh for each way, because what was opened once may be remembered. */
  const tryWith = async (way: Way, held: string): Promise<boolean> => {
    const [snapshot] = await snapshotsOf(thief, store);
    if (snapshot === undefined) throw new Error("There is no session.");
    return way(thief, snapshot, secretOf(held));
  };
  const secretsFound = async (held: string): Promise<[present: boolean, data: boolean]> => [
    await tryWith(opensBySuccessor, held),
    (await tryWith(opensData, held)) || (await tryWith(opensByNextToken, held)),
  ];
  return { sessions, token, secretsFound };
}

describe("the store and the server's key together, with an older token", () => {
  it("open the session with the token before, which is owed its successor, and with none before that", async () => {
    const { sessions, token, secretsFound } = await rotating();
    const second = (await sessions.refresh(token))?.token ?? "";
    expect([await secretsFound(token), await secretsFound(second)]).toEqual([
      [true, false],
      [false, true],
    ]);
    const third = (await sessions.refresh(second))?.token ?? "";
    expect(await secretsFound(token)).toEqual([false, false]);
    expect(await secretsFound(second)).toEqual([true, false]);
    expect(await secretsFound(third)).toEqual([false, true]);
  });

  it("open nothing with a token that was dead at once", async () => {
    const { sessions, token, secretsFound } = await rotating();
    const session = await sessions.validate(token);
    await session?.setRoles(["admin"]);
    const second = session?.takeToken() ?? "";
    expect(await secretsFound(token)).toEqual([false, false]);
    const keeper = await sessions.validate(second);
    await keeper?.keepLogin("stamp");
    expect(await secretsFound(token)).toEqual([false, false]);
    expect(await secretsFound(second)).toEqual([false, false]);
    expect(await secretsFound(keeper?.takeToken() ?? "")).toEqual([false, true]);
  });

  it("open nothing with the token before where there is no grace", async () => {
    const store = memoryStore();
    const sessions = createSessionManager({ store, keys: [KEY], rotation: { grace: 0 }, pruneEvery: false });
    const { token } = await sessions.create({ userId: "user-1", data: { secret: "tea" } });
    await sessions.refresh(token);
    const thief = createSessionManager({ store, keys: [KEY], pruneEvery: false });
    const [snapshot] = await snapshotsOf(thief, store);
    expect(snapshot?.envelope.successor).toBeUndefined();
    expect(snapshot && opensByNextToken(thief, snapshot, secretOf(token))).toBe(false);
  });

  it("open nothing with the token of another session", async () => {
    const { sessions, token, secretsFound } = await rotating();
    const other = await sessions.create({ userId: "user-1", data: { secret: "salt" } });
    await sessions.refresh(token);
    expect(await secretsFound(other.token)).toEqual([false, false]);
  });
});

describe("the token and the store together, without the server's key", () => {
  it("open neither envelope nor data", async () => {
    const clock = manualClock();
    const store = memoryStore();
    const owner = createSessionManager({ store, keys: [KEY], clock, pruneEvery: false });
    const { token } = await owner.create({ userId: "user-1", data: { secret: "tea" } });
    const thief = createSessionManager({ store, keys: [generateKey()], clock, pruneEvery: false });
    expect(await thief.validate(token)).toBeNull();
    const [record] = (await entriesOf(store)) as StoredRecord[];
    if (record === undefined) throw new Error("There is no record.");
    const { vault } = engineOf(thief);
    expect(vault.open(record, record)).toBeNull();
    expect(vault.openDataWith(secretOf(token), { record, envelope: { dataVersion: 1 } } as Snapshot)).toBeNull();
  });
});
