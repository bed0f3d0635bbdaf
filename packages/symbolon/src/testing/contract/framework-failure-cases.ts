/** Cases of handlers that fail, of data that cannot be stored, and of stores that fail. */
import assert from "node:assert/strict";
import type { Session } from "../../core/session.ts";
import {
  assertPrivate,
  begin,
  dataOf,
  DELETION,
  nextWarning,
  type Options,
  staged,
  tokenIn,
  visitor,
} from "./framework-stage.ts";
import type { Exchange, FrameworkCase } from "./framework-target.ts";

/** Ways to fail, and what is answered. */
const FAILURES: readonly (readonly [how: string, status: number, fail: (exchange: Exchange) => unknown])[] = [
  [
    "throws at once",
    500,
    () => {
      throw new Error("broken");
    },
  ],
  ["rejects", 500, () => Promise.reject(new Error("broken"))],
  ["answers 500 itself", 500, ({ respond }) => respond.send(500, "sorry")],
  ["answers 503 itself", 503, ({ respond }) => respond.send(503, "sorry")],
];

const failureCases = FAILURES.flatMap(([how, status, fail]): FrameworkCase[] => [
  {
    name: `drops plain data of a handler that ${how}, and begins no session`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async (exchange) => {
        exchange.session.data["visits"] = 2;
        await fail(exchange);
      });
      const { token, cookie } = await begin(behind, { visits: 1 });
      for (const headers of [{ cookie }, {}]) {
        const { status: came, cookies } = await served.get("/", headers);
        assert.deepEqual([came, cookies], [status, []]);
      }
      assert.deepEqual(await dataOf(behind, token), { visits: 1 });
      assert.deepEqual(
        behind.calls().filter((call) => call !== "read"),
        ["create"],
      );
      const known = served.reported.map(String);
      assert.ok(
        known.every((text) => text === "Error: broken"),
        "something else was reported",
      );
    }),
  },
  {
    name: `sends the cookie of a login although the handler then ${how}`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async (exchange) => {
        await exchange.session.login("ada");
        exchange.session.data["dropped"] = true;
        await fail(exchange);
      });
      const { token, cookie } = await begin(behind, {});
      const answer = await served.post("/", { cookie });
      assert.equal(answer.status, status);
      assertPrivate(answer);
      assert.deepEqual(await dataOf(behind, tokenIn(answer)), {});
      assert.equal((await behind.sessions.validate(tokenIn(answer)))?.userId, "ada");
      assert.equal(await behind.sessions.validate(token), null);
    }),
  },
]);

/** What is written when it is called. */
const COMMITS: readonly (readonly [how: string, commit: (session: Session) => Promise<unknown>])[] = [
  [
    "save()",
    (session) => {
      session.data["kept"] = true;
      return session.save();
    },
  ],
  ["update()", (session) => session.update((data) => void (data["kept"] = true))],
];

const commitCases = COMMITS.map(([how, commit]): FrameworkCase => {
  return {
    name: `keeps what ${how} wrote before the handler failed, and its cookie goes out`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async ({ session }) => {
        await commit(session);
        session.data["dropped"] = true;
        throw new Error("broken");
      });
      const answer = await served.get("/");
      assert.equal(answer.status, 500);
      assertPrivate(answer);
      assert.deepEqual(await dataOf(behind, tokenIn(answer)), { kept: true });
    }),
  };
});

/** What cannot be saved when the handler has answered, and what is answered instead. */
const UNSAVED: readonly (readonly [
  what: string,
  status: number,
  options: Options,
  change: (session: Session) => void,
])[] = [
  ["data that cannot be stored", 500, {}, (session) => void (session.data["when"] = new Date())],
  ["data over the bounds", 413, { bounds: { bytes: 100 } }, (session) => void (session.data["text"] = "x".repeat(200))],
];

const unsavedCases = UNSAVED.map(([what, status, options, change]): FrameworkCase => {
  return {
    name: `answers ${status} to ${what}, sends nothing of the handler's, and leaves the session as it was`,
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage(options);
      const served = await serve(behind, ({ session, respond }) => {
        change(session);
        respond.send(200, "secret page", { "Content-Type": "text/x-own", ETag: '"own"', Location: "/own" });
      });
      const { token, cookie } = await begin(behind, { visits: 1 });
      const { warning, stop } = nextWarning();
      try {
        const answer = await served.get("/", { cookie });
        assert.deepEqual([answer.status, answer.cookies], [status, []]);
        assert.ok(!answer.text.includes("secret page"));
        assert.deepEqual([answer.headers.has("etag"), answer.headers.has("location")], [false, false]);
        assert.notEqual(answer.headers.get("content-type"), "text/x-own");
        // Somebody is told: an error handler, or the process.
        const told = served.reported[0] ?? (await warning);
        assert.equal((told as { status?: unknown }).status, status);
      } finally {
        stop();
      }
      assert.deepEqual(await dataOf(behind, token), { visits: 1 });
    }),
  };
});

