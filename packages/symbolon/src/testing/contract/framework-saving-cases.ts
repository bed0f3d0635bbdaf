/** Cases of what is saved before anything is sent. */
import assert from "node:assert/strict";
import {
  assertHeldBack,
  assertPrivate,
  ATTRIBUTES,
  begin,
  COOKIE,
  dataOf,
  HTTPS,
  OWN_PAGE,
  staged,
  tokenIn,
  visitor,
} from "./framework-stage.ts";
import type { Exchange, FrameworkCase } from "./framework-target.ts";

/** Every way to answer without a stream. */
const ANSWERS: readonly (readonly [
  what: string,
  method: string,
  status: number,
  answer: (exchange: Exchange) => void,
])[] = [
  ["a page", "GET", 200, ({ respond }) => respond.send(200, "done")],
  ["a redirect", "GET", 302, ({ respond }) => respond.send(302, null, { Location: "/next" })],
  ["an answer to HEAD", "HEAD", 200, ({ respond }) => respond.send(200)],
  ["no content", "POST", 204, ({ respond }) => respond.send(204)],
  ["not modified", "GET", 304, ({ respond }) => respond.send(304)],
  ["an error of the client's", "GET", 404, ({ respond }) => respond.send(404, "nothing here")],
];

const answerCases = ANSWERS.map(([what, method, status, answer]): FrameworkCase => {
  return {
    name: `sends no byte of ${what} before the store has the data`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, (exchange) => {
        exchange.session.data["visits"] = 2;
        return answer(exchange);
      });
      const { token, cookie } = await begin(behind, { visits: 1 });
      const gate = behind.hold("update");
      const asking = served.ask({ path: "/", method, headers: { ...HTTPS, ...OWN_PAGE, cookie } });
      await assertHeldBack(served, asking, gate);
      gate.open();
      const { status: came, cookies } = await asking.answer;
      assert.deepEqual([came, cookies], [status, []]);
      assert.deepEqual(await dataOf(behind, token), { visits: 2 });
    }),
  };
});

export const savingCases: readonly FrameworkCase[] = [
  ...answerCases,
  {
    name: "sends the cookie of a new session only when the store has it",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ session, respond }) => {
        session.data["name"] = "Ada";
        respond.send(200, "hello");
      });
      const gate = behind.hold("create");
      const asking = served.ask({ path: "/", headers: HTTPS });
      await assertHeldBack(served, asking, gate);
      gate.open();
      const answer = await asking.answer;
      assert.equal(answer.text, "hello");
      assert.deepEqual(await dataOf(behind, tokenIn(answer)), { name: "Ada" });
    }),
  },
  {
    name: "counts one by one over many reloads, with one cookie, in a private answer",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const served = await serve(backstage(), ({ session, respond }) => {
        const count = Number(session.data["count"] ?? 0) + 1;
        session.data["count"] = count;
        respond.send(200, `count ${count}`);
      });
      const browser = visitor(served);
      const first = await browser.get("/");
      assert.deepEqual(first.cookies, [`${COOKIE}=${tokenIn(first)}; ${ATTRIBUTES}`]);
      assertPrivate(first);
      for (let count = 2; count <= 10; count++) {
        const { text, cookies } = await browser.get("/");
        assert.deepEqual([text, cookies], [`count ${count}`, []]);
      }
      assert.equal((await visitor(served).get("/")).text, "count 1");
    }),
  },
  {
    name: "keeps the handler's own cookies beside the session's, each in a line of its own",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ session, respond }) => {
        session.data["name"] = "Ada";
        respond.send(200, "hello", { "Set-Cookie": "theme=dark; Path=/" });
      });
      const answer = await served.get("/");
      assert.deepEqual(answer.cookies.toSorted(), [
        `${COOKIE}=${tokenIn(answer)}; ${ATTRIBUTES}`,
        "theme=dark; Path=/",
      ]);
    }),
  },
  {
    name: "saves what a handler changed although its client went away before the answer",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ path, session, respond }) => {
        if (path === "/write") session.data["visits"] = 2;
        respond.send(200, String(session.data["visits"]));
      });
      const { cookie } = await begin(behind, { visits: 1 });
      const gate = behind.hold("update");
      const asking = served.ask({ path: "/write", headers: { ...HTTPS, cookie } });
      await assertHeldBack(served, asking, gate);
      asking.abort();
      await asking.answer.catch(() => undefined);
      // Another request goes all the way round: the server has had every chance to notice.
      assert.equal((await served.get("/", { cookie })).text, "1");
      gate.open();
      assert.equal((await served.get("/", { cookie })).text, "2");
    }),
  },
];
