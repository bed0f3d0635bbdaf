/** Every event: what raises it, what it says, how often, and that it says nothing secret. */
import { createHash } from "node:crypto";
import {
  generateKey,
  limitPresets,
  openSession,
  type SessionEvents,
  type SessionManager,
  type Store,
  type StoredRecord,
  type Warning,
} from "symbolon";
import { apiTokens } from "symbolon/auth/api-tokens";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { listen, logIn, manager, type Options, opened, taken, untyped, visitor } from "../support/sessions.ts";
import { expectSilent, shown } from "../support/spellings.ts";
import { type Intercepted, intercept } from "../support/stores.ts";

const USER = "user-1";
const TENANT = "tenant-1";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** What is kept in the sessions of these tests, and must be in no event. */
const DATA = "the-data-of-the-session";
const EXTRA = "what-is-kept-beside-the-data";
const STAMP = "the-stamp-of-the-user";
const NEW_STAMP = "the-new-stamp-of-the-user";
const SECRETS = [DATA, EXTRA, STAMP, NEW_STAMP];

const HOME = { ip: "203.0.113.77", userAgent: "Browser" };
const ELSEWHERE = { ip: "198.51.100.9", userAgent: "Browser" };

type Facts = { readonly type: string } & Readonly<Record<string, unknown>>;

interface Stage {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  /** Another process on the same store; nobody listens to it. */
  readonly elsewhere: SessionManager;
  readonly keys: readonly string[];
  /** Tokens and whatever else must be in no event, besides those that the manager hands out. */
  readonly secrets: string[];
  around: (call: Intercepted) => unknown;
}

/** Something that happens; `run` answers which events it must raise, with all that they say but the time. */
interface Path {
  readonly name: string;
  readonly options?: Options;
  readonly run: (stage: Stage, quietly: Quietly) => Promise<readonly Facts[]>;
}

/** Does something that nobody listens to. */
type Quietly = <T>(work: () => Promise<T>) => Promise<T>;

const cookieOf = (token: string, more: Readonly<Record<string, string>> = {}) => ({
  get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : more[name]),
});

const begun = {
  userId: USER,
  tenant: TENANT,
  stamp: STAMP,
  data: { value: DATA },
  extra: { value: EXTRA },
  client: HOME,
} as const;

/** A session with everything in it that an event could give away. */
async function begin({ sessions, secrets }: Stage, options: object = {}): Promise<{ id: string; token: string }> {
  const { id, token } = await sessions.create({ ...begun, ...options });
  secrets.push(token);
  return { id, token };
}

async function use(stage: Stage, token: string) {
  const session = await opened(stage.sessions, token);
  expect(session.data).toEqual({ value: DATA });
  return session;
}

/** A request with a cookie; answers the token that it is given, or the empty text. */
async function visit({ sessions }: Stage, token: string, ip: string | null = HOME.ip): Promise<string> {
  const more = { "user-agent": HOME.userAgent };
  const request = await openSession(sessions, cookieOf(token, more), { secure: true, loopback: false, ip });
  const cookies = request.needsCommit() ? await request.commit() : request.cookies();
  return cookies[0]?.slice(11, 94) ?? "";
}

const created = (id: string | null, state: string, userId: string | null = USER): Facts => ({
  type: "created",
  id,
  userId,
  state,
});

const NOTHING_NOTED = { userId: USER, tenant: null, remember: false, actor: null, device: null, replaced: null };

const loggedIn = (id: string | null, more: object = {}): Facts => ({ type: "login", id, ...NOTHING_NOTED, ...more });

const revokedMany = (reason: string, count: number, whose: object = {}): Facts => ({
  type: "revoked-many",
  userId: null,
  tenant: null,
  reason,
  count,
  ...whose,
});

const about = (type: string, id: string | null, more: object = {}): Facts => ({ type, id, userId: USER, ...more });

const WARNING = { code: "unsafe-eviction", message: "Sessions may be dropped; set noeviction." };

const WARNING_STORE: Store & Warning = { ...memoryStore(), onWarning: (listener) => listener(WARNING) };

