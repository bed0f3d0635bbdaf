/** How API tokens end: by handle, by token, with their user, with everything; and what leaves them. */
import { generateKey, type SessionManager } from "symbolon";
import { type ApiTokens, apiTokens, type CreatedApiToken } from "symbolon/auth/api-tokens";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { describeEvery, onePerServer } from "../support/every-variant.ts";
import { listen, manager, opened, untyped } from "../support/sessions.ts";
import { spied } from "../support/stores.ts";
import { storageFor } from "../support/targets.ts";

const USER = "user-1";
const NAME = "build server";
const INVALID = { code: "ERR_OPTIONS_INVALID" };

interface World {
  readonly sessions: SessionManager;
  readonly tokens: ApiTokens;
  readonly calls: string[];
}

function world(): World {
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ store, clock: manualClock(), tenant: "t" });
  return { sessions, tokens: apiTokens(sessions), calls };
}

/** Whether each of them opens a session. */
async function liveOf(tokens: ApiTokens, created: readonly CreatedApiToken[]): Promise<boolean[]> {
  const found = await Promise.all(created.map(({ token }) => tokens.validate(token)));
  return found.map((session) => session !== null);
}

const make = (tokens: ApiTokens, userId = USER): Promise<CreatedApiToken> => tokens.create(userId, { name: NAME });

describe("an API token is ended", () => {
  it("by its handle, by its owner only, once, and says why", async () => {
    const { sessions, tokens } = world();
    const [one, other] = [await make(tokens), await make(tokens)];
    expect(await tokens.revoke("user-2", one.info.id)).toBeNull();
    expect(await tokens.get("user-2", one.info.id)).toBeNull();
    for (const id of ["", "x", other.info.id.slice(1), `${one.info.id}A`]) {
      expect([await tokens.get(USER, id), await tokens.revoke(USER, id)]).toEqual([null, null]);
    }
    const heard = listen(sessions);
    expect(await tokens.revoke(USER, one.info.id, "not needed")).toBe(USER);
    expect(await tokens.revoke(USER, one.info.id)).toBeNull();
    expect(heard).toMatchObject([{ type: "revoked", id: one.info.id, userId: USER, reason: "not needed" }]);
    expect(await tokens.inspect(one.token)).toMatchObject({ ok: false, ended: { reason: "not needed" } });
    expect(await tokens.get(USER, one.info.id)).toBeNull();
    expect(await liveOf(tokens, [one, other])).toEqual([false, true]);
  });

  it("by whoever found it where it should not be, which tells whose it was", async () => {
    const { tokens } = world();
    const { token } = await make(tokens);
    expect(await tokens.revokeToken(token, "leaked")).toBe(USER);
    expect(await tokens.revokeToken(token)).toBeNull();
    expect(await tokens.inspect(token)).toMatchObject({ ended: { reason: "leaked" } });
  });

  it("with all others of its user, and the sessions go on", async () => {
    const { sessions, tokens } = world();
    const mine = [await make(tokens), await make(tokens)];
    const theirs = await make(tokens, "user-2");
    const { token } = await sessions.create({ userId: USER });
    expect(await tokens.revokeAll(USER, "left")).toBe(2);
    expect(await tokens.revokeAll(USER)).toBe(0);
    expect(await liveOf(tokens, [...mine, theirs])).toEqual([false, false, true]);
    expect(await sessions.validate(token)).not.toBeNull();
  });

  it("while it is used: the request that runs can write no more", async () => {
    const { tokens } = world();
    const { token, info } = await make(tokens);
    const session = await tokens.validate(token);
    await tokens.revoke(USER, info.id);
    expect(await session?.update((data) => void (data["late"] = true))).toBe("gone");
    expect(await tokens.inspect(token)).toMatchObject({ reason: "ended" });
  });

  it.each([
    ["revoke", USER, "id", "a\nb"],
    ["revokeAll", USER, ""],
    ["revokeAll", "", "left"],
    ["count", null],
    ["get", "", "id"],
  ])("by no call %s(%j, ...) that makes no sense", async (method, ...args) => {
    const { tokens } = world();
    const { token, info } = await make(tokens);
    const given = args.map((arg) => (arg === "id" ? info.id : arg));
    await expect(untyped(tokens, method, ...given)).rejects.toMatchObject(INVALID);
    expect(await tokens.validate(token)).not.toBeNull();
  });
});

