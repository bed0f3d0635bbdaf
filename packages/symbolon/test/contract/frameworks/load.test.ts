import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, backstage, begin, dataOf, deferred, HTTPS, serve, visitor } from "./support/stage.ts";
import { fetchDirectly } from "./support/fetch-targets.ts";
import { TARGETS } from "./support/targets.ts";

const rejections: unknown[] = [];
const note = (reason: unknown): void => void rejections.push(reason);
beforeAll(() => void process.on("unhandledRejection", note));
afterAll(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  expect(rejections).toEqual([]);
});

describe.each(TARGETS)("many requests on $name", (target) => {
  it("keep all keys that 50 of them set at the same time", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ path, session, respond }) => {
      session.data[path.slice(1)] = true;
      respond.send(200, "done");
    });
    const { token, cookie } = await begin(behind, {});
    const paths = Array.from({ length: 50 }, (_, index) => `/key${index}`);
    const answers = await Promise.all(paths.map((path) => ask(served, path, { cookie })));
    expect(answers.map(({ status }) => status)).toEqual(paths.map(() => 200));
    expect(Object.keys((await dataOf(behind, token)) ?? {}).toSorted()).toEqual(
      paths.map((path) => path.slice(1)).toSorted(),
    );
  });

  it("share one connection without sharing a session", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      const count = Number(session.data["count"] ?? 0) + 1;
      session.data["count"] = count;
      respond.send(200, String(count));
    });
    const [ada, ben] = [visitor(served), visitor(served)];
    for (let count = 1; count <= 3; count++) {
      expect((await ada.get("/")).body.toString()).toBe(String(count));
      expect((await ben.get("/")).body.toString()).toBe(String(count));
    }
    expect((await ask(served, "/")).body.toString()).toBe("1");
  });

  it("of clients that go away harm nobody", async () => {
    if (target === fetchDirectly) return;
    const behind = backstage();
    const served = await serve(target, behind, async ({ path, session, respond }) => {
      if (path === "/ping") return respond.send(200, "pong");
      session.data["seen"] = path;
      if (path === "/whole") return respond.send(200, "x".repeat(100_000));
      const body = respond.stream();
      await body.write("first ");
      await body.write("x".repeat(1_000_000));
      session.data["late"] = true;
      return body.end("last");
    });
    const { token, cookie } = await begin(behind, {});
    // While the header waits for the store.
    for (const path of ["/whole", "/stream"]) {
      const gate = behind.hold("update");
      const asking = served.ask({ path, headers: { ...HTTPS, cookie } });
      await gate.reached;
      asking.abort();
      await asking.answer.catch(() => null);
      expect((await ask(served, "/ping")).body.toString()).toBe("pong");
      gate.open();
      behind.faults.heal();
    }
    // While the store is asked who it is.
    const gate = behind.hold("read");
    const early = served.ask({ path: "/whole", headers: { ...HTTPS, cookie } });
    await gate.reached;
    early.abort();
    await early.answer.catch(() => null);
    gate.open();
    behind.faults.heal();
    // In the middle of the body.
    const asking = served.ask({ path: "/stream", headers: { ...HTTPS, cookie } });
    await asking.firstChunk;
    asking.abort();
    await asking.answer.catch(() => null);
    expect((await ask(served, "/ping")).body.toString()).toBe("pong");
    expect(await dataOf(behind, token)).toMatchObject({ seen: "/stream" });
  });

  it("of clients that go away while the store fails harm nobody either", async () => {
    if (target === fetchDirectly) return;
    const behind = backstage();
    const served = await serve(target, behind, ({ path, session, respond }) => {
      if (path === "/ping") return respond.send(200, "pong");
      session.data["seen"] = path;
      return respond.send(200, "page");
    });
    const { cookie } = await begin(behind, {});
    const reached = deferred();
    const opened = deferred();
    behind.faults.before(async (method) => {
      if (method !== "update") return;
      reached.resolve();
      await opened.promise;
      throw new Error("down");
    });
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await reached.promise;
    asking.abort();
    await asking.answer.catch(() => null);
    opened.resolve();
    for (let index = 0; index < 3; index++) {
      expect((await ask(served, "/ping")).body.toString()).toBe("pong");
    }
  });
});