/** By the event that they are about: every event has at least one. */
const paths: Readonly<Record<keyof SessionEvents, readonly Path[]>> = {
  created: [
    {
      name: "a visitor's session by create",
      run: async ({ sessions, secrets }) => {
        const { id, token } = await sessions.create({ data: { value: DATA } });
        secrets.push(token);
        return [created(id, "anonymous", null)];
      },
    },
    {
      name: "a visitor's session by the first save",
      run: async ({ sessions, secrets }) => {
        const session = await visitor(sessions);
        session.data["value"] = DATA;
        secrets.push(session.csrfToken());
        await session.save();
        await session.save();
        secrets.push(taken(session));
        return [created(session.id, "anonymous", null)];
      },
    },
    {
      name: "a pending login",
      run: async ({ sessions, secrets }) => {
        const options = { userId: USER, pending: "second-factor", data: { value: DATA }, stamp: STAMP };
        const { id, token } = await sessions.create(options);
        secrets.push(token);
        return [created(id, "pending")];
      },
    },
    {
      name: "nothing, where the session of before could not be ended",
      run: async (stage, quietly) => {
        const { token } = await quietly(() => stage.sessions.create({ data: { value: DATA } }));
        stage.secrets.push(token);
        const session = await opened(stage.sessions, token);
        stage.around = (call) => {
          if (call.method === "delete") throw new Error("The server is down.");
          return call.proceed();
        };
        const login = session.login(USER, { carry: ["value"], stamp: STAMP });
        await expect(login).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
        const failed = { type: "store-failed", method: "delete", error: expect.any(Error) as unknown };
        return [failed, failed];
      },
    },
  ],
  login: [
    {
      name: "a login by create, with all that is noted of it",
      run: async (stage) => {
        const { id } = await begin(stage, { roles: ["admin"], remember: true });
        const device = { network: "203.0.113.0/24" };
        return [created(id, "authenticated"), loggedIn(id, { tenant: TENANT, remember: true, device })];
      },
    },
    {
      name: "a login in a visitor's session, in a user's, and to act as a user",
      run: async (stage, quietly) => {
        const first = await quietly(() => stage.sessions.create({ data: { value: DATA } }));
        stage.secrets.push(first.token);
        const session = await opened(stage.sessions, first.token);
        const expected: Facts[] = [];
        const steps = [
          [{ carry: ["value"], stamp: STAMP }, {}],
          [{ remember: true }, { remember: true }],
          [{ actor: "support-1" }, { actor: "support-1" }],
        ] as const;
        for (const [options, noted] of steps) {
          const replaced = session.id;
          await session.login(USER, options);
          stage.secrets.push(taken(session));
          expected.push(created(session.id, "authenticated"), loggedIn(session.id, { ...noted, replaced }));
        }
        return expected;
      },
    },
  ],
  logout: [
    {
      name: "a user's logout, once",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const session = await use(stage, token);
        await session.logout();
        await session.logout();
        return [about("logout", id)];
      },
    },
    {
      name: "a visitor's logout, and that of a pending login",
      run: async ({ sessions, secrets }, quietly) => {
        const one = await quietly(() => sessions.create({ data: { value: DATA } }));
        const two = await quietly(() => sessions.create({ userId: USER, pending: "second-factor" }));
        secrets.push(one.token, two.token);
        for (const { token } of [one, two]) await (await opened(sessions, token)).logout();
        return [about("logout", one.id, { userId: null }), about("logout", two.id)];
      },
    },
    {
      name: "no logout of what had no session, or has none any more",
      run: async ({ sessions, secrets }, quietly) => {
        await (await visitor(sessions)).logout();
        const { token } = await quietly(() => sessions.create());
        secrets.push(token);
        const session = await opened(sessions, token);
        await quietly(() => sessions.revokeToken(token));
        await session.logout();
        return [];
      },
    },
  ],
  rotated: [
    {
      name: "a refresh, once for each token",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const next = (await stage.sessions.refresh(token))?.token ?? "";
        stage.secrets.push(next);
        expect((await stage.sessions.refresh(token))?.token).toBe(next);
        return [about("rotated", id, { reason: "refresh", generation: 2 })];
      },
    },
    {
      name: "a token that is due, once for all requests that come with it",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        stage.clock.advance(15 * MINUTE);
        stage.secrets.push(...(await Promise.all([token, token, token].map((held) => visit(stage, held)))));
        await visit(stage, token);
        return [about("rotated", id, { reason: "scheduled", generation: 2 })];
      },
    },
    {
      name: "a request that asks for it, once for all that do",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        stage.clock.advance(MINUTE);
        const [one, other] = [await use(stage, token), await use(stage, token)];
        expect(await one.rotate()).toBe("saved");
        expect(await other.rotate()).toBe("unchanged");
        stage.secrets.push(taken(one));
        return [about("rotated", id, { reason: "requested", generation: 2 }), about("merged", id)];
      },
    },
    {
      name: "a token that is good once, when it comes",
      options: { rotation: { every: "request", grace: 0 } },
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const next = await visit(stage, token);
        stage.secrets.push(next, await visit(stage, next));
        return [
          about("rotated", id, { reason: "scheduled", generation: 2 }),
          about("rotated", id, { reason: "scheduled", generation: 3 }),
        ];
      },
    },
    {
      name: "new roles of the own session",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const session = await use(stage, token);
        await session.setRoles(["admin"]);
        stage.secrets.push(taken(session));
        await session.setRoles(["admin"]);
        return [
          about("rotated", id, { reason: "roles-changed", generation: 2 }),
          about("roles-changed", id, { roles: ["admin"] }),
        ];
      },
    },
    {
      name: "new credentials",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        await quietly(async () => [await begin(stage), await begin(stage, { pending: "new-password" })]);
        const session = await use(stage, token);
        await session.keepLogin(NEW_STAMP);
        stage.secrets.push(taken(session));
        const ended = revokedMany("stamp-changed", 2, { userId: USER });
        return [about("rotated", id, { reason: "stamp-changed", generation: 2 }), ended];
      },
    },
  ],
  "reuse-detected": [
    {
      name: "an old token in a cookie, once, with who had which",
      options: { nameDevice: () => "Firefox on Linux" },
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const replacedAt = stage.clock.now();
        stage.secrets.push((await quietly(() => stage.sessions.refresh(token, HOME)))?.token ?? "");
        stage.clock.advance(10_000);
        expect(await visit(stage, token, ELSEWHERE.ip)).toBe("");
        expect(await visit(stage, token, ELSEWHERE.ip)).toBe("");
        const name = "Firefox on Linux";
        const presented = { name, network: "198.51.100.0/24" };
        return [about("reuse-detected", id, { presented, holder: { name, network: "203.0.113.0/24" }, replacedAt })];
      },
    },
    {
      name: "an old token that is shown by whoever it may be",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const replacedAt = stage.clock.now();
        stage.secrets.push((await quietly(() => stage.elsewhere.refresh(token)))?.token ?? "");
        stage.clock.advance(10_000);
        expect(await stage.sessions.revokeToken(token)).toBeNull();
        expect(await stage.sessions.refresh(token, HOME)).toBeNull();
        return [about("reuse-detected", id, { presented: null, holder: null, replacedAt })];
      },
    },
    {
      name: "an old token of a visitor",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => stage.sessions.create({ data: { value: DATA } }));
        const replacedAt = stage.clock.now();
        stage.secrets.push(token, (await quietly(() => stage.sessions.refresh(token)))?.token ?? "");
        stage.clock.advance(10_000);
        expect(await stage.sessions.validate(token, ELSEWHERE)).toBeNull();
        const presented = { network: "198.51.100.0/24" };
        return [{ type: "reuse-detected", id, userId: null, presented, holder: null, replacedAt }];
      },
    },
  ],
  "roles-changed": [
    {
      name: "roles given by handle, and to all of a user's sessions",
      run: async (stage, quietly) => {
        const [one, two] = await quietly(async () => [await begin(stage), await begin(stage)]);
        const { sessions, clock } = stage;
        clock.advance(1);
        await sessions.update(USER, one?.id ?? "", { roles: ["a"] });
        await sessions.update(USER, one?.id ?? "", { extra: { value: EXTRA } });
        await sessions.update(USER, "unknown", { roles: ["b"] });
        await sessions.update("user-2", one?.id ?? "", { roles: ["b"] });
        await quietly(() => sessions.revoke(USER, two?.id ?? ""));
        expect(await sessions.updateAll(USER, { roles: ["c"], extra: { value: EXTRA } })).toBe(1);
        const roles = (list: string[]): Facts => about("roles-changed", one?.id ?? "", { roles: list });
        return [roles(["a"]), roles(["c"])];
      },
    },
  ],
  "api-token-created": [
    {
      name: "an API token that was made, and nothing at its use, or where there is no room",
      run: async ({ sessions, secrets }) => {
        const tokens = apiTokens(sessions, { perUser: 1 });
        const { token, info } = await tokens.create(USER, { name: "build server", extra: { value: EXTRA } });
        secrets.push(token);
        await tokens.validate(token);
        await expect(tokens.create(USER, { name: "one more" })).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
        return [about("api-token-created", info.id, { name: "build server" })];
      },
    },
  ],
  revoked: [
    {
      name: "the end of API tokens, by handle and by token, once each",
      run: async ({ sessions, secrets }, quietly) => {
        const tokens = apiTokens(sessions);
        const [one, two] = await quietly(async () => [
          await tokens.create(USER, { name: "one" }),
          await tokens.create(USER, { name: "two" }),
        ]);
        secrets.push(one?.token ?? "", two?.token ?? "");
        for (let round = 0; round < 2; round++) {
          await tokens.revoke(USER, one?.info.id ?? "", "stolen");
          await tokens.revokeToken(two?.token ?? "");
        }
        return [
          about("revoked", one?.info.id ?? "", { reason: "stolen" }),
          about("revoked", two?.info.id ?? "", { reason: "revoked" }),
        ];
      },
    },
    {
      name: "an end by handle and by token, once each, with the reason",
      run: async (stage, quietly) => {
        const [one, two, three] = await quietly(async () => [
          await begin(stage),
          await begin(stage),
          await begin(stage, { pending: "second-factor" }),
        ]);
        const visiting = await quietly(() => stage.sessions.create({ data: { value: DATA } }));
        stage.secrets.push(visiting.token);
        for (let round = 0; round < 2; round++) {
          await stage.sessions.revoke(USER, one?.id ?? "", "stolen");
          await stage.sessions.revokeToken(two?.token ?? "");
          await stage.sessions.revokeToken(three?.token ?? "", "too late");
          await stage.sessions.revokeToken(visiting.token);
        }
        return [
          about("revoked", one?.id ?? "", { reason: "stolen" }),
          about("revoked", two?.id ?? "", { reason: "revoked" }),
          about("revoked", three?.id ?? "", { reason: "too late" }),
          about("revoked", visiting.id, { userId: null, reason: "revoked" }),
        ];
      },
    },
    {
      name: "the save after reset",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const session = await use(stage, token);
        session.reset();
        await session.save();
        await session.save();
        return [about("revoked", id, { reason: "reset" })];
      },
    },
  ],
  "revoked-many": [
    {
      name: "the end of a user's API tokens",
      run: async ({ sessions, secrets }, quietly) => {
        const tokens = apiTokens(sessions);
        secrets.push((await quietly(() => tokens.create(USER, { name: "one" }))).token);
        await tokens.revokeAll(USER, "left");
        return [revokedMany("left", 1, { userId: USER })];
      },
    },
    {
      name: "the end of all sessions: of a user, of a tenant, of all",
      run: async (stage, quietly) => {
        const { sessions } = stage;
        await quietly(async () => [await begin(stage), await begin(stage, { pending: "second-factor" })]);
        await sessions.revokeAll(USER, { reason: "disabled" });
        await sessions.revokeAll(USER);
        await quietly(() => begin(stage));
        await sessions.revokeTenant(TENANT, "left");
        await quietly(() => sessions.create());
        await sessions.revokeEverything();
        return [
          revokedMany("disabled", 2, { userId: USER }),
          revokedMany("revoked", 0, { userId: USER }),
          revokedMany("left", 1, { tenant: TENANT }),
          revokedMany("revoked", 1),
        ];
      },
    },
  ],
  evicted: [
    {
      name: "a session that gave way, and by whom",
      options: { limits: limitPresets.newestWins },
      run: async (stage, quietly) => {
        const old = await quietly(() => begin(stage));
        const { id } = await begin(stage);
        const noted = { tenant: TENANT, device: { network: "203.0.113.0/24" } };
        return [about("evicted", old.id, { by: id }), created(id, "authenticated"), loggedIn(id, noted)];
      },
    },
  ],
  "limit-reached": [
    {
      name: "a login that found the user's places taken",
      options: { limits: limitPresets.firstWins },
      run: async (stage, quietly) => {
        await quietly(() => begin(stage));
        await expect(begin(stage)).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
        await expect((await visitor(stage.sessions)).login(USER)).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
        const event = { type: "limit-reached", userId: USER, limit: "perUser" };
        return [event, event];
      },
    },
    {
      name: "a login that found all places taken",
      options: { limits: limitPresets.onlyOne },
      run: async (stage, quietly) => {
        await quietly(() => begin(stage, { userId: "user-2" }));
        await expect(begin(stage)).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
        return [{ type: "limit-reached", userId: USER, limit: "total" }];
      },
    },
  ],
  expired: [
    {
      name: "a session that was not used, and one that is too old",
      options: { lifetime: { idle: "1h", absolute: "2h" } },
      run: async (stage, quietly) => {
        const { clock, sessions } = stage;
        const idle = await quietly(() => begin(stage));
        clock.advance(HOUR);
        await sessions.validate(idle.token);
        const old = await quietly(() => begin(stage));
        clock.advance(HOUR - 1);
        await sessions.validate(old.token);
        clock.advance(HOUR - 1);
        expect(await sessions.validate(old.token)).not.toBeNull();
        clock.advance(2);
        await sessions.validate(old.token);
        return [about("expired", idle.id, { timeout: "idle" }), about("expired", old.id, { timeout: "absolute" })];
      },
    },
  ],
  "stamp-changed": [
    {
      name: "a stamp that is not the user's any more, once",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const session = await use(stage, token);
        expect(await session.checkStamp(STAMP)).toBe(true);
        expect(await session.checkStamp(NEW_STAMP)).toBe(false);
        expect(await session.checkStamp(NEW_STAMP)).toBe(false);
        return [about("stamp-changed", id)];
      },
    },
  ],
  "pin-mismatch": (["event", "step-up", "deny", "revoke"] as const).map((action) => ({
    name: `a client elsewhere, where that means '${action}'`,
    options: { pin: { ip: "prefix", userAgent: true, onMismatch: action } },
    run: async (stage, quietly) => {
      const { id, token } = await quietly(() => begin(stage));
      expect(await stage.sessions.validate(token, { ...HOME, ip: "203.0.113.1" })).not.toBeNull();
      await stage.sessions.validate(token, ELSEWHERE);
      if (action === "revoke") return [about("pin-mismatch", id, { pin: "ip", action })];
      await stage.sessions.validate(token, { ...HOME, userAgent: "Another" });
      return [
        about("pin-mismatch", id, { pin: "ip", action }),
        about("pin-mismatch", id, { pin: "userAgent", action }),
      ];
    },
  })),
  "csrf-refused": [
    {
      name: "a form of another site, with a session and without",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const from = { "sec-fetch-site": "cross-site", origin: "https://evil.example" };
        const request = await openSession(stage.sessions, cookieOf(token, from));
        expect(request.csrfRefusal({ method: "POST" })).toBe("cross-site");
        const other = await openSession(stage.sessions, { get: (name) => from[name as keyof typeof from] });
        expect(other.csrfRefusal({ method: "DELETE" })).toBe("cross-site");
        expect(other.csrfRefusal({ method: "GET" })).toBeNull();
        const refused = { type: "csrf-refused", reason: "cross-site", origin: "https://evil.example", enforced: true };
        return [
          { ...refused, id, userId: USER, method: "POST" },
          { ...refused, id: null, userId: null, method: "DELETE" },
        ];
      },
    },
    {
      name: "a form without a token, with a wrong one, and with that of another session, where it is only reported",
      options: { csrf: "report" },
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const other = await quietly(() => begin(stage));
        const csrf = (await opened(stage.sessions, other.token)).csrfToken();
        stage.secrets.push(csrf);
        for (const formToken of [undefined, DATA, csrf]) {
          const request = await openSession(stage.sessions, cookieOf(token));
          expect(request.csrfRefusal({ method: "POST", formToken })).toBeNull();
        }
        const event = { ...about("csrf-refused", id), method: "POST", origin: null, enforced: false };
        return ["token-missing", "token-wrong", "token-wrong"].map((reason) => ({ ...event, reason }));
      },
    },
  ],
  "one-time-consumed": [
    {
      name: "the use of a token for one use",
      run: async ({ sessions, secrets }) => {
        const tokens = oneTimeTokens(sessions);
        const token = await tokens.issue("reset-password", { userId: USER, extra: { value: EXTRA } });
        const nobodys = await tokens.issue("confirm-address", { extra: { value: EXTRA } });
        secrets.push(token, nobodys);
        for (let round = 0; round < 2; round++) {
          await tokens.peek("reset-password", token);
          await tokens.consume("another", token);
          await tokens.consume("reset-password", token);
          await tokens.consume("confirm-address", nobodys);
        }
        const type = "one-time-consumed";
        return [
          { type, purpose: "reset-password", userId: USER },
          { type, purpose: "confirm-address", userId: null },
        ];
      },
    },
  ],
  "bad-seal": [
    {
      name: "a record that somebody changed, each time it is met",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        stage.around = (call) => {
          const found = call.proceed();
          if (call.method !== "read") return found;
          return { ...(found as StoredRecord), envelope: Buffer.alloc(60, 1) };
        };
        for (let round = 0; round < 2; round++) expect(await stage.sessions.validate(token)).toBeNull();
        return [
          { type: "bad-seal", id },
          { type: "bad-seal", id },
        ];
      },
    },
  ],
  "ambiguous-cookie": [
    {
      name: "two different session cookies",
      run: async (stage, quietly) => {
        const [one, two] = await quietly(async () => [await begin(stage), await begin(stage)]);
        await openSession(stage.sessions, cookieOf(`${one?.token}; __Host-sid=${two?.token}`));
        await openSession(stage.sessions, cookieOf(`${one?.token}; __Host-sid=${one?.token}`));
        return [{ type: "ambiguous-cookie", name: "__Host-sid" }];
      },
    },
  ],
  "cookie-withheld": [
    {
      name: "something to keep that cannot be sent, once for each request",
      run: async ({ sessions }) => {
        const headers = { get: () => undefined };
        const request = await openSession(sessions, headers, { secure: false, loopback: false });
        expect(await request.commit()).toEqual([]);
        request.session.data["value"] = DATA;
        expect(await request.commit()).toEqual([]);
        expect(await request.commit()).toEqual([]);
        return [{ type: "cookie-withheld", reason: "insecure-connection" }];
      },
    },
  ],
  merged: [
    {
      name: "a write that met a newer record",
      run: async (stage, quietly) => {
        const { id, token } = await quietly(() => begin(stage));
        const session = await use(stage, token);
        await (await opened(stage.elsewhere, token)).update((data) => void (data["other"] = DATA));
        await session.update((data) => void (data["own"] = DATA));
        return [about("merged", id)];
      },
    },
  ],
  "store-failed": [
    {
      name: "a store that fails, whatever was asked",
      run: async (stage, quietly) => {
        const { token } = await quietly(() => begin(stage));
        const session = await use(stage, token);
        session.data["more"] = DATA;
        stage.around = () => {
          throw new Error("The server is down.");
        };
        const unavailable = { code: "ERR_STORE_UNAVAILABLE" };
        await expect(stage.sessions.validate(token)).rejects.toMatchObject(unavailable);
        await expect(session.save()).rejects.toMatchObject(unavailable);
        await expect(begin(stage)).rejects.toMatchObject(unavailable);
        await expect(stage.sessions.list({ userId: USER })).rejects.toMatchObject(unavailable);
        // A write is looked for once before it is given up.
        const methods = ["read", "update", "read", "admit", "read", "listByOwner"];
        const error = expect.objectContaining({ code: "ERR_STORE_UNAVAILABLE" }) as unknown;
        return methods.map((method) => ({ type: "store-failed", method, error }));
      },
    },
  ],
  "store-paused": [
    {
      name: "a store that was late three times in a row",
      options: { storeTimeout: 5 },
      run: async (stage, quietly) => {
        const { token } = await quietly(() => begin(stage));
        stage.around = () => new Promise(() => undefined);
        for (let round = 0; round < 4; round++) {
          await expect(stage.sessions.validate(token)).rejects.toMatchObject({ status: 503 });
        }
        const error = expect.objectContaining({ code: "ERR_STORE_TIMEOUT" }) as unknown;
        const late = { type: "store-failed", method: "read", error };
        return [late, late, late, { type: "store-paused", forMs: 1000 }];
      },
    },
  ],
  "store-warning": [
    {
      name: "what the store warns of, also of before anybody could listen",
      options: { store: WARNING_STORE },
      run: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return [{ type: "store-warning", ...WARNING }];
      },
    },
  ],
  "keys-changed": [
    {
      name: "another keyring, by the ids of its keys",
      run: async ({ sessions, keys, secrets }) => {
        const next = generateKey();
        secrets.push(next);
        sessions.setKeys([next, ...keys]);
        const id = expect.stringMatching(/^[0-9a-f]{4}$/) as unknown;
        return [{ type: "keys-changed", keys: [id, id] }];
      },
    },
  ],
  pruned: [
    {
      name: "what was removed, if anything was",
      run: async (stage, quietly) => {
        await quietly(async () => [await begin(stage), await begin(stage)]);
        await stage.sessions.prune();
        stage.clock.advance(HOUR + 2 * MINUTE);
        await stage.sessions.prune();
        await stage.sessions.prune();
        return [{ type: "pruned", count: 2 }];
      },
    },
  ],
};

