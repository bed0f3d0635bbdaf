import { describe, expect, it } from "vitest";
import type { Session } from "symbolon";
import { ask, backstage, begin, COOKIE, dataOf, deferred, HTTPS, serve, tokenIn, visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

describe.each(TARGETS)("a handler that fails on $name", (target) => {
  const failures: readonly [name: string, fail: () => void | Promise<void>][] = [
    [
      "throws at once",
      () => {
        throw new Error("broken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
  ];

  it.each(failures)("answers 500 and drops plain data when it %s", async (_name, fail) => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session }) => {
      session.data["visits"] = 2;
      return fail();
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    const answer = await ask(served, "/", { cookie });
    expect(answer.status).toBe(500);
    expect(answer.cookies).toEqual([]);
    expect(await dataOf(behind, token)).toEqual({ visits: 1 });
    // A new visitor gets none either.
    expect((await ask(served, "/")).cookies).toEqual([]);
    expect(behind.calls()).not.toContain("update");
    expect(served.reported.map(String)).toEqual(served.reported.length === 0 ? [] : ["Error: broken", "Error: broken"]);
  });

  const commits: readonly [name: string, commit: (session: Session) => Promise<unknown>][] = [
    [
      "save()",
      (session) => {
        session.data["kept"] = true;
        return session.save();
      },
    ],
    ["update()", (session) => session.update((data) => void (data["kept"] = true))],
  ];

  it.each(commits)("keeps what %s wrote before, and its cookie goes out", async (_name, commit) => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ session }) => {
      await commit(session);
      session.data["dropped"] = true;
      throw new Error("broken");
    });
    const answer = await ask(served, "/");
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).not.toContain("kept");
    expect(answer.headers.get("cache-control")).toMatch(/no-store/);
    expect(await dataOf(behind, tokenIn(answer))).toEqual({ kept: true });
  });

  it("keeps a logout made before, and the deletion goes out", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ session }) => {
      await session.logout();
      session.data["dropped"] = true;
      throw new Error("broken");
    });
    const { token, cookie } = await begin(behind, {});
    const answer = await ask(served, "/", { cookie });
    expect(answer.status).toBe(500);
    expect(answer.cookies).toEqual([`${COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0`]);
    expect(await dataOf(behind, token)).toBeNull();
  });

  it.each([500, 503])("loses its plain data when it answers %i itself", async (status) => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      session.data["visits"] = 2;
      respond.send(status, "sorry");
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    const answer = await ask(served, "/", { cookie });
    expect(answer.status).toBe(status);
    expect(await dataOf(behind, token)).toEqual({ visits: 1 });
  });

  it("cuts the connection when it fails after the headers, and drops plain data", async () => {
    const behind = backstage();
    const isRead = deferred();
    const served = await serve(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      session.data["visits"] = 2;
      throw new Error("broken");
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await asking.firstChunk;
    isRead.resolve();
    expect((await asking.answer).isCut).toBe(true);
    expect(await dataOf(behind, token)).toEqual({ visits: 1 });
  });
});

describe.each(TARGETS)("data that cannot be stored, on $name", (target) => {
  it("answers 500 to a Date in the data, sends nothing of the handler's, and leaves the session as it was", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      session.data["when"] = new Date();
      respond.send(200, "secret page", { "Content-Type": "text/x-own", ETag: '"own"', Location: "/own" });
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    const answer = await ask(served, "/", { cookie });
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).not.toContain("secret page");
    for (const name of ["etag", "location"]) expect(answer.headers.has(name)).toBe(false);
    expect(answer.headers.get("content-type")).not.toBe("text/x-own");
    expect(answer.cookies).toEqual([]);
    expect(await dataOf(behind, token)).toEqual({ visits: 1 });
  });

  it("sends the cookie of what save() stored before the data became impossible", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ session, respond }) => {
      session.data["name"] = "Ada";
      await session.save();
      session.data["when"] = new Date();
      respond.send(200, "page");
    });
    const answer = await ask(served, "/");
    expect(answer.status).toBe(500);
    expect(await dataOf(behind, tokenIn(answer))).toEqual({ name: "Ada" });
  });

  it("answers 413 to data over the bounds", async () => {
    const behind = backstage({ bounds: { bytes: 100 } });
    const served = await serve(target, behind, ({ session, respond }) => {
      session.data["text"] = "x".repeat(200);
      respond.send(200, "page");
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    expect((await ask(served, "/", { cookie })).status).toBe(413);
    expect(await dataOf(behind, token)).toEqual({ visits: 1 });
  });

  it("answers 409 to a strict conflict", async () => {
    const behind = backstage({ conflicts: "strict" });
    const { token, cookie } = await begin(behind, { visits: 1 });
    const served = await serve(target, behind, async ({ session, respond }) => {
      session.data["visits"] = 2;
      const other = await behind.sessions.validate(token);
      if (other === null) throw new Error("The session lives.");
      other.data["visits"] = 10;
      await other.save();
      respond.send(200, "page");
    });
    const answer = await ask(served, "/", { cookie });
    expect(answer.status).toBe(409);
    expect(answer.body.toString()).not.toContain("page");
    expect(await dataOf(behind, token)).toEqual({ visits: 10 });
  });

  it("tells the operator of every error but a store's, which is an event already", async () => {
    const behind = backstage();
    const warned = deferred<Error>();
    const listener = (warning: Error): void => warned.resolve(warning);
    process.once("warning", listener);
    const served = await serve(target, behind, ({ session, respond }) => {
      session.data["when"] = new Date();
      respond.send(200, "page");
    });
    expect((await ask(served, "/")).status).toBe(500);
    const told = served.reported.length > 0 ? served.reported[0] : await warned.promise;
    expect(told).toMatchObject({ code: "ERR_DATA_INVALID" });
    process.off("warning", listener);
  });
});

