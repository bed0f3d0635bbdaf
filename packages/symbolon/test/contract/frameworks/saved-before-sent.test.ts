import { describe, expect, it, onTestFinished } from "vitest";
import type { Exchange } from "./support/app.ts";
import {
  ask,
  backstage,
  begin,
  COOKIE,
  dataOf,
  deferred,
  HTTPS,
  OWN_PAGE,
  serve,
  tokenIn,
  visitor,
} from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const BIG = 256 * 1024;

describe.each(TARGETS)("a response of $name", (target) => {
  const answers: readonly [name: string, method: string, answer: (exchange: Exchange) => void, status: number][] = [
    ["a page", "GET", ({ respond }) => respond.send(200, "done"), 200],
    ["a redirect", "GET", ({ respond }) => respond.send(302, null, { Location: "/next" }), 302],
    ["an answer to HEAD", "HEAD", ({ respond }) => respond.send(200), 200],
    ["no content", "POST", ({ respond }) => respond.send(204), 204],
    ["not modified", "GET", ({ respond }) => respond.send(304), 304],
    ["an error of the client's", "GET", ({ respond }) => respond.send(404, "nothing here"), 404],
  ];

  it.each(answers)("sends no byte of %s before the store has the data", async (_name, method, answer, status) => {
    const behind = backstage();
    const served = await serve(target, behind, (exchange) => {
      if (exchange.path === "/ping") return exchange.respond.send(200, "pong");
      exchange.session.data["visits"] = 2;
      return answer(exchange);
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    const gate = behind.hold("update");
    const asking = served.ask({ path: "/", method, headers: { ...HTTPS, ...OWN_PAGE, cookie } });
    await gate.reached;
    // Another request goes all the way round meanwhile: the first had every chance to leave.
    expect((await ask(served, "/ping")).body.toString()).toBe("pong");
    expect(asking.hasHead()).toBe(false);
    gate.open();
    const { status: came, cookies } = await asking.answer;
    expect(came).toBe(status);
    expect(cookies).toEqual([]);
    expect(await dataOf(behind, token)).toEqual({ visits: 2 });
  });

  it("sends the cookie of a new session only when the store has it", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ path, session, respond }) => {
      if (path === "/") session.data["name"] = "Ada";
      respond.send(200, "hello");
    });
    const gate = behind.hold("create");
    const asking = served.ask({ path: "/", headers: HTTPS });
    await gate.reached;
    await ask(served, "/ping");
    expect(asking.hasHead()).toBe(false);
    gate.open();
    const answer = await asking.answer;
    expect(answer.body.toString()).toBe("hello");
    expect(await dataOf(behind, tokenIn(answer))).toEqual({ name: "Ada" });
  });

  it("saves what changed after the first part of the body before the last byte", async () => {
    const behind = backstage();
    const isRead = deferred();
    const served = await serve(target, behind, async ({ path, session, respond }) => {
      if (path === "/ping") return respond.send(200);
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      session.data["progress"] = "all";
      body.end("last");
    });
    const { token, cookie } = await begin(behind, { progress: "none" });
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    expect(await asking.firstChunk).toBe("first ");
    const gate = behind.hold("update");
    isRead.resolve();
    await gate.reached;
    let isOver = false;
    void asking.answer.then(() => {
      isOver = true;
    });
    await ask(served, "/ping");
    expect(isOver).toBe(false);
    gate.open();
    const answer = await asking.answer;
    expect(answer.body.toString()).toBe("first last");
    expect(answer.isCut).toBe(false);
    expect(await dataOf(behind, token)).toEqual({ progress: "all" });
  });

  it("is cut when what changed after the first part of the body cannot be saved", async () => {
    const behind = backstage();
    const isRead = deferred();
    const served = await serve(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      session.data["progress"] = "all";
      body.end();
    });
    const { token, cookie } = await begin(behind, { progress: "none" });
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    expect(await asking.firstChunk).toBe("first ");
    behind.faults.fail();
    isRead.resolve();
    expect((await asking.answer).isCut).toBe(true);
    behind.faults.heal();
    expect(await dataOf(behind, token)).toEqual({ progress: "none" });
  });

  it("keeps a late change of a session with a persistent cookie, though that cookie cannot be sent again", async () => {
    const behind = backstage({ cookie: { persistent: true } });
    const isRead = deferred();
    const served = await serve(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      session.data["progress"] = "all";
      body.end("last");
    });
    const { token, cookie } = await begin(behind, {});
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await asking.firstChunk;
    isRead.resolve();
    const answer = await asking.answer;
    expect(answer.isCut).toBe(false);
    expect(answer.body.toString()).toBe("first last");
    expect(await dataOf(behind, token)).toEqual({ progress: "all" });
  });

  it.each(["at the end", "by save()"])("is cut when a session is begun %s after the headers left", async (way) => {
    const behind = backstage();
    const isRead = deferred();
    const served = await serve(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      session.data["name"] = "Ada";
      if (way === "by save()") await session.save();
      body.end("last");
    });
    const asking = served.ask({ path: "/", headers: HTTPS });
    await asking.firstChunk;
    isRead.resolve();
    const answer = await asking.answer;
    expect(answer.isCut).toBe(true);
    expect(answer.cookies).toEqual([]);
  });

  it("keeps what changed while the first part of the body waited for the store", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ path, session, respond }) => {
      if (path === "/ping") return respond.send(200);
      session.data["first"] = true;
      const body = respond.stream();
      void body.write("first ");
      session.data["second"] = true;
      body.end("last");
    });
    const { token, cookie } = await begin(behind, {});
    const answer = await ask(served, "/", { cookie });
    expect(answer.body.toString()).toBe("first last");
    expect(await dataOf(behind, token)).toEqual({ first: true, second: true });
  });

  it("carries a large body whole and in order past the wait for the store", async () => {
    const behind = backstage();
    const chunks = Array.from({ length: 64 }, (_, index) => `${index}:`.padEnd(BIG / 64, "."));
    const served = await serve(target, behind, async ({ session, respond }) => {
      session.data["downloads"] = 1;
      const body = respond.stream();
      for (const chunk of chunks) await body.write(chunk);
      body.end("end");
    });
    const answer = await ask(served, "/");
    expect(answer.body.toString()).toBe(`${chunks.join("")}end`);
    expect(await dataOf(behind, tokenIn(answer))).toEqual({ downloads: 1 });
  });

  it("counts one by one over many reloads", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      const count = Number(session.data["count"] ?? 0) + 1;
      session.data["count"] = count;
      respond.send(200, `count ${count}`);
    });
    const browser = visitor(served);
    for (let count = 1; count <= 10; count++) {
      const answer = await browser.get("/");
      expect(answer.body.toString()).toBe(`count ${count}`);
      expect(answer.cookies).toHaveLength(count === 1 ? 1 : 0);
      if (count > 1) continue;
      const [cookie] = answer.cookies;
      expect(cookie).toBe(`${COOKIE}=${tokenIn(answer)}; Path=/; Secure; HttpOnly; SameSite=Lax`);
      expect(answer.headers.get("cache-control")).toBe("private, no-store");
      expect(answer.headers.get("vary")).toBe("Cookie");
    }
    expect((await visitor(served).get("/")).body.toString()).toBe("count 1");
  });

  it.each([
    ["a session was begun", false, "ERR_HEADERS_SENT"],
    ["the data cannot be stored", true, "ERR_DATA_INVALID"],
  ])("is not cut in silence: a warning says that %s after the headers left", async (_name, hasSession, code) => {
    const behind = backstage();
    const isRead = deferred();
    const warned = deferred<Error>();
    const listener = (warning: Error): void => warned.resolve(warning);
    const served = await serve(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      session.data["late"] = hasSession ? new Date() : true;
      body.end("last");
    });
    const { cookie } = await begin(behind, {});
    const asking = served.ask({ path: "/", headers: { ...HTTPS, ...(hasSession ? { cookie } : {}) } });
    await asking.firstChunk;
    process.on("warning", listener);
    onTestFinished(() => void process.off("warning", listener));
    isRead.resolve();
    expect((await asking.answer).isCut).toBe(true);
    expect(await warned.promise).toMatchObject({ code });
  });
});