interface Played {
  readonly heard: readonly { readonly type: string }[];
  readonly expected: readonly Facts[];
  readonly stage: Stage;
}

async function play({ run, options }: Omit<Path, "name">): Promise<Played> {
  const clock = manualClock();
  const inner = options?.store ?? memoryStore();
  const key = generateKey();
  const shared = { keys: [key], indexKey: key, clock, ...options };
  const stage: { around: Stage["around"] } = { around: (call) => call.proceed() };
  const store = intercept(inner, (call) => stage.around(call));
  const sessions = manager({ ...shared, store });
  const elsewhere = manager({ ...shared, store: inner });
  const whole = Object.assign(stage, { clock, sessions, elsewhere, keys: [key], secrets: [] });
  const heard = listen(sessions);
  const quietly: Quietly = async (work) => {
    const before = heard.length;
    const answer = await work();
    heard.length = before;
    return answer;
  };
  const expected = await run(whole, quietly);
  return { heard, expected, stage: whole };
}

/** A text, and what is left of it once it was encoded or digested. */
function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const digest = createHash("sha256").update(text).digest();
  const encodings = ["hex", "base64", "base64url"] as const;
  return [text, ...[bytes, digest].flatMap((one) => encodings.map((encoding) => one.toString(encoding).slice(0, 16)))];
}

