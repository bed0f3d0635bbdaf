/** Cases of guards: who passes, and what the others are answered. */
import assert from "node:assert/strict";
import type { GuardCode } from "../../auth/guards.ts";
import { manualClock } from "../manual-clock.ts";
import { assertPrivate, COOKIE, HTTPS, OWN_PAGE, staged } from "./framework-stage.ts";
import {
  ADMIN,
  assertGuarded,
  type Beginning,
  cookieOf,
  GUARD_NAMES,
  type GuardName,
  GUARDS,
  PENDING,
  protect,
} from "./framework-guarded.ts";
import type { FrameworkAbility, FrameworkCase, Guarding } from "./framework-target.ts";

const needs: readonly FrameworkAbility[] = ["guards"];
const MINUTE = 60_000;

type Decisions = Readonly<Record<GuardName, GuardCode | null>>;

/** One decision of all guards but `requirePending`, which has its own. */
function everywhere(code: GuardCode | null, pending: GuardCode | null): Decisions {
  return { login: code, role: code, fresh: code, stamp: code, pending };
}

const NOBODY = everywhere("login-required", "pending-login-required");
const USER = everywhere(null, "pending-login-required");

/** What the guards make of everybody: a code, or null for those who pass. */
const EVERYBODY: readonly (readonly [who: string, session: Beginning | null, decisions: Decisions])[] = [
  ["somebody without a cookie", null, NOBODY],
  ["a visitor with a cart", { data: { cart: "tea" } }, NOBODY],
  ["who has shown a password only", PENDING, everywhere("login-required", null)],
  ["who has to choose a new password", { ...PENDING, pending: "new-password" }, NOBODY],
  ["an admin", ADMIN, USER],
  ["an owner", { ...ADMIN, roles: ["x", "owner"] }, USER],
  ["a user with another role", { ...ADMIN, roles: ["administrator", "Admin"] }, { ...USER, role: "role-required" }],
  ["an admin who was only remembered", { ...ADMIN, remember: true }, { ...USER, fresh: "fresh-login-required" }],
  ["who acts as an admin", { ...ADMIN, actor: "support" }, { ...USER, fresh: "fresh-login-required" }],
  ["an admin of before a change of password", { ...ADMIN, stamp: "stamp-0" }, { ...USER, stamp: "stamp-changed" }],
  ["an admin without a stamp", { userId: "ada", roles: ["admin"] }, { ...USER, stamp: "stamp-changed" }],
];

/** The token of a cookie, as clients without cookies send it. */
function bearer(cookie: string): { readonly authorization: string } {
  return { authorization: `Bearer ${cookie.slice(COOKIE.length + 1)}` };
}

