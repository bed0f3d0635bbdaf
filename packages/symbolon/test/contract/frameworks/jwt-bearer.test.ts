/** Access tokens in the `Authorization` header, in every framework. */
import { refusalOf, sessionOf } from "symbolon";
import { claimsOf, generateJwtKey, type TokenResponse } from "symbolon/jwt";
import { describe, expect, it } from "vitest";
import { jwtsOver, refreshedBy, refreshOf } from "../../support/jwt-sessions.ts";
import type { Guarding, Handler } from "./support/app.ts";
import type { Answer } from "./support/client.ts";
import { askAs, bearer, jwtBackstage, type JwtBackstage, serveJwt } from "./support/jwt-stage.ts";
import { node2 } from "./support/node-targets.ts";
import { ask, COOKIE, HTTPS, OWN_PAGE } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const LOGIN_REQUIRED: Guarding = { choose: (from, options) => from.requireLogin(options) };
const EVIL = { "sec-fetch-site": "cross-site", origin: "https://evil.example" };

/** Says who is there, and does on the way what the path says. */
function application({ jwts }: JwtBackstage): Handler {
  return async ({ path, request, session, respond }) => {
    if (path === "/logout") await session.logout();
    if (path === "/flash") session.flash("info", "hello");
    if (path === "/write") session.data["n"] = 1;
    if (path === "/token") session.csrfToken();
    if (path === "/login") {
      await session.login("ada", { roles: ["admin"] });
      const issued = await jwts.issue(session);
      return respond.send(200, JSON.stringify(issued.toResponse()));
    }
    if (path === "/unissued") await session.login("ada");
    const refusal = refusalOf(request, jwts);
    const reason = refusal?.ended?.reason ?? refusal?.reason ?? null;
    return respond.send(200, JSON.stringify([session.userId, session.roles, reason]));
  };
}

function said(answer: Answer): unknown {
  return JSON.parse(answer.body.toString());
}

const NOBODY = [null, [], null];

