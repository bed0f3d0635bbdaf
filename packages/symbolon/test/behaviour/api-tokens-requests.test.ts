/** API tokens in requests: which the option `bearer` lets in, what may be done in their name, and what passes as one. */
import { readFileSync } from "node:fs";
import { NotSupportedError, openSession, type Session, type SessionManager, tokenPattern } from "symbolon";
import { type ApiTokens, apiTokens } from "symbolon/auth/api-tokens";
import { freshGuard, loginGuard, roleGuard, stampGuard } from "symbolon/auth/guards";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { cluster } from "../support/carried-sessions.ts";
import { found, listen, manager, type Options, untyped } from "../support/sessions.ts";
import { spied } from "../support/stores.ts";

const HOUR = 3_600_000;
const USER = "user-1";
const NAME = "build server";

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly tokens: ApiTokens;
  readonly calls: string[];
}

function world(options: Options = {}): World {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ clock, store, bearer: "any", ...options });
  return { clock, sessions, tokens: apiTokens(sessions), calls };
}

const headersOf = (lines: Readonly<Record<string, string>>) => ({ get: (name: string) => lines[name] });

const bearing = (sessions: SessionManager, token: string) =>
  openSession(sessions, headersOf({ authorization: `Bearer ${token}` }));

/** Whose session a request with this token as bearer has, and what it is told. */
async function borne(sessions: SessionManager, token: string): Promise<unknown[]> {
  const opened = await bearing(sessions, token);
  const { userId, apiToken } = opened.session;
  return [userId, apiToken?.name ?? null, opened.refusal?.reason ?? null, await opened.commit()];
}

describe("the option bearer", () => {
  const API = [USER, NAME, null, []];
  const SESSION = [USER, null, null, []];
  const REFUSED = [null, null, "malformed", []];
  const UNREAD = [null, null, null, []];

  it.each<[Options["bearer"], unknown[], unknown[]]>([
    [false, UNREAD, UNREAD],
    [true, SESSION, REFUSED],
    ["api-tokens", REFUSED, API],
    ["any", SESSION, API],
  ])("%s opens what it says, and nothing else", async (bearer, session, api) => {
    const { sessions, tokens, calls } = world(bearer === undefined ? {} : { bearer });
    const one = await sessions.create({ userId: USER });
    const other = await tokens.create(USER, { name: NAME });
    expect(await borne(sessions, one.token)).toEqual(session);
    expect(await borne(sessions, other.token)).toEqual(api);
    calls.length = 0;
    for (const garbage of ["k1_", `k1_${"A".repeat(80)}`, `k2${other.token.slice(2)}`, other.token.slice(0, -1)]) {
      expect((await borne(sessions, garbage)).slice(0, 2)).toEqual([null, null]);
    }
    expect(calls).toEqual([]);
  });

  it.each([["api-token"], ["yes"], [1], [null], [["any"]]])("cannot be %j", (bearer) => {
    expect(() => world({ bearer } as object)).toThrow(
      expect.objectContaining({ code: "ERR_OPTIONS_INVALID", message: expect.stringMatching(/^bearer: /) as string }),
    );
  });

  it("lets no API token in by a cookie", async () => {
    const { sessions, tokens, calls } = world();
    const { token } = await tokens.create(USER, { name: NAME });
    calls.length = 0;
    const opened = await openSession(sessions, headersOf({ cookie: `__Host-sid=${token}` }));
    expect([opened.session.state, opened.refusal?.reason]).toEqual(["anonymous", "malformed"]);
    expect(calls).toEqual([]);
  });

  it("goes before the cookie, so that a request is one user's", async () => {
    const { sessions, tokens } = world();
    const { token } = await tokens.create(USER, { name: NAME });
    const other = await sessions.create({ userId: "user-2" });
    const headers = { authorization: `Bearer ${token}`, cookie: `__Host-sid=${other.token}` };
    const opened = await openSession(sessions, headersOf(headers));
    expect([opened.session.userId, opened.varyOn, await opened.commit()]).toEqual([USER, "Authorization, Cookie", []]);
    expect(await found(sessions, other.token)).toBe("authenticated: user-2");
  });
});