function titleOf(name: GuardName): string {
  return `require${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

const LOGIN: Guarding = GUARDS.login;
const FRESH: Guarding = GUARDS.fresh;
const ROLE: Guarding = { choose: (from, options) => from.requireRole("admin", options) };

export const guardCases: readonly FrameworkCase[] = [
  ...GUARD_NAMES.map((name): FrameworkCase => {
    return {
      name: `${titleOf(name)} judges everybody, and answers the others with a problem document`,
      needs,
      run: staged(async (stage) => {
        const { behind, served, reached } = await protect(stage, GUARDS[name]);
        for (const [who, beginning, decisions] of EVERYBODY) {
          const before = reached();
          const headers = beginning === null ? {} : { cookie: await cookieOf(behind, beginning) };
          const answer = await served.get("/", headers);
          const code = decisions[name];
          assert.deepEqual([who, reached() - before, answer.cookies], [who, code === null ? 1 : 0, []]);
          if (code === null) assert.deepEqual([who, answer.status, answer.text], [who, 200, "secret"]);
          else assertGuarded(answer, code);
        }
      }),
    };
  }),
  ...GUARD_NAMES.map((name): FrameworkCase => {
    return {
      name: `${titleOf(name)} guards every method but OPTIONS, whatever cookie comes`,
      needs,
      run: staged(async (stage) => {
        const { behind, served, reached } = await protect(stage, GUARDS[name]);
        const dead = await cookieOf(behind, name === "pending" ? PENDING : ADMIN);
        await behind.sessions.revokeToken(dead.slice(COOKIE.length + 1));
        for (const cookie of [undefined, dead, `${COOKIE}=x`]) {
          const headers = { ...HTTPS, ...OWN_PAGE, ...(cookie !== undefined && { cookie }) };
          for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]) {
            const { status, text } = await served.ask({ path: "/", method, headers }).answer;
            assert.deepEqual([method, status], [method, 401]);
            if (method === "HEAD") assert.equal(text, "");
          }
        }
        assert.equal(reached(), 0);
        // A preflight carries no cookie (Fetch, "CORS protocol and credentials").
        const preflight = { ...HTTPS, origin: "https://other.example", "access-control-request-method": "POST" };
        assert.equal((await served.ask({ path: "/", method: "OPTIONS", headers: preflight }).answer).status, 200);
        assert.equal(reached(), 1);
      }),
    };
  }),
  {
    name: "guards answer HEAD as GET, without a body",
    needs,
    run: staged(async (stage) => {
      const { behind, served } = await protect(stage, GUARDS.role);
      for (const [beginning, status] of [
        [{ userId: "ada" }, 403],
        [ADMIN, 200],
      ] as const) {
        const headers = { ...HTTPS, cookie: await cookieOf(behind, beginning) };
        const answer = await served.ask({ path: "/", method: "HEAD", headers }).answer;
        assert.deepEqual([answer.status, answer.text, answer.isCut], [status, "", false]);
        assertPrivate(answer);
      }
    }),
  },
  {
    name: "guards do not take a method for OPTIONS that is spelt otherwise",
    // Over HTTP/1.1 everybody spells it so, or refuses it.
    needs: ["guards", "http2"],
    run: staged(async (stage) => {
      const { served, reached } = await protect(stage, LOGIN);
      for (const method of ["options", "Options", "OPTIONSX"]) {
        assert.equal((await served.ask({ path: "/", method, headers: HTTPS }).answer).status, 401);
      }
      assert.equal(reached(), 0);
    }),
  },
  {
    name: "guards look at no path, and at no header that names another path or method",
    needs,
    run: staged(async (stage) => {
      const { served, reached } = await protect(stage, LOGIN);
      const headers = { "x-http-method-override": "OPTIONS", "x-original-url": "/public", "x-rewrite-url": "/" };
      for (const path of ["/", "/%61dmin", "//admin", "/admin/.", "/public/../admin", "/ADMIN", "/?path=/public"]) {
        assert.deepEqual([path, (await served.get(path, headers)).status], [path, 401]);
        assert.deepEqual([path, (await served.post(path, headers)).status], [path, 401]);
      }
      assert.equal(reached(), 0);
    }),
  },
  {
    name: "requireLogin refuses a session that ended, and lets nobody pass when the store fails",
    needs,
    run: staged(async (stage) => {
      const clock = manualClock();
      for (const [onStoreFailure, status] of [
        ["deny", 503],
        ["anonymous", 401],
      ] as const) {
        const { behind, served, reached } = await protect(stage, LOGIN, { clock, onStoreFailure });
        const cookie = await cookieOf(behind, ADMIN);
        assert.equal((await served.get("/", { cookie })).status, 200);
        behind.faults.fail();
        assert.equal((await served.get("/", { cookie })).status, status);
        behind.faults.heal();
        clock.advance(60 * MINUTE);
        assertGuarded(await served.get("/", { cookie }), "login-required");
        assert.equal(reached(), 1);
      }
    }),
  },
  {
    name: "requireFresh lets pass until the login is as old as that",
    needs,
    run: staged(async (stage) => {
      const clock = manualClock();
      const { behind, served } = await protect(stage, FRESH, { clock });
      const cookie = await cookieOf(behind, ADMIN);
      clock.advance(5 * MINUTE - 1);
      assert.equal((await served.get("/", { cookie })).status, 200);
      clock.advance(1);
      assertGuarded(await served.get("/", { cookie }), "fresh-login-required");
    }),
  },
  {
    name: "requireFresh refuses a client that does not fit the session's pin, where that asks for more",
    needs,
    run: staged(async (stage) => {
      const pin = { userAgent: true, onMismatch: "step-up" } as const;
      for (const [guarding, elsewhere] of [
        [LOGIN, 200],
        [FRESH, 401],
      ] as const) {
        const { behind, served } = await protect(stage, guarding, { pin });
        const cookie = await cookieOf(behind, { ...ADMIN, client: { userAgent: "Firefox on Linux" } });
        assert.equal((await served.get("/", { cookie, "user-agent": "Firefox on Linux" })).status, 200);
        assert.equal((await served.get("/", { cookie, "user-agent": "Chrome on Windows" })).status, elsewhere);
      }
    }),
  },
  {
    name: "guards challenge nobody where sessions come in cookies only",
    needs,
    run: staged(async (stage) => {
      for (const guarding of [LOGIN, ROLE, FRESH]) {
        const { behind, served } = await protect(stage, guarding);
        const cookie = await cookieOf(behind, { userId: "ada", remember: true });
        for (const headers of [{}, { cookie }, { authorization: "Bearer nothing" }]) {
          assert.equal((await served.get("/", headers)).headers.get("www-authenticate"), null);
        }
      }
    }),
  },
  {
    name: "guards challenge everybody where bearer tokens are taken, and say what is missing",
    needs,
    run: staged(async (stage) => {
      for (const [guarding, challenge] of [
        [LOGIN, null],
        [ROLE, 'Bearer realm="default", error="insufficient_scope"'],
        [FRESH, 'Bearer realm="default", error="insufficient_user_authentication"'],
      ] as const) {
        const { behind, served } = await protect(stage, guarding, { bearer: true });
        const known = await cookieOf(behind, { userId: "ada", remember: true });
        const gone = await cookieOf(behind, ADMIN);
        await behind.sessions.revokeToken(gone.slice(COOKIE.length + 1));
        for (const [headers, expected] of [
          [{}, 'Bearer realm="default"'],
          [bearer(gone), 'Bearer realm="default", error="invalid_token"'],
          [bearer(known), challenge],
          [{ cookie: known }, challenge],
          // It is no bearer token that is invalid.
          [{ cookie: gone }, 'Bearer realm="default"'],
        ] as const) {
          assert.equal((await served.get("/", headers)).headers.get("www-authenticate"), expected);
        }
      }
    }),
  },
];
