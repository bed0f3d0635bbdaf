/** Tokens for one use: issued, looked at, used up once, and never anything else. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { type OneTimeTokens, oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, listen, manager, type Options, untyped } from "../support/sessions.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { type FullStore, spied } from "../support/stores.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;
const PURPOSE = "reset-password";
const INVALID = { code: "ERR_OPTIONS_INVALID" };

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly tokens: OneTimeTokens;
  readonly calls: string[];
}

function world(options: Options = {}): World {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ clock, store, ...options });
  return { clock, sessions, tokens: oneTimeTokens(sessions), calls };
}

describe("a token for one use", () => {
  it("says what it was issued for, once", async () => {
    const { clock, tokens, calls } = world();
    const issuedAt = clock.now();
    const token = await tokens.issue(PURPOSE, { userId: "user-1", extra: { address: { new: "a@example.org" } } });
    expect(token).toMatch(/^o1_[A-Za-z0-9_-]{80}$/);
    clock.advance(MINUTE);
    const use = { userId: "user-1", extra: { address: { new: "a@example.org" } }, issuedAt };
    expect(await tokens.consume(PURPOSE, token)).toEqual(use);
    expect(calls).toEqual(["create", "read", "delete"]);
    for (let round = 0; round < 3; round++) {
      expect(await tokens.consume(PURPOSE, token)).toBeNull();
      expect(await tokens.peek(PURPOSE, token)).toBeNull();
    }
    expect(calls.filter((call) => call === "delete")).toHaveLength(1);
  });

  it("may be nobody's, and say nothing", async () => {
    const { clock, tokens } = world();
    const token = await tokens.issue(PURPOSE);
    expect(await tokens.consume(PURPOSE, token)).toEqual({ userId: null, extra: {}, issuedAt: clock.now() });
  });

  it("can be looked at any number of times, by one read each, and is not used up by it", async () => {
    const { clock, tokens, calls } = world();
    const token = await tokens.issue(PURPOSE, { userId: "user-1" });
    const use = { userId: "user-1", extra: {}, issuedAt: clock.now() };
    calls.length = 0;
    for (let round = 0; round < 20; round++) expect(await tokens.peek(PURPOSE, token)).toEqual(use);
    expect(calls).toEqual(Array.from({ length: 20 }, () => "read"));
    expect(await tokens.consume(PURPOSE, token)).toEqual(use);
  });

  it("is not used up by a look or a use for another purpose", async () => {
    const { tokens, calls } = world();
    const token = await tokens.issue(PURPOSE, { userId: "user-1" });
    calls.length = 0;
    for (const other of ["reset-passwor", "reset-password2", "Reset-password", "confirm-address", "-", "__proto__"]) {
      expect(await tokens.peek(other, token)).toBeNull();
      expect(await tokens.consume(other, token)).toBeNull();
    }
    expect(calls).not.toContain("delete");
    expect(await tokens.consume(PURPOSE, token)).toMatchObject({ userId: "user-1" });
  });

  it("is another one each time", async () => {
    const { tokens } = world();
    const issued = await Promise.all(Array.from({ length: 20 }, () => tokens.issue(PURPOSE, { userId: "user-1" })));
    expect(new Set(issued).size).toBe(20);
    for (const token of issued) expect(await tokens.consume(PURPOSE, token)).not.toBeNull();
  });

  it("keeps what it was given, whatever anybody changes afterwards", async () => {
    const { tokens } = world();
    const extra = { roles: ["user"] };
    const token = await tokens.issue(PURPOSE, { extra });
    extra.roles.push("admin");
    const looked = (await tokens.peek(PURPOSE, token))?.extra ?? {};
    expect(() => (looked["roles"] as string[]).push("admin")).toThrow(TypeError);
    expect(await tokens.consume(PURPOSE, token)).toMatchObject({ extra: { roles: ["user"] } });
  });

  it.each<[unknown]>([
    [undefined],
    [null],
    [0],
    [{}],
    [[]],
    [""],
    ["o1_"],
    [`o1_${"A".repeat(80)}`],
    [`o1_${"A".repeat(79)}`],
    [`o1_${"A".repeat(10_000)}`],
    [`o1_${"\u00e9".repeat(80)}`],
  ])("is not %j, and the store is not asked for it", async (token) => {
    const { tokens, calls } = world();
    expect(await untyped(tokens, "peek", PURPOSE, token)).toBeNull();
    expect(await untyped(tokens, "consume", PURPOSE, token)).toBeNull();
    expect(calls).toEqual([]);
  });

  it("is none with any of its characters changed", async () => {
    const { tokens } = world();
    const token = await tokens.issue(PURPOSE);
    for (let at = 0; at < token.length; at++) {
      const changed = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
      expect(await tokens.consume(PURPOSE, changed), String(at)).toBeNull();
    }
    expect(await tokens.consume(PURPOSE, token)).not.toBeNull();
  });

  it("dies with the key that it was issued under", async () => {
    const [key, next] = [generateKey(), generateKey()];
    const sessions = manager({ keys: [key], indexKey: key });
    const tokens = oneTimeTokens(sessions);
    const token = await tokens.issue(PURPOSE, { userId: "user-1" });
    sessions.setKeys([next, key]);
    expect(await tokens.peek(PURPOSE, token)).not.toBeNull();
    sessions.setKeys([next]);
    expect(await tokens.consume(PURPOSE, token)).toBeNull();
  });

  it("knows no pins: a link is opened wherever its mail is read", async () => {
    const { tokens } = world({ pin: { ip: "exact", userAgent: true, onMismatch: "revoke" } });
    const token = await tokens.issue(PURPOSE, { userId: "user-1" });
    expect(await tokens.peek(PURPOSE, token)).not.toBeNull();
    expect(await tokens.consume(PURPOSE, token)).not.toBeNull();
  });
});

describe("the time in which a token may be used", () => {
  it.each<[string, object, number]>([
    ["a quarter of an hour, unless told", {}, 15 * MINUTE],
    ["what is asked", { lifetime: "2m" }, 2 * MINUTE],
    ["a day at most", { lifetime: "1d" }, DAY],
    ["to the millisecond", { lifetime: 1 }, 1],
  ])("is %s, and no look makes it longer", async (_, options, lifetime) => {
    const { clock, tokens } = world();
    const [used, late] = [await tokens.issue(PURPOSE, options), await tokens.issue(PURPOSE, options)];
    for (let part = 1; part < 4; part++) {
      clock.advance(Math.floor((lifetime - 1) / 4));
      expect(await tokens.peek(PURPOSE, late)).not.toBeNull();
    }
    clock.advance(lifetime - 1 - 3 * Math.floor((lifetime - 1) / 4));
    expect(await tokens.consume(PURPOSE, used)).not.toBeNull();
    expect(await tokens.peek(PURPOSE, late)).not.toBeNull();
    clock.advance(1);
    expect(await tokens.peek(PURPOSE, late)).toBeNull();
    expect(await tokens.consume(PURPOSE, late)).toBeNull();
  });

  it.each(["25h", "2d", DAY + 1, 0, -1, 1.5, "soon", Infinity, null])("cannot be %j", async (lifetime) => {
    const { tokens, calls } = world();
    await expect(untyped(tokens, "issue", PURPOSE, { lifetime })).rejects.toMatchObject(INVALID);
    expect(calls).toEqual([]);
  });

  it("does not begin anew for a token that was used, whatever is pruned when", async () => {
    const { clock, sessions, tokens } = world();
    const token = await tokens.issue(PURPOSE, { lifetime: "1d" });
    expect(await tokens.consume(PURPOSE, token)).not.toBeNull();
    for (let hour = 0; hour < 30; hour++) {
      clock.advance(60 * MINUTE);
      await sessions.prune();
      expect(await tokens.consume(PURPOSE, token)).toBeNull();
    }
  });
});

describe("what cannot be issued", () => {
  it.each<[string, unknown, unknown]>([
    ["without a purpose", undefined, {}],
    ["for an empty purpose", "", {}],
    ["for a purpose of two words", "reset password", {}],
    ["for a long purpose", "x".repeat(65), {}],
    ["for a list of purposes", [PURPOSE], {}],
    ["with a misspelt option", PURPOSE, { user: "user-1" }],
    ["for a user without an id", PURPOSE, { userId: "" }],
    ["for a user that is none", PURPOSE, { userId: null }],
    ["for half a character", PURPOSE, { userId: "\ud800" }],
    ["with roles", PURPOSE, { roles: ["admin"] }],
    ["with null for options", PURPOSE, null],
  ])("is one %s, and nothing is written", async (_, purpose, options) => {
    const { tokens, calls } = world();
    await expect(untyped(tokens, "issue", purpose, options)).rejects.toMatchObject(INVALID);
    expect(calls).toEqual([]);
  });

  it.each([[{ at: new Date() }], [{ big: 1n }], [[1]], ["text"]])("is one with %o beside it", async (extra) => {
    const { tokens, calls } = world();
    await expect(untyped(tokens, "issue", PURPOSE, { extra })).rejects.toMatchObject({ code: "ERR_DATA_INVALID" });
    expect(calls).toEqual([]);
  });

  it("is a use of a purpose that is none, which is told whatever the token", async () => {
    const { tokens } = world();
    const token = await tokens.issue(PURPOSE);
    for (const purpose of ["", "reset password", undefined, 5]) {
      for (const given of [token, "garbage"]) {
        await expect(untyped(tokens, "peek", purpose, given)).rejects.toMatchObject(INVALID);
        await expect(untyped(tokens, "consume", purpose, given)).rejects.toMatchObject(INVALID);
      }
    }
    expect(await tokens.consume(PURPOSE, token)).not.toBeNull();
  });

  it("is any in the name of what is no manager", () => {
    const other = { ...manager() } as SessionManager;
    expect(() => oneTimeTokens(other)).toThrow(expect.objectContaining(INVALID));
  });
});

describe("ending tokens before they are used", () => {
  it("is done for one user, of every purpose, and leaves the user's sessions", async () => {
    const { sessions, tokens } = world();
    const mine = [await tokens.issue(PURPOSE, { userId: "user-1" }), await tokens.issue("other", { userId: "user-1" })];
    const used = await tokens.issue(PURPOSE, { userId: "user-1" });
    await tokens.consume(PURPOSE, used);
    const theirs = [await tokens.issue(PURPOSE, { userId: "user-2" }), await tokens.issue(PURPOSE)];
    const session = await sessions.create({ userId: "user-1" });
    expect(await tokens.revokeAll("user-1")).toBe(2);
    expect(await tokens.revokeAll("user-1")).toBe(0);
    expect(await tokens.consume(PURPOSE, mine[0] ?? "")).toBeNull();
    expect(await tokens.consume("other", mine[1] ?? "")).toBeNull();
    for (const token of theirs) expect(await tokens.consume(PURPOSE, token)).not.toBeNull();
    expect(await found(sessions, session.token)).toBe("authenticated: user-1");
    await expect(untyped(tokens, "revokeAll", "")).rejects.toMatchObject(INVALID);
  });

  it("end with all sessions of the user, and when the credentials change; others' do not", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const tokens = oneTimeTokens(sessions);
    const session = await sessions.create({ userId: "user-1", stamp: "v1" });
    const other = await tokens.issue("reset", { userId: "user-2" });
    const before = await tokens.issue("reset", { userId: "user-1" });
    expect(await session.keepLogin("v2")).toBe("saved");
    expect(await tokens.peek("reset", before)).toBeNull();
    const again = await tokens.issue("reset", { userId: "user-1" });
    await sessions.revokeAll("user-1", { except: session.id });
    expect(await tokens.peek("reset", again)).toBeNull();
    expect((await tokens.peek("reset", other))?.userId).toBe("user-2");
  });

  it("is done with all of a tenant, and with everything", async () => {
    const { sessions, tokens } = world({ tenant: "t" });
    const first = await tokens.issue(PURPOSE, { userId: "user-1" });
    await sessions.revokeTenant("other");
    expect(await tokens.peek(PURPOSE, first)).not.toBeNull();
    await sessions.revokeTenant("t");
    expect(await tokens.consume(PURPOSE, first)).toBeNull();
    const second = await tokens.issue(PURPOSE);
    await sessions.revokeEverything();
    expect(await tokens.consume(PURPOSE, second)).toBeNull();
  });
});

describe("beside the sessions of the same manager, a token", () => {
  it("is listed and counted by nobody, and is in the way of no limit", async () => {
    const { sessions, tokens } = world({ tenant: "t", limits: { perUser: 1, total: 1, onLimit: "reject" } });
    for (let round = 0; round < 3; round++) await tokens.issue(PURPOSE, { userId: "user-1" });
    expect([await sessions.count(), await sessions.countUsers(), await sessions.count({ userId: "user-1" })]).toEqual([
      0, 0, 0,
    ]);
    expect((await sessions.list({ tenant: "t" })).sessions).toEqual([]);
    const { token } = await sessions.create({ userId: "user-1" });
    const issued = await tokens.issue(PURPOSE, { userId: "user-1" });
    expect(await found(sessions, token)).toBe("authenticated: user-1");
    expect(await tokens.consume(PURPOSE, issued)).not.toBeNull();
  });

  it("raises one event, when it is used", async () => {
    const { clock, sessions, tokens } = world();
    const heard = listen(sessions);
    const token = await tokens.issue(PURPOSE, { userId: "user-1", extra: { x: 1 } });
    await tokens.peek(PURPOSE, token);
    await tokens.consume("other", token);
    expect(heard).toEqual([]);
    await tokens.consume(PURPOSE, token);
    await tokens.consume(PURPOSE, token);
    const type = "one-time-consumed";
    expect(heard).toEqual([{ type, at: clock.now(), purpose: PURPOSE, userId: "user-1" }]);
  });
});

const WINDOW = 8;

/** Every few bytes of what must not be found, by the ways in which it may be spelled. */
function windowsOf(secret: string): Set<string> {
  const bytes = Buffer.from(secret.slice(3), "base64url");
  const spelled = [secret, bytes.toString("latin1"), bytes.toString("hex"), bytes.toString("base64")];
  const windows = new Set<string>();
  for (const text of spelled)
    for (let at = 0; at + WINDOW <= text.length; at++) windows.add(text.slice(at, at + WINDOW));
  return windows;
}

