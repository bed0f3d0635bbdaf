/** The bindings' option `lock`, where nobody waits for the response any more, or nobody makes one. */
import { withSession } from "symbolon/frameworks/fetch";
import { describe, expect, it, vi } from "vitest";
import type { Handler } from "./support/app.ts";
import { countUp, hang, isFree, lockedStage, serveLocked, untilFree } from "./support/locked-stage.ts";
import { fetchDirectly } from "./support/fetch-targets.ts";
import { ask, begin, dataOf, deferred, HTTPS } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const PATIENCE = { timeout: 20_000, interval: 5 };

/** Those whose binding sees the connection. */
const CONNECTED = TARGETS.filter((target) => target !== fetchDirectly);

/** So soon a lock is free that nobody renews. */
const SHORT = { lock: { lease: 300 } };

describe.each(CONNECTED)("a client of $name that goes away", (target) => {
  it("while a handler hangs does not keep the lock that a route took", async () => {
    const behind = lockedStage();
    const hangs = deferred();
    const served = await serveLocked(target, behind, () => hang(hangs), [{}, SHORT]);
    const { token, cookie } = await begin(behind, { n: 0 });
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await hangs.promise;
    expect(behind.methods).not.toContain("releaseLock");
    asking.abort();
    await asking.answer.catch(() => undefined);
    await untilFree(behind, token);
  });

  it.each([
    ["the application", [SHORT]],
    ["a route", [{}, SHORT]],
  ] as const)("while %s waits for the lock does not keep it", async (_who, options) => {
    const behind = lockedStage();
    const hangs = deferred();
    const handler: Handler = ({ path, respond }) => (path === "/ping" ? respond.send(200, "pong") : hang(hangs));
    const served = await serveLocked(target, behind, handler, options);
    const { token, cookie } = await begin(behind, { n: 0 });
    const lease = await (await behind.elsewhere.validate(token))?.lock();
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await vi.waitFor(() => expect(behind.methods).toContain("acquireLock"), PATIENCE);
    asking.abort();
    await asking.answer.catch(() => undefined);
    // The server has had every chance to notice.
    expect((await ask(served, "/ping")).body.toString()).toBe("pong");
    await lease?.release();
    await hangs.promise;
    await untilFree(behind, token);
  });

  it("has what its handler still does under the lock saved, before others have it", async () => {
    const behind = lockedStage();
    const [reached, mayGoOn] = [deferred(), deferred()];
    const served = await serveLocked(target, behind, async (exchange) => {
      if (exchange.path === "/first") {
        reached.resolve();
        await mayGoOn.promise;
      }
      await countUp(exchange);
      exchange.respond.send(200, "counted");
    });
    const { token, cookie } = await begin(behind, { n: 0 });
    const first = served.ask({ path: "/first", headers: { ...HTTPS, cookie } });
    await reached.promise;
    first.abort();
    await first.answer.catch(() => undefined);
    const second = ask(served, "/second", { cookie });
    expect(await isFree(behind, token)).toBe(false);
    mayGoOn.resolve();
    expect((await second).status).toBe(200);
    expect(await dataOf(behind, token)).toEqual({ n: 2 });
  });
});

describe("a Fetch handler under the lock", () => {
  it("that hangs does not keep it once its client has gone away", async () => {
    const behind = lockedStage();
    const hangs = deferred();
    const handler = withSession(behind.sessions, () => hang(hangs), SHORT);
    const { token, cookie } = await begin(behind, { n: 0 });
    const leaving = new AbortController();
    void handler(new Request("https://app.example/", { headers: { cookie }, signal: leaving.signal }));
    await hangs.promise;
    expect(behind.methods).not.toContain("releaseLock");
    leaving.abort();
    await untilFree(behind, token);
  });

  it("that hangs does not keep it when its client had gone away before", async () => {
    const behind = lockedStage();
    const { token, cookie } = await begin(behind, { n: 0 });
    for (const options of [{}, SHORT]) {
      const hangs = deferred();
      const inner = withSession(behind.sessions, () => hang(hangs), SHORT);
      const handler = withSession(behind.sessions, inner, options);
      void handler(new Request("https://app.example/", { headers: { cookie }, signal: AbortSignal.abort() }));
      await hangs.promise;
      await untilFree(behind, token);
    }
  });

  it("that fails does not keep it when what should answer its error fails, too", async () => {
    const behind = lockedStage();
    const broken = new Error("broken");
    const fail = (): never => {
      throw broken;
    };
    const handler = withSession(behind.sessions, fail, { lock: true, onError: fail });
    const { token, cookie } = await begin(behind, { n: 0 });
    await expect(handler(new Request("https://app.example/", { headers: { cookie } }))).rejects.toBe(broken);
    expect(await isFree(behind, token)).toBe(true);
  });
});
