import http from "node:http";
import type { NextFunction, Request as ExpressRequest, Response as ExpressResponse } from "express";
import { type CreateOptions, SessionMissingError } from "symbolon";
import type { GuardCode } from "symbolon/auth/guards";
import * as expressBinding from "symbolon/frameworks/express";
import * as fetchBinding from "symbolon/frameworks/fetch";
import * as nodeBinding from "symbolon/frameworks/node";
import { manualClock } from "symbolon/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import type { GuardMakers, Guarding, Handler, Served, Target } from "./support/app.ts";
import type { Answer, Question } from "./support/client.ts";
import { listenerOf, makeExpress4, makeExpress5 } from "./support/express-targets.ts";
import { fetchDirectly } from "./support/fetch-targets.ts";
import { node2, serveHttp1 } from "./support/node-targets.ts";
import {
  ask,
  type Backstage,
  backstage,
  COOKIE,
  dataOf,
  HTTPS,
  type Options,
  serve,
  tokenIn,
} from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const MINUTE = 60_000;

const GUARDS = {
  login: { choose: (from, options) => from.requireLogin(options) },
  role: { choose: (from, options) => from.requireRole(["admin", "owner"], options) },
  fresh: { choose: (from, options) => from.requireFresh("5m", options) },
  stamp: { choose: (from, options) => from.requireStamp(async () => "stamp-1", options) },
  pending: { choose: (from, options) => from.requirePending("second-factor", options) },
} satisfies Readonly<Record<string, Guarding>>;

type GuardName = keyof typeof GUARDS;
const NAMES = Object.keys(GUARDS) as GuardName[];

interface Guarded {
  readonly behind: Backstage;
  readonly served: Served;
  /** How often the handler behind the guard ran. */
  readonly reached: () => number;
}

/** An application whose only page is guarded. */
async function protect(target: Target, guarding: Guarding, options: Options = {}): Promise<Guarded> {
  const behind = backstage(options);
  let count = 0;
  const secret: Handler = ({ respond }) => {
    count++;
    respond.send(200, "secret");
  };
  const served = await serve(target, behind, secret, guarding);
  return { behind, served, reached: () => count };
}

/** The Cookie header of a session begun elsewhere. */
async function cookieOf({ sessions }: Backstage, options: CreateOptions<Record<string, unknown>>): Promise<string> {
  const { token } = await sessions.create(options);
  return `${COOKIE}=${token}`;
}

/** A session that every guard but `requirePending` lets pass. */
const ADMIN = { userId: "ada", roles: ["admin"], stamp: "stamp-1" };
const PENDING = { userId: "ada", pending: "second-factor", stamp: "stamp-1" };

/** What passes a guard. */
function passing(name: GuardName): CreateOptions<Record<string, unknown>> {
  return name === "pending" ? PENDING : ADMIN;
}

function expectRefused(answer: Answer, status: number, code: GuardCode): void {
  expect([answer.status, answer.headers.get("content-type")]).toEqual([status, "application/problem+json"]);
  const { title, ...problem } = JSON.parse(answer.body.toString()) as Record<string, unknown>;
  expect(problem).toEqual({ status, code });
  expect(title).toMatch(/^[A-Z][\w ]+$/);
  expect(answer.headers.get("cache-control")).toBe("private, no-store");
  expect(answer.headers.get("vary")).toBe("Cookie");
}

type Decisions = Readonly<Record<GuardName, GuardCode | null>>;

/** What the guards make of everybody: a code, or null for those who pass. */
const EVERYBODY: readonly (readonly [
  who: string,
  session: CreateOptions<Record<string, unknown>> | null,
  decisions: Decisions,
])[] = [
  ["somebody without a cookie", null, everywhere("login-required", "pending-login-required")],
  ["a visitor with a cart", { data: { cart: "tea" } }, everywhere("login-required", "pending-login-required")],
  ["who has shown a password only", PENDING, everywhere("login-required", null)],
  [
    "who has to choose a new password",
    { ...PENDING, pending: "new-password" },
    everywhere("login-required", "pending-login-required"),
  ],
  ["an admin", ADMIN, everywhere(null, "pending-login-required")],
  ["an owner", { ...ADMIN, roles: ["x", "owner"] }, everywhere(null, "pending-login-required")],
  [
    "a user with another role",
    { ...ADMIN, roles: ["administrator", "Admin", "user"] },
    { ...everywhere(null, "pending-login-required"), role: "role-required" },
  ],
  [
    "an admin who was only remembered",
    { ...ADMIN, remember: true },
    { ...everywhere(null, "pending-login-required"), fresh: "fresh-login-required" },
  ],
  [
    "who acts as an admin",
    { ...ADMIN, actor: "support" },
    { ...everywhere(null, "pending-login-required"), fresh: "fresh-login-required" },
  ],
  [
    "an admin from before a change of password",
    { ...ADMIN, stamp: "stamp-0" },
    { ...everywhere(null, "pending-login-required"), stamp: "stamp-changed" },
  ],
  [
    "an admin without a stamp",
    { userId: "ada", roles: ["admin"] },
    { ...everywhere(null, "pending-login-required"), stamp: "stamp-changed" },
  ],
];

