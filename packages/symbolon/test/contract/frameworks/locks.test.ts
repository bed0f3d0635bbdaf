/** The bindings' option `lock`: a request has its session's lock from before it reads until its response is decided. */
import { type LockOptions, OptionsError, type SessionManager } from "symbolon";
import { expressSession } from "symbolon/frameworks/express";
import { withSession as fetchSession } from "symbolon/frameworks/fetch";
import { withSession as nodeSession } from "symbolon/frameworks/node";
import { describe, expect, it } from "vitest";
import { countUp, isFree, lockedStage, serveLocked, untilFree } from "./support/locked-stage.ts";
import { ask, begin, dataOf } from "./support/stage.ts";
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
