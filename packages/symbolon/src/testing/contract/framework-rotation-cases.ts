/** Cases of tokens that rotate: the next one is stored before its cookie leaves, and comes with any answer. */
import assert from "node:assert/strict";
import { type ManualClock, manualClock } from "../manual-clock.ts";
import type { Answer } from "./framework-client.ts";
import {
  assertHeldBack,
  assertPrivate,
  type Backstage,
  COOKIE,
  dataOf,
  HTTPS,
  type Options,
  type Served,
  type Stage,
  staged,
  tokenIn,
} from "./framework-stage.ts";
import type { Exchange, FrameworkCase, Handler } from "./framework-target.ts";

const GRACE = 10_000;
const EVERY = 15 * 60_000;
const OTHER_SITE = { "Sec-Fetch-Site": "cross-site" };

/** Every way to answer, by the path. */
const ANSWERS: Readonly<Record<string, (exchange: Exchange) => unknown>> = {
  "/": ({ respond, session }) => respond.send(200, session.userId ?? "nobody"),
  "/untouched": ({ respond }) => respond.send(200, "a picture"),
  "/redirect": ({ respond }) => respond.send(302, null, { Location: "/next" }),
  "/missing": ({ respond }) => respond.send(404, "nothing here"),
  "/unmodified": ({ respond }) => respond.send(304),
  "/broken": ({ respond, session }) => {
    session.data["n"] = "never saved";
    respond.send(500, "broken");
  },
  "/thrown": ({ session }) => {
    session.data["n"] = "never saved";
    throw new Error("broken");
  },
  "/unsavable": ({ session, respond }) => {
    session.data["n"] = 1n;
    respond.send(200, "never sent");
  },
  "/stream": async ({ respond }) => {
    const body = respond.stream();
    await body.write("first");
    body.end("last");
  },
  "/refusal": ({ refusal, respond }) => {
    respond.send(200, refusal?.ended?.reason ?? refusal?.reason ?? "none");
  },
};

const app: Handler = async (exchange) => void (await ANSWERS[exchange.path]?.(exchange));

interface Scene {
  readonly behind: Backstage;
  readonly clock: ManualClock;
  readonly served: Served;
  readonly token: string;
  /** Asks with a token. */
  readonly asked: (token: string, path?: string) => Promise<Answer>;
}

/** A session that is due to rotate. */
async function scene({ backstage, serve }: Stage, options: Options = {}): Promise<Scene> {
  const clock = manualClock();
  const behind = backstage({ clock, ...options });
  const served = await serve(behind, app);
  const { token } = await behind.sessions.create({ userId: "ada", data: { n: 1 } });
  clock.advance(EVERY);
  const asked: Scene["asked"] = (held, path = "/") => served.get(path, { cookie: `${COOKIE}=${held}` });
  return { behind, clock, served, token, asked };
}

const PLAIN = ["/", "/redirect", "/broken"];

/** Cases of all answers, and of streams where a binding has them. */
function forAnswers(
  name: string,
  paths: readonly string[],
  play: (stage: Stage, path: string) => Promise<void>,
): FrameworkCase[] {
  return [paths, ["/stream"]].map((some): FrameworkCase => {
    return {
      name: `${name}: ${some.join(", ")}`,
      needs: some === paths ? [] : ["streams"],
      run: staged(async (stage) => {
        for (const path of some) await play(stage, path);
      }),
    };
  });
}

const dueCases = forAnswers(
  "a token that is due is replaced with any answer, which no cache may keep",
  [...PLAIN, "/untouched", "/missing", "/unmodified"],
  async (stage, path) => {
    const { behind, token, asked } = await scene(stage);
    const answer = await asked(token, path);
    const second = tokenIn(answer);
    assert.notEqual(second, token, path);
    assertPrivate(answer);
    assert.deepEqual(await dataOf(behind, second), { n: 1 });
    assert.equal((await asked(second)).text, "ada");
  },
);

const onceCases = forAnswers(
  "a token that is good once has the next one in any answer",
  [...PLAIN, "/thrown", "/unsavable"],
  async (stage, path) => {
    const { token, asked } = await scene(stage, { rotation: { grace: 0 } });
    const second = tokenIn(await asked(token, path));
    assert.deepEqual([path, (await asked(token)).text, (await asked(second)).text], [path, "nobody", "ada"]);
  },
);

/** Whether a persistent cookie comes anew when the session's end has moved: with the same token, and with a new one. */
const persistentCases = [false, undefined].map((every): FrameworkCase => {
  return {
    name: `a persistent cookie lasts no longer than the session, and is sent with ${every === false ? "a longer end" : "each new token"}`,
    needs: [],
    run: staged(async (stage) => {
      const { clock, asked, ...one } = await scene(stage, {
        cookie: { persistent: true },
        lifetime: { idle: "1h", absolute: "2h" },
        rotation: { ...(every === false && { every }) },
      });
      let { token } = one;
      for (const [minutes, seconds] of [
        [35, 3600],
        [50, 1200],
      ] as const) {
        clock.advance(minutes * 60_000);
        const touched = await asked(token);
        assert.equal(tokenIn(touched) === token, every === false);
        token = tokenIn(touched);
        assert.ok(touched.cookies[0]?.endsWith(`; Max-Age=${seconds}`), touched.cookies[0]);
        assertPrivate(touched);
        if (every === undefined) await asked(token);
      }
      clock.advance(1_200_000);
      const ended = await asked(token);
      assert.deepEqual([ended.text, ended.cookies], ["nobody", []]);
    }),
  };
});