describe.each(TARGETS)("a bearer JWT on $name", (target) => {
  it("opens its session, with user, roles and claims: one read, no cookie, and private", async () => {
    const behind = jwtBackstage({ claims: () => ({ plan: "gold" }) });
    const issued = await behind.jwts.create({ userId: "ada", roles: ["admin"] });
    const served = await serveJwt(target, behind, ({ request, respond }) => {
      const session = sessionOf(request, behind.jwts);
      const claims = claimsOf(session);
      respond.send(200, JSON.stringify([session.userId, session.roles, claims?.["plan"], session.id === claims?.sid]));
    });
    const answer = await askAs(served, issued);
    expect([answer.status, said(answer)]).toEqual([200, ["ada", ["admin"], "gold", true]]);
    expect(answer.cookies).toEqual([]);
    expect(answer.headers.get("vary")).toBe("Authorization");
    expect(answer.headers.get("cache-control")).toBe("private, no-store");
    expect(behind.calls()).toEqual(["admit", "read"]);
  });

  it("of the greatest length that is issued is read", async () => {
    const behind = jwtBackstage({ claims: () => ({ text: "x".repeat(3000), more: "y".repeat(2700) }) });
    const issued = await behind.jwts.create({ userId: "ada" });
    expect(issued.accessToken.length).toBeGreaterThan(7900);
    const served = await serveJwt(target, behind, application(behind));
    expect(said(await askAs(served, issued))).toEqual(["ada", [], null]);
  });

  it("that is missing is nobody: nothing is asked of the store, nothing stored, whatever the handler writes", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    for (const path of ["/", "/flash", "/write", "/token"]) {
      const answer = await ask(served, path);
      expect([answer.status, said(answer), answer.cookies]).toEqual([200, NOBODY, []]);
      expect(answer.headers.get("vary")).toBe("Authorization");
    }
    expect(behind.calls()).toEqual([]);
  });

  it("leaves a session cookie no say, be it alone or beside it", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const { token } = await behind.sessions.create({ userId: "eve" });
    const issued = await behind.jwts.create({ userId: "ada" });
    const cookie = `${COOKIE}=${token}; __Host-access=${issued.accessToken}`;
    expect(said(await ask(served, "/", { cookie }))).toEqual(NOBODY);
    const beside = await ask(served, "/", { cookie, ...bearer(issued) });
    expect([said(beside), beside.cookies]).toEqual([["ada", [], null], []]);
    expect(said(await ask(served, "/", { cookie, ...bearer("a.b") }))).toEqual([null, [], "malformed"]);
    const out = await ask(served, "/logout", { cookie, ...bearer(issued) });
    expect([out.status, out.cookies]).toEqual([200, []]);
    expect(await behind.sessions.validate(token)).not.toBeNull();
  });

  it("in another spelling of the header, in two headers or in a list is never half read", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const { accessToken: ada } = await behind.jwts.create({ userId: "ada" });
    const { accessToken: bob } = await behind.jwts.create({ userId: "bob" });
    const basic = Buffer.from(`ada:${ada}`).toString("base64");
    for (const authorization of [
      `Bearer ${ada}, Bearer ${bob}`,
      `Bearer ${ada},`,
      `Bearer ${ada} ${bob}`,
      `Bearer realm="x", Bearer ${ada}`,
      `Bearer "${ada}"`,
      `Bearer${ada}`,
      `Basic ${basic}`,
      `DPoP ${ada}`,
      `Token ${ada}`,
      ada,
      'Bearer realm="default"',
      "",
      `Bearer ${"a".repeat(9000)}`,
    ]) {
      expect(said(await ask(served, "/", { authorization }))).toEqual(NOBODY);
    }
    expect(said(await ask(served, "/", { authorization: `BEARER  ${ada}` }))).toEqual(["ada", [], null]);
    // A client of HTTP/2 refuses to send two.
    if (target === node2) return;
    const [first] = said(await ask(served, "/", { authorization: [`Bearer ${ada}`, `Bearer ${bob}`] })) as [unknown];
    // Node hands over the first of two lines, what is of the Web a list.
    expect(["ada", null]).toContain(first);
    const second = await ask(served, "/", { authorization: ["Basic YTpi", `Bearer ${bob}`] });
    expect(said(second)).toEqual(NOBODY);
  });

  it("is not found elsewhere than in that header", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const { accessToken } = await behind.jwts.create({ userId: "ada" });
    const answer = await served.ask({
      path: `/?access_token=${accessToken}&token=${accessToken}`,
      method: "POST",
      headers: {
        ...HTTPS,
        ...OWN_PAGE,
        "x-access-token": accessToken,
        "proxy-authorization": `Bearer ${accessToken}`,
        cookie: `access_token=${accessToken}; __Host-access=${accessToken}`,
        "content-type": "application/x-www-form-urlencoded",
      },
      body: `access_token=${accessToken}`,
    }).answer;
    expect(said(answer)).toEqual(NOBODY);
  });

  it("that is refused tells the handler why, and the client the same bytes for every reason", async () => {
    const behind = jwtBackstage();
    const { jwts, clock, sessions } = behind;
    const served = await serveJwt(target, behind, application(behind));
    const guarded = await serveJwt(target, behind, application(behind), LOGIN_REQUIRED);
    const other = jwtsOver(sessions, { signing: [await generateJwtKey()] });
    const expired = await jwts.create({ userId: "ada" });
    clock.advance(600_000);
    const [refreshed, ended, evicted, fine] = await Promise.all(
      ["ada", "bob", "cleo", "dan"].map((userId) => jwts.create({ userId })),
    );
    await refreshedBy(jwts, refreshOf(refreshed!));
    await ended!.session.logout();
    await jwts.revoke(evicted!.accessToken, "evicted");
    const [head = "", body = "", signature = ""] = fine!.accessToken.split(".");
    const refused: readonly (readonly [token: string, reason: string])[] = [
      [expired.accessToken, "expired"],
      [refreshed!.accessToken, "replaced"],
      [ended!.accessToken, "logout"],
      [evicted!.accessToken, "evicted"],
      [(await other.create({ userId: "ada" })).accessToken, "unknown-key"],
      [(await jwtsOver(sessions, { issuer: "https://a.example" }).create({ userId: "a" })).accessToken, "wrong-issuer"],
      [(await jwtsOver(sessions, { audience: "https://a" }).create({ userId: "a" })).accessToken, "wrong-audience"],
      [`${head}.${body}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`, "bad-signature"],
      [`${head}.${body}`, "malformed"],
      [refreshOf(fine!), "malformed"],
    ];
    const answers: string[] = [];
    for (const [token, reason] of refused) {
      expect(said(await askAs(served, token))).toEqual([null, [], reason]);
      const answer = await askAs(guarded, token);
      expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([
        401,
        'Bearer realm="default", error="invalid_token"',
      ]);
      const headers = [...answer.headers].filter(([name]) => name !== "date");
      answers.push(JSON.stringify([headers, answer.body.toString()]));
    }
    expect(new Set(answers).size).toBe(1);
    for (const [, reason] of refused) expect(answers[0]).not.toContain(reason);
    expect((await askAs(guarded, fine!)).status).toBe(200);
  });

  it("is dead for the next request after a logout with it, and after a refresh", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const first = await behind.jwts.create({ userId: "ada" });
    const second = await refreshedBy(behind.jwts, refreshOf(first));
    expect(said(await askAs(served, first))).toEqual([null, [], "replaced"]);
    const out = await askAs(served, second, "/logout");
    expect([out.status, out.cookies]).toEqual([200, []]);
    expect(said(await askAs(served, second))).toEqual([null, [], "logout"]);
    expect(await behind.jwts.refresh(refreshOf(second))).toBeNull();
    expect(await behind.sessions.count({ userId: "ada" })).toBe(0);
  });

  it("notes use with the response, and only when it is due", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const issued = await behind.jwts.create({ userId: "ada" });
    await askAs(served, issued);
    behind.clock.advance(7 * 60_000);
    const before = behind.clock.now();
    await askAs(served, issued);
    await askAs(served, issued);
    expect(behind.calls()).toEqual(["admit", "read", "read", "update", "read"]);
    expect((await behind.sessions.get("ada", issued.claims.sid!))?.lastSeenAt).toBe(before);
  });
});

