/** Guards where no binding, or too many of them, stand before; what every binding owes is in the published contract. */
import http from "node:http";
import type { NextFunction, Request as ExpressRequest, Response as ExpressResponse } from "express";
import { SessionMissingError } from "symbolon";
import * as expressBinding from "symbolon/frameworks/express";
import * as fetchBinding from "symbolon/frameworks/fetch";
import * as nodeBinding from "symbolon/frameworks/node";
import { describe, expect, it, onTestFinished } from "vitest";
import { ADMIN, cookieOf, GUARD_NAMES, GUARDS } from "../../../dist/testing/contract/framework-guarded.js";
import type { GuardMakers, Served } from "./support/app.ts";
import type { Question } from "./support/client.ts";
import { listenerOf, makeExpress4, makeExpress5 } from "./support/express-targets.ts";
import { serveHttp1 } from "./support/node-targets.ts";
import { ask, type Backstage, backstage, HTTPS, OWN_PAGE, serve } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

describe.each(TARGETS)("guards on $name", (target) => {
  it.each(["PURGE", "PROPFIND"])("refuse methods that few know: %s", async (method) => {
    for (const name of GUARD_NAMES) {
      const served = await serve(target, backstage(), ({ respond }) => respond.send(200, "secret"), GUARDS[name]);
      const { status } = await served.ask({ path: "/", method, headers: { ...HTTPS, ...OWN_PAGE } }).answer;
      expect([name, status]).toEqual([name, 401]);
    }
  });
});

describe("a guard without a binding", () => {
  const request: Question = { path: "/", headers: HTTPS };

  it.each(GUARD_NAMES)("lets nobody pass on node:http: %s", async (name) => {
    let isReached = false;
    const choose: GuardMakers<
      nodeBinding.GuardOptions<http.IncomingMessage, http.ServerResponse>,
      nodeBinding.HandlerGuard<http.IncomingMessage, http.ServerResponse>
    > = nodeBinding;
    const guarded = GUARDS[name].choose(choose, {})(() => void (isReached = true));
    const failures: unknown[] = [];
    const served = await serveHttp1((incoming, response) => {
      // As JavaScript would: types ask for the session.
      const answered = Reflect.apply(guarded, undefined, [incoming, response]) as Promise<void>;
      answered.catch((error: unknown) => failures.push(error)).finally(() => response.end("failed"));
    });
    onTestFinished(() => served.close());
    expect((await served.ask(request).answer).body.toString()).toBe("failed");
    expect([isReached, failures.length]).toEqual([false, 1]);
  });

  it.each(GUARD_NAMES)("lets nobody pass on Fetch: %s", async (name) => {
    let isReached = false;
    const choose: GuardMakers<fetchBinding.GuardOptions, fetchBinding.HandlerGuard> = fetchBinding;
    const guarded = GUARDS[name].choose(
      choose,
      {},
    )(() => {
      isReached = true;
      return new Response("secret");
    });
    const answered = Reflect.apply(guarded, undefined, [new Request("https://app.example/")]) as Promise<Response>;
    await expect(answered).rejects.toThrow(TypeError);
    expect(isReached).toBe(false);
  });
});

const EXPRESS = [
  { name: "Express 4", make: makeExpress4 },
  { name: "Express 5", make: makeExpress5 },
] as const;

describe.each(EXPRESS)("a guard on $name", ({ make }) => {
  const choose: GuardMakers<
    expressBinding.GuardOptions<ExpressRequest, ExpressResponse>,
    expressBinding.GuardMiddleware<ExpressRequest, ExpressResponse>
  > = expressBinding;

  async function serveGuarded(
    mounted: readonly Backstage[],
    guard: expressBinding.GuardMiddleware<ExpressRequest, ExpressResponse>,
  ): Promise<{ served: Served; errors: unknown[]; reached: () => number }> {
    const app = make();
    const errors: unknown[] = [];
    let count = 0;
    for (const { sessions } of mounted) app.use(expressBinding.expressSession(sessions));
    app.get("/", guard, (_request: ExpressRequest, response: ExpressResponse) => {
      count++;
      response.send("secret");
    });
    app.use((error: unknown, _request: ExpressRequest, _response: ExpressResponse, next: NextFunction) => {
      errors.push(error);
      next(error);
    });
    const served = await serveHttp1(listenerOf(app));
    onTestFinished(() => served.close());
    return { served, errors, reached: () => count };
  }

  it.each(GUARD_NAMES)("without expressSession before it is an error, and lets nobody pass: %s", async (name) => {
    const { served, errors, reached } = await serveGuarded([], GUARDS[name].choose(choose, {}));
    expect((await ask(served, "/")).status).toBe(500);
    expect([errors.length, reached()]).toEqual([1, 0]);
    expect(errors[0]).toBeInstanceOf(SessionMissingError);
  });

  it("has to be told whose session to look at, where there are several", async () => {
    const shop = backstage({ cookie: { name: "__Host-shop" } });
    const admin = backstage({ cookie: { name: "__Host-admin" } });
    const other = backstage();
    const { token } = await shop.sessions.create(ADMIN);
    const cookie = `__Host-shop=${token}`;
    for (const [options, status] of [
      [{}, 500],
      [{ sessions: other.sessions }, 500],
      [{ sessions: admin.sessions }, 401],
      [{ sessions: shop.sessions }, 200],
    ] as const) {
      const { served, errors, reached } = await serveGuarded([shop, admin], GUARDS.login.choose(choose, options));
      expect((await ask(served, "/", { cookie })).status).toBe(status);
      expect(reached()).toBe(status === 200 ? 1 : 0);
      if (status === 500) expect(errors[0]).toBeInstanceOf(SessionMissingError);
    }
  });

  it("gives what its functions throw to the error handler", async () => {
    const broken = new Error("no database");
    const behind = backstage();
    const guard = expressBinding.requireStamp<ExpressRequest, ExpressResponse>(() => Promise.reject(broken));
    const { served, errors } = await serveGuarded([behind], guard);
    expect((await ask(served, "/", { cookie: await cookieOf(behind, ADMIN) })).status).toBe(500);
    expect(errors).toEqual([broken]);
  });
});
