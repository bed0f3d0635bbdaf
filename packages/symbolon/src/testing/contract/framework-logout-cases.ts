/** Cases of the end of a session: the store first, then the cookie; and of what clients are told afterwards. */
import assert from "node:assert/strict";
import type { CookieOptions } from "../../core/options.ts";
import {
  assertHeldBack,
  assertPrivate,
  begin,
  COOKIE,
  dataOf,
  DELETION,
  HTTPS,
  OWN_PAGE,
  staged,
  tokenIn,
  visitor,
  whoHas,
  whoIs,
} from "./framework-stage.ts";
import type { FrameworkCase, Handler } from "./framework-target.ts";

const app: Handler = async ({ path, session, respond }) => {
  if (path.startsWith("/logout")) await session.logout();
  if (path === "/reset") session.reset();
  if (path === "/reset/fails") {
    session.reset();
    throw new Error("broken");
  }
  if (path === "/reset/write") session.reset();
  if (path.endsWith("write")) session.data["mine"] = true;
  respond.send(200, whoIs(session));
};

/** What ends a session, and the reason that is kept. */
const ENDINGS = [
  ["logout()", "/logout", "logout"],
  ["reset()", "/reset", "reset"],
] as const;

const endingCases = ENDINGS.map(([how, path, reason]): FrameworkCase => {
  return {
    name: `${how} ends the session on the server before the deletion of its cookie leaves; a copy is dead`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, app);
      const { token, cookie } = await begin(behind, { secret: 1 });
      const gate = behind.hold("delete");
      const asking = served.ask({ path, method: "POST", headers: { ...HTTPS, ...OWN_PAGE, cookie } });
      await assertHeldBack(served, asking, gate);
      gate.open();
      const answer = await asking.answer;
      assert.deepEqual([answer.text, answer.cookies], ["anonymous", [DELETION]]);
      assertPrivate(answer);
      assert.equal(await whoHas(behind, token), `ended: ${reason}`);
      assert.equal((await served.get("/", { cookie })).text, "anonymous");
    }),
  };
});

const COOKIES: readonly CookieOptions[] = [
  { partitioned: true },
  { path: "/app" },
  { domain: "app.example" },
  { sameSite: "Strict", persistent: true, priority: "High" },
];

export const logoutCases: readonly FrameworkCase[] = [
  ...endingCases,
  {
    name: "deletes a cookie with the attributes it was set with",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      for (const options of COOKIES) {
        const served = await serve(backstage({ cookie: options }), app);
        const set = await served.get("/write");
        const [pair = "", ...attributes] = (set.cookies[0] ?? "").split("; ");
        const { cookies } = await served.get("/logout", { cookie: pair });
        const kept = attributes.filter((attribute) => !attribute.startsWith("Max-Age="));
        assert.deepEqual(cookies, [[`${pair.split("=")[0]}=`, ...kept, "Max-Age=0"].join("; ")]);
      }
    }),
  },
  {
    name: "begins a new session with one cookie when data is written after a logout, or a reset",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, app);
      for (const path of ["/logout/write", "/reset/write"]) {
        const { token, cookie } = await begin(behind, { secret: 1 });
        const answer = await served.get(path, { cookie });
        assert.equal(answer.cookies.length, 1);
        assert.notEqual(tokenIn(answer), token);
        assert.deepEqual(await dataOf(behind, tokenIn(answer)), { mine: true });
        assert.equal(await dataOf(behind, token), null);
      }
    }),
  },
  {
    name: "deletes no cookie whose token was dead before: the browser may have a newer one by then",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, app);
      const { token, cookie } = await begin(behind, {});
      await behind.sessions.revokeToken(token);
      const answer = await served.get("/", { cookie });
      assert.deepEqual([answer.text, answer.cookies], ["anonymous", []]);
    }),
  },
  {
    name: "reset() changes nothing when the handler then fails, or the store does",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, app);
      const { token } = await behind.sessions.create({ userId: "ada" });
      const cookie = `${COOKIE}=${token}`;
      const failed = await served.get("/reset/fails", { cookie });
      assert.deepEqual([failed.status, failed.cookies], [500, []]);
      behind.failAt("delete");
      const unsaved = await served.get("/reset", { cookie });
      assert.deepEqual([unsaved.status, unsaved.cookies], [503, []]);
      behind.faults.heal();
      assert.equal(await whoHas(behind, token), "ada");
    }),
  },
  {
    name: "tells those who had to give way to a newer login, and takes no cookie away",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ limits: { perUser: 1 } });
      const served = await serve(behind, async (exchange) => {
        const { path, session, respond } = exchange;
        if (path === "/login") await session.login("ada");
        const refusal = path === "/login" ? null : exchange.refusal;
        respond.send(200, refusal === null ? whoIs(session) : `${refusal.reason}: ${refusal.ended?.reason}`);
      });
      const [first, second] = [visitor(served), visitor(served)];
      await first.post("/login");
      await second.post("/login");
      const told = await first.get("/");
      assert.deepEqual([told.text, told.cookies], ["ended: evicted", []]);
      assertPrivate(told);
      assert.equal((await second.get("/")).text, "ada");
    }),
  },
  {
    name: "a stamp that changed ends the session; the next request is told, and no cookie is taken away",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ cookie: { persistent: true } });
      const served = await serve(behind, async (exchange) => {
        const agrees = await exchange.session.checkStamp("new");
        const ended = exchange.refusal?.ended?.reason ?? "no refusal";
        exchange.respond.send(200, `${agrees} ${whoIs(exchange.session)}, ${ended}`);
      });
      const cookieOf = async (stamp: string): Promise<string> =>
        `${COOKIE}=${(await behind.sessions.create({ userId: "ada", stamp })).token}`;
      const [present, old] = [await cookieOf("new"), await cookieOf("old")];
      // The change may have been made in another tab of this browser, which has a newer cookie by then.
      for (const [cookie, told] of [
        [present, "true ada, no refusal"],
        [old, "false anonymous, no refusal"],
        [old, "false anonymous, stamp-changed"],
      ] as const) {
        const answer = await served.get("/", { cookie });
        assert.deepEqual([answer.text, answer.cookies], [told, []]);
        assertPrivate(answer);
      }
      assert.equal(await behind.sessions.count(), 1);
    }),
  },
  {
    name: "says why a token opened no session, in an answer that stays private",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ refusal, respond }) => {
        respond.send(200, refusal === null ? "none" : [refusal.reason, refusal.ended?.reason].join(" ").trim());
      });
      const { token, cookie } = await begin(behind, {});
      const refused = async (header: string): Promise<string> => {
        const answer = await served.get("/", { cookie: header });
        assertPrivate(answer);
        return answer.text;
      };
      assert.equal(await refused(cookie), "none");
      await behind.sessions.revokeToken(token, "evicted");
      assert.equal(await refused(cookie), "ended evicted");
      assert.equal(await refused(`${COOKIE}=x`), "malformed");
      assert.equal(await refused(`${COOKIE}=x; ${COOKIE}=y`), "ambiguous");
    }),
  },
];