describe.each(TARGETS)("a login without cookies on $name", (target) => {
  it("begins a session whose pair works, and which the response says nothing else of", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const answer = await ask(served, "/login", OWN_PAGE);
    expect([answer.status, answer.cookies]).toEqual([200, []]);
    const pair = said(answer) as TokenResponse;
    expect(said(await askAs(served, pair.access_token))).toEqual(["ada", ["admin"], null]);
    const next = await refreshedBy(behind.jwts, pair.refresh_token ?? null);
    expect(said(await askAs(served, next))).toEqual(["ada", ["admin"], null]);
    expect(said(await askAs(served, pair.access_token))).toEqual([null, [], "replaced"]);
  });

  it("sets no cookie where the application forgets to issue tokens", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const answer = await ask(served, "/unissued");
    expect([said(answer), answer.cookies]).toEqual([["ada", [], null], []]);
  });

  it("ends the session of the access token that came with it, and is no other's", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const before = await behind.jwts.create({ userId: "bob" });
    const pair = said(await askAs(served, before, "/login")) as TokenResponse;
    expect(said(await askAs(served, before))).toEqual([null, [], "replaced"]);
    expect(said(await askAs(served, pair.access_token))).toEqual(["ada", ["admin"], null]);
  });
});

describe.each(TARGETS)("requests of other sites with bearer JWTs on $name", (target) => {
  it("pass with a token, whatever cookies come along, since no page can be made to send one", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, application(behind));
    const issued = await behind.jwts.create({ userId: "ada" });
    const { token } = await behind.sessions.create({ userId: "ada" });
    const cookie = `${COOKIE}=${token}`;
    const statusOf = async (headers: Readonly<Record<string, string>>): Promise<number> => {
      const asking = served.ask({ path: "/", method: "POST", headers: { ...HTTPS, ...headers } });
      return (await asking.answer).status;
    };
    expect(await statusOf(bearer(issued))).toBe(200);
    expect(await statusOf({ ...EVIL, ...bearer(issued) })).toBe(200);
    expect(await statusOf({ ...EVIL, cookie, ...bearer(issued) })).toBe(200);
    expect(await statusOf({ cookie })).toBe(200);
    // A login form of another site is refused as everywhere.
    expect(await statusOf(EVIL)).toBe(403);
  });
});