async function entriesIn(store: FullStore): Promise<readonly object[]> {
  const call = { now: 0, signal: new AbortController().signal };
  return (await store.scan({ cursor: null, limit: 100 }, call)).entries;
}

describe("at rest", () => {
  it.each<[string, () => { store: FullStore; bytes: () => Buffer }]>([
    ["memory", () => ({ store: memoryStore(), bytes: () => Buffer.alloc(0) })],
    [
      "SQLite",
      () => {
        const file = sqliteFile();
        return { store: sqliteStore(file.connect()), bytes: () => file.bytes() };
      },
    ],
  ])("there is no byte of the token, nor of what it is for, before and after it is used (%s)", async (_, open) => {
    const { store, bytes } = open();
    const tokens = oneTimeTokens(createSessionManager({ store, keys: [generateKey()], pruneEvery: false }));
    const secret = "the-address-that-is-confirmed";
    const token = await tokens.issue(PURPOSE, { userId: "user-with-a-name", extra: { secret } });
    const dump = async (): Promise<string> => {
      const fields = (await entriesIn(store)).flatMap((entry) => Object.values(entry) as unknown[]);
      const texts = fields.map((field) =>
        field instanceof Uint8Array ? Buffer.from(field).toString("latin1") : field,
      );
      return `${bytes().toString("latin1")} ${texts.join(" ")}`;
    };
    const windows = windowsOf(token);
    for (const use of [() => tokens.peek(PURPOSE, token), () => tokens.consume(PURPOSE, token)]) {
      expect(await use()).not.toBeNull();
      const text = await dump();
      expect(text.length).toBeGreaterThan(100);
      expect([...windows].filter((window) => text.includes(window))).toEqual([]);
      for (const plain of [secret, "user-with-a-name", PURPOSE]) expect(text).not.toContain(plain);
    }
    // The search itself works.
    expect([...windowsOf(token)].some((window) => `token=${token}`.includes(window))).toBe(true);
  });
});