describe("in the name of an API token", () => {
  it("data is read and written, messages are kept, and no cookie is ever sent, whatever is due", async () => {
    const { clock, sessions, tokens } = world({ rotation: { every: "request" }, cookie: { persistent: true } });
    const { token } = await tokens.create(USER, { name: NAME });
    for (let count = 1; count <= 5; count++) {
      clock.advance(2 * HOUR);
      const opened = await bearing(sessions, token);
      opened.session.data["count"] = count;
      opened.session.flash("notice", "Counted.");
      expect(await opened.commit()).toEqual([]);
      expect(opened.session.takeToken()).toBeNull();
    }
    const session = await tokens.validate(token);
    expect([session?.data, session?.flash("notice").length]).toEqual([{ count: 5 }, 5]);
  });

  it("a request notes the use, with what it writes", async () => {
    const { clock, sessions, tokens, calls } = world();
    const { token, info } = await tokens.create(USER, { name: NAME });
    clock.advance(1);
    calls.length = 0;
    const opened = await bearing(sessions, token);
    opened.session.data["count"] = 1;
    await opened.commit();
    expect(calls).toEqual(["read", "update"]);
    expect((await tokens.get(USER, info.id))?.lastUsedAt).toBe(clock.now());
    expect(await borne(sessions, token)).toEqual([USER, NAME, null, []]);
    expect(calls.slice(2)).toEqual(["read", "read"]);
  });

  const changes: Readonly<Record<string, (session: Session) => unknown>> = {
    login: (session) => session.login("user-2"),
    logout: (session) => session.logout(),
    rotate: (session) => session.rotate(),
    keepLogin: (session) => session.keepLogin("stamp"),
    setRoles: (session) => session.setRoles(["admin"]),
    setExtra: (session) => session.setExtra({ datasets: ["*"] }),
    setDuration: (session) => session.setDuration("1m"),
    reset: (session) => session.reset(),
  };

  it.each(Object.entries(changes))(
    "%s is refused, with a message that says why, and changes nothing",
    async (name, change) => {
      const { clock, sessions, tokens } = world();
      const options = { name: NAME, roles: ["read"], extra: { datasets: ["a"] } };
      const { token, info } = await tokens.create(USER, options);
      clock.advance(1);
      await bearing(sessions, token).then((opened) => opened.commit());
      const before = await tokens.get(USER, info.id);
      const heard = listen(sessions);
      const opened = await bearing(sessions, token);
      const refused = {
        code: "ERR_NOT_ALLOWED",
        status: 403,
        message: expect.stringMatching(`^${name}: .*API token`) as string,
      };
      await expect((async () => change(opened.session))()).rejects.toMatchObject(refused);
      expect(await opened.commit()).toEqual([]);
      expect(heard).toEqual([]);
      expect(await tokens.get(USER, info.id)).toEqual(before);
      expect([(await tokens.validate(token))?.userId, await sessions.count()]).toEqual([USER, 0]);
    },
  );

  it("these are refused also after it was revoked, while the request runs", async () => {
    const { sessions, tokens } = world();
    const { token, info } = await tokens.create(USER, { name: NAME });
    const { session } = await bearing(sessions, token);
    await tokens.revoke(USER, info.id);
    expect(await session.update((data) => void (data["late"] = 1))).toBe("gone");
    await expect(session.login("user-2")).rejects.toMatchObject({ code: "ERR_NOT_ALLOWED" });
    expect(await sessions.count()).toBe(0);
  });

  it("guards let it pass by its roles, and never where the user has to be there", async () => {
    const { sessions, tokens } = world();
    const { token } = await tokens.create(USER, { name: NAME, roles: ["read"] });
    const { session } = await bearing(sessions, token);
    const guards = [loginGuard(), roleGuard("read"), stampGuard(() => "stamp"), roleGuard("admin"), freshGuard("400d")];
    const codes: unknown[] = [];
    for (const guard of guards) codes.push((await guard(session))?.code ?? null);
    expect(codes).toEqual([null, null, null, "role-required", "fresh-login-required"]);
  });

  it("a lock is taken before it is read, and its data is written under that", async () => {
    const { sessions, tokens } = world();
    const { token } = await tokens.create(USER, { name: NAME });
    const increment = async (): Promise<void> => {
      const opened = await openSession(sessions, headersOf({ authorization: `Bearer ${token}` }), undefined, {
        lock: true,
      });
      const count = Number(opened.session.data["count"] ?? 0);
      await new Promise((resolve) => setImmediate(resolve));
      opened.session.data["count"] = count + 1;
      await opened.commit();
    };
    await Promise.all(Array.from({ length: 8 }, increment));
    expect((await tokens.validate(token))?.data).toEqual({ count: 8 });
  });
});

