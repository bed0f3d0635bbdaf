/** Access tokens in cookies: many requests at once, without the store, by hand, and beside other managers. */
import { generateKey, openSession, sessionOf } from "symbolon";
import { challengeOf, sessionOfUpgrade, withSession } from "symbolon/frameworks/node";
import { memoryStore } from "symbolon/stores/memory";
import { claimsOf } from "symbolon/jwt";
import { describe, expect, it, onTestFinished } from "vitest";
import { jwtsOver } from "../../support/jwt-sessions.ts";
import type { Handler, Target } from "./support/app.ts";
import type { Answer } from "./support/client.ts";
import { ACCESS, bearer, elsewhere, jwtBackstage, type JwtBackstage, serveJwt } from "./support/jwt-stage.ts";
import { ask, COOKIE, OWN_PAGE, tokenIn, visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const MINUTE = 60_000;

/** Says who is there and what opened the session, and does on the way what the path says. */
const application: Handler = async ({ path, session, respond }) => {
  if (path === "/login") await session.login("ada");
  if (path === "/logout") await session.logout();
  const n = path === "/data" ? Number(session.data["n"] ?? 0) : 0;
  if (path === "/data") session.data["n"] = n + 1;
  respond.send(200, `${session.userId} by ${claimsOf(session) === null ? "session" : "access"} ${n}`);
};

/** The cookies of a response to a login, as a header. */
function cookieOf(login: Answer): string {
  return `${COOKIE}=${tokenIn(login)}; ${ACCESS}=${tokenIn(login, ACCESS)}`;
}

describe.each(TARGETS)("many requests of one browser on $name", (target) => {
  it.each(["stateful", "offline"] as const)(
    "never lose the user around rotations and expiry, %s",
    async (verification) => {
      const behind = jwtBackstage({ carrier: "cookie", verification });
      const browser = visitor(await serveJwt(target, behind, application));
      await browser.post("/login");
      for (let round = 0; round < 4; round++) {
        behind.clock.advance(16 * MINUTE);
        // All are sent with the cookies of before, and the jar takes the answers as they come.
        const answers = await Promise.all(Array.from({ length: 20 }, () => browser.get("/")));
        expect(answers.map(({ body }) => body.toString()).filter((text) => !text.startsWith("ada"))).toEqual([]);
      }
      // A token that has just arrived rotates no sooner than `grace` after that.
      behind.clock.advance(11_000);
      await browser.get("/");
      const last = await browser.get("/");
      expect([last.body.toString().slice(0, 3), last.cookies]).toEqual(["ada", []]);
    },
  );
});

describe.each(TARGETS)("access cookies that are verified offline on $name", (target) => {
  it("cost no store call, and the session's own opens it again when they expire", async () => {
    const behind = jwtBackstage({ carrier: "cookie", verification: "offline" });
    const browser = visitor(await serveJwt(target, behind, application));
    await browser.post("/login");
    const before = behind.calls().length;
    for (let round = 0; round < 3; round++) {
      const answer = await browser.get("/");
      expect([answer.body.toString(), answer.cookies]).toEqual(["ada by access 0", []]);
    }
    expect(behind.calls()).toHaveLength(before);
    behind.clock.advance(10 * MINUTE);
    const renewed = await browser.get("/");
    expect(renewed.body.toString()).toBe("ada by session 0");
    expect(tokenIn(renewed, ACCESS)).toMatch(/\./);
    expect((await browser.get("/")).body.toString()).toBe("ada by access 0");
  });

  it("of another session than the session cookie's have no say", async () => {
    const behind = jwtBackstage({ carrier: "cookie", verification: "offline" });
    const served = await serveJwt(target, behind, application);
    const eve = await behind.jwts.create({ userId: "eve" });
    const own = tokenIn(await ask(served, "/login", OWN_PAGE));
    const answer = await ask(served, "/", { cookie: `${ACCESS}=${eve.accessToken}; ${COOKIE}=${own}` });
    expect(answer.body.toString()).toBe("ada by session 0");
    expect(await behind.jwts.userOf(tokenIn(answer, ACCESS))).toBe("ada");
    // Nor beside a cookie that opens nothing.
    const beside = await ask(served, "/", { cookie: `${ACCESS}=${eve.accessToken}; ${COOKIE}=${own}x` });
    expect(beside.body.toString()).toMatch(/^null/);
  });

  it("are passed over on a route with the lock, which has the data", async () => {
    const behind = jwtBackstage({ carrier: "cookie", verification: "offline" });
    const served = await serveJwt(target, behind, application, undefined, { lock: true });
    const unlocked = await serveJwt(target, behind, application);
    const cookie = cookieOf(await ask(served, "/login", OWN_PAGE));
    expect((await ask(unlocked, "/data", { cookie })).status).toBe(500);
    const answers = await Promise.all(Array.from({ length: 3 }, () => ask(served, "/data", { cookie })));
    expect(answers.map(({ body }) => body.toString()).toSorted()).toEqual([0, 1, 2].map((n) => `ada by session ${n}`));
  });

  it("are dead here after a logout, and in another process when they expire", async () => {
    const [store, keys] = [memoryStore(), [generateKey()]];
    const behind = jwtBackstage({ carrier: "cookie", verification: "offline" }, { store, keys });
    const there = jwtsOver(elsewhere({ store, keys, clock: behind.clock }), {
      carrier: "cookie",
      verification: "offline",
    });
    const served = await serveJwt(target, behind, application);
    const far = await serveJwt(target, { jwts: there }, application);
    const cookie = cookieOf(await ask(served, "/login", OWN_PAGE));
    const out = await ask(served, "/logout", { cookie, ...OWN_PAGE });
    expect(out.cookies.map((text) => text.split(";")[0])).toEqual([`${COOKIE}=`, `${ACCESS}=`]);
    expect((await ask(served, "/", { cookie })).body.toString()).toMatch(/^null/);
    expect((await ask(far, "/", { cookie })).body.toString()).toBe("ada by access 0");
    behind.clock.advance(10 * MINUTE);
    expect((await ask(far, "/", { cookie })).body.toString()).toMatch(/^null/);
  });
});

/** Serves what shows the user of each of two managers. */
async function serveBoth(target: Target, behind: JwtBackstage, jwts = behind.jwts) {
  const served = await target.serve([behind.sessions, jwts], async ({ path, request, respond }) => {
    expect(() => sessionOf(request)).toThrow(/pass the one you mean/);
    const [site, api] = [sessionOf(request, behind.sessions), sessionOf(request, jwts)];
    if (path === "/login") await site.login("ada");
    if (path === "/logout") await api.logout();
    const refused = { status: 401, code: "login-required" };
    expect(challengeOf(request, site, refused)).toBeNull();
    expect(challengeOf(request, api, refused)).toMatch(/^Bearer/);
    respond.send(200, `${site.userId} ${api.userId}`);
  });
  onTestFinished(() => served.close());
  return served;
}

describe.each(TARGETS)("a manager of sessions and one of their JWTs side by side on $name", (target) => {
  it("have a session each: what comes in the cookie, and what comes in the header", async () => {
    const behind = jwtBackstage();
    const served = await serveBoth(target, behind);
    const login = await ask(served, "/login", OWN_PAGE);
    const cookie = `${COOKIE}=${tokenIn(login)}`;
    expect(login.cookies).toHaveLength(1);
    const issued = await behind.jwts.create({ userId: "bob" });
    expect((await ask(served, "/", { cookie })).body.toString()).toBe("ada null");
    expect((await ask(served, "/", bearer(issued))).body.toString()).toBe("null bob");
    const both = await ask(served, "/", { cookie, ...bearer(issued) });
    expect(both.body.toString()).toBe("ada bob");
    expect(both.headers.get("vary")).toMatch(/Authorization/);
    expect(both.headers.get("vary")).toMatch(/Cookie/);
    expect((await ask(served, "/logout", { cookie, ...bearer(issued), ...OWN_PAGE })).body.toString()).toBe("ada null");
    expect((await ask(served, "/", { cookie, ...bearer(issued) })).body.toString()).toBe("ada null");
  });

  it("judge requests of other sites by what each of them takes", async () => {
    const behind = jwtBackstage();
    const served = await serveBoth(target, behind);
    const { token } = await behind.sessions.create({ userId: "ada" });
    const issued = await behind.jwts.create({ userId: "bob" });
    const evil = { "x-forwarded-proto": "https", "sec-fetch-site": "cross-site", origin: "https://evil.example" };
    const statusOf = async (headers: Readonly<Record<string, string>>): Promise<number> => {
      const asking = served.ask({ path: "/", method: "POST", headers: { ...evil, ...headers } });
      return (await asking.answer).status;
    };
    expect(await statusOf(bearer(issued))).toBe(200);
    expect(await statusOf({ ...bearer(issued), cookie: `${COOKIE}=${token}` })).toBe(403);
  });
});

function headersWith(cookie: string = ""): Headers {
  return new Headers({ cookie });
}

describe("openSession by hand with access cookies", () => {
  it("answers each cookie once, from commit", async () => {
    const { jwts } = jwtBackstage({ carrier: "cookie" });
    const first = await openSession(jwts, headersWith());
    await first.session.login("ada");
    expect(first.needsCommit()).toBe(true);
    const cookies = await first.commit();
    expect(cookies.map((text) => text.split("=")[0])).toEqual([COOKIE, ACCESS]);
    expect([await first.commit(), first.cookies()]).toEqual([[], []]);
    const cookie = cookies.map((text) => text.split(";")[0]).join("; ");
    const second = await openSession(jwts, headersWith(cookie));
    expect([second.session.userId, await second.commit()]).toEqual(["ada", []]);
  });

  it("has names without prefixes in development", async () => {
    const { jwts } = jwtBackstage({ carrier: "cookie" }, { development: true });
    const opened = await openSession(jwts, headersWith(), { secure: false, loopback: true });
    await opened.session.login("ada");
    const [own, access] = await opened.commit();
    expect(own).toMatch(/^sid=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(access).toMatch(/^access=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
    const cookie = [own, access].map((text) => text?.split(";")[0]).join("; ");
    const from = async (loopback: boolean) =>
      (await openSession(jwts, headersWith(cookie), { secure: false, loopback })).session.userId;
    expect([await from(true), await from(false)]).toEqual(["ada", null]);
  });

  it("sends no new access cookie with an answer that can carry none", async () => {
    const { jwts, sessions } = jwtBackstage({ carrier: "cookie" });
    const { token } = await sessions.create({ userId: "ada" });
    const opened = await openSession(jwts, headersWith(`${COOKIE}=${token}`));
    expect(opened.cookies()).toEqual([]);
    expect(opened.needsLateCommit()).toBe(false);
  });
});

describe("a mistake in the settings of an access cookie", () => {
  it.each([
    [{ name: "__Host-jwt", domain: "app.example" }, /no domain/],
    [{ name: "__Host-sid" }, /__Host-sid is the session's own/],
  ] as const)("shows when a binding is mounted: %j", (cookie, message) => {
    const { jwts } = jwtBackstage({ carrier: "cookie", cookie });
    expect(() => withSession(jwts, () => undefined)).toThrow(message);
  });
});

/** The part of a WebSocket handshake that is read. */
function handshake(lines: Readonly<Record<string, string>>) {
  const headers = { upgrade: "websocket", "x-forwarded-proto": "https", ...lines };
  return { method: "GET", headers, socket: { remoteAddress: "127.0.0.1" } };
}

describe("a handshake with an access token", () => {
  it("in the header opens the session, wherever it comes from", async () => {
    const { jwts } = jwtBackstage();
    const issued = await jwts.create({ userId: "ada" });
    const userOf = async (lines: Readonly<Record<string, string>>) =>
      (await sessionOfUpgrade(jwts, handshake(lines)))?.userId ?? null;
    expect(await userOf(bearer(issued))).toBe("ada");
    expect(await userOf({ ...bearer(issued), origin: "https://evil.example" })).toBe("ada");
    expect(await userOf({})).toBeNull();
  });

  it("in a cookie opens it for the application's own pages only", async () => {
    const { jwts } = jwtBackstage({ carrier: "cookie" }, { origins: ["https://app.example"] });
    const issued = await jwts.create({ userId: "ada" });
    const cookies = [`${COOKIE}=${issued.refreshToken}`, `${ACCESS}=${issued.accessToken}`];
    for (const cookie of [...cookies, cookies.join("; ")]) {
      const from = (lines: Readonly<Record<string, string>>) => sessionOfUpgrade(jwts, handshake({ cookie, ...lines }));
      expect((await from({ origin: "https://app.example" }))?.userId).toBe("ada");
      expect(await from({ origin: "https://evil.example" })).toBeNull();
      expect(await from({})).toBeNull();
    }
  });
});