describe("where all of a user is ended", () => {
  it("API tokens are, before the sessions, and are not in the number", async () => {
    const { sessions, tokens, calls } = world();
    const [mine, theirs] = [await make(tokens), await make(tokens, "user-2")];
    await sessions.create({ userId: USER });
    calls.length = 0;
    expect(await sessions.revokeAll(USER, { reason: "disabled" })).toBe(1);
    expect(calls).toEqual(["deleteByOwner", "deleteByOwner", "deleteByOwner", "deleteByOwner"]);
    expect(await tokens.inspect(mine.token)).toMatchObject({ ended: { reason: "disabled" } });
    expect(await liveOf(tokens, [mine, theirs])).toEqual([false, true]);
  });

  it("but for a session, API tokens are kept, unless told", async () => {
    const { sessions, tokens } = world();
    const one = await make(tokens);
    const { id } = await sessions.create({ userId: USER });
    await sessions.revokeAll(USER, { except: id });
    expect(await liveOf(tokens, [one])).toEqual([true]);
    await sessions.revokeAll(USER, { apiTokens: "keep" });
    expect(await liveOf(tokens, [one])).toEqual([true]);
    await expect(untyped(sessions, "revokeAll", USER, { apiTokens: "end!" })).rejects.toMatchObject(INVALID);
    await expect(untyped(sessions, "revokeAll", USER, { apiTokens: null })).rejects.toMatchObject(INVALID);
    await sessions.revokeAll(USER, { except: id, apiTokens: "end" });
    expect(await liveOf(tokens, [one])).toEqual([false]);
  });

  it("by a handle of an API token, none is excepted", async () => {
    const { sessions, tokens } = world();
    const one = await make(tokens);
    await sessions.revokeAll(USER, { except: one.info.id, apiTokens: "end" });
    expect(await liveOf(tokens, [one])).toEqual([false]);
  });

  it("of a tenant, and of all, API tokens are, too, and are not in the number", async () => {
    const { sessions, tokens } = world();
    const [mine, elsewhere] = [await make(tokens), await tokens.create(USER, { name: NAME, tenant: "other" })];
    await sessions.create({ userId: USER });
    expect(await sessions.revokeTenant("t")).toBe(1);
    expect(await liveOf(tokens, [mine, elsewhere])).toEqual([false, true]);
    expect(await sessions.revokeEverything()).toBe(0);
    expect(await liveOf(tokens, [elsewhere])).toEqual([false]);
  });

  it("a change of credentials leaves them, and its stamp asks only whether there is a user", async () => {
    const { sessions, tokens } = world();
    const one = await make(tokens);
    const { token } = await sessions.create({ userId: USER, stamp: "v1" });
    await (await opened(sessions, token)).keepLogin("v2");
    const session = await tokens.validate(one.token);
    expect(await session?.checkStamp("v2")).toBe(true);
    expect(await liveOf(tokens, [one])).toEqual([true]);
    expect(await session?.checkStamp(null)).toBe(false);
    expect(await tokens.inspect(one.token)).toMatchObject({ ok: false, ended: { reason: "stamp-changed" } });
    expect([await tokens.get(USER, one.info.id), (await tokens.list(USER)).tokens]).toEqual([null, []]);
  });
});

describe("nothing else ends or changes an API token", () => {
  it("neither what is done by handle to sessions, nor to one-time tokens", async () => {
    const { sessions, tokens } = world();
    const { token, info } = await tokens.create(USER, { name: NAME, roles: ["read"] });
    expect(await sessions.get(USER, info.id)).toBeNull();
    expect(await sessions.revoke(USER, info.id)).toBeNull();
    expect(await sessions.update(USER, info.id, { roles: ["admin"] })).toBe("gone");
    expect(await sessions.updateAll(USER, { roles: ["admin"] })).toBe(0);
    expect(await oneTimeTokens(sessions).revokeAll(USER)).toBe(0);
    expect((await tokens.validate(token))?.roles).toEqual(["read"]);
  });

  it("nor is a session found or ended as one", async () => {
    const { sessions, tokens } = world();
    const { token, id } = await sessions.create({ userId: USER });
    expect([await tokens.get(USER, id), await tokens.revoke(USER, id), await tokens.revokeAll(USER)]).toEqual([
      null,
      null,
      0,
    ]);
    expect(await sessions.validate(token)).not.toBeNull();
  });
});

describeEvery(
  "API tokens",
  "admission",
  ({ target, variant, url }) => {
    const managers = async (perUser = 100): Promise<[ApiTokens, ApiTokens, SessionManager]> => {
      const storage = await storageFor(target, variant, url);
      const keys = [generateKey()];
      const [one, two] = [
        manager({ store: await storage.open(), keys }),
        manager({ store: await storage.open(), keys }),
      ];
      return [apiTokens(one, { perUser }), apiTokens(two, { perUser }), two];
    };

    it("made over one client are opened, listed and revoked over another", async () => {
      const [one, two, sessions] = await managers();
      const made = [await make(one), await make(one)];
      expect(await liveOf(two, made)).toEqual([true, true]);
      expect((await two.list(USER)).tokens.map(({ id }) => id).toSorted()).toEqual(
        made.map(({ info }) => info.id).toSorted(),
      );
      expect(await two.revoke(USER, made[0]?.info.id ?? "")).toBe(USER);
      expect(await liveOf(one, made)).toEqual([false, true]);
      await sessions.revokeAll(USER);
      expect(await liveOf(one, made)).toEqual([false, false]);
    });

    it("are never more than the limit, whoever makes them at once, and two who revoke one end it once", async () => {
      const [one, two] = await managers(5);
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, (_, round) => make(round % 2 === 0 ? one : two)),
      );
      const made = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect([made.length, await one.count(USER)]).toEqual([5, 5]);
      const id = made[0]?.info.id ?? "";
      const answers = await Promise.all([one, two, one, two].map((tokens) => tokens.revoke(USER, id)));
      expect(answers.filter((answer) => answer === USER)).toHaveLength(1);
      expect(await two.count(USER)).toBe(4);
    });
  },
  onePerServer,
);

describeEvery(
  "API tokens where nothing can be listed",
  "store",
  ({ target, variant, url }) => {
    it("are made, opened and revoked, and the rest is refused", async () => {
      const storage = await storageFor(target, variant, url);
      const tokens = apiTokens(manager({ store: await storage.open() }));
      const { token, info } = await make(tokens);
      expect((await tokens.validate(token))?.apiToken).toEqual({ name: NAME });
      for (const refused of [tokens.list(USER), tokens.count(USER), tokens.revokeAll(USER)]) {
        await expect(refused).rejects.toMatchObject({ code: "ERR_NOT_SUPPORTED" });
      }
      expect(await tokens.revoke(USER, info.id)).toBe(USER);
      expect(await tokens.validate(token)).toBeNull();
    });
  },
  onePerServer.filter(({ abilities }) => !abilities.has("owner-index")),
);