describe("tokens of other kinds", () => {
  it("pass as none but their own, wherever they are shown (R-010)", async () => {
    const { sessions, tokens, calls } = world({ csrf: "token" });
    const oneTime = oneTimeTokens(sessions);
    const session = await sessions.create({ userId: USER });
    const made: Readonly<Record<string, string>> = {
      s1: session.token,
      p1: (await sessions.create({ userId: USER, pending: "second-factor" })).token,
      o1: await oneTime.issue("reset", { userId: USER }),
      k1: (await tokens.create(USER, { name: NAME })).token,
      x1: session.csrfToken(),
    };
    const takers: Readonly<Record<string, (token: string) => Promise<boolean>>> = {
      "sessions.validate": async (token) => (await sessions.validate(token)) !== null,
      "sessions.refresh": async (token) => (await sessions.refresh(token)) !== null,
      "sessions.revokeToken": async (token) => (await sessions.revokeToken(token)) !== null,
      "oneTime.peek": async (token) => (await oneTime.peek("reset", token)) !== null,
      "oneTime.consume": async (token) => (await oneTime.consume("reset", token)) !== null,
      "tokens.validate": async (token) => (await tokens.validate(token)) !== null,
      "tokens.revokeToken": async (token) => (await tokens.revokeToken(token)) !== null,
    };
    // Seen before, so that what is remembered of a token is of no use to another kind.
    await oneTime.peek("reset", made["o1"] ?? "");
    await tokens.validate(made["k1"] ?? "");
    await sessions.validate(made["s1"] ?? "");
    const ends = ["sessions.refresh", "sessions.revokeToken", "oneTime.consume", "tokens.revokeToken"];
    for (const [taker, take] of Object.entries(takers)) {
      const own = taker.startsWith("sessions.") ? ["s1", "p1"] : taker.startsWith("oneTime.") ? ["o1"] : ["k1"];
      for (const [kind, token] of Object.entries(made)) {
        for (const text of [token, ...["s1", "p1", "o1", "k1"].map((other) => other + token.slice(2))]) {
          const isOwn = own.includes(kind) && text === token;
          if (isOwn && ends.includes(taker)) continue;
          calls.length = 0;
          expect(await take(text), `${taker}: ${kind} as ${text.slice(0, 2)}`).toBe(isOwn);
          if (!isOwn) expect(calls, `${taker}: ${kind} as ${text.slice(0, 2)}`).toEqual([]);
        }
      }
    }
    expect(await tokens.revokeToken(made["k1"] ?? "")).toBe(USER);
  });

  it("of other servers and namespaces reach no store", async () => {
    const { tokens, calls } = world();
    const [other, neighbour] = [world(), world({ namespace: "other" })];
    for (const { tokens: theirs } of [other, neighbour]) {
      const { token } = await theirs.create(USER, { name: NAME });
      expect((await tokens.inspect(token)).ok).toBe(false);
    }
    expect(calls).toEqual([]);
  });

  const file = new URL("../vectors/hostile-tokens.json", import.meta.url);
  const { cases } = JSON.parse(readFileSync(file, "utf8")) as {
    cases: readonly { readonly token?: string; readonly tokenJson?: unknown; readonly why: string }[];
  };

  it.each(cases)("that are hostile open nothing and reach no store: $why", async ({ token, tokenJson }) => {
    const { sessions, tokens, calls } = world();
    for (const text of [token ?? tokenJson, ...(token === undefined ? [] : [token.replace(/^[a-z]1_/, "k1_")])]) {
      expect(await untyped(tokens, "validate", text)).toBeNull();
      expect(await untyped(tokens, "inspect", text)).toEqual({
        ok: false,
        reason: expect.stringMatching(/^(malformed|unknown-key|forged)$/) as string,
      });
      expect(await untyped(tokens, "revokeToken", text)).toBeNull();
      if (typeof text === "string") expect((await bearing(sessions, text)).session.state).toBe("anonymous");
    }
    expect(calls).toEqual([]);
  });

  it("with any of its characters changed are none", async () => {
    const { tokens, calls } = world();
    const { token } = await tokens.create(USER, { name: NAME });
    calls.length = 0;
    for (let at = 0; at < token.length; at++) {
      const changed = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
      expect(await tokens.validate(changed), String(at)).toBeNull();
    }
    expect(calls).toEqual([]);
    expect(await tokens.validate(token)).not.toBeNull();
  });

  it("are found by the published pattern, so that scanners and scrubbers know them (R-009)", async () => {
    const { tokens } = world();
    for (let round = 0; round < 50; round++) {
      const { token } = await tokens.create(USER, { name: NAME });
      expect(`Authorization: Bearer ${token}\n`.replace(tokenPattern, "[token]")).toBe(
        "Authorization: Bearer [token]\n",
      );
    }
  });
});

describe("where clients carry their sessions", () => {
  it("there are no API tokens, and none is taken", () => {
    const { process } = cluster();
    expect(() => apiTokens(process())).toThrow(NotSupportedError);
    for (const bearer of ["api-tokens", "any"] as const) expect(() => process({ bearer })).toThrow(/^bearer: /);
  });
});
