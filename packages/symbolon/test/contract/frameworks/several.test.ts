import { describe, expect, it } from "vitest";
import { SessionMissingError } from "symbolon";
import { refusalOf, sessionOf } from "symbolon/frameworks/node";
import { ask, backstage, begin, COOKIE, dataOf, deferred, HTTPS, serve, tokenIn, visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

describe("sessionOf", () => {
  it("throws where no binding handled the request", () => {
    expect(() => sessionOf({})).toThrow(SessionMissingError);
    expect(() => sessionOf(new Request("http://app.example/"))).toThrow(/mount one/);
  });
});

describe.each(TARGETS)("several managers on $name", (target) => {
  it("have a cookie each, and one failing leaves the other's alone", async () => {
    const shop = backstage({ cookie: { name: "__Host-shop" } });
    const admin = backstage({ cookie: { name: "__Host-admin" } });
    const served = await serve(target, [shop, admin], ({ path, request, respond }) => {
      if (path === "/shop" || path === "/both") sessionOf(request, shop.sessions).data["cart"] = 1;
      if (path === "/admin" || path === "/both") sessionOf(request, admin.sessions).data["seen"] = 1;
      respond.send(200, "done");
    });
    const both = await ask(served, "/both");
    expect(both.cookies).toHaveLength(2);
    expect(await dataOf(shop, tokenIn(both, "__Host-shop"))).toEqual({ cart: 1 });
    expect(await dataOf(admin, tokenIn(both, "__Host-admin"))).toEqual({ seen: 1 });
    const onlyAdmin = await ask(served, "/admin");
    expect(onlyAdmin.cookies).toHaveLength(1);
    expect(onlyAdmin.cookies[0]).toMatch(/^__Host-admin=/);
    admin.faults.fail();
    const failed = await ask(served, "/both");
    expect(failed.status).toBe(503);
    expect(failed.cookies.filter((cookie) => cookie.startsWith("__Host-admin"))).toEqual([]);
    expect((await ask(served, "/shop")).status).toBe(200);
  });

  it("save late changes of both before the last byte", async () => {
    const shop = backstage({ cookie: { name: "__Host-shop" } });
    const admin = backstage({ cookie: { name: "__Host-admin" } });
    const isRead = deferred();
    const served = await serve(target, [shop, admin], async ({ request, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      sessionOf(request, shop.sessions).data["cart"] = 1;
      sessionOf(request, admin.sessions).data["seen"] = 1;
      body.end("last");
    });
    const { token: shopToken } = await begin(shop, {});
    const { token: adminToken } = await begin(admin, {});
    const cookie = `__Host-shop=${shopToken}; __Host-admin=${adminToken}`;
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await asking.firstChunk;
    isRead.resolve();
    const answer = await asking.answer;
    expect([answer.isCut, answer.body.toString()]).toEqual([false, "first last"]);
    expect(await dataOf(shop, shopToken)).toEqual({ cart: 1 });
    expect(await dataOf(admin, adminToken)).toEqual({ seen: 1 });
  });

  it("have to be named: sessionOf does not guess", async () => {
    const shop = backstage({ cookie: { name: "__Host-shop" } });
    const admin = backstage({ cookie: { name: "__Host-admin" } });
    const other = backstage();
    const served = await serve(target, [shop, admin], ({ request, respond }) => {
      expect(() => sessionOf(request)).toThrow(/pass the one you mean/);
      expect(() => refusalOf(request)).toThrow(SessionMissingError);
      expect(() => sessionOf(request, other.sessions)).toThrow(/did not handle/);
      expect(sessionOf(request, shop.sessions)).toBe(sessionOf(request, shop.sessions));
      expect(sessionOf(request, shop.sessions)).not.toBe(sessionOf(request, admin.sessions));
      respond.send(200, "done");
    });
    expect((await ask(served, "/")).body.toString()).toBe("done");
  });
});

describe.each(TARGETS)("one manager mounted twice on $name", (target) => {
  it("works once", async () => {
    const behind = backstage();
    const served = await serve(target, [behind, behind], ({ request, session, respond }) => {
      expect(sessionOf(request)).toBe(session);
      session.data["count"] = Number(session.data["count"] ?? 0) + 1;
      respond.send(200, String(session.data["count"]));
    });
    const browser = visitor(served);
    const first = await browser.get("/");
    expect(first.cookies).toHaveLength(1);
    expect((await browser.get("/")).body.toString()).toBe("2");
    expect(behind.calls()).toEqual(["create", "read", "update"]);
  });

  it("still answers a handler that throws", async () => {
    const behind = backstage();
    const served = await serve(target, [behind, behind], async ({ session }) => {
      session.data["dropped"] = true;
      throw new Error("broken");
    });
    const answer = await ask(served, "/");
    expect([answer.status, answer.cookies]).toEqual([500, []]);
    expect(behind.calls()).toEqual([]);
  });
});

describe.each(TARGETS)("refusalOf on $name", (target) => {
  it("says why a token opened nothing, and makes the answer private", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ request, respond }) => {
      const refusal = refusalOf(request);
      respond.send(200, refusal === null ? "none" : `${refusal.reason} ${refusal.ended?.reason ?? ""}`);
    });
    const { token, cookie } = await begin(behind, {});
    const refused = async (header: string): Promise<string> => {
      const answer = await ask(served, "/", { cookie: header });
      expect(answer.headers.get("vary")).toBe("Cookie");
      expect(answer.headers.get("cache-control")).toBe("private, no-store");
      return answer.body.toString();
    };
    expect(await refused(cookie)).toBe("none");
    await behind.sessions.revokeToken(token, "evicted");
    expect(await refused(cookie)).toBe("ended evicted");
    expect(await refused(`${COOKIE}=x`)).toBe("malformed ");
    expect(await refused(`${COOKIE}=x; ${COOKIE}=y`)).toBe("ambiguous ");
  });
});
