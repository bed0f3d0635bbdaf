/** What a jar makes of the cookies that keeps them as RFC 6265bis says, prefixes included. */
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import type { Handler } from "./support/app.ts";
import { ask, backstage, COOKIE, serve, visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const app: Handler = async ({ path, session, respond }) => {
  if (path === "/login") await session.login("ada");
  if (path === "/logout") await session.logout();
  respond.send(200, session.userId ?? "nobody");
};

describe.each(TARGETS)("a browser's jar on $name", (target) => {
  it("is emptied by a logout; a copied cookie is dead", async () => {
    const served = await serve(target, backstage(), app);
    const browser = visitor(served);
    await browser.post("/login");
    const copied = browser.cookies();
    expect(copied).toMatch(new RegExp(`^${COOKIE}=s1_`));
    await browser.post("/logout");
    expect(browser.cookies()).toBe("");
    expect((await browser.jar.serialize()).cookies).toEqual([]);
    expect((await ask(served, "/", { cookie: copied })).body.toString()).toBe("nobody");
  });

  it("stays logged in when fifty requests at once get the next token", async () => {
    const clock = manualClock();
    const served = await serve(target, backstage({ clock }), app);
    const browser = visitor(served);
    await browser.post("/login");
    clock.advance(15 * 60_000);
    const before = browser.cookies();
    const all = await Promise.all(Array.from({ length: 50 }, () => browser.open("/").answer));
    for (const answer of all) browser.keep(answer);
    expect(browser.cookies()).not.toBe(before);
    for (let round = 0; round < 2; round++) {
      expect((await browser.get("/")).body.toString()).toBe("ada");
      clock.advance(10_000);
    }
  });
});