/** The session has another token by now, which has arrived; all grace is over. */
async function stolen(stage: Stage): Promise<Scene & { readonly second: string }> {
  const one = await scene(stage);
  const second = tokenIn(await one.asked(one.token));
  await one.asked(second);
  one.clock.advance(GRACE);
  return { ...one, second };
}

export const rotationCases: readonly FrameworkCase[] = [
  ...dueCases,
  {
    name: "a token that is due is replaced or stays good when the handler throws, whose changes are not saved",
    needs: [],
    run: staged(async (stage) => {
      const { behind, token, asked } = await scene(stage);
      const thrown = await asked(token, "/thrown");
      assert.equal(thrown.status, 500);
      const held = thrown.cookies.length === 0 ? token : tokenIn(thrown);
      assert.deepEqual(await dataOf(behind, held), { n: 1 });
      assert.equal((await asked(held)).text, "ada");
    }),
  },
  {
    name: "the next token is stored before the header leaves",
    needs: [],
    run: staged(async (stage) => {
      const { behind, served, token } = await scene(stage);
      const gate = behind.hold("update");
      const asking = served.ask({ path: "/untouched", headers: { ...HTTPS, cookie: `${COOKIE}=${token}` } });
      await assertHeldBack(served, asking, gate);
      gate.open();
      assert.deepEqual(await dataOf(behind, tokenIn(await asking.answer)), { n: 1 });
    }),
  },
  {
    name: "fifty requests at once get the same next token, and the client stays logged in",
    needs: [],
    run: staged(async (stage) => {
      const { token, asked, clock } = await scene(stage);
      const all = await Promise.all(Array.from({ length: 50 }, () => asked(token)));
      const tokens = new Set(all.map((answer) => tokenIn(answer)));
      assert.equal(tokens.size, 1);
      const [second = ""] = tokens;
      assert.equal((await asked(second)).text, "ada");
      clock.advance(GRACE);
      assert.equal((await asked(second)).text, "ada");
      assert.equal((await asked(token)).text, "nobody");
    }),
  },
  {
    name: "a token that is due stays good when its client went away before the answer",
    needs: [],
    run: staged(async (stage) => {
      const { behind, served, token, asked } = await scene(stage);
      const gate = behind.hold("update");
      const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie: `${COOKIE}=${token}` } });
      await assertHeldBack(served, asking, gate);
      asking.abort();
      gate.open();
      const second = tokenIn(await asked(token));
      assert.equal(tokenIn(await asked(token)), second);
      assert.equal((await asked(second)).text, "ada");
    }),
  },
  {
    name: "a token that is due is not replaced where the store fails: the answer is 503, and it stays as it is",
    needs: [],
    run: staged(async (stage) => {
      const { behind, token, asked } = await scene(stage);
      behind.failAt("update");
      const { status, cookies } = await asked(token);
      assert.deepEqual([status, cookies], [503, []]);
      behind.faults.heal();
      assert.equal((await asked(token)).text, "ada");
    }),
  },
  {
    name: "a token that is due is not replaced by what another site may have sent",
    needs: [],
    run: staged(async (stage) => {
      const { behind, served, token } = await scene(stage);
      const { status, cookies } = await served.post("/", { ...OTHER_SITE, cookie: `${COOKIE}=${token}` });
      assert.deepEqual([status, cookies], [403, []]);
      assert.ok(!behind.calls().includes("update"));
    }),
  },
  ...onceCases,
  {
    name: "a token that is good once has the next one in the refusal of what another site may have sent",
    needs: [],
    run: staged(async (stage) => {
      const { served, token, asked } = await scene(stage, { rotation: { grace: 0 } });
      const refused = await served.post("/", { ...OTHER_SITE, cookie: `${COOKIE}=${token}` });
      assert.equal(refused.status, 403);
      assert.equal((await asked(tokenIn(refused))).text, "ada");
    }),
  },
  ...persistentCases,
  {
    name: "a token that was replaced and comes again ends the session; handlers can say why, and no cookie is sent",
    needs: [],
    run: staged(async (stage) => {
      const { token, second, asked } = await stolen(stage);
      for (const held of [token, second]) {
        const { status, text, cookies } = await asked(held, "/refusal");
        assert.deepEqual([status, text, cookies], [200, "reuse-detected", []]);
      }
    }),
  },
  {
    name: "a token that was replaced and comes again is answered 503 where the session cannot be ended",
    needs: [],
    run: staged(async (stage) => {
      const { behind, token, asked } = await stolen(stage);
      behind.failAt("delete");
      const { status, cookies } = await asked(token, "/refusal");
      assert.deepEqual([status, cookies], [503, []]);
      behind.faults.heal();
      assert.equal((await asked(token, "/refusal")).text, "reuse-detected");
    }),
  },
];
