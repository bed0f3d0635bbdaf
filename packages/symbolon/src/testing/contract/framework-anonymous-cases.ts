/** Cases of visitors who are nobody yet, and of connections that carry no cookie. */
import assert from "node:assert/strict";
import { isSymbolonError } from "../../errors.ts";
import { assertPrivate, begin, OWN_PAGE, staged, whoIs } from "./framework-stage.ts";
import type { FrameworkCase } from "./framework-target.ts";

export const anonymousCases: readonly FrameworkCase[] = [
  {
    name: "an anonymous visitor costs no store call and gets no cookie while nothing is stored",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ session, respond }) => {
        respond.send(200, `${session.state} ${JSON.stringify(session.data)}`);
      });
      const answer = await served.get("/");
      assert.equal(answer.text, "anonymous {}");
      assert.deepEqual(answer.cookies, []);
      assert.deepEqual(behind.calls(), []);
    }),
  },
  {
    name: "an answer that depends on the session is kept by no shared cache, whatever the handler says",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const served = await serve(backstage(), ({ session, respond }) => {
        respond.send(200, session.userId ?? "nobody", { "Cache-Control": "public, max-age=60", Vary: "Accept" });
      });
      assertPrivate(await served.get("/"), "Accept");
    }),
  },
  {
    name: "an answer whose handler did not look at the session stays cacheable, and carries no cookie",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ respond }) => respond.send(200, "the same for all"));
      const { cookie } = await begin(behind, { name: "Ada" });
      for (const headers of [{}, { cookie }]) {
        const answer = await served.get("/", headers);
        assert.equal(answer.text, "the same for all");
        assert.deepEqual([answer.headers.has("cache-control"), answer.headers.has("vary")], [false, false]);
        assert.deepEqual(answer.cookies, []);
      }
    }),
  },
  {
    name: "an anonymous visitor who logs out gets no cookie and costs no write",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async ({ session, respond }) => {
        await session.logout();
        respond.send(204);
      });
      const { status, cookies } = await served.get("/");
      assert.deepEqual([status, cookies], [204, []]);
      assert.deepEqual(behind.calls(), []);
    }),
  },
  {
    name: "plain http neither reads a cookie nor sends one, and nothing is stored; an event says why",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ path, session, respond }) => {
        if (path === "/write") session.data["mine"] = true;
        respond.send(200, session.id === null ? "nobody" : "somebody");
      });
      const reasons: string[] = [];
      behind.sessions.on("cookie-withheld", ({ reason }) => reasons.push(reason));
      const { cookie } = await begin(behind, {});
      for (const headers of [{ cookie }, { cookie, "X-Forwarded-Proto": "http" }]) {
        for (const path of ["/", "/write"]) {
          const { status, text, cookies } = await served.ask({ path, headers }).answer;
          assert.deepEqual([status, text, cookies], [200, "nobody", []]);
        }
      }
      assert.deepEqual(behind.calls(), ["create"]);
      assert.deepEqual(reasons, ["insecure-connection", "insecure-connection"]);
    }),
  },
  {
    name: "a login over plain http throws NotSupportedError, and stores nothing",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const codes: unknown[] = [];
      const served = await serve(behind, async ({ path, session, respond }) => {
        try {
          await session.login("ada");
        } catch (error) {
          codes.push(isSymbolonError(error) ? error.code : error);
          if (path === "/thrown") throw error;
        }
        respond.send(200, whoIs(session));
      });
      const caught = await served.ask({ path: "/", method: "POST", headers: OWN_PAGE }).answer;
      assert.deepEqual([caught.status, caught.text, caught.cookies], [200, "anonymous", []]);
      const thrown = await served.ask({ path: "/thrown", method: "POST", headers: OWN_PAGE }).answer;
      assert.deepEqual([thrown.status, thrown.cookies], [500, []]);
      assert.deepEqual(codes, ["ERR_NOT_SUPPORTED", "ERR_NOT_SUPPORTED"]);
      assert.deepEqual(behind.calls(), []);
    }),
  },
];
