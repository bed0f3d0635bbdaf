/** Cases of what an application adds to guards: its stamps and its own answers. Nobody passes by their failures. */
import assert from "node:assert/strict";
import type { GuardRefusal } from "../../auth/guards.ts";
import { assertPrivate, COOKIE, dataOf, staged, tokenIn, whoHas } from "./framework-stage.ts";
import { ADMIN, assertGuarded, cookieOf, GUARD_NAMES, GUARDS, PENDING, protect } from "./framework-guarded.ts";
import type { Exchange, FrameworkAbility, FrameworkCase, Guarding } from "./framework-target.ts";

const needs: readonly FrameworkAbility[] = ["guards"];

function stampGuarding(find: (userId: string) => unknown): Guarding {
  // As JavaScript would call it: no types hold back what is found.
  return { choose: (from, options) => from.requireStamp(find as (userId: string) => string, options) };
}

/** Functions that answer nothing a guard could go by. */
const BROKEN: readonly (readonly [how: string, act: () => unknown])[] = [
  [
    "throws",
    () => {
      throw new Error("broken");
    },
  ],
  ["rejects", () => Promise.reject(new Error("broken"))],
  ["rejects with nothing", () => Promise.reject(undefined)],
  ["rejects with null", () => Promise.reject(null)],
  ["rejects with a word that means something to routers", () => Promise.reject("route")],
];

const stampCases: readonly FrameworkCase[] = [
  {
    name: "requireStamp asks for the stamp of the very user, and of nobody else",
    needs,
    run: staged(async (stage) => {
      const asked: string[] = [];
      const guarding = stampGuarding((userId) => {
        asked.push(userId);
        return `${userId}'s`;
      });
      const { behind, served } = await protect(stage, guarding);
      assert.equal((await served.get("/")).status, 401);
      for (const [beginning, status] of [
        [{}, 401],
        [PENDING, 401],
        [{ userId: "ada", stamp: "ada's" }, 200],
      ] as const) {
        assert.equal((await served.get("/", { cookie: await cookieOf(behind, beginning) })).status, status);
      }
      assert.deepEqual(asked, ["ada"]);
    }),
  },
  {
    name: "requireStamp ends the session of a user whose stamp changed, or who is no more",
    needs,
    run: staged(async (stage) => {
      for (const present of ["stamp-2", null]) {
        const { behind, served, reached } = await protect(
          stage,
          stampGuarding(async () => present),
        );
        const cookie = await cookieOf(behind, ADMIN);
        const answer = await served.get("/", { cookie });
        assertGuarded(answer, "stamp-changed");
        assert.deepEqual(answer.cookies, []);
        assert.equal(await whoHas(behind, cookie.slice(COOKIE.length + 1)), "ended: stamp-changed");
        assertGuarded(await served.get("/", { cookie }), "login-required");
        assert.equal(reached(), 0);
      }
    }),
  },
  {
    name: "requireStamp answers 500, and lets nobody pass, when the application's function fails",
    needs,
    run: staged(async (stage) => {
      const broken = [...BROKEN, ["finds a number", () => 1], ["finds nothing at all", () => undefined]] as const;
      for (const [how, find] of broken) {
        const { behind, served, reached } = await protect(stage, stampGuarding(find));
        const cookie = await cookieOf(behind, ADMIN);
        const { status, text } = await served.get("/", { cookie });
        assert.deepEqual([how, status, reached()], [how, 500, 0]);
        assert.ok(!text.includes("secret"));
        // Nothing is known of the user: the session stays.
        assert.equal(await whoHas(behind, cookie.slice(COOKIE.length + 1)), "ada");
      }
    }),
  },
  {
    name: "requireStamp answers 503, and lets nobody pass, when the session cannot be ended",
    needs,
    run: staged(async (stage) => {
      const { behind, served, reached } = await protect(
        stage,
        stampGuarding(() => "stamp-2"),
      );
      const cookie = await cookieOf(behind, ADMIN);
      behind.failAt("update", "delete");
      const { status, cookies } = await served.get("/", { cookie });
      assert.deepEqual([status, cookies, reached()], [503, [], 0]);
    }),
  },
];

type Refused = Pick<Exchange, "session" | "respond">;

function toLogin({ code }: GuardRefusal, { respond }: Refused): void {
  respond.send(303, null, { Location: `/login?why=${code}` });
}

async function toLoginLater(refusal: GuardRefusal, refused: Refused): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  toLogin(refusal, refused);
}

const ANSWERS = [
  ["at once", toLogin],
  ["later", toLoginLater],
] as const;

const answerCases = ANSWERS.map(([when, onRefused]): FrameworkCase => {
  return {
    name: `onRefused answers instead of the guard, ${when}, in an answer that stays private`,
    needs,
    run: staged(async (stage) => {
      const { behind, served, reached } = await protect(stage, { ...GUARDS.role, onRefused });
      const answer = await served.get("/");
      assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/login?why=login-required"]);
      assertPrivate(answer);
      const user = await served.get("/", { cookie: await cookieOf(behind, { userId: "ada" }) });
      assert.equal(user.headers.get("location"), "/login?why=role-required");
      assert.equal((await served.get("/", { cookie: await cookieOf(behind, ADMIN) })).status, 200);
      assert.equal(reached(), 1);
    }),
  };
});

export const guardFailureCases: readonly FrameworkCase[] = [
  ...stampCases,
  ...answerCases,
  {
    name: "onRefused may write to the session: where the visitor wanted to go",
    needs,
    run: staged(async (stage) => {
      const { behind, served } = await protect(stage, {
        ...GUARDS.login,
        onRefused(_refusal, { session, respond }) {
          session.data["wanted"] = "/";
          respond.send(303, null, { Location: "/login" });
        },
      });
      assert.deepEqual(await dataOf(behind, tokenIn(await served.get("/"))), { wanted: "/" });
    }),
  },
  {
    name: "onRefused that fails is answered 500, and lets nobody pass",
    needs,
    run: staged(async (stage) => {
      for (const [how, fail] of BROKEN) {
        for (const name of GUARD_NAMES) {
          const onRefused = fail as () => Promise<void>;
          const { served, reached } = await protect(stage, { ...GUARDS[name], onRefused });
          const { status, cookies, text } = await served.get("/");
          assert.deepEqual([how, status, cookies, reached()], [how, 500, [], 0]);
          assert.ok(!text.includes("secret"));
        }
      }
    }),
  },
];