describe.each(TARGETS)("a store that fails behind $name", (target) => {
  it("is answered 503 when it cannot be read, without a deletion, and recovers without a restart", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      const count = Number(session.data["count"] ?? 0) + 1;
      session.data["count"] = count;
      respond.send(200, `count ${count}`);
    });
    const browser = visitor(served);
    await browser.get("/");
    behind.faults.fail();
    const failed = await browser.get("/");
    expect(failed.status).toBe(503);
    expect(failed.cookies).toEqual([]);
    expect(failed.body.toString()).not.toContain("count");
    behind.faults.heal();
    expect((await browser.get("/")).body.toString()).toBe("count 2");
  });

  it("is answered 503 instead of the handler's 200 when it cannot be written", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      session.data["visits"] = 2;
      respond.send(201, "made", { "Content-Type": "text/x-own", "Content-Length": "4", ETag: '"own"' });
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    for (const headers of [{ cookie }, {}]) {
      const reads = "cookie" in headers ? 1 : 0;
      behind.faults.before((method) => {
        if (method !== "read" || reads === 0) throw new Error("down");
      });
      const answer = await ask(served, "/", headers);
      expect(answer.status).toBe(503);
      expect(answer.cookies).toEqual([]);
      expect(answer.body.toString()).not.toContain("made");
      expect(answer.headers.has("etag")).toBe(false);
      expect(answer.headers.get("cache-control")).toMatch(/no-store/);
      behind.faults.heal();
    }
    expect(await dataOf(behind, token)).toEqual({ visits: 1 });
  });

  it("is answered 503 within the time limit when it hangs", async () => {
    const behind = backstage({ storeTimeout: 30 });
    const served = await serve(target, behind, ({ session, respond }) => {
      respond.send(200, session.state);
    });
    const { cookie } = await begin(behind, {});
    behind.faults.hang({ deaf: true });
    const answer = await ask(served, "/", { cookie });
    expect(answer.status).toBe(503);
    expect(answer.cookies).toEqual([]);
    behind.faults.heal();
  });

  it("leaves pages readable and writes refused with onStoreFailure 'anonymous'", async () => {
    const behind = backstage({ onStoreFailure: "anonymous" });
    const served = await serve(target, behind, ({ path, session, respond }) => {
      if (path === "/write") session.data["visits"] = 2;
      respond.send(200, session.state);
    });
    const { token, cookie } = await begin(behind, { visits: 1 });
    behind.faults.fail();
    const page = await ask(served, "/", { cookie });
    expect([page.status, page.body.toString(), page.cookies]).toEqual([200, "anonymous", []]);
    const write = await ask(served, "/write", { cookie });
    expect([write.status, write.cookies]).toEqual([503, []]);
    behind.faults.heal();
    expect(await dataOf(behind, token)).toEqual({ visits: 1 });
  });

  it("does not let a failed logout pass for one", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ session, respond }) => {
      await session.logout();
      respond.send(200, "bye");
    });
    const { token, cookie } = await begin(behind, {});
    behind.faults.before((method) => {
      if (method === "delete") throw new Error("down");
    });
    const answer = await ask(served, "/", { cookie });
    expect([answer.status, answer.cookies]).toEqual([503, []]);
    behind.faults.heal();
    expect(await dataOf(behind, token)).toEqual({});
  });
});
