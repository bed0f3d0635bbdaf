/** Cases of tokens: where they are looked for, what of them proves nothing, and where they are never sent. */
import assert from "node:assert/strict";
import { begin, COOKIE, dataOf, HTTPS, makeBackstage, staged, tokenIn, whoHas, whoIs } from "./framework-stage.ts";
import type { FrameworkCase, Handler } from "./framework-target.ts";

/** Shows whether there is a session, and stores something on `/write`. */
const whoami: Handler = ({ path, session, respond }) => {
  if (path === "/write") session.data["mine"] = true;
  respond.send(200, session.id ?? session.state);
};

/** A token of the right shape that another server made. */
async function foreignToken(): Promise<string> {
  const { sessions } = makeBackstage();
  const { token } = await sessions.create();
  await sessions.close();
  return token;
}

/** Tokens that prove nothing, made from one that does. */
const FORGERIES: readonly (readonly [what: string, forge: (token: string) => string | Promise<string>])[] = [
  ["of another server", foreignToken],
  ["with a changed tag", (token) => token.slice(0, -1) + (token.endsWith("A") ? "Q" : "A")],
  ["cut short", (token) => token.slice(0, -1)],
  ["made longer", (token) => `${token}A`],
  ["escaped", (token) => token.replace("_", "%5F")],
  ["of unprintable bytes", () => "\u0080\u00ff"],
  ["that is empty", () => ""],
  ["that is huge", () => "A".repeat(6000)],
];

const bearerCases: readonly FrameworkCase[] = [
  {
    name: "a bearer token is taken where that is switched on, and gets no cookie",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ bearer: true, cookie: { persistent: true } });
      const served = await serve(behind, whoami);
      const { token } = await begin(behind, {});
      const read = await served.get("/", { authorization: `bearer ${token}` });
      assert.notEqual(read.text, "anonymous");
      assert.match(read.headers.get("vary") ?? "", /\bAuthorization\b/);
      const written = await served.get("/write", { authorization: `Bearer ${token}` });
      assert.deepEqual([written.status, written.cookies], [200, []]);
      assert.deepEqual(await dataOf(behind, token), { mine: true });
      for (const authorization of [`Basic ${token}`, `Bearer ${token}, Bearer ${token}`, `Bearer${token}`, token]) {
        assert.equal((await served.get("/", { authorization })).text, "anonymous");
      }
    }),
  },
  {
    name: "a bearer client gets no cookie either when it logs out, nor for a token that proves nothing",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ bearer: true });
      const served = await serve(behind, async ({ path, session, respond }) => {
        if (path === "/logout") await session.logout();
        else session.data["mine"] = true;
        respond.send(200, "done");
      });
      const { token } = await begin(behind, {});
      const authorization = `Bearer ${token}`;
      assert.deepEqual((await served.get("/logout", { authorization })).cookies, []);
      assert.equal(await behind.sessions.validate(token), null);
      assert.deepEqual((await served.get("/", { authorization })).cookies, []);
      assert.deepEqual((await served.get("/", { authorization: "Bearer nothing" })).cookies, []);
    }),
  },
  {
    name: "a client without cookies takes the token of its login from the body, once, and gets no cookie",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ bearer: true, cookie: { persistent: true } });
      const served = await serve(behind, async ({ path, session, respond }) => {
        if (path !== "/login") return respond.send(200, whoIs(session));
        await session.login("ada");
        const token = session.takeToken();
        return respond.send(200, JSON.stringify([token, session.takeToken()]));
      });
      const { token: early } = await begin(behind, {});
      for (const headers of [{ authorization: `Bearer ${early}` }, { authorization: "Bearer nothing" }, {}]) {
        const answer = await served.post("/login", headers);
        const [token, again] = JSON.parse(answer.text) as [string, unknown];
        assert.deepEqual([answer.status, answer.cookies, again], [200, [], null]);
        const next = await served.get("/", { authorization: `Bearer ${token}` });
        assert.deepEqual([next.text, next.cookies], ["ada", []]);
      }
      assert.equal(await whoHas(behind, early), "ended: replaced");
    }),
  },
];

export const tokenCases: readonly FrameworkCase[] = [
  {
    name: "a token that proves nothing is anonymous, is never adopted, and reaches no store",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      for (const [what, forge] of FORGERIES) {
        const behind = backstage();
        const served = await serve(behind, whoami);
        const { token } = await begin(behind, {});
        const cookie = `${COOKIE}=${await forge(token)}`;
        const { text, cookies } = await served.get("/", { cookie });
        assert.deepEqual([what, text, cookies], [what, "anonymous", []]);
        assert.deepEqual([what, behind.calls()], [what, ["create"]]);
        const issued = tokenIn(await served.get("/write", { cookie }));
        assert.notEqual(cookie, `${COOKIE}=${issued}`, what);
        assert.deepEqual(await dataOf(behind, issued), { mine: true });
      }
    }),
  },
  {
    name: "a token is not found elsewhere than in its cookie",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, whoami);
      const { token } = await begin(behind, {});
      const headers = {
        ...HTTPS,
        cookie: `sid=${token}; __Secure-sid=${token}; __host-sid=${token}; x__Host-sid=${token}`,
        authorization: `Bearer ${token}`,
        "x-session": token,
        "content-type": "application/x-www-form-urlencoded",
      };
      const path = `/?sid=${token}&${COOKIE}=${token}&token=${token}`;
      const { text, cookies } = await served.ask({ path, method: "POST", headers, body: `${COOKIE}=${token}` }).answer;
      assert.deepEqual([text, cookies], ["anonymous", []]);
      assert.deepEqual(behind.calls(), ["create"]);
    }),
  },
  {
    name: "a cookie that comes twice with different values opens no session, and an event says so",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, whoami);
      const events: string[] = [];
      behind.sessions.on("ambiguous-cookie", ({ name }) => events.push(name));
      const first = await begin(behind, {});
      const second = await begin(behind, {});
      for (const cookie of [`${first.cookie}; ${second.cookie}`, [second.cookie, "a=1", first.cookie]]) {
        const { text, cookies } = await served.get("/", { cookie });
        assert.deepEqual([text, cookies], ["anonymous", []]);
      }
      assert.deepEqual(events, [COOKIE, COOKIE]);
      for (const cookie of [`${first.cookie}; ${first.cookie}`, ["a=1", first.cookie, "b=2"]]) {
        assert.notEqual((await served.get("/", { cookie })).text, "anonymous");
      }
    }),
  },
  {
    name: "a token is sent in Set-Cookie and nowhere else, and never again while it stays the same",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const served = await serve(backstage(), ({ session, respond }) => {
        session.data["count"] = Number(session.data["count"] ?? 0) + 1;
        respond.send(200, JSON.stringify([session, session.id, session.data]));
      });
      const first = await served.get("/");
      const token = tokenIn(first);
      const others = [...first.headers].filter(([name]) => name !== "set-cookie");
      assert.ok(!(JSON.stringify(others) + first.text).includes(token));
      const second = await served.get("/", { cookie: `${COOKIE}=${token}` });
      assert.deepEqual(second.cookies, []);
      assert.ok(!(JSON.stringify([...second.headers]) + second.text).includes(token));
    }),
  },
  ...bearerCases,
];
