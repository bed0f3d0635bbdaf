/** Access tokens in a cookie beside the session's own, in every framework. */
import { claimsOf } from "symbolon/jwt";
import { describe, expect, it } from "vitest";
import { generationOf } from "../../support/jwt-sessions.ts";
import { challengeOf, refusalOf } from "symbolon/frameworks/node";
import type { Handler, Served } from "./support/app.ts";
import type { Answer } from "./support/client.ts";
import { ACCESS, bearer, jwtBackstage, type JwtBackstage, serveJwt } from "./support/jwt-stage.ts";
import { ask, COOKIE, HTTPS, OWN_PAGE, tokenIn, type Visitor, visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";
const MINUTE = 60_000;

/** Says who is there and what opened the session, and does on the way what the path says. */
function application({ jwts }: JwtBackstage): Handler {
  return async ({ path, request, session, respond }) => {
    if (path === "/login") await session.login("ada", { roles: ["user"] });
    if (path === "/remember") await session.login("ada", { remember: true });
    if (path === "/pending") await session.login("ada", { pending: "second-factor" });
    if (path === "/break") {
      await session.login("ada");
      throw new Error("broken");
    }
    if (path === "/promote") await session.setRoles(["user", "admin"]);
    if (path === "/logout") await session.logout();
    if (path === "/visit") session.data["visits"] = 1;
    if (path === "/issue") {
      await session.login("ada");
      return respond.send(200, JSON.stringify((await jwts.issue(session)).toResponse()));
    }
    const opener = claimsOf(session) === null ? "session" : "access";
    const reason = refusalOf(request, jwts)?.reason ?? null;
    return respond.send(200, JSON.stringify([session.userId, opener, reason]));
  };
}

function said(answer: Answer): unknown {
  return JSON.parse(answer.body.toString());
}

/** The names of the cookies that a response sets or clears. */
function namesIn({ cookies }: Answer): string[] {
  return cookies.map((cookie) => cookie.split("=")[0] ?? "");
}

function jarOf(browser: Visitor): Readonly<Record<string, string>> {
  return Object.fromEntries(browser.jar.getCookiesSync("https://app.example/").map(({ key, value }) => [key, value]));
}

interface Scene extends JwtBackstage {
  readonly served: Served;
  readonly browser: Visitor;
}

/** A browser whose user is logged in. */
async function loggedIn(
  target: (typeof TARGETS)[number],
  jwt: Parameters<typeof jwtBackstage>[0] = {},
  options: Parameters<typeof jwtBackstage>[1] = {},
): Promise<Scene> {
  const behind = jwtBackstage({ carrier: "cookie", ...jwt }, options);
  const served = await serveJwt(target, behind, application(behind));
  const browser = visitor(served);
  await browser.post("/login");
  return { ...behind, served, browser };
}

describe.each(TARGETS)("an access token in a cookie on $name", (target) => {
  it("comes with the login, beside the session's own, and then no more", async () => {
    const behind = jwtBackstage({ carrier: "cookie" });
    const served = await serveJwt(target, behind, application(behind));
    const browser = visitor(served);
    expect((await browser.get("/")).cookies).toEqual([]);
    const login = await browser.post("/login");
    const [own = "", access = ""] = login.cookies;
    expect(login.cookies).toHaveLength(2);
    expect(own).toMatch(new RegExp(`^${COOKIE}=s1_[\\w-]{80}; ${ATTRIBUTES}$`));
    expect(access).toMatch(new RegExp(`^${ACCESS}=[\\w-]+\\.[\\w-]+\\.[\\w-]+; ${ATTRIBUTES}$`));
    expect(login.headers.get("cache-control")).toBe("private, no-store");
    expect(login.headers.get("vary")).toContain("Cookie");
    expect(login.headers.get("vary")).not.toContain("Authorization");
    const next = await browser.get("/");
    expect([said(next), next.cookies]).toEqual([["ada", "session", null], []]);
    expect(await behind.jwts.userOf(jarOf(browser)[ACCESS] ?? "")).toBe("ada");
  });

  it("is not for visitors, nor for a login that misses a step", async () => {
    const behind = jwtBackstage({ carrier: "cookie" });
    const served = await serveJwt(target, behind, application(behind));
    expect(namesIn(await ask(served, "/visit", OWN_PAGE))).toEqual([COOKIE]);
    expect(namesIn(await ask(served, "/pending", OWN_PAGE))).toEqual([COOKIE]);
  });

  it("is for this session of the browser, also where the session outlives that", async () => {
    const behind = jwtBackstage({ carrier: "cookie" });
    const served = await serveJwt(target, behind, application(behind));
    const [own = "", access = ""] = (await ask(served, "/remember", OWN_PAGE)).cookies;
    expect(own).toMatch(/; Max-Age=1209600$/);
    expect(access).toMatch(new RegExp(`; ${ATTRIBUTES}$`));
  });

  it("has the name and attributes that the application wants", async () => {
    const cookie = { name: "__Secure-jwt", domain: "app.example", path: "/", sameSite: "Strict" } as const;
    const behind = jwtBackstage({ carrier: "cookie", cookie });
    const served = await serveJwt(target, behind, application(behind));
    const [, access] = (await ask(served, "/login", OWN_PAGE)).cookies;
    expect(access).toMatch(/^__Secure-jwt=[^;]+; Path=\/; Domain=app\.example; Secure; HttpOnly; SameSite=Strict$/);
  });

  it.each([
    ["is missing", async () => undefined],
    ["is of no use", async () => "x.y.z"],
    ["has expired", async ({ clock, browser }: Scene) => (clock.advance(11 * MINUTE), jarOf(browser)[ACCESS])],
    [
      "is of another session of the user",
      async ({ jwts }: Scene) => (await jwts.create({ userId: "ada" })).accessToken,
    ],
    ["is of another user", async ({ jwts }: Scene) => (await jwts.create({ userId: "eve" })).accessToken],
  ] as const)("comes anew when it %s: the session's own cookie opens the session", async (_name, worsen) => {
    const scene = await loggedIn(target);
    const held = await worsen(scene);
    const own = `${COOKIE}=${jarOf(scene.browser)[COOKIE]}`;
    const cookie = held === undefined ? own : `${ACCESS}=${held}; ${own}`;
    const answer = await ask(scene.served, "/", { cookie });
    expect([said(answer), namesIn(answer)]).toEqual([["ada", "session", null], [ACCESS]]);
    const access = tokenIn(answer, ACCESS);
    expect(access).not.toBe(held);
    const again = await ask(scene.served, "/", { cookie: `${own}; ${ACCESS}=${access}` });
    expect([said(again), again.cookies]).toEqual([["ada", "session", null], []]);
  });

  it("comes anew when the session's token rotates, is refreshed elsewhere, or its roles change", async () => {
    const { clock, browser, jwts, sessions } = await loggedIn(target);
    clock.advance(15 * MINUTE);
    const rotated = await browser.get("/");
    expect(namesIn(rotated)).toEqual([COOKIE, ACCESS]);
    const first = generationOf(tokenIn(rotated, ACCESS));
    expect((await browser.get("/")).cookies).toEqual([]);
    const promoted = await browser.post("/promote");
    expect(namesIn(promoted)).toEqual([COOKIE, ACCESS]);
    expect(generationOf(tokenIn(promoted, ACCESS))).toBe(first + 1);
    const session = await jwts.validate(tokenIn(promoted, ACCESS));
    expect(session?.roles).toEqual(["user", "admin"]);
    await sessions.update("ada", session?.id ?? "", { roles: [] });
    expect(namesIn(await browser.get("/"))).toContain(ACCESS);
    expect((await browser.get("/")).cookies).toEqual([]);
    expect((await jwts.inspect(jarOf(browser)[ACCESS] ?? "")).ok).toBe(true);
  });

  it("is cleared with the session's own at logout, and a copy is dead", async () => {
    const { browser, served } = await loggedIn(target);
    const copy = browser.cookies();
    const [access] = copy.split("; ").filter((pair) => pair.startsWith(ACCESS));
    const out = await browser.post("/logout");
    expect(out.cookies).toEqual([`${COOKIE}=; ${ATTRIBUTES}; Max-Age=0`, `${ACCESS}=; ${ATTRIBUTES}; Max-Age=0`]);
    expect(browser.cookies()).toBe("");
    for (const cookie of [copy, access ?? ""]) {
      const answer = await ask(served, "/", { cookie });
      expect([said(answer), answer.cookies]).toEqual([[null, expect.any(String), "ended"], []]);
    }
  });

  it("opens the session alone, too, reads once, is given no successor, and can log out", async () => {
    const scene = await loggedIn(target);
    const { browser, served } = scene;
    const cookie = `${ACCESS}=${jarOf(browser)[ACCESS]}`;
    const before = scene.calls().length;
    const answer = await ask(served, "/", { cookie });
    expect([said(answer), answer.cookies]).toEqual([["ada", "access", null], []]);
    expect(scene.calls().slice(before)).toEqual(["read"]);
    expect(namesIn(await ask(served, "/logout", { cookie, ...OWN_PAGE }))).toEqual([COOKIE, ACCESS]);
    expect(said(await browser.get("/"))).toEqual([null, "session", "ended"]);
  });

  it("opens the session alone although its roles have changed since, and is given no successor", async () => {
    const { browser, served, sessions } = await loggedIn(target);
    const cookie = `${ACCESS}=${jarOf(browser)[ACCESS]}`;
    const [session] = (await sessions.list({ userId: "ada" })).sessions;
    await sessions.update("ada", session?.id ?? "", { roles: ["admin"] });
    const answer = await ask(served, "/", { cookie });
    expect([said(answer), answer.cookies]).toEqual([["ada", "access", null], []]);
  });

  it("is not for a session whose own token came in the header", async () => {
    const { served, sessions, faults } = await loggedIn(target, {}, { bearer: true, cookie: { persistent: true } });
    const { token } = await sessions.create({ userId: "bob" });
    const answer = await ask(served, "/", bearer(token));
    expect([said(answer), answer.cookies]).toEqual([["bob", "session", null], []]);
    expect((await ask(served, "/login", bearer(token))).cookies).toEqual([]);
    const before = faults.calls.length;
    expect((await ask(served, "/visit", bearer("nothing"))).cookies).toEqual([]);
    expect(faults.calls).toHaveLength(before);
  });

  it("that opens nothing puts no new session in the place of one whose cookie has a path of its own", async () => {
    const options = { cookie: { name: "__Secure-sid", path: "/auth" } } as const;
    const behind = jwtBackstage({ carrier: "cookie" }, options);
    const served = await serveJwt(target, behind, application(behind));
    const login = await ask(served, "/login", OWN_PAGE);
    const cookie = `${ACCESS}=${tokenIn(login, ACCESS)}`;
    expect(said(await ask(served, "/visit", { cookie: `${cookie}x` }))).toEqual([null, "session", "not-canonical"]);
    behind.clock.advance(10 * MINUTE);
    const outside = await ask(served, "/visit", { cookie });
    expect([said(outside), outside.cookies]).toEqual([[null, "session", "expired"], []]);
    const inside = await ask(served, "/", { cookie: `${cookie}; __Secure-sid=${tokenIn(login, "__Secure-sid")}` });
    expect([said(inside), namesIn(inside)]).toEqual([["ada", "session", null], [ACCESS]]);
  });

  it("leaves a visitor whose old one opens nothing a new session elsewhere", async () => {
    const { browser, served } = await loggedIn(target);
    const cookie = `${ACCESS}=${jarOf(browser)[ACCESS]}x`;
    expect(namesIn(await ask(served, "/visit", { cookie, ...OWN_PAGE }))).toEqual([COOKIE]);
  });

  it("twice with different values is nobody's alone, and an event says so; the session's own has its say", async () => {
    const { browser, served, sessions } = await loggedIn(target);
    const events: string[] = [];
    sessions.on("ambiguous-cookie", ({ name }) => events.push(name));
    const { [ACCESS]: access, [COOKIE]: own } = jarOf(browser);
    const twice = `${ACCESS}=${access}; ${ACCESS}=x.y.z`;
    const alone = await ask(served, "/", { cookie: twice });
    expect([said(alone), alone.cookies]).toEqual([[null, "session", "ambiguous"], []]);
    expect(events).toEqual([ACCESS]);
    const both = await ask(served, "/", { cookie: `${twice}; ${COOKIE}=${own}` });
    expect([said(both), namesIn(both)]).toEqual([["ada", "session", null], [ACCESS]]);
    const planted = await ask(served, "/", { cookie: `${ACCESS}=${access}; ${COOKIE}=${own}; ${COOKIE}=x` });
    expect(said(planted)).toEqual([null, "session", "ambiguous"]);
    expect(events).toEqual([ACCESS, COOKIE]);
  });

  it("is not sent to another site's request, which is refused", async () => {
    const { browser, served } = await loggedIn(target);
    const headers = { ...HTTPS, "sec-fetch-site": "cross-site", origin: "https://evil.example" };
    const { [ACCESS]: access, [COOKIE]: own } = jarOf(browser);
    for (const cookie of [`${COOKIE}=${own}`, `${ACCESS}=${access}`, `${ACCESS}=${access}; ${COOKIE}=${own}`]) {
      const answer = await served.ask({ path: "/", method: "POST", headers: { ...headers, cookie } }).answer;
      expect([answer.status, answer.cookies]).toEqual([403, []]);
    }
  });

  it("stays away where the application hands the tokens out itself", async () => {
    const behind = jwtBackstage({ carrier: "cookie" });
    const served = await serveJwt(target, behind, application(behind));
    const answer = await ask(served, "/issue", OWN_PAGE);
    expect([answer.status, answer.cookies]).toEqual([200, []]);
    expect(said(answer)).toMatchObject({ token_type: "Bearer" });
  });

  it("comes with the next answer at the latest where the one to the login fails", async () => {
    const behind = jwtBackstage({ carrier: "cookie" });
    const browser = visitor(await serveJwt(target, behind, application(behind)));
    const broken = await browser.post("/break");
    expect([broken.status, namesIn(broken)[0]]).toEqual([500, COOKIE]);
    expect(said(await browser.get("/"))).toEqual(["ada", "session", null]);
    expect(Object.keys(jarOf(browser)).toSorted()).toEqual([ACCESS, COOKIE]);
    expect((await browser.get("/")).cookies).toEqual([]);
  });

  it("in the header opens nothing, and nobody is challenged to send one", async () => {
    const behind = jwtBackstage({ carrier: "cookie" });
    const served = await serveJwt(target, behind, ({ request, session, respond }) =>
      respond.send(200, `${session.userId} ${challengeOf(request, session, { status: 401, code: "login-required" })}`),
    );
    const issued = await behind.jwts.create({ userId: "ada" });
    expect((await ask(served, "/", bearer(issued))).body.toString()).toBe("null null");
  });

  it("is withheld over plain http", async () => {
    const plain = jwtBackstage({ carrier: "cookie" });
    const served = await serveJwt(target, plain, application(plain));
    const refused = await served.ask({ path: "/login", method: "POST", headers: OWN_PAGE }).answer;
    expect([refused.status, refused.cookies]).toEqual([500, []]);
    const issued = await plain.jwts.create({ userId: "ada" });
    const cookie = `${ACCESS}=${issued.accessToken}; ${COOKIE}=${issued.refreshToken}`;
    expect(said(await served.ask({ path: "/", headers: { cookie } }).answer)).toEqual([null, "session", null]);
  });

  it("does not cost the user the session when the store fails: 503, and both cookies are good after it", async () => {
    const { browser, faults, clock } = await loggedIn(target);
    clock.advance(15 * MINUTE);
    faults.fail();
    const failed = await browser.get("/");
    expect([failed.status, failed.cookies]).toEqual([503, []]);
    faults.heal();
    expect(said(await browser.get("/"))).toEqual(["ada", "session", null]);
  });
});