const dataCases: readonly FrameworkCase[] = [
  ...unsavedCases,
  {
    name: "sends the cookie of what save() stored before the data became impossible",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async ({ session, respond }) => {
        session.data["name"] = "Ada";
        await session.save();
        session.data["when"] = new Date();
        respond.send(200, "page");
      });
      const answer = await served.get("/");
      assert.equal(answer.status, 500);
      assert.deepEqual(await dataOf(behind, tokenIn(answer)), { name: "Ada" });
    }),
  },
  {
    name: "answers 409 to a strict conflict",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ conflicts: "strict" });
      const { token, cookie } = await begin(behind, { visits: 1 });
      const served = await serve(behind, async ({ session, respond }) => {
        session.data["visits"] = 2;
        const other = await behind.sessions.validate(token);
        await other?.update((data) => void (data["visits"] = 10));
        respond.send(200, "page");
      });
      const { status, text } = await served.get("/", { cookie });
      assert.equal(status, 409);
      assert.ok(!text.includes("page"));
      assert.deepEqual(await dataOf(behind, token), { visits: 10 });
    }),
  },
];

const storeCases: readonly FrameworkCase[] = [
  {
    name: "answers 503 when the store cannot be read, without a deletion, and recovers without a restart",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ session, respond }) => {
        const count = Number(session.data["count"] ?? 0) + 1;
        session.data["count"] = count;
        respond.send(200, `count ${count}`);
      });
      const browser = visitor(served);
      await browser.get("/");
      behind.faults.fail();
      const failed = await browser.get("/");
      assert.deepEqual([failed.status, failed.cookies], [503, []]);
      assert.ok(!failed.text.includes("count"));
      behind.faults.heal();
      assert.equal((await browser.get("/")).text, "count 2");
    }),
  },
  {
    name: "answers 503 instead of the handler's answer when the store cannot be written",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, ({ session, respond }) => {
        session.data["visits"] = 2;
        respond.send(201, "made", { "Content-Type": "text/x-own", "Content-Length": "4", ETag: '"own"' });
      });
      const { token, cookie } = await begin(behind, { visits: 1 });
      behind.failAt("create", "update");
      for (const headers of [{ cookie }, {}]) {
        const answer = await served.get("/", headers);
        assert.deepEqual([answer.status, answer.cookies, answer.headers.has("etag")], [503, [], false]);
        assert.ok(!answer.text.includes("made"));
        assert.match(answer.headers.get("cache-control") ?? "", /no-store/);
      }
      behind.faults.heal();
      assert.deepEqual(await dataOf(behind, token), { visits: 1 });
    }),
  },
  {
    name: "answers 503 within the store's time limit when that hangs",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ storeTimeout: 30 });
      const served = await serve(behind, ({ session, respond }) => respond.send(200, session.state));
      const { cookie } = await begin(behind, {});
      behind.faults.hang({ deaf: true });
      const { status, cookies } = await served.get("/", { cookie });
      assert.deepEqual([status, cookies], [503, []]);
      behind.faults.heal();
    }),
  },
  {
    name: "leaves pages readable and writes refused with onStoreFailure 'anonymous'",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ onStoreFailure: "anonymous" });
      const served = await serve(behind, ({ path, session, respond }) => {
        if (path === "/write") session.data["visits"] = 2;
        respond.send(200, session.state);
      });
      const { token, cookie } = await begin(behind, { visits: 1 });
      behind.faults.fail();
      const page = await served.get("/", { cookie });
      assert.deepEqual([page.status, page.text, page.cookies], [200, "anonymous", []]);
      const write = await served.get("/write", { cookie });
      assert.deepEqual([write.status, write.cookies], [503, []]);
      behind.faults.heal();
      assert.deepEqual(await dataOf(behind, token), { visits: 1 });
    }),
  },
  {
    name: "does not let a failed logout pass for one",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async ({ session, respond }) => {
        await session.logout();
        respond.send(200, "bye");
      });
      const { token, cookie } = await begin(behind, {});
      behind.failAt("delete");
      const { status, cookies } = await served.get("/", { cookie });
      assert.deepEqual([status, cookies], [503, []]);
      behind.faults.heal();
      assert.deepEqual(await dataOf(behind, token), {});
    }),
  },
];

export const frameworkFailureCases: readonly FrameworkCase[] = [
  ...failureCases,
  ...commitCases,
  {
    name: "keeps a logout made before the handler failed, and the deletion goes out",
    needs: [],
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve(behind, async ({ session }) => {
        await session.logout();
        session.data["dropped"] = true;
        throw new Error("broken");
      });
      const { token, cookie } = await begin(behind, {});
      const { status, cookies } = await served.get("/", { cookie });
      assert.deepEqual([status, cookies], [500, [DELETION]]);
      assert.equal(await dataOf(behind, token), null);
    }),
  },
  ...dataCases,
  ...storeCases,
];