/** One decision of all guards but `requirePending`, which has its own. */
function everywhere(code: GuardCode | null, pending: GuardCode | null): Decisions {
  return { login: code, role: code, fresh: code, stamp: code, pending };
}

describe.each(TARGETS)("guards on $name", (target) => {
  it.each(EVERYBODY)("judge %s", async (_who, options, decisions) => {
    for (const name of NAMES) {
      const guarded = await protect(target, GUARDS[name]);
      const cookie = options === null ? null : await cookieOf(guarded.behind, options);
      const answer = await ask(guarded.served, "/", cookie === null ? {} : { cookie });
      const code = decisions[name];
      if (code === null) expect([name, answer.status, answer.body.toString()]).toEqual([name, 200, "secret"]);
      else expectRefused(answer, code === "role-required" ? 403 : 401, code);
      expect([name, guarded.reached()]).toEqual([name, code === null ? 1 : 0]);
      expect(answer.cookies).toEqual([]);
    }
  });

  it.each(NAMES)("%s: guard every method but OPTIONS, whatever cookie comes", async (name) => {
    const { behind, served, reached } = await protect(target, GUARDS[name]);
    const dead = await cookieOf(behind, passing(name));
    await behind.sessions.revokeToken(dead.slice(COOKIE.length + 1));
    for (const cookie of [undefined, dead, `${COOKIE}=x`]) {
      const headers = { ...HTTPS, "sec-fetch-site": "same-origin", ...(cookie !== undefined && { cookie }) };
      for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PURGE", "PROPFIND"]) {
        const answer = await served.ask({ path: "/", method, headers }).answer;
        expect([method, answer.status]).toEqual([method, 401]);
        if (method === "HEAD" && target !== fetchDirectly) expect(answer.body.toString()).toBe("");
      }
    }
    expect(reached()).toBe(0);
    // A preflight carries no cookie (Fetch, "CORS protocol and credentials").
    const preflight = { ...HTTPS, origin: "https://other.example", "access-control-request-method": "POST" };
    expect((await served.ask({ path: "/", method: "OPTIONS", headers: preflight }).answer).status).toBe(200);
    expect(reached()).toBe(1);
  });

  it("do not take a method for OPTIONS that is spelt otherwise", async () => {
    // Everybody else spells it so, or refuses it.
    if (target !== node2) return;
    const { served, reached } = await protect(target, GUARDS.login);
    for (const method of ["options", "Options", "OPTIONSX"]) {
      expect((await served.ask({ path: "/", method, headers: HTTPS }).answer).status).toBe(401);
    }
    expect(reached()).toBe(0);
  });

  it("answer HEAD as GET, with no body", async () => {
    // Who calls a Fetch handler takes the body away himself.
    if (target === fetchDirectly) return;
    const { behind, served } = await protect(target, GUARDS.role);
    const [user, admin] = [await cookieOf(behind, { userId: "ada" }), await cookieOf(behind, ADMIN)];
    for (const [cookie, status] of [
      [user, 403],
      [admin, 200],
    ] as const) {
      const answer = await served.ask({ path: "/", method: "HEAD", headers: { ...HTTPS, cookie } }).answer;
      expect([answer.status, answer.body.toString(), answer.isCut]).toEqual([status, "", false]);
      expect(answer.headers.get("cache-control")).toBe("private, no-store");
    }
  });

  it.each([
    ["/", "/"],
    ["the path escaped", "/%61dmin"],
    ["two slashes", "//admin"],
    ["a dot", "/admin/."],
    ["dots", "/public/../admin"],
    ["capitals", "/ADMIN"],
    ["a query", "/?path=/public"],
  ])("look at no path: %s", async (_name, path) => {
    const { served, reached } = await protect(target, GUARDS.login);
    for (const method of ["GET", "POST"]) {
      const headers = {
        ...HTTPS,
        "x-http-method-override": "OPTIONS",
        "x-original-url": "/public",
        "x-rewrite-url": "/",
      };
      expect((await served.ask({ path, method, headers }).answer).status).toBe(401);
    }
    expect(reached()).toBe(0);
  });

  it("refuse a session that ends before its time, and let nobody pass when the store fails", async () => {
    const clock = manualClock();
    for (const onStoreFailure of ["deny", "anonymous"] as const) {
      const { behind, served, reached } = await protect(target, GUARDS.login, { clock, onStoreFailure });
      const cookie = await cookieOf(behind, ADMIN);
      expect((await ask(served, "/", { cookie })).status).toBe(200);
      behind.faults.fail();
      const failed = await ask(served, "/", { cookie });
      expect(failed.status).toBe(onStoreFailure === "deny" ? 503 : 401);
      behind.faults.heal();
      clock.advance(60 * MINUTE);
      expectRefused(await ask(served, "/", { cookie }), 401, "login-required");
      expect(reached()).toBe(1);
    }
  });

  it("look at the session of the manager they stand behind, where there are several", async () => {
    const shop = backstage({ cookie: { name: "__Host-shop" } });
    const admin = backstage({ cookie: { name: "__Host-admin" } });
    const served = await serve(target, [shop, admin], ({ respond }) => respond.send(200, "secret"), GUARDS.login);
    const { token: inShop } = await shop.sessions.create(ADMIN);
    const { token: inAdmin } = await admin.sessions.create(ADMIN);
    for (const [cookie, status] of [
      [`__Host-shop=${inShop}`, 401],
      [`__Host-shop=${inShop}; __Host-admin=${inShop}`, 401],
      [`__Host-shop=${inAdmin}; __Host-admin=${inShop}`, 401],
      [`__Host-admin=${inAdmin}`, 200],
    ] as const) {
      expect((await ask(served, "/", { cookie })).status).toBe(status);
    }
  });
});

