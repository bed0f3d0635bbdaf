/** Cases of bodies that are sent bit by bit: what changes after the headers left is saved before the last byte. */
import assert from "node:assert/strict";
import { HeadersSentError } from "../../errors.ts";
import { begin, COOKIE, dataOf, nextWarning, staged, tokenIn, twoParts, whoHas } from "./framework-stage.ts";
import type { Exchange, FrameworkAbility, FrameworkCase } from "./framework-target.ts";

const needs: readonly FrameworkAbility[] = ["streams"];
const LARGE = 256 * 1024;

async function change({ session }: Exchange): Promise<void> {
  session.data["progress"] = "all";
}

/** Ways to begin a session that its client cannot be told of any more. */
const LATE: readonly (readonly [how: string, act: (exchange: Exchange) => unknown])[] = [
  ["by a change", change],
  [
    "by save()",
    async (exchange) => {
      await change(exchange);
      await exchange.session.save();
    },
  ],
  ["by login()", ({ session }) => session.login("ada")],
];

const lateCases = LATE.map(([how, act]): FrameworkCase => {
  return {
    name: `a response is cut when a session is begun ${how} after the headers left`,
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const { handler, begin: ask, goOn } = twoParts(act);
      const served = await serve(behind, handler);
      const asking = await ask(served);
      goOn();
      const { isCut, cookies } = await asking.answer;
      assert.deepEqual([isCut, cookies], [true, []]);
      assert.equal(await behind.sessions.count(), 0);
    }),
  };
});

/** What nobody can be answered any more, and is told to the process. */
const WARNINGS: readonly (readonly [what: string, hasSession: boolean, code: string])[] = [
  ["a session was begun", false, "ERR_HEADERS_SENT"],
  ["the data cannot be stored", true, "ERR_DATA_INVALID"],
];

const warningCases = WARNINGS.map(([what, hasSession, code]): FrameworkCase => {
  return {
    name: `a response is not cut in silence: a warning says that ${what} after the headers left`,
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const {
        handler,
        begin: ask,
        goOn,
      } = twoParts(({ session }) => {
        session.data["late"] = hasSession ? new Date() : true;
      });
      const served = await serve(behind, handler);
      const { cookie } = await begin(behind, {});
      const asking = await ask(served, hasSession ? { cookie } : {});
      const { warning, stop } = nextWarning();
      goOn();
      try {
        assert.equal((await asking.answer).isCut, true);
        assert.equal((await warning).code, code);
      } finally {
        stop();
      }
    }),
  };
});

export const streamCases: readonly FrameworkCase[] = [
  {
    name: "saves what changed after the first part of a body before its last byte",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const { handler, begin: ask, goOn } = twoParts(change);
      const served = await serve(behind, handler);
      const { token, cookie } = await begin(behind, { progress: "none" });
      const asking = await ask(served, { cookie });
      const gate = behind.hold("update");
      goOn();
      let isOver = false;
      const over = asking.answer.then(() => {
        isOver = true;
      });
      await Promise.race([gate.reached, over]);
      await served.get("/ping");
      assert.equal(isOver, false, "the last byte left before the store had answered");
      gate.open();
      const { text, isCut } = await asking.answer;
      assert.deepEqual([text, isCut], ["first last", false]);
      assert.deepEqual(await dataOf(behind, token), { progress: "all" });
    }),
  },
  {
    name: "a response is cut when what changed after the first part of the body cannot be saved",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const { handler, begin: ask, goOn } = twoParts(change);
      const served = await serve(behind, handler);
      const { token, cookie } = await begin(behind, { progress: "none" });
      const asking = await ask(served, { cookie });
      behind.faults.fail();
      goOn();
      assert.equal((await asking.answer).isCut, true);
      behind.faults.heal();
      assert.deepEqual(await dataOf(behind, token), { progress: "none" });
    }),
  },
  ...lateCases,
  ...warningCases,
  {
    name: "login, keepLogin and setRoles throw HeadersSentError once the headers have left, and change nothing",
    needs,
    run: staged(async ({ backstage, serve }) => {
      for (const method of ["login", "keepLogin", "setRoles"] as const) {
        const behind = backstage();
        const failures: unknown[] = [];
        const {
          handler,
          begin: ask,
          goOn,
        } = twoParts(async ({ session }) => {
          const changing = method === "setRoles" ? session.setRoles(["admin"]) : session[method]("grace");
          await Promise.resolve(changing).catch((error: unknown) => failures.push(error));
        });
        const served = await serve(behind, handler);
        const { token } = await behind.sessions.create({ userId: "ada" });
        const asking = await ask(served, { cookie: `${COOKIE}=${token}` });
        const before = behind.calls().length;
        goOn();
        const { isCut, text, cookies } = await asking.answer;
        assert.ok(failures[0] instanceof HeadersSentError, `${method} did not throw`);
        // The handler went on: its answer is whole.
        assert.deepEqual([isCut, text, cookies], [false, "first last", []]);
        assert.deepEqual(behind.calls().slice(before), []);
        assert.equal(await whoHas(behind, token), "ada");
      }
    }),
  },
  {
    name: "cuts the response of a handler that fails after the headers, and drops plain data",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const {
        handler,
        begin: ask,
        goOn,
      } = twoParts(({ session }) => {
        session.data["visits"] = 2;
        throw new Error("broken");
      });
      const served = await serve(behind, handler);
      const { token, cookie } = await begin(behind, { visits: 1 });
      const asking = await ask(served, { cookie });
      goOn();
      assert.equal((await asking.answer).isCut, true);
      assert.deepEqual(await dataOf(behind, token), { visits: 1 });
    }),
  },
  {
    name: "keeps a late change of a session with a persistent cookie, though that cookie cannot be sent again",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ cookie: { persistent: true } });
      const { handler, begin: ask, goOn } = twoParts(change);
      const served = await serve(behind, handler);
      const { token, cookie } = await begin(behind, {});
      const asking = await ask(served, { cookie });
      goOn();
      const { isCut, text } = await asking.answer;
      assert.deepEqual([isCut, text], [false, "first last"]);
      assert.deepEqual(await dataOf(behind, token), { progress: "all" });
    }),
  },
  {
    name: "keeps what changed while the first part of the body waited for the store",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ session, respond }) => {
        session.data["first"] = true;
        const body = respond.stream();
        void body.write("first ");
        session.data["second"] = true;
        body.end("last");
      });
      const { token, cookie } = await begin(behind, {});
      assert.equal((await served.get("/", { cookie })).text, "first last");
      assert.deepEqual(await dataOf(behind, token), { first: true, second: true });
    }),
  },
  {
    name: "carries a large body whole and in order past the wait for the store",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const chunks = Array.from({ length: 64 }, (_, index) => `${index}:`.padEnd(LARGE / 64, "."));
      const served = await serve(behind, async ({ session, respond }) => {
        session.data["downloads"] = 1;
        const body = respond.stream();
        for (const chunk of chunks) await body.write(chunk);
        body.end("end");
      });
      const answer = await served.get("/");
      assert.ok(answer.text === `${chunks.join("")}end`, "the body is not what was written");
      assert.deepEqual(await dataOf(behind, tokenIn(answer)), { downloads: 1 });
    }),
  },
];
