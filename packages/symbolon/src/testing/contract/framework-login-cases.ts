/** Cases of logins and new tokens: they are stored when they are called, and their cookie goes out. */
import assert from "node:assert/strict";
import type { LoginOptions } from "../../core/beginning.ts";
import type { Session } from "../../core/session.ts";
import { manualClock } from "../manual-clock.ts";
import {
  assertHeldBack,
  assertPrivate,
  ATTRIBUTES,
  begin,
  COOKIE,
  dataOf,
  HTTPS,
  type Options,
  OWN_PAGE,
  staged,
  tokenIn,
  visitor,
  whoHas,
  whoIs,
} from "./framework-stage.ts";
import type { Exchange, FrameworkCase, Handler } from "./framework-target.ts";

type Action = (session: Session, exchange: Exchange) => unknown;

/** Runs what a path asks for, and answers who is there; logs Ada in at `/login`. */
export function appOf(actions: Readonly<Record<string, Action>> = {}, login: LoginOptions = {}): Handler {
  const all: Readonly<Record<string, Action>> = { "/login": (session) => session.login("ada", login), ...actions };
  return async (exchange) => {
    const { path, session, respond } = exchange;
    await all[path]?.(session, exchange);
    respond.send(200, whoIs(session));
  };
}

/** How long the cookie of a login lives, as its `Set-Cookie` value ends. */
const LIVES: readonly (readonly [what: string, ending: string, options: Options, login: LoginOptions])[] = [
  ["a login", "", {}, {}],
  ["a long one", "", {}, { lifetime: { absolute: "90d" } }],
  ["a second step is missing", "", {}, { pending: "second-factor" }],
  ["cookies are persistent", "; Max-Age=3600", { cookie: { persistent: true } }, {}],
  ["remembered", "; Max-Age=1209600", {}, { remember: true }],
  ["remembered for less", "; Max-Age=7200", {}, { remember: true, lifetime: { absolute: "2h" } }],
];

/** The store's steps of a login. */
const stepCases = ["admit", "delete"].flatMap((method): FrameworkCase[] => [
  {
    name: `a login waits for the store's ${method} before any header leaves`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, appOf());
      const { cookie } = await begin(behind, {});
      const gate = behind.hold(method);
      const asking = served.ask({ path: "/login", method: "POST", headers: { ...HTTPS, ...OWN_PAGE, cookie } });
      await assertHeldBack(served, asking, gate);
      gate.open();
      assert.equal(await whoHas(behind, tokenIn(await asking.answer)), "ada");
    }),
  },
  {
    name: `a login is answered 503 without a cookie when the store's ${method} fails, and nothing has changed`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, appOf());
      const { token, cookie } = await begin(behind, { cart: "tea" });
      let isBroken = true;
      behind.faults.before((called) => {
        if (called !== method || !isBroken) return;
        isBroken = false;
        throw new Error("down");
      });
      const answer = await served.post("/login", { cookie });
      assert.deepEqual([answer.status, answer.cookies, isBroken], [503, [], false]);
      assert.ok(!answer.text.includes("ada"));
      behind.faults.heal();
      assert.equal(await behind.sessions.count({ userId: "ada" }), 0);
      assert.equal(await whoHas(behind, token), "anonymous");
      assert.deepEqual(await dataOf(behind, token), { cart: "tea" });
      assert.notEqual(tokenIn(await served.post("/login", { cookie })), token);
    }),
  },
]);

/** What gives a session another token. */
const RENEWALS: readonly (readonly [path: string, renew: Action])[] = [
  ["/keepLogin", (session) => session.keepLogin("new")],
  ["/setRoles", (session) => session.setRoles(["admin"])],
];

const renewalCases = RENEWALS.map(([path, renew]): FrameworkCase => {
  return {
    name: `the new token of ${path.slice(1)} goes out in a cookie, also when the handler then fails, and the old one is dead`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const fails: Action = async (session, exchange) => {
        await renew(session, exchange);
        throw new Error("broken");
      };
      const served = await serve(behind, appOf({ [path]: renew, "/fails": fails }));
      for (const [asked, status] of [
        [path, 200],
        ["/fails", 500],
      ] as const) {
        const { token } = await behind.sessions.create({ userId: "ada", stamp: "old" });
        const answer = await served.post(asked, { cookie: `${COOKIE}=${token}` });
        assert.equal(answer.status, status);
        assert.deepEqual(answer.cookies, [`${COOKIE}=${tokenIn(answer)}; ${ATTRIBUTES}`]);
        assert.equal(await whoHas(behind, token), "wrong-secret");
        assert.equal(await whoHas(behind, tokenIn(answer)), "ada");
        assert.equal((await served.get("/", { cookie: `${COOKIE}=${token}` })).text, "anonymous");
      }
    }),
  };
});