describe.each(Object.entries(paths))("the event '%s'", (type, ways) => {
  it.each(ways)("comes with $name", async (path) => {
    const { heard, expected, stage } = await play(path);
    expect(heard.map((event) => event.type)).toEqual(expected.map((event) => event.type));
    for (const [index, event] of heard.entries()) {
      // These, the time, and nothing else.
      expect(event).toEqual({ ...expected[index], at: expect.any(Number) as unknown });
    }
    const text = heard.map((event) => shown(event)).join("\n");
    expectSilent(text, [...stage.keys, ...stage.secrets]);
    for (const secret of SECRETS) for (const form of formsOf(secret)) expect(text).not.toContain(form);
  });

  it("is among them", async () => {
    const all = await Promise.all(ways.map((way) => play(way)));
    expect(all.flatMap(({ heard }) => heard.map((event) => event.type))).toContain(type);
  });
});

describe("an event", () => {
  it("says when it was, by the manager's clock", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const heard = listen(sessions);
    const { token, id } = await sessions.create({ userId: USER });
    const start = clock.now();
    clock.advance(MINUTE);
    await sessions.revokeToken(token);
    expect(heard).toMatchObject([
      { type: "created", at: start },
      { type: "login", at: start },
      { type: "revoked", at: start + MINUTE, id },
    ]);
  });

  it("comes to those who listen for it and to those who listen for all, in the order of what happened", async () => {
    const sessions = manager();
    const order: string[] = [];
    sessions.on("*", ({ type }) => order.push(`all: ${type}`));
    const stop = sessions.on("login", ({ type }) => order.push(`own: ${type}`));
    const { token } = await sessions.create({ userId: USER });
    expect(order).toEqual(["all: created", "own: login", "all: login"]);
    stop();
    stop();
    await logIn(sessions, token, USER);
    expect(order.slice(3)).toEqual(["all: created", "all: login"]);
  });

  it("comes before the call that it is about settles", async () => {
    const sessions = manager();
    const heard = listen(sessions);
    const { token } = await sessions.create({ userId: USER });
    expect(heard).toHaveLength(2);
    const session = await opened(sessions, token);
    await session.logout();
    expect(heard).toHaveLength(3);
  });

  it("is not raised by anything that is everyday", async () => {
    const { heard, expected } = await play({
      run: async (stage, quietly) => {
        const { sessions } = stage;
        const { id, token } = await quietly(() => begin(stage));
        const session = await use(stage, token);
        session.data["more"] = 1;
        await session.save();
        await session.update((data) => void (data["more"] = 2));
        await session.setExtra({ value: EXTRA });
        session.flash("info", DATA);
        session.setDuration("10m");
        await session.save();
        stage.clock.advance(5 * MINUTE);
        await sessions.validate(token);
        await sessions.inspect(token, HOME);
        await sessions.get(USER, id);
        await sessions.list({ userId: USER });
        await sessions.count();
        await sessions.countUsers();
        await session.checkStamp(STAMP);
        const tokens = oneTimeTokens(sessions);
        await tokens.peek("reset-password", await tokens.issue("reset-password", { userId: USER }));
        await (await openSession(sessions, cookieOf(token))).commit();
        await (await visitor(sessions)).save();
        return [];
      },
    });
    expect([...heard]).toEqual(expected);
  });

  it("is not raised by tokens that are none, nor by what was refused for its options", async () => {
    const { heard } = await play({
      run: async (stage, quietly) => {
        const { token } = await quietly(() => begin(stage));
        const forged = token.slice(0, -1) + (token.endsWith("A") ? "B" : "A");
        for (const text of ["", "garbage", forged, `p1_${token.slice(3)}`, (await manager().create()).token]) {
          await stage.sessions.validate(text);
          await stage.sessions.refresh(text);
          await stage.sessions.revokeToken(text);
        }
        const session = await use(stage, token);
        for (const userId of ["", null, {}]) await expect(untyped(session, "login", userId)).rejects.toThrow();
        await expect(untyped(stage.sessions, "create", { userId: USER, roles: "admin" })).rejects.toThrow();
        await expect(untyped(stage.sessions, "revokeAll", USER, { reason: "\n" })).rejects.toThrow();
        expect(() => stage.sessions.setKeys(["short"])).toThrow();
        return [];
      },
    });
    expect([...heard]).toEqual([]);
  });
});