describe.each(TARGETS)("requireFresh on $name", (target) => {
  it("lets pass until the login is as old as that, and again after another login", async () => {
    const clock = manualClock();
    const { behind, served } = await protect(target, GUARDS.fresh, { clock });
    const cookie = await cookieOf(behind, ADMIN);
    clock.advance(5 * MINUTE - 1);
    expect((await ask(served, "/", { cookie })).status).toBe(200);
    clock.advance(1);
    expectRefused(await ask(served, "/", { cookie }), 401, "fresh-login-required");
    const session = await behind.sessions.validate(cookie.slice(COOKIE.length + 1));
    await session?.login("ada", { remember: true });
    const anew = `${COOKIE}=${session?.takeToken()}`;
    expect((await ask(served, "/", { cookie: anew })).status).toBe(200);
  });

  it("refuses a client that does not fit the session's pin, where that asks for more", async () => {
    const pin = { userAgent: true, onMismatch: "step-up" } as const;
    for (const [name, elsewhere] of [
      ["login", 200],
      ["fresh", 401],
    ] as const) {
      const { behind, served } = await protect(target, GUARDS[name], { pin });
      const cookie = await cookieOf(behind, { ...ADMIN, client: { userAgent: "Firefox on Linux" } });
      expect((await ask(served, "/", { cookie, "user-agent": "Firefox on Linux" })).status).toBe(200);
      expect((await ask(served, "/", { cookie, "user-agent": "Chrome on Windows" })).status).toBe(elsewhere);
    }
  });
});

function stampOf(find: (userId: string) => unknown): Guarding {
  // As JavaScript would call it: no types hold back what is found.
  return { choose: (from, options) => from.requireStamp(find as (userId: string) => string, options) };
}

