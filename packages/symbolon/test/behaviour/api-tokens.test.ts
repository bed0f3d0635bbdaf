/** API tokens: made and shown once, opened, listed, revoked, and never anything else. */
import { createSessionManager, generateKey, type SessionManager, type Store } from "symbolon";
import { type ApiTokenInfo, type ApiTokens, apiTokens, type ApiTokensOptions } from "symbolon/auth/api-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { manager, type Options, untyped } from "../support/sessions.ts";
import { shown, expectSilent } from "../support/spellings.ts";
import { type Intercepted, intercept, spied, without } from "../support/stores.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const USER = "user-1";
const NAME = "build server";
const INVALID = { code: "ERR_OPTIONS_INVALID" };

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly tokens: ApiTokens;
  readonly calls: string[];
}

function world(options: Options = {}, settings: ApiTokensOptions = {}): World {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ clock, store, ...options });
  return { clock, sessions, tokens: apiTokens(sessions, settings), calls };
}

describe("an API token", () => {
  it("is shown once, and opens a session of its owner with the roles it was given", async () => {
    const { clock, tokens, calls } = world({ tenant: "t" });
    const options = { name: NAME, roles: ["read:plants"], extra: { datasets: ["a*"] } };
    const { token, info } = await tokens.create(USER, options);
    expect(token).toMatch(/^k1_[A-Za-z0-9_-]{80}$/);
    const createdAt = clock.now();
    const expiresAt = createdAt + 90 * DAY;
    const expected = { ...options, id: info.id, userId: USER, tenant: "t", createdAt, lastUsedAt: null, expiresAt };
    expect(info).toEqual(expected);
    expect(calls).toEqual(["admit"]);
    const session = await tokens.validate(token);
    expect(session).toMatchObject({ state: "authenticated", userId: USER, id: info.id, tenant: "t", expiresAt });
    expect([session?.roles, session?.extra, session?.apiToken]).toEqual([options.roles, options.extra, { name: NAME }]);
    expect([session?.isFresh("400d"), session?.actor, session?.pending]).toEqual([false, null, null]);
  });

  it("carries data of its own, which only it opens", async () => {
    const { tokens } = world();
    const [one, two] = [await tokens.create(USER, { name: NAME }), await tokens.create(USER, { name: NAME })];
    const session = await tokens.validate(one.token);
    await session?.update((data) => void (data["cursor"] = 5));
    expect((await tokens.validate(one.token))?.data).toEqual({ cursor: 5 });
    expect((await tokens.validate(two.token))?.data).toEqual({});
  });

  it("ends when its time is over, however much it is used, to the millisecond", async () => {
    const { clock, tokens } = world();
    const { token, info } = await tokens.create(USER, { name: NAME, lifetime: "10d" });
    for (let day = 0; day < 9; day++) {
      clock.advance(DAY);
      expect(await tokens.validate(token)).not.toBeNull();
    }
    clock.advance(DAY - 1);
    expect((await tokens.list(USER)).tokens).toHaveLength(1);
    expect((await tokens.validate(token))?.expiresAt).toBe(info.expiresAt);
    clock.advance(1);
    expect(await tokens.inspect(token)).toEqual({ ok: false, reason: "expired" });
    expect([await tokens.get(USER, info.id), (await tokens.list(USER)).tokens, await tokens.count(USER)]).toEqual([
      null,
      [],
      0,
    ]);
  });

  it("is not ended by being idle", async () => {
    const { clock, tokens } = world();
    const { token } = await tokens.create(USER, { name: NAME, lifetime: "366d" });
    clock.advance(366 * DAY - 1);
    expect(await tokens.validate(token)).not.toBeNull();
  });

  it("notes its first use, and then each hour, and else only reads", async () => {
    const { clock, tokens, calls } = world();
    const { token, info } = await tokens.create(USER, { name: NAME });
    const lastUsedAt = async (): Promise<unknown> => (await tokens.get(USER, info.id))?.lastUsedAt;
    expect(await lastUsedAt()).toBeNull();
    clock.advance(MINUTE);
    calls.length = 0;
    await tokens.validate(token);
    expect(calls).toEqual(["read", "update"]);
    expect(await lastUsedAt()).toBe(clock.now());
    calls.length = 0;
    clock.advance(HOUR - 1);
    for (let round = 0; round < 20; round++) expect(await tokens.validate(token)).not.toBeNull();
    expect(calls).toEqual(Array.from({ length: 20 }, () => "read"));
    clock.advance(1);
    expect((await tokens.validate(token))?.lastSeenAt).toBe(clock.now());
    expect(await lastUsedAt()).toBe(clock.now());
  });

  it("knows no pins: it is made in a browser and used by a machine", async () => {
    const { tokens } = world({ pin: { ip: "exact", userAgent: true, onMismatch: "revoke" } });
    const { token } = await tokens.create(USER, { name: NAME });
    for (const ip of ["203.0.113.7", "198.51.100.9"]) {
      expect(await tokens.validate(token, { ip, userAgent: "curl/8" })).not.toBeNull();
    }
    expect(await tokens.validate(token)).not.toBeNull();
  });

  it("dies with the key that it was made under", async () => {
    const [key, next] = [generateKey(), generateKey()];
    const sessions = manager({ keys: [key], indexKey: key });
    const tokens = apiTokens(sessions);
    const { token } = await tokens.create(USER, { name: NAME });
    sessions.setKeys([next, key]);
    expect(await tokens.validate(token)).not.toBeNull();
    sessions.setKeys([next]);
    expect(await tokens.inspect(token)).toEqual({ ok: false, reason: "unknown-key" });
  });

  it("keeps what it was given, whatever anybody changes afterwards", async () => {
    const { tokens } = world();
    const [roles, extra] = [["read"], { datasets: ["a"] }];
    const { token } = await tokens.create(USER, { name: NAME, roles, extra });
    roles.push("admin");
    extra.datasets.push("b");
    const { roles: shownRoles = [], extra: shownExtra } = (await tokens.validate(token)) ?? {};
    expect(() => (shownRoles as string[]).push("admin")).toThrow(TypeError);
    expect([shownRoles, shownExtra]).toEqual([["read"], { datasets: ["a"] }]);
  });

  it("is in no log and no JSON of what create answers", async () => {
    const { tokens } = world();
    const created = await tokens.create(USER, { name: NAME });
    expectSilent(shown(created), [created.token]);
    expect(JSON.parse(JSON.stringify(created))).toEqual({ info: created.info });
    expectSilent(shown(await tokens.inspect(created.token)), [created.token]);
    expectSilent(shown([await tokens.list(USER), await tokens.get(USER, created.info.id)]), [created.token]);
    // The search itself works.
    expect(() => expectSilent(shown({ token: created.token }), [created.token])).toThrow();
  });
});

