/** What a request can do that came with an access token in its header, in every framework. */
import { generateKey, type Session } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it, vi } from "vitest";
import { jwtsOver } from "../../support/jwt-sessions.ts";
import type { Guarding, Handler } from "./support/app.ts";
import { askAs, bearer, elsewhere, jwtBackstage, serveJwt } from "./support/jwt-stage.ts";
import { ask, deferred, HTTPS } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const KEY = generateKey();
const LOGIN_REQUIRED: Guarding = { choose: (from, options) => from.requireLogin(options) };

/** Shows the data, after doing something with the session. */
function doing(work: (session: Session) => unknown): Handler {
  return async ({ session, respond }) => {
    await work(session);
    respond.send(200, `${session.userId ?? "nobody"} ${String(session.data["n"])}`);
  };
}

/** Says who is there, and writes or logs out on the way. */
const whoami: Handler = async ({ path, session, respond }) => {
  if (path === "/write") session.data["n"] = 2;
  if (path === "/logout") await session.logout();
  respond.send(200, session.userId ?? "nobody");
};

describe.each(TARGETS)("data with a bearer JWT on $name", (target) => {
  it("is read and saved where the server has its key", async () => {
    const behind = jwtBackstage({}, { seal: "server" });
    const issued = await behind.jwts.create({ userId: "ada", data: { n: 1 } });
    const served = await serveJwt(
      target,
      behind,
      doing(({ data }) => (data["n"] = Number(data["n"]) + 1)),
    );
    for (const n of [2, 3]) {
      const answer = await askAs(served, issued);
      expect([answer.body.toString(), answer.cookies]).toEqual([`ada ${n}`, []]);
    }
  });

  it("loses no update of requests at once", async () => {
    const behind = jwtBackstage({}, { seal: "server" });
    const issued = await behind.jwts.create({ userId: "ada", data: { n: 0 } });
    const served = await serveJwt(
      target,
      behind,
      doing((session) => session.update((data) => void (data["n"] = Number(data["n"]) + 1))),
    );
    const answers = await Promise.all(Array.from({ length: 12 }, () => askAs(served, issued)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect((await behind.jwts.validate(issued.accessToken))?.data).toEqual({ n: 12 });
  });

  it("counts on under the lock that a route takes, and frees it", async () => {
    const behind = jwtBackstage({}, { seal: "server" });
    const issued = await behind.jwts.create({ userId: "ada", data: { n: 0 } });
    const handler = doing(async ({ data }) => {
      const n = Number(data["n"] ?? 0);
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
      data["n"] = n + 1;
    });
    const served = await serveJwt(target, behind, handler, undefined, { lock: true });
    const answers = await Promise.all(Array.from({ length: 5 }, () => askAs(served, issued)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const session = await behind.jwts.validate(issued.accessToken);
    expect(session?.data).toEqual({ n: 5 });
    await session?.lock({ wait: 0 }, () => undefined);
    // Nobody has nothing to lock.
    expect((await ask(served, "/")).status).toBe(200);
  });

  it("is nobody's when the session ends while a route waits for its lock: 401 by the guard, not a failure", async () => {
    const behind = jwtBackstage();
    const issued = await behind.jwts.create({ userId: "ada" });
    const served = await serveJwt(target, behind, whoami, LOGIN_REQUIRED, { lock: true });
    const lease = await issued.session.lock();
    const before = behind.calls().length;
    const asking = askAs(served, issued);
    // Read, it can only wait for the lock.
    await vi.waitUntil(() => behind.calls().slice(before).includes("read"), { timeout: 10_000 });
    await behind.jwts.revoke(issued.accessToken);
    await lease.release();
    const answer = await asking;
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([
      401,
      'Bearer realm="default", error="invalid_token"',
    ]);
  });

  it("is never an empty object where only the session's own token opens it: 500, and it stays", async () => {
    const behind = jwtBackstage();
    const issued = await behind.jwts.create({ userId: "ada", data: { n: 1 } });
    const served = await serveJwt(
      target,
      behind,
      doing(({ data }) => (data["n"] = 2)),
    );
    const answer = await askAs(served, issued);
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).not.toContain("ada");
    expect((await behind.sessions.validate(issued.refreshToken ?? ""))?.data).toEqual({ n: 1 });
  });

  it.each([
    ["rotate", (session: Session) => session.rotate()],
    ["setRoles", (session: Session) => session.setRoles(["admin"])],
    ["keepLogin", (session: Session) => session.keepLogin("stamp")],
  ] as const)("is no reason to %s: 500, and the session is what it was", async (_name, work) => {
    const behind = jwtBackstage({}, { seal: "server" });
    const issued = await behind.jwts.create({ userId: "ada", roles: ["user"], data: { n: 1 } });
    const served = await serveJwt(target, behind, doing(work));
    expect((await askAs(served, issued)).status).toBe(500);
    expect((await behind.jwts.validate(issued.accessToken))?.roles).toEqual(["user"]);
  });
});

describe.each(TARGETS)("an answer to a bearer JWT on $name", (target) => {
  it("may stream, and what changed meanwhile is saved before its last byte", async () => {
    const behind = jwtBackstage({}, { seal: "server" });
    const issued = await behind.jwts.create({ userId: "ada", data: { n: 1 } });
    const isRead = deferred();
    const served = await serveJwt(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write(`first ${session.userId} `);
      await isRead.promise;
      session.data["n"] = 2;
      body.end("last");
    });
    const asking = served.ask({ path: "/", headers: { ...HTTPS, ...bearer(issued) } });
    expect(await asking.firstChunk).toBe("first ada ");
    isRead.resolve();
    const answer = await asking.answer;
    expect([answer.isCut, answer.cookies]).toEqual([false, []]);
    expect((await behind.jwts.validate(issued.accessToken))?.data).toEqual({ n: 2 });
  });

  it("has no body for HEAD, and the same headers", async () => {
    const behind = jwtBackstage();
    const issued = await behind.jwts.create({ userId: "ada" });
    const served = await serveJwt(target, behind, ({ respond }) => respond.send(204), LOGIN_REQUIRED);
    const head = (headers: Readonly<Record<string, string>>) =>
      served.ask({ path: "/", method: "HEAD", headers: { ...HTTPS, ...headers } }).answer;
    expect((await head(bearer(issued))).status).toBe(204);
    const refused = await head(bearer("x"));
    expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([
      401,
      'Bearer realm="default", error="invalid_token"',
    ]);
    expect(refused.headers.get("vary")).toBe("Authorization");
  });

  it("comes over plain http, too, where no session cookie would", async () => {
    const behind = jwtBackstage();
    const issued = await behind.jwts.create({ userId: "ada" });
    const served = await serveJwt(target, behind, ({ session, respond }) => respond.send(200, session.userId));
    const answer = await served.ask({ path: "/", headers: bearer(issued) }).answer;
    expect(answer.body.toString()).toBe("ada");
  });
});

describe.each(TARGETS)("a store that fails, asked for a bearer JWT on $name", (target) => {
  it("is no end of the login: 503, no challenge; and well again, all is as it was", async () => {
    const behind = jwtBackstage();
    const issued = await behind.jwts.create({ userId: "ada" });
    const served = await serveJwt(target, behind, ({ respond }) => respond.send(200, "in"), LOGIN_REQUIRED);
    behind.faults.fail();
    const answer = await askAs(served, issued);
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([503, null]);
    // What is refused before the store is asked stays refused.
    expect((await askAs(served, "x")).status).toBe(401);
    expect((await ask(served, "/")).status).toBe(401);
    behind.faults.heal();
    expect((await askAs(served, issued)).status).toBe(200);
  });

  it("lets a request go on as nobody's where that was asked for, and writes throw", async () => {
    const behind = jwtBackstage({}, { seal: "server", onStoreFailure: "anonymous" });
    const issued = await behind.jwts.create({ userId: "ada", data: { n: 1 } });
    const served = await serveJwt(target, behind, whoami);
    behind.faults.fail();
    const answer = await askAs(served, issued);
    expect([answer.status, answer.body.toString()]).toEqual([200, "nobody"]);
    expect((await askAs(served, issued, "/write")).status).toBe(503);
    behind.faults.heal();
    expect((await askAs(served, issued)).body.toString()).toBe("ada");
  });

  it("is not asked offline: the user is known, what needs the store throws, and a logout is seen here at once", async () => {
    const store = memoryStore();
    const behind = jwtBackstage({ verification: "offline" }, { seal: "server", store, keys: [KEY] });
    const there = jwtsOver(elsewhere({ store, keys: [KEY], clock: behind.clock, seal: "server" }), {
      verification: "offline",
    });
    const served = await serveJwt(target, behind, whoami);
    const locked = await serveJwt(target, behind, whoami, undefined, { lock: true });
    const far = await serveJwt(target, { jwts: there }, whoami);
    const issued = await behind.jwts.create({ userId: "ada", data: { n: 1 } });
    expect((await askAs(served, issued)).body.toString()).toBe("ada");
    expect((await askAs(served, issued, "/write")).status).toBe(500);
    expect((await askAs(locked, issued)).status).toBe(500);
    expect((await askAs(served, issued, "/logout")).status).toBe(200);
    expect((await askAs(served, issued)).body.toString()).toBe("nobody");
    expect((await askAs(far, issued)).body.toString()).toBe("ada");
    behind.clock.advance(600_000);
    expect((await askAs(far, issued)).body.toString()).toBe("nobody");
  });
});