describe.each(TARGETS)("requireStamp on $name", (target) => {
  it("asks for the stamp of the very user, and of nobody else", async () => {
    const asked: string[] = [];
    const guarding = stampOf((userId) => {
      asked.push(userId);
      return `${userId}'s`;
    });
    const { behind, served } = await protect(target, guarding);
    expect((await ask(served, "/")).status).toBe(401);
    expect((await ask(served, "/", { cookie: await cookieOf(behind, {}) })).status).toBe(401);
    expect((await ask(served, "/", { cookie: await cookieOf(behind, PENDING) })).status).toBe(401);
    const cookie = await cookieOf(behind, { userId: "ada", stamp: "ada's" });
    expect((await ask(served, "/", { cookie })).status).toBe(200);
    expect(asked).toEqual(["ada"]);
  });

  it("ends the session of a user whose stamp changed, or who is no more", async () => {
    for (const present of ["stamp-2", null]) {
      const { behind, served, reached } = await protect(
        target,
        stampOf(async () => present),
      );
      const cookie = await cookieOf(behind, ADMIN);
      const answer = await ask(served, "/", { cookie });
      expectRefused(answer, 401, "stamp-changed");
      expect(answer.cookies).toEqual([]);
      const found = await behind.sessions.inspect(cookie.slice(COOKIE.length + 1));
      expect(found).toMatchObject({ ok: false, ended: { reason: "stamp-changed" } });
      expectRefused(await ask(served, "/", { cookie }), 401, "login-required");
      expect(reached()).toBe(0);
    }
  });

  it.each<[name: string, find: () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("no database");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no database"))],
    ["rejects with nothing", () => Promise.reject(undefined)],
    ["rejects with null", () => Promise.reject(null)],
    ["rejects with a word that means something to routers", () => Promise.reject("route")],
    ["rejects with another", () => Promise.reject("router")],
    ["finds a number", () => 1],
    ["finds nothing at all", () => undefined],
  ])("lets nobody pass when the application's function %s", async (_name, find) => {
    const { behind, served, reached } = await protect(target, stampOf(find));
    const cookie = await cookieOf(behind, ADMIN);
    const answer = await ask(served, "/", { cookie });
    expect([answer.status, reached()]).toEqual([500, 0]);
    expect(answer.body.toString()).not.toContain("secret");
    // Nothing is known of the user: the session stays.
    expect((await behind.sessions.validate(cookie.slice(COOKIE.length + 1)))?.userId).toBe("ada");
  });

  it("is answered 503, and lets nobody pass, when the session cannot be ended", async () => {
    const { behind, served, reached } = await protect(
      target,
      stampOf(() => "stamp-2"),
    );
    const cookie = await cookieOf(behind, ADMIN);
    behind.faults.before((method) => {
      if (method === "update") throw new Error("down");
    });
    const answer = await ask(served, "/", { cookie });
    expect([answer.status, answer.cookies, reached()]).toEqual([503, [], 0]);
  });
});

describe.each(TARGETS)("an application's own answer to the refused on $name", (target) => {
  it.each(["at once", "later"])("is sent instead, %s", async (when) => {
    const guarding: Guarding = {
      ...GUARDS.role,
      onRefused(refusal, { respond }) {
        const answer = (): void => respond.send(303, null, { Location: `/login?why=${refusal.code}` });
        return when === "at once" ? answer() : new Promise((resolve) => setImmediate(resolve)).then(answer);
      },
    };
    const { behind, served, reached } = await protect(target, guarding);
    const answer = await ask(served, "/");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/login?why=login-required"]);
    expect(answer.headers.get("cache-control")).toBe("private, no-store");
    const user = await ask(served, "/", { cookie: await cookieOf(behind, { userId: "ada" }) });
    expect(user.headers.get("location")).toBe("/login?why=role-required");
    expect((await ask(served, "/", { cookie: await cookieOf(behind, ADMIN) })).status).toBe(200);
    expect(reached()).toBe(1);
  });

  it("may write to the session: where the visitor wanted to go", async () => {
    const guarding: Guarding = {
      ...GUARDS.login,
      onRefused(_refusal, { request, respond }) {
        nodeBinding.sessionOf(request).data["wanted"] = "/";
        respond.send(303, null, { Location: "/login" });
      },
    };
    const { behind, served } = await protect(target, guarding);
    const answer = await ask(served, "/");
    expect(await dataOf(behind, tokenIn(answer))).toEqual({ wanted: "/" });
  });

  it.each<[name: string, fail: () => void | Promise<void>]>([
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
    ["rejects with nothing", () => Promise.reject(undefined)],
    ["rejects with a word that means something to routers", () => Promise.reject("route")],
  ])("that %s is a failure, and lets nobody pass", async (_name, onRefused) => {
    for (const name of NAMES) {
      const { served, reached } = await protect(target, { ...GUARDS[name], onRefused });
      const answer = await ask(served, "/");
      expect([answer.status, answer.cookies, reached()]).toEqual([500, [], 0]);
      expect(answer.body.toString()).not.toContain("secret");
    }
  });
});

