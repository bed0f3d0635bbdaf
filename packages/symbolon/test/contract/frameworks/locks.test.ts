/** The bindings' option `lock`: a request has its session's lock from before it reads until its response is decided. */
import { ConflictError, type LockOptions, OptionsError, type SessionManager } from "symbolon";
import { expressSession } from "symbolon/frameworks/express";
import { withSession as fetchSession } from "symbolon/frameworks/fetch";
import { withSession as nodeSession } from "symbolon/frameworks/node";
import { describe, expect, it } from "vitest";
import type { Handler } from "./support/app.ts";
import { countUp, isFree, lockedStage, serveLocked, untilFree } from "./support/locked-stage.ts";
import { ask, begin, COOKIE, dataOf, deferred, HTTPS } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

describe.each(TARGETS)("the session's lock on $name", (target) => {
  it("is taken before the session is read, and free when what was changed is saved", async () => {
    const behind = lockedStage();
    const served = await serveLocked(target, behind, async (exchange) => {
      await countUp(exchange);
      exchange.respond.send(200, "counted");
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    behind.methods.length = 0;
    expect((await ask(served, "/", { cookie })).status).toBe(200);
    await untilFree(behind, token);
    expect(behind.methods.slice(0, 4)).toEqual(["acquireLock", "read", "updateUnderLock", "releaseLock"]);
    expect(await dataOf(behind, token)).toEqual({ n: 1 });
  });

  it("costs the store nothing for a visitor, or for a token that proves nothing", async () => {
    const behind = lockedStage();
    const served = await serveLocked(target, behind, ({ session, respond }) => respond.send(200, session.state));
    const { token } = await begin(behind, {});
    behind.methods.length = 0;
    const forged = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
    for (const headers of [{}, { cookie: `${COOKIE}=${forged}` }, { cookie: `${COOKIE}=nonsense` }]) {
      expect((await ask(served, "/", headers)).body.toString()).toBe("anonymous");
    }
    expect(behind.methods).toEqual([]);
  });

  it("lets requests of a session in one after the other, and loses nothing they counted", async () => {
    const behind = lockedStage();
    let [inside, most] = [0, 0];
    const served = await serveLocked(target, behind, async (exchange) => {
      most = Math.max(most, ++inside);
      await countUp(exchange);
      inside--;
      exchange.respond.send(200, "counted");
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(served, "/", { cookie })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(most).toBe(1);
    expect(await dataOf(behind, token)).toEqual({ n: 20 });
  });

  const ENDINGS: readonly (readonly [how: string, status: number, end: Handler])[] = [
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

  it.each(ENDINGS)("is free after %s", async (_how, status, end) => {
    const behind = lockedStage();
    const served = await serveLocked(target, behind, ({ session, ...exchange }) => {
      session.data["n"] = 100;
      return end({ session, ...exchange });
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    expect((await ask(served, "/", { cookie })).status).toBe(status);
    expect(await isFree(behind, token)).toBe(true);
  });

  it("is free when the store could not save, which is answered 503", async () => {
    const behind = lockedStage();
    const served = await serveLocked(target, behind, async (exchange) => {
      await countUp(exchange);
      behind.fail("updateUnderLock");
      exchange.respond.send(200, "counted");
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    const answer = await ask(served, "/", { cookie });
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(await isFree(behind, token)).toBe(true);
    expect(await dataOf(behind, token)).toEqual({ n: 0 });
  });

  it("is free once the header has left, and what changes after that is saved without it", async () => {
    const behind = lockedStage();
    const isRead = deferred();
    const served = await serveLocked(target, behind, async (exchange) => {
      const body = exchange.respond.stream();
      await body.write("first ");
      await isRead.promise;
      exchange.session.data["late"] = true;
      body.end("last");
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await asking.firstChunk;
    expect(await isFree(behind, token)).toBe(true);
    isRead.resolve();
    expect((await asking.answer).body.toString()).toBe("first last");
    expect(await dataOf(behind, token)).toEqual({ n: 0, late: true });
  });

  it("is not waited for by whoever asks for it again, with a function or without", async () => {
    const behind = lockedStage();
    const served = await serveLocked(target, behind, async (exchange) => {
      await exchange.session.lock({ wait: 0 }, () => countUp(exchange));
      {
        await using _lease = await exchange.session.lock({ wait: 0 });
        await countUp(exchange);
        await exchange.session.save();
      }
      exchange.respond.send(200, "counted");
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    expect((await ask(served, "/", { cookie })).status).toBe(200);
    expect(await dataOf(behind, token)).toEqual({ n: 2 });
  });

  it("that others have for too long is answered 503, to be tried again, and nothing is run", async () => {
    const behind = lockedStage();
    let isRun = false;
    const served = await serveLocked(target, behind, () => void (isRun = true), [{ lock: { wait: 0 } }]);
    const { token, cookie } = await begin(behind, { n: 0 });
    const holder = await behind.sessions.validate(token);
    await holder?.lock(async () => {
      const answer = await ask(served, "/", { cookie });
      expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
    });
    expect(isRun).toBe(false);
  });

  it("that was lost meanwhile is answered 409, and nothing of the handler's is sent or saved", async () => {
    const behind = lockedStage();
    const served = await serveLocked(target, behind, async (exchange) => {
      await countUp(exchange);
      await behind.forget();
      exchange.respond.send(200, "counted", { ETag: "mine" });
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    const answer = await ask(served, "/", { cookie });
    expect(answer.status).toBe(409);
    expect(answer.body.toString()).not.toContain("counted");
    expect(answer.headers.has("etag")).toBe(false);
    expect(await dataOf(behind, token)).toEqual({ n: 0 });
    expect(await isFree(behind, token)).toBe(true);
  });

  it("does not stop a request without it: what that saved meanwhile stays, and this one is answered 409", async () => {
    const behind = lockedStage();
    const { token, cookie } = await begin(behind, { n: 0 });
    const served = await serveLocked(target, behind, async (exchange) => {
      await countUp(exchange);
      await (await behind.sessions.validate(token))?.update((data) => void (data["n"] = 50));
      exchange.respond.send(200, "counted");
    });
    expect((await ask(served, "/", { cookie })).status).toBe(409);
    expect(await dataOf(behind, token)).toEqual({ n: 50 });
    expect(await isFree(behind, token)).toBe(true);
  });

  it("of a session that has ended when a function is done under it is answered 401", async () => {
    const behind = lockedStage();
    const { token, cookie } = await begin(behind, { n: 0 });
    const served = await serveLocked(
      target,
      behind,
      async (exchange) => {
        await exchange.session.lock(async () => {
          await countUp(exchange);
          await behind.sessions.revokeToken(token);
        });
        exchange.respond.send(200, "counted");
      },
      [{}],
    );
    const answer = await ask(served, "/", { cookie });
    expect([answer.status, answer.cookies]).toEqual([401, []]);
  });

  it("can be taken by one route alone, with one read more", async () => {
    const behind = lockedStage();
    const served = await serveLocked(
      target,
      behind,
      async (exchange) => {
        await countUp(exchange);
        exchange.respond.send(200, "counted");
      },
      [{}, { lock: true }],
    );
    const { token, cookie } = await begin(behind, { n: 0 });
    behind.methods.length = 0;
    await ask(served, "/", { cookie });
    await untilFree(behind, token);
    expect(behind.methods.slice(0, 5)).toEqual(["read", "acquireLock", "read", "updateUnderLock", "releaseLock"]);
    await Promise.all(Array.from({ length: 10 }, () => ask(served, "/", { cookie })));
    expect(await dataOf(behind, token)).toEqual({ n: 11 });
  });

  it("that the application takes is the route's, too", async () => {
    const behind = lockedStage();
    const served = await serveLocked(
      target,
      behind,
      async (exchange) => {
        await countUp(exchange);
        exchange.respond.send(200, "counted");
      },
      [{ lock: true }, { lock: { wait: 0 } }],
    );
    const { token, cookie } = await begin(behind, { n: 0 });
    behind.methods.length = 0;
    expect((await ask(served, "/", { cookie })).status).toBe(200);
    await untilFree(behind, token);
    expect(behind.methods.slice(0, 4)).toEqual(["acquireLock", "read", "updateUnderLock", "releaseLock"]);
  });

  it("that a route cannot have is answered 503 there, too", async () => {
    const behind = lockedStage();
    const served = await serveLocked(target, behind, ({ respond }) => respond.send(200, "page"), [
      {},
      { lock: { wait: 0 } },
    ]);
    const { token, cookie } = await begin(behind, { n: 0 });
    const holder = await behind.sessions.validate(token);
    await holder?.lock(async () => {
      expect((await ask(served, "/", { cookie })).status).toBe(503);
    });
    expect((await ask(served, "/", { cookie })).status).toBe(200);
  });
});

describe("the lock option of a binding", () => {
  it.each([
    ["node", (sessions: SessionManager, lock: LockOptions) => nodeSession(sessions, () => undefined, { lock })],
    ["express", (sessions: SessionManager, lock: LockOptions) => expressSession(sessions, { lock })],
    ["fetch", (sessions: SessionManager, lock: LockOptions) => fetchSession(sessions, () => new Response(), { lock })],
  ])("of %s is checked when it is mounted", (_, mount) => {
    const sessions: SessionManager = lockedStage().sessions;
    expect(() => mount(sessions, { lease: "1ms" })).toThrow(OptionsError);
    expect(() => mount(sessions, { lease: "1s", wait: 0 })).not.toThrow();
  });
});