describe("an API token cannot be made", () => {
  it.each<[string, unknown, unknown]>([
    ["without options", USER, undefined],
    ["without a name", USER, {}],
    ["with an empty name", USER, { name: "" }],
    ["with a blank name", USER, { name: " \u00a0 " }],
    ["with a name of 101 characters", USER, { name: "x".repeat(101) }],
    ["with a name in two lines", USER, { name: "a\nb" }],
    ["with a name that steers a terminal", USER, { name: "a\u001b[2J" }],
    ["with a name that turns the text around it", USER, { name: "a\u202eb" }],
    ["with half a character", USER, { name: "\ud800" }],
    ["with a name that is none", USER, { name: 5 }],
    ["with a misspelt option", USER, { name: NAME, scopes: [] }],
    ["for nobody", "", { name: NAME }],
    ["for a user that is none", null, { name: NAME }],
    ["with roles that are none", USER, { name: NAME, roles: "admin" }],
    ["with an empty role", USER, { name: NAME, roles: [""] }],
    ["for more than 366 days", USER, { name: NAME, lifetime: "367d" }],
    ["for ever", USER, { name: NAME, lifetime: Infinity }],
    ["for no time", USER, { name: NAME, lifetime: 0 }],
    ["for a time that is none", USER, { name: NAME, lifetime: null }],
    ["for a tenant without an id", USER, { name: NAME, tenant: "" }],
  ])("%s, and nothing is written", async (_, userId, options) => {
    const { tokens, calls } = world();
    await expect(untyped(tokens, "create", userId, options)).rejects.toMatchObject(INVALID);
    expect(calls).toEqual([]);
  });

  it.each(["x", "Ada's laptop", "\u00fc", "\ud83d\ude00".repeat(100), "\ud83d\udc69\u200d\ud83d\udcbb"])(
    "but with the name %j it can",
    async (name) => {
      const { tokens } = world();
      const { token, info } = await tokens.create(USER, { name });
      expect([info.name, (await tokens.validate(token))?.apiToken]).toEqual([name, { name }]);
    },
  );

  it("in the name of what is no manager, nor with settings that are none", () => {
    expect(() => apiTokens({ ...manager() })).toThrow(expect.objectContaining(INVALID));
    for (const settings of [{ perUser: 0 }, { perUser: 1.5 }, { perUser: null }, { limit: 3 }]) {
      expect(() => apiTokens(manager(), settings as object)).toThrow(expect.objectContaining(INVALID));
    }
  });
});