describe("a guard without a binding", () => {
  const request: Question = { path: "/", headers: HTTPS };

  it.each(NAMES)("lets nobody pass on node:http: %s", async (name) => {
    let isReached = false;
    const choose: GuardMakers<
      nodeBinding.GuardOptions<http.IncomingMessage, http.ServerResponse>,
      nodeBinding.HandlerGuard<http.IncomingMessage, http.ServerResponse>
    > = nodeBinding;
    const guarded = GUARDS[name].choose(choose, {})(() => void (isReached = true));
    const failures: unknown[] = [];
    const served = await serveHttp1((incoming, response) => {
      // As JavaScript would: types ask for the session.
      const answered = Reflect.apply(guarded, undefined, [incoming, response]) as Promise<void>;
      answered.catch((error: unknown) => failures.push(error)).finally(() => response.end("failed"));
    });
    onTestFinished(() => served.close());
    expect((await served.ask(request).answer).body.toString()).toBe("failed");
    expect([isReached, failures.length]).toEqual([false, 1]);
  });

  it.each(NAMES)("lets nobody pass on Fetch: %s", async (name) => {
    let isReached = false;
    const choose: GuardMakers<fetchBinding.GuardOptions, fetchBinding.HandlerGuard> = fetchBinding;
    const guarded = GUARDS[name].choose(
      choose,
      {},
    )(() => {
      isReached = true;
      return new Response("secret");
    });
    const answered = Reflect.apply(guarded, undefined, [new Request("https://app.example/")]) as Promise<Response>;
    await expect(answered).rejects.toThrow(TypeError);
    expect(isReached).toBe(false);
  });
});

const EXPRESS = [
  { name: "Express 4", make: makeExpress4 },
  { name: "Express 5", make: makeExpress5 },
] as const;

describe.each(EXPRESS)("a guard on $name", ({ make }) => {
  const choose: GuardMakers<
    expressBinding.GuardOptions<ExpressRequest, ExpressResponse>,
    expressBinding.GuardMiddleware<ExpressRequest, ExpressResponse>
  > = expressBinding;

  async function serveGuarded(
    mounted: readonly Backstage[],
    guard: expressBinding.GuardMiddleware<ExpressRequest, ExpressResponse>,
  ): Promise<{ served: Served; errors: unknown[]; reached: () => number }> {
    const app = make();
    const errors: unknown[] = [];
    let count = 0;
    for (const { sessions } of mounted) app.use(expressBinding.expressSession(sessions));
    app.get("/", guard, (_request: ExpressRequest, response: ExpressResponse) => {
      count++;
      response.send("secret");
    });
    app.use((error: unknown, _request: ExpressRequest, _response: ExpressResponse, next: NextFunction) => {
      errors.push(error);
      next(error);
    });
    const served = await serveHttp1(listenerOf(app));
    onTestFinished(() => served.close());
    return { served, errors, reached: () => count };
  }

  it.each(NAMES)("without expressSession before it is an error, and lets nobody pass: %s", async (name) => {
    const { served, errors, reached } = await serveGuarded([], GUARDS[name].choose(choose, {}));
    expect((await ask(served, "/")).status).toBe(500);
    expect([errors.length, reached()]).toEqual([1, 0]);
    expect(errors[0]).toBeInstanceOf(SessionMissingError);
  });

  it("has to be told whose session to look at, where there are several", async () => {
    const shop = backstage({ cookie: { name: "__Host-shop" } });
    const admin = backstage({ cookie: { name: "__Host-admin" } });
    const other = backstage();
    const { token } = await shop.sessions.create(ADMIN);
    const cookie = `__Host-shop=${token}`;
    for (const [options, status] of [
      [{}, 500],
      [{ sessions: other.sessions }, 500],
      [{ sessions: admin.sessions }, 401],
      [{ sessions: shop.sessions }, 200],
    ] as const) {
      const { served, errors, reached } = await serveGuarded([shop, admin], GUARDS.login.choose(choose, options));
      expect((await ask(served, "/", { cookie })).status).toBe(status);
      expect(reached()).toBe(status === 200 ? 1 : 0);
      if (status === 500) expect(errors[0]).toBeInstanceOf(SessionMissingError);
    }
  });

  it("gives what its functions throw to the error handler", async () => {
    const broken = new Error("no database");
    const behind = backstage();
    const guard = expressBinding.requireStamp<ExpressRequest, ExpressResponse>(() => Promise.reject(broken));
    const { served, errors } = await serveGuarded([behind], guard);
    expect((await ask(served, "/", { cookie: await cookieOf(behind, ADMIN) })).status).toBe(500);
    expect(errors).toEqual([broken]);
  });
});
