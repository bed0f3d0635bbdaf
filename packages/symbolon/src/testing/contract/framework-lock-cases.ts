/** Cases of the option `lock`: a request has its session's lock from before it reads until its response is decided. */
import assert from "node:assert/strict";
import { ConflictError } from "../../errors.ts";
import { deferred } from "./framework-client.ts";
import { type Backstage, begin, COOKIE, dataOf, HTTPS, staged, twoParts } from "./framework-stage.ts";
import type { Exchange, FrameworkAbility, FrameworkCase, Handler } from "./framework-target.ts";

const needs: readonly FrameworkAbility[] = ["locks"];

/** Loses what others count meanwhile, unless they are kept out. */
const countUp: Handler = async ({ session, respond }) => {
  const count = Number(session.data["n"]);
  await new Promise((resolve) => setTimeout(resolve, 2));
  session.data["n"] = count + 1;
  respond.send(200, "counted");
};

const showState: Handler = ({ session, respond }) => respond.send(200, session.state);

/** Insists that somebody else can have the session's lock as soon as a release that is on its way has arrived. */
async function assertFree({ sessions }: Backstage, token: string): Promise<void> {
  await (await sessions.validate(token))?.lock({ wait: 5000 }, () => undefined);
}

/** The ways to answer, and to fail. */
const ENDINGS: readonly (readonly [how: string, status: number, end: (exchange: Exchange) => unknown])[] = [
  ["a redirect", 302, ({ respond }) => respond.send(302, null, { Location: "/next" })],
  ["an answer of 503", 503, ({ respond }) => respond.send(503, "sorry")],
  [
    "a handler that throws",
    500,
    () => {
      throw new Error("broken");
    },
  ],
  [
    "a handler that throws what it was told",
    409,
    () => {
      throw new ConflictError("somebody else was first");
    },
  ],
];

const endingCases = ENDINGS.map(([how, status, end]): FrameworkCase => {
  return {
    name: `the session's lock is free after ${how}`,
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async (exchange) => void (await end(exchange)), undefined, [{ lock: true }]);
      const { token, cookie } = await begin(behind, { n: 0 });
      assert.equal((await served.get("/", { cookie })).status, status);
      await assertFree(behind, token);
    }),
  };
});

export const frameworkLockCases: readonly FrameworkCase[] = [
  {
    name: "the session's lock lets requests in one after the other, and loses nothing they counted",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      let [inside, most] = [0, 0];
      const counting: Handler = async (exchange) => {
        most = Math.max(most, ++inside);
        await countUp(exchange);
        inside--;
      };
      const served = await serve(behind, counting, undefined, [{ lock: true }]);
      const { token, cookie } = await begin(behind, { n: 0 });
      const answers = await Promise.all(Array.from({ length: 20 }, () => served.get("/", { cookie })));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
      assert.equal(most, 1);
      assert.deepEqual(await dataOf(behind, token), { n: 20 });
    }),
  },
  {
    name: "the session's lock costs the store nothing for a visitor, or for a token that proves nothing",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, showState, undefined, [{ lock: true }]);
      const { token } = await begin(behind, {});
      const forged = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
      for (const headers of [{}, { cookie: `${COOKIE}=${forged}` }, { cookie: `${COOKIE}=nonsense` }]) {
        assert.equal((await served.get("/", headers)).text, "anonymous");
      }
      assert.deepEqual(behind.calls(), ["create"]);
    }),
  },
  ...endingCases,
  {
    name: "the session's lock is free when the store could not save, which is answered 503",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, countUp, undefined, [{ lock: true }]);
      const { token, cookie } = await begin(behind, { n: 0 });
      behind.failAt("updateUnderLock");
      const { status, headers } = await served.get("/", { cookie });
      assert.deepEqual([status, headers.get("retry-after")], [503, "5"]);
      behind.faults.heal();
      await assertFree(behind, token);
      assert.deepEqual(await dataOf(behind, token), { n: 0 });
    }),
  },
  {
    name: "the session's lock is free once the header has left, and what changes after that is saved without it",
    needs: ["locks", "streams"],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const { handler, begin: ask, goOn } = twoParts(({ session }) => void (session.data["late"] = true));
      const served = await serve(behind, handler, undefined, [{ lock: true }]);
      const { token, cookie } = await begin(behind, {});
      const asking = await ask(served, { cookie });
      await assertFree(behind, token);
      goOn();
      assert.equal((await asking.answer).text, "first last");
      assert.deepEqual(await dataOf(behind, token), { late: true });
    }),
  },
  {
    name: "a lock that others have for too long is answered 503, to be tried again, and nothing is run",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      let isRun = false;
      const run: Handler = ({ respond }) => {
        isRun = true;
        respond.send(200);
      };
      const served = await serve(behind, run, undefined, [{ lock: { wait: 0 } }]);
      const { token, cookie } = await begin(behind, {});
      const holder = await behind.sessions.validate(token);
      await holder?.lock(async () => {
        const { status, headers } = await served.get("/", { cookie });
        assert.deepEqual([status, headers.get("retry-after")], [503, "5"]);
      });
      assert.equal(isRun, false);
      assert.equal((await served.get("/", { cookie })).status, 200);
    }),
  },
  {
    name: "a session that was saved meanwhile without the lock stays so, and the request under it is answered 409",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const { token, cookie } = await begin(behind, { n: 0 });
      const racing: Handler = async (exchange) => {
        await (await behind.sessions.validate(token))?.update((data) => void (data["n"] = 50));
        await countUp(exchange);
      };
      const served = await serve(behind, racing, undefined, [{ lock: true }]);
      const { status, text } = await served.get("/", { cookie });
      assert.deepEqual([status, text.includes("counted")], [409, false]);
      assert.deepEqual(await dataOf(behind, token), { n: 50 });
      await assertFree(behind, token);
    }),
  },
  {
    name: "a client that goes away while its handler hangs does not keep the lock",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const hangs = deferred();
      const hang: Handler = async () => {
        hangs.resolve();
        await new Promise(() => undefined);
      };
      // So soon a lock is free that nobody renews.
      const served = await serve(behind, hang, undefined, [{ lock: { lease: 300 } }]);
      const { token, cookie } = await begin(behind, {});
      const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
      await hangs.promise;
      asking.abort();
      await asking.answer.catch(() => undefined);
      // Waits as long as locks are waited for.
      await (await behind.sessions.validate(token))?.lock(() => undefined);
    }),
  },
  {
    name: "a lock can be taken by a binding inside another of the same manager, with one read more",
    needs: ["locks", "several"],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve([behind, behind], countUp, undefined, [{}, { lock: true }]);
      const { token, cookie } = await begin(behind, { n: 0 });
      await served.get("/", { cookie });
      assert.deepEqual(behind.calls(), ["create", "read", "read", "updateUnderLock"]);
      await Promise.all(Array.from({ length: 10 }, () => served.get("/", { cookie })));
      assert.deepEqual(await dataOf(behind, token), { n: 11 });
    }),
  },
];
