import { describe, expect, it } from "vitest";
import { SessionMissingError } from "symbolon";
import { refusalOf, sessionOf } from "symbolon/frameworks/node";
import { ask, backstage, serve } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

describe("sessionOf", () => {
  it("throws where no binding handled the request", () => {
    expect(() => sessionOf({})).toThrow(SessionMissingError);
    expect(() => sessionOf(new Request("http://app.example/"))).toThrow(/mount one/);
  });
});

describe.each(TARGETS)("several managers on $name", (target) => {
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