describe("how many API tokens a user may have", () => {
  it("is a hundred, then none more is made, and none gives way", async () => {
    const { tokens } = world();
    for (let count = 0; count < 100; count++) await tokens.create(USER, { name: NAME });
    const more = tokens.create(USER, { name: NAME });
    await expect(more).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT", limit: "perUser", status: 403 });
    await expect(more).rejects.toThrow("API tokens");
    expect(await tokens.count(USER)).toBe(100);
    expect((await tokens.create("user-2", { name: NAME })).info.userId).toBe("user-2");
  });

  it("is what is asked, and a revoked or expired one makes room", async () => {
    const { clock, tokens } = world({}, { perUser: 2 });
    const [one] = [
      await tokens.create(USER, { name: NAME }),
      await tokens.create(USER, { name: NAME, lifetime: "1d" }),
    ];
    const full = { code: "ERR_SESSION_LIMIT" };
    await expect(tokens.create(USER, { name: NAME })).rejects.toMatchObject(full);
    await tokens.revoke(USER, one?.info.id ?? "");
    await tokens.create(USER, { name: NAME });
    await expect(tokens.create(USER, { name: NAME })).rejects.toMatchObject(full);
    clock.advance(DAY);
    await tokens.create(USER, { name: NAME });
    expect(await tokens.count(USER)).toBe(2);
  });

  it("has nothing to do with how many sessions", async () => {
    const { sessions, tokens } = world({ limits: { perUser: 1, total: 1, onLimit: "reject" } }, { perUser: false });
    const { token } = await sessions.create({ userId: USER });
    for (let round = 0; round < 120; round++) await tokens.create(USER, { name: NAME });
    expect(await sessions.validate(token)).not.toBeNull();
    expect(await tokens.count(USER)).toBe(120);
    expect([await sessions.count(), await sessions.count({ userId: USER }), await sessions.countUsers()]).toEqual([
      1, 1, 1,
    ]);
    expect((await sessions.list({ userId: USER })).sessions).toHaveLength(1);
  });

  it("is any number where the store cannot count, and a limit is refused there", async () => {
    const { store, calls } = spied<Store>(without(memoryStore(), "admit"));
    const sessions = manager({ store });
    const tokens = apiTokens(sessions);
    await tokens.create(USER, { name: NAME });
    expect(calls).toEqual(["create"]);
    expect(() => apiTokens(sessions, { perUser: 5 })).toThrow(/perUser: this store cannot count/);
  });

  it("hands out no token twice where sessions are reused", async () => {
    const { tokens } = world({ seal: "server", limits: { perUser: 1, onLimit: "reuse" } });
    const made = [await tokens.create(USER, { name: NAME }), await tokens.create(USER, { name: NAME })];
    expect(new Set(made.map(({ token }) => token)).size).toBe(2);
    for (const { token } of made) expect(await tokens.validate(token)).not.toBeNull();
  });
});

