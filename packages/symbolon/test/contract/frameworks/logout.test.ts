import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { ask, backstage, begin, COOKIE, dataOf, HTTPS, serve, tokenIn, visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";
import type { Handler } from "./support/app.ts";

const app: Handler = async ({ path, session, respond }) => {
  if (path.startsWith("/logout")) await session.logout();
  if (path.endsWith("write")) session.data["mine"] = true;
  respond.send(200, session.id === null ? "nobody" : "somebody");
};

function maxAge(cookies: readonly string[]): number {
  return Number(/Max-Age=(\d+)$/.exec(cookies[0] ?? "")?.[1]);
}

const DELETION = `${COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0`;

describe.each(TARGETS)("logout on $name", (target) => {
  it("ends the session on the server first, then empties the jar; a copied cookie is dead", async () => {
    const behind = backstage();
    const served = await serve(target, behind, app);
    const browser = visitor(served);
    await browser.get("/write");
    const copied = browser.cookies();
    expect(copied).toMatch(new RegExp(`^${COOKIE}=s1_`));
    const gate = behind.hold("delete");
    const asking = browser.open("/logout");
    await gate.reached;
    await visitor(served).get("/");
    expect(asking.hasHead()).toBe(false);
    gate.open();
    const answer = await asking.answer;
    expect(answer.cookies).toEqual([DELETION]);
    browser.keep(answer);
    expect(browser.cookies()).toBe("");
    expect((await browser.jar.serialize()).cookies).toEqual([]);
    expect((await ask(served, "/", { cookie: copied })).body.toString()).toBe("nobody");
  });

  it.each([
    ["partitioned", { partitioned: true }],
    ["of a path", { path: "/app" }],
    ["of a domain", { domain: "app.example" }],
    ["strict and persistent", { sameSite: "Strict" as const, persistent: true, priority: "High" as const }],
  ])("deletes a cookie %s with the attributes it was set with", async (_name, cookie) => {
    const behind = backstage({ cookie });
    const served = await serve(target, behind, app);
    const set = await ask(served, "/write");
    const [name = "", ...attributes] = (set.cookies[0] ?? "").split("; ");
    const { cookies } = await ask(served, "/logout", { cookie: name });
    const kept = attributes.filter((attribute) => !attribute.startsWith("Max-Age="));
    expect(cookies).toEqual([[`${name.split("=")[0]}=`, ...kept, "Max-Age=0"].join("; ")]);
  });

  it("begins a new session with one cookie when data is written afterwards", async () => {
    const behind = backstage();
    const served = await serve(target, behind, app);
    const { token, cookie } = await begin(behind, { secret: 1 });
    const answer = await ask(served, "/logout/write", { cookie });
    const issued = tokenIn(answer);
    expect(answer.cookies).toHaveLength(1);
    expect(issued).not.toBe(token);
    expect(await dataOf(behind, issued)).toEqual({ mine: true });
    expect(await dataOf(behind, token)).toBeNull();
  });

  it("elsewhere wins over a request in flight, which then sends no cookie at all", async () => {
    const behind = backstage({ cookie: { persistent: true } });
    const served = await serve(target, behind, app);
    const { token, cookie } = await begin(behind, {});
    const gate = behind.hold("update");
    const asking = served.ask({ path: "/write", headers: { ...HTTPS, cookie } });
    await gate.reached;
    expect((await ask(served, "/logout", { cookie })).cookies).toEqual([DELETION]);
    gate.open();
    const answer = await asking.answer;
    expect([answer.status, answer.cookies]).toEqual([200, []]);
    expect(await dataOf(behind, token)).toBeNull();
  });

  it("deletes nothing when the token was dead before", async () => {
    const behind = backstage();
    const served = await serve(target, behind, app);
    const { token, cookie } = await begin(behind, {});
    await behind.sessions.revokeToken(token);
    expect((await ask(served, "/", { cookie })).cookies).toEqual([]);
  });
});

describe.each(TARGETS)("a persistent cookie on $name", (target) => {
  it.each([
    ["is sent again when its end has moved", false],
    ["is sent with each new token", undefined],
  ] as const)("lasts no longer than the session, and %s", async (_, every) => {
    const clock = manualClock();
    const behind = backstage({
      clock,
      cookie: { persistent: true },
      lifetime: { idle: "1h", absolute: "2h" },
      rotation: { ...(every === false && { every }) },
    });
    const served = await serve(target, behind, app);
    const first = await ask(served, "/write");
    expect(maxAge(first.cookies)).toBe(3600);
    let token = tokenIn(first);
    expect((await ask(served, "/", { cookie: `${COOKIE}=${token}` })).cookies).toEqual([]);
    for (const [minutes, left] of [
      [50, 3600],
      [50, 1200],
    ] as const) {
      clock.advance(minutes * 60_000);
      const touched = await ask(served, "/", { cookie: `${COOKIE}=${token}` });
      expect(tokenIn(touched) === token).toBe(every === false);
      token = tokenIn(touched);
      expect(maxAge(touched.cookies)).toBe(left);
      expect(touched.headers.get("cache-control")).toBe("private, no-store");
      expect(touched.headers.get("vary")).toBe("Cookie");
      if (every === false) continue;
      const arrived = await ask(served, "/", { cookie: `${COOKIE}=${token}` });
      expect([tokenIn(arrived), maxAge(arrived.cookies)]).toEqual([token, left]);
    }
    clock.advance(1_200_000);
    const ended = await ask(served, "/", { cookie: `${COOKIE}=${token}` });
    expect([ended.body.toString(), ended.cookies]).toEqual(["nobody", []]);
  });
});
