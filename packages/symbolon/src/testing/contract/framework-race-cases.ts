/** Cases of two requests of one session at once: what ended stays ended, and no late answer takes a login away. */
import assert from "node:assert/strict";
import type { Session } from "../../core/session.ts";
import { manualClock } from "../manual-clock.ts";
import { deferred } from "./framework-client.ts";
import { appOf } from "./framework-login-cases.ts";
import { begin, COOKIE, dataOf, HTTPS, staged, tokenIn, whoHas } from "./framework-stage.ts";
import type { FrameworkCase, Handler } from "./framework-target.ts";

/** An application whose `/slow` waits in its handler, and then writes. */
function slowApp(): { readonly handler: Handler; readonly reached: Promise<void>; readonly open: () => void } {
  const [reached, opened] = [deferred(), deferred()];
  const slow = async (session: Session): Promise<void> => {
    session.data["seen"] = session.userId;
    reached.resolve();
    await opened.promise;
    session.data["slow"] = true;
  };
  const handler = appOf(
    {
      "/slow": slow,
      "/logout": (session) => session.logout(),
      "/roles": (session) => session.setRoles(["admin"]),
    },
    { carry: ["cart"] },
  );
  return { handler, reached: reached.promise, open: () => opened.resolve() };
}

/** What ends a session while another request of it is under way, and how its record says so. */
const ENDINGS = [
  ["logs in", "/login", "ended: replaced"],
  ["logs out", "/logout", "ended: logout"],
] as const;

const PLACES = ["handler", "store"] as const;

const endingCases = ENDINGS.flatMap(([what, path, ended]) =>
  PLACES.map((place): FrameworkCase => {
    return {
      name: `a request that ${what} wins over one that waits in its ${place}, which then sends no cookie at all`,
      needs: [],
      run: staged(async ({ backstage, serve }) => {
        const behind = backstage({ cookie: { persistent: true } });
        const app = slowApp();
        const served = await serve(behind, app.handler);
        const { token, cookie } = await begin(behind, { cart: "tea" });
        const gate = place === "store" ? behind.hold("update") : null;
        const slow = served.ask({ path: "/slow", headers: { ...HTTPS, cookie } });
        if (gate !== null) app.open();
        await (gate?.reached ?? app.reached);
        const { cookies } = await served.post(path, { cookie });
        assert.equal(cookies.length, 1);
        app.open();
        gate?.open();
        const late = await slow.answer;
        // A cookie of the dead session, or its deletion, would take the login away again.
        assert.deepEqual([late.status, late.cookies], [200, []]);
        assert.equal(await whoHas(behind, token), ended);
        assert.equal(await behind.sessions.count({ userId: "ada" }), path === "/login" ? 1 : 0);
      }),
    };
  }),
);

/** What becomes of a request whose session got another token meanwhile. */
const REPLACED = [
  ["keeps its change where the session had data", { seen: "never" }, 200],
  ["is answered 409 where the session had none", undefined, 409],
] as const;

const replacedCases = REPLACED.map(([what, data, status]): FrameworkCase => {
  return {
    name: `a request whose token is replaced meanwhile sends no cookie, and ${what}`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ cookie: { persistent: true } });
      const app = slowApp();
      const served = await serve(behind, app.handler);
      const { token } = await behind.sessions.create({ userId: "ada", ...(data !== undefined && { data }) });
      const cookie = `${COOKIE}=${token}`;
      const slow = served.ask({ path: "/slow", headers: { ...HTTPS, cookie } });
      await app.reached;
      const renewed = await served.post("/roles", { cookie });
      app.open();
      const late = await slow.answer;
      assert.deepEqual([late.status, late.cookies], [status, []]);
      const kept = await dataOf(behind, tokenIn(renewed));
      assert.deepEqual(kept, status === 200 ? { seen: "ada", slow: true } : {});
    }),
  };
});

export const frameworkRaceCases: readonly FrameworkCase[] = [
  ...endingCases,
  ...replacedCases,
  {
    name: "two logins of one session at once get a cookie each, and the session of before is dead",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, appOf());
      const { token, cookie } = await begin(behind, {});
      const haveBoth = deferred();
      let waiting = 0;
      behind.faults.before(async (method) => {
        if (method !== "admit") return;
        if (++waiting === 2) haveBoth.resolve();
        await haveBoth.promise;
      });
      const answers = await Promise.all([1, 2].map(() => served.post("/login", { cookie })));
      const tokens = answers.map((answer) => tokenIn(answer));
      assert.equal(new Set(tokens).size, 2);
      for (const issued of tokens) assert.equal(await whoHas(behind, issued), "ada");
      assert.equal(await whoHas(behind, token), "ended: replaced");
    }),
  },
  {
    name: "a request that arrives with the cookie of before a login begins no session, for a minute",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const clock = manualClock();
      const behind = backstage({ clock });
      const served = await serve(behind, appOf({ "/write": (session) => void (session.data["late"] = true) }));
      const { cookie } = await begin(behind, {});
      await served.post("/login", { cookie });
      clock.advance(59_999);
      // A cookie of its own would take the place of the login's.
      const late = await served.get("/write", { cookie });
      assert.deepEqual([late.status, late.text, late.cookies], [200, "anonymous", []]);
      // It may log in all the same.
      assert.equal(await whoHas(behind, tokenIn(await served.post("/login", { cookie }))), "ada");
      clock.advance(1);
      assert.deepEqual(await dataOf(behind, tokenIn(await served.get("/write", { cookie }))), { late: true });
    }),
  },
];