describe("the list of a user's API tokens", () => {
  it("shows them page by page, newest first, and no one else's", async () => {
    const { clock, sessions, tokens } = world();
    await sessions.create({ userId: USER });
    await tokens.create("user-2", { name: "another's" });
    for (const name of ["one", "two", "three"]) {
      await tokens.create(USER, { name });
      clock.advance(1);
    }
    const seen: ApiTokenInfo[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<ApiTokens["list"]>> = await tokens.list(USER, { cursor, limit: 2 });
      expect(page.tokens.length).toBeLessThanOrEqual(2);
      seen.push(...page.tokens);
      cursor = page.cursor;
    } while (cursor !== null);
    expect(seen.map(({ name }) => name)).toEqual(["three", "two", "one"]);
    expect(await tokens.count(USER)).toBe(3);
    for (const info of seen) expect(await tokens.get(USER, info.id)).toEqual(info);
  });

  it("shows none that is over, nor what is none, whatever the store lists", async () => {
    const clock = manualClock();
    const inner = memoryStore();
    let extra: readonly unknown[] = [];
    const late: Store = intercept<Store>(inner, async (asked) => {
      if (asked.method !== "listByOwner") return asked.proceed();
      const [owner, page, call] = asked.args as Parameters<typeof inner.listByOwner>;
      const listed = await inner.listByOwner(owner, page, { ...call, now: 0 });
      return { ...listed, records: [...listed.records, ...extra] };
    });
    const sessions = manager({ store: late, clock });
    const tokens = apiTokens(sessions);
    await tokens.create(USER, { name: "short", lifetime: "1h" });
    clock.advance(HOUR);
    await tokens.create(USER, { name: "long" });
    await sessions.create({ userId: USER });
    const call = { now: clock.now(), signal: new AbortController().signal };
    extra = (await inner.scan({ cursor: null, limit: 10 }, call)).entries.filter((entry) => !("endedAt" in entry));
    expect(extra).toHaveLength(3);
    const names = (await tokens.list(USER)).tokens.map(({ name }) => name);
    expect(new Set(names)).toEqual(new Set(["long"]));
  });

  it.each([{ limit: 0 }, { limit: 1001 }, { cursor: 5 }, { cursor: "x".repeat(1025) }, { offset: 1 }, null])(
    "has no page %j",
    async (page) => {
      const { tokens, calls } = world();
      await expect(untyped(tokens, "list", USER, page)).rejects.toMatchObject(INVALID);
      expect(calls).toEqual([]);
    },
  );
});

/** A store that does what it is asked, and then does not say so, for some calls. */
function losing(isLost: (call: Intercepted) => boolean): Store {
  return intercept<Store>(memoryStore(), (call) => {
    const answer = call.proceed();
    if (isLost(call)) throw new Error("The connection is lost.");
    return answer;
  });
}

describe("a store that fails", () => {
  it("after it has made the API token leads to one, not to none or two", async () => {
    const store = losing(({ method }) => method === "admit");
    const tokens = apiTokens(manager({ store }));
    const { token } = await tokens.create(USER, { name: NAME });
    expect(await tokens.validate(token)).not.toBeNull();
    expect(await tokens.count(USER)).toBe(1);
  });

  it("when use is to be noted refuses nobody", async () => {
    const store = losing(({ method }) => method === "update");
    const tokens = apiTokens(createSessionManager({ store, keys: [generateKey()], pruneEvery: false }));
    const { token } = await tokens.create(USER, { name: NAME });
    expect((await tokens.validate(token))?.userId).toBe(USER);
  });

  it("when it is read lets nobody in, and says so", async () => {
    const store = losing(({ method }) => method === "read");
    const tokens = apiTokens(manager({ store }));
    const { token } = await tokens.create(USER, { name: NAME });
    await expect(tokens.validate(token)).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
  });
});