export const loginCases: readonly FrameworkCase[] = [
  {
    name: "the cookie of a login is one, and ends with the browser, or with the session where it is to be kept",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      for (const [what, ending, options, login] of LIVES) {
        const behind = backstage({ clock: manualClock(), ...options });
        const served = await serve(behind, appOf({}, login));
        const { cookie } = await begin(behind, {});
        for (const headers of [{}, { cookie }]) {
          const answer = await served.post("/login", headers);
          assert.deepEqual(answer.cookies, [`${COOKIE}=${tokenIn(answer)}; ${ATTRIBUTES}${ending}`], what);
          assertPrivate(answer, "Sec-Fetch-Site", "Origin");
          assert.equal(await whoHas(behind, tokenIn(answer)), login.pending === undefined ? "ada" : "pending");
        }
      }
    }),
  },
  {
    name: "a login takes the place of the session before, which is dead once the answer is there",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, appOf({}, { carry: ["cart"] }));
      const { token, cookie } = await begin(behind, { cart: "tea", note: "of somebody" });
      const answer = await served.post("/login", { cookie });
      assert.equal(answer.text, "ada");
      assert.equal(await whoHas(behind, token), "ended: replaced");
      assert.equal((await served.get("/", { cookie })).text, "anonymous");
      assert.deepEqual(await dataOf(behind, tokenIn(answer)), { cart: "tea" });
    }),
  },
  {
    name: "a login takes the place of a pending one, which was nobody's until then",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const app = appOf({ "/password": (session) => session.login("ada", { pending: "second-factor" }) });
      const served = await serve(backstage(), app);
      const browser = visitor(served);
      assert.equal((await browser.post("/password")).text, "pending");
      const early = browser.cookies();
      assert.equal((await browser.get("/")).text, "pending");
      assert.equal((await browser.post("/login")).text, "ada");
      assert.equal((await browser.get("/")).text, "ada");
      assert.equal((await served.get("/", { cookie: early })).text, "anonymous");
    }),
  },
  {
    name: "the cookie is of the last session when one request logs in, out and in again",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async ({ session, respond }) => {
        await session.login("ada");
        await session.logout();
        await session.login("grace");
        respond.send(200);
      });
      assert.equal(await whoHas(behind, tokenIn(await served.post("/"))), "grace");
      assert.equal(await behind.sessions.count(), 1);
    }),
  },
  {
    name: "the cookie of a login goes out although nobody waited for the login",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ session, respond }) => {
        void session.login("ada");
        respond.send(200);
      });
      const { cookie } = await begin(behind, {});
      for (const headers of [{}, { cookie }]) {
        assert.equal(await whoHas(behind, tokenIn(await served.post("/", headers))), "ada");
      }
    }),
  },
  ...stepCases,
  {
    name: "sends no cookie of a failed login when the handler answers in its place",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async ({ session, respond }) => {
        await session.login("ada").catch(() => undefined);
        respond.send(200, `try again, ${whoIs(session)}`);
      });
      const { token, cookie } = await begin(behind, {});
      behind.failAt("admit");
      const { status, text, cookies } = await served.post("/", { cookie });
      assert.deepEqual([status, text, cookies], [200, "try again, anonymous", []]);
      assert.equal(await whoHas(behind, token), "anonymous");
    }),
  },
  {
    name: "a login for which there is no room is answered 403, and ends nothing",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ limits: { perUser: 1, onLimit: "reject" } });
      const served = await serve(behind, appOf());
      const first = visitor(served);
      await first.post("/login");
      const { token, cookie } = await begin(behind, {});
      const { status, cookies } = await served.post("/login", { cookie });
      assert.deepEqual([status, cookies], [403, []]);
      assert.equal(await whoHas(behind, token), "anonymous");
      assert.equal((await first.get("/")).text, "ada");
    }),
  },
  ...renewalCases,
  {
    name: "keepLogin ends the user's other sessions, and nobody else's",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, appOf({ "/keep": (session) => session.keepLogin("new") }));
      const { token: mine } = await behind.sessions.create({ userId: "ada" });
      const { token: other } = await behind.sessions.create({ userId: "ada" });
      const { token: graces } = await behind.sessions.create({ userId: "grace" });
      const kept = tokenIn(await served.post("/keep", { cookie: `${COOKIE}=${mine}` }));
      assert.equal(await whoHas(behind, kept), "ada");
      assert.equal(await whoHas(behind, other), "ended: stamp-changed");
      assert.equal(await whoHas(behind, graces), "grace");
    }),
  },
  {
    name: "makes no new token when the roles are the same, and answers 403 where nobody is logged in",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, appOf(Object.fromEntries(RENEWALS)));
      const { token } = await behind.sessions.create({ userId: "ada", roles: ["admin"] });
      assert.deepEqual((await served.post("/setRoles", { cookie: `${COOKIE}=${token}` })).cookies, []);
      assert.equal(await whoHas(behind, token), "ada");
      const nobody = await begin(behind, {});
      for (const [path] of RENEWALS) {
        const { status, cookies } = await served.post(path, { cookie: nobody.cookie });
        assert.deepEqual([status, cookies], [403, []]);
      }
      assert.equal(await whoHas(behind, nobody.token), "anonymous");
    }),
  },
  {
    name: "a flash message is shown once, behind a redirect and across a login, and not used up by an error page",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const served = await serve(backstage(), async ({ path, session, respond }) => {
        if (path === "/" || path === "/fails") {
          return respond.send(path === "/" ? 200 : 500, `[${session.flash("notice").join()}]`);
        }
        session.flash("notice", "Saved");
        if (path === "/login") await session.login("ada");
        return respond.send(303, null, { Location: "/" });
      });
      for (const path of ["/save", "/login"]) {
        const browser = visitor(served);
        const { status, headers } = await browser.post(path);
        assert.deepEqual([status, headers.get("location")], [303, "/"]);
        assert.equal((await browser.get("/fails")).status, 500);
        assert.equal((await browser.get("/")).text, "[Saved]");
        assert.equal((await browser.get("/")).text, "[]");
      }
    }),
  },
];
