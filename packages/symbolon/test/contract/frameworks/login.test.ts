import { manualClock } from "symbolon/testing";
import { HeadersSentError, isSymbolonError, type LoginOptions, type Session } from "symbolon";
import { refusalOf } from "symbolon/frameworks/node";
import { describe, expect, it } from "vitest";
import type { Exchange, Handler } from "./support/app.ts";
import {
  ask,
  type Backstage,
  backstage,
  begin,
  COOKIE,
  dataOf,
  deferred,
  HTTPS,
  type Options,
  OWN_PAGE,
  post,
  serve,
  tokenIn,
  visitor,
} from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

type Action = (session: Session, exchange: Exchange) => unknown;

/** Runs what a path asks for, and answers who is there. */
function appOf(actions: Readonly<Record<string, Action>> = {}): Handler {
  return async (exchange) => {
    const { path, session, respond } = exchange;
    await actions[path]?.(session, exchange);
    respond.send(200, whoIs(session));
  };
}

/** Logs Ada in at `/login`. */
function loginApp(options?: LoginOptions, more: Readonly<Record<string, Action>> = {}): Handler {
  return appOf({ "/login": (session) => session.login("ada", options), ...more });
}

function whoIs(session: Session): string {
  return session.userId ?? session.state;
}

/** Who a token stands for, asked of the manager itself. */
async function whoHas({ sessions }: Backstage, token: string): Promise<string> {
  const found = await sessions.inspect(token);
  if (found.ok) return whoIs(found.session);
  return found.ended === undefined ? found.reason : `ended: ${found.ended.reason}`;
}

/** A session of Ada's, begun elsewhere. */
async function beginAda(
  { sessions }: Backstage,
  options: LoginOptions = {},
): Promise<{ token: string; cookie: string }> {
  const { token } = await sessions.create({ userId: "ada", ...options });
  return { token, cookie: `${COOKIE}=${token}` };
}

const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";
const DELETION = `${COOKIE}=; ${ATTRIBUTES}; Max-Age=0`;

describe.each(TARGETS)("the cookie of a login on $name", (target) => {
  it.each<[name: string, options: Options, login: LoginOptions, ending: string]>([
    ["ends with the browser", {}, {}, ""],
    ["ends with the session where cookies are persistent", { cookie: { persistent: true } }, {}, "; Max-Age=3600"],
    ["ends with the session of a user to be remembered", {}, { remember: true }, "; Max-Age=1209600"],
    ["ends with the session's absolute time", {}, { remember: true, lifetime: { absolute: "2h" } }, "; Max-Age=7200"],
    ["ends with the browser, whatever lifetime is asked for", {}, { lifetime: { absolute: "90d" } }, ""],
    ["ends with the browser while a second step is missing", {}, { pending: "second-factor" }, ""],
  ])("is one, and %s", async (_name, options, login, ending) => {
    const behind = backstage({ clock: manualClock(), ...options });
    const served = await serve(target, behind, loginApp(login));
    const { cookie } = await begin(behind, {});
    for (const headers of [{}, { cookie }]) {
      const answer = await post(served, "/login", headers);
      expect(answer.cookies).toEqual([`${COOKIE}=${tokenIn(answer)}; ${ATTRIBUTES}${ending}`]);
      expect(answer.headers.get("cache-control")).toBe("private, no-store");
      expect(answer.headers.get("vary")).toBe("Cookie, Sec-Fetch-Site, Origin");
      expect(await whoHas(behind, tokenIn(answer))).toBe(login.pending === undefined ? "ada" : "pending");
    }
  });

  it("takes the place of the one before, which is dead once the answer is there", async () => {
    const behind = backstage();
    const served = await serve(target, behind, loginApp({ carry: ["cart"] }));
    const { token, cookie } = await begin(behind, { cart: "tea", note: "of somebody" });
    const answer = await post(served, "/login", { cookie });
    expect(answer.body.toString()).toBe("ada");
    expect(await whoHas(behind, token)).toBe("ended: replaced");
    expect((await ask(served, "/", { cookie })).body.toString()).toBe("anonymous");
    expect(await dataOf(behind, tokenIn(answer))).toEqual({ cart: "tea" });
  });

  it("takes the place of a pending login's, which was nobody's until then", async () => {
    const behind = backstage();
    const served = await serve(
      target,
      behind,
      loginApp({}, { "/password": (session) => session.login("ada", { pending: "second-factor" }) }),
    );
    const browser = visitor(served);
    expect((await browser.post("/password")).body.toString()).toBe("pending");
    const early = browser.cookies();
    expect((await browser.get("/")).body.toString()).toBe("pending");
    expect((await browser.post("/login")).body.toString()).toBe("ada");
    expect((await browser.get("/")).body.toString()).toBe("ada");
    expect((await ask(served, "/", { cookie: early })).body.toString()).toBe("anonymous");
  });

  it("is of the last session when one request logs in, out and in again", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ session, respond }) => {
      await session.login("ada");
      await session.logout();
      await session.login("grace");
      respond.send(200);
    });
    const answer = await post(served, "/");
    expect(await whoHas(behind, tokenIn(answer))).toBe("grace");
    expect(await behind.sessions.count()).toBe(1);
  });

  it.each<[name: string, fail: (exchange: Exchange) => void | Promise<void>, status: number]>([
    [
      "throws",
      () => {
        throw new Error("broken");
      },
      500,
    ],
    ["rejects", () => Promise.reject(new Error("broken")), 500],
    ["answers 500", ({ respond }) => respond.send(500, "sorry"), 500],
    ["answers 503", ({ respond }) => respond.send(503, "sorry"), 503],
  ])("goes out although the handler then %s", async (_name, fail, status) => {
    const behind = backstage();
    const served = await serve(target, behind, async (exchange) => {
      await exchange.session.login("ada");
      exchange.session.data["dropped"] = true;
      return fail(exchange);
    });
    const { token, cookie } = await begin(behind, {});
    const answer = await post(served, "/", { cookie });
    expect([answer.status, answer.cookies.length]).toEqual([status, 1]);
    expect(await whoHas(behind, tokenIn(answer))).toBe("ada");
    expect(await dataOf(behind, tokenIn(answer))).toEqual({});
    expect(await whoHas(behind, token)).toBe("ended: replaced");
  });

  it.each(["admit", "delete"])("waits for the store's %s before any header leaves", async (method) => {
    const behind = backstage();
    const served = await serve(target, behind, loginApp());
    const { cookie } = await begin(behind, {});
    const gate = behind.hold(method);
    const asking = served.ask({ path: "/login", method: "POST", headers: { ...HTTPS, ...OWN_PAGE, cookie } });
    await gate.reached;
    // Another request goes all the way round meanwhile.
    expect((await ask(served, "/")).body.toString()).toBe("anonymous");
    expect(asking.hasHead()).toBe(false);
    gate.open();
    expect(await whoHas(behind, tokenIn(await asking.answer))).toBe("ada");
  });

  it("goes out although nobody waited for the login", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      void session.login("ada");
      respond.send(200);
    });
    const { cookie } = await begin(behind, {});
    for (const headers of [{}, { cookie }]) {
      const answer = await post(served, "/", headers);
      expect(await whoHas(behind, tokenIn(answer))).toBe("ada");
    }
  });
});

describe.each(TARGETS)("a login that fails on $name", (target) => {
  it.each(["admit", "delete"])("is answered 503 without a cookie when the store's %s fails", async (method) => {
    const behind = backstage();
    const served = await serve(target, behind, loginApp());
    const { token, cookie } = await begin(behind, { cart: "tea" });
    let isBroken = true;
    behind.faults.before((called) => {
      if (called !== method || !isBroken) return;
      isBroken = false;
      throw new Error("down");
    });
    const answer = await post(served, "/login", { cookie });
    expect([answer.status, answer.cookies]).toEqual([503, []]);
    expect(answer.body.toString()).not.toContain("ada");
    expect(isBroken).toBe(false);
    behind.faults.heal();
    expect(await behind.sessions.count({ userId: "ada" })).toBe(0);
    expect(await whoHas(behind, token)).toBe("anonymous");
    expect(await dataOf(behind, token)).toEqual({ cart: "tea" });
    expect(tokenIn(await post(served, "/login", { cookie }))).not.toBe(token);
  });

  it("sends no cookie when the handler answers in its place", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ session, respond }) => {
      try {
        await session.login("ada");
      } catch {
        respond.send(200, `try again, ${whoIs(session)}`);
      }
    });
    const { token, cookie } = await begin(behind, {});
    behind.faults.before((method) => {
      if (method === "admit") throw new Error("down");
    });
    const answer = await post(served, "/", { cookie });
    expect([answer.status, answer.body.toString(), answer.cookies]).toEqual([200, "try again, anonymous", []]);
    expect(await whoHas(behind, token)).toBe("anonymous");
  });

  it("is answered 403 when there is no room, and ends nothing", async () => {
    const behind = backstage({ limits: { perUser: 1, onLimit: "reject" } });
    const served = await serve(target, behind, loginApp());
    const first = visitor(served);
    await first.post("/login");
    const { token, cookie } = await begin(behind, {});
    const answer = await post(served, "/login", { cookie });
    expect([answer.status, answer.cookies]).toEqual([403, []]);
    expect(await whoHas(behind, token)).toBe("anonymous");
    expect((await first.get("/")).body.toString()).toBe("ada");
  });

  it.each<[name: string, change: (session: Session) => Promise<unknown>]>([
    ["login", (session) => session.login("grace")],
    ["keepLogin", (session) => session.keepLogin("new")],
    ["setRoles", (session) => session.setRoles(["admin"])],
  ])("throws HeadersSentError when the headers have left: %s", async (_name, change) => {
    const behind = backstage();
    const isRead = deferred();
    const failed = deferred<unknown>();
    const served = await serve(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      await change(session).catch((error: unknown) => failed.resolve(error));
      body.end("last");
    });
    const { token, cookie } = await beginAda(behind);
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    expect(await asking.firstChunk).toBe("first ");
    const before = behind.calls().length;
    isRead.resolve();
    const answer = await asking.answer;
    expect(await failed.promise).toBeInstanceOf(HeadersSentError);
    // The handler went on: its answer is whole.
    expect([answer.isCut, answer.body.toString(), answer.cookies]).toEqual([false, "first last", []]);
    expect(behind.calls().slice(before)).toEqual([]);
    expect(await whoHas(behind, token)).toBe("ada");
    expect(await behind.sessions.count()).toBe(1);
  });

  it("leaves no session behind when an anonymous visitor logs in after the headers", async () => {
    const behind = backstage();
    const isRead = deferred();
    const served = await serve(target, behind, async ({ session, respond }) => {
      const body = respond.stream();
      await body.write("first ");
      await isRead.promise;
      await session.login("ada");
      body.end("last");
    });
    const asking = served.ask({ path: "/", headers: HTTPS });
    await asking.firstChunk;
    isRead.resolve();
    // The handler fails in the middle of its answer.
    expect((await asking.answer).isCut).toBe(true);
    expect(behind.calls()).toEqual([]);
    expect(await behind.sessions.count()).toBe(0);
  });

  it("throws NotSupportedError on a connection that carries no cookie, and stores nothing", async () => {
    const behind = backstage({ trustProxy: false });
    const codes: unknown[] = [];
    const served = await serve(target, behind, async ({ path, session, respond }) => {
      try {
        await session.login("ada");
      } catch (error) {
        codes.push(isSymbolonError(error) ? error.code : error);
        if (path === "/thrown") throw error;
      }
      respond.send(200, whoIs(session));
    });
    const { cookie } = await begin(behind, {});
    const stored = behind.calls().length;
    const caught = await post(served, "/", { cookie });
    expect([caught.status, caught.body.toString(), caught.cookies]).toEqual([200, "anonymous", []]);
    const thrown = await post(served, "/thrown", { cookie });
    expect([thrown.status, thrown.cookies]).toEqual([500, []]);
    expect(codes).toEqual(["ERR_NOT_SUPPORTED", "ERR_NOT_SUPPORTED"]);
    expect(behind.calls().slice(stored)).toEqual([]);
  });
});

/** Hands the token of a login out in the body. */
const handOut: Handler = async ({ path, session, respond }) => {
  if (path !== "/login") return respond.send(200, whoIs(session));
  await session.login("ada");
  const token = session.takeToken();
  return respond.send(200, JSON.stringify([token, session.takeToken()]));
};

describe.each(TARGETS)("a client without cookies on $name", (target) => {
  it("takes the token of its login from the body, once, and gets no cookie", async () => {
    const behind = backstage({ bearer: true, cookie: { persistent: true } });
    const served = await serve(target, behind, handOut);
    const { token: early } = await begin(behind, {});
    const { token: dead } = await begin(behind, {});
    await behind.sessions.revokeToken(dead);
    for (const authorization of [`Bearer ${early}`, `Bearer ${dead}`, "Bearer nothing", undefined]) {
      const answer = await post(served, "/login", authorization === undefined ? {} : { authorization });
      const [token, again] = JSON.parse(answer.body.toString()) as [string, unknown];
      expect([answer.status, answer.cookies, again]).toEqual([200, [], null]);
      expect(await whoHas(behind, token)).toBe("ada");
      const next = await ask(served, "/", { authorization: `Bearer ${token}` });
      expect([next.body.toString(), next.cookies]).toEqual(["ada", []]);
    }
    expect(await whoHas(behind, early)).toBe("ended: replaced");
  });

  it("gets no cookie either when nobody takes the token, while a browser does", async () => {
    const behind = backstage({ bearer: true });
    const served = await serve(target, behind, loginApp());
    expect((await post(served, "/login", { authorization: "Bearer nothing" })).cookies).toEqual([]);
    expect(tokenIn(await post(served, "/login"))).not.toBe("");
  });
});

describe.each(TARGETS)("a new token on $name", (target) => {
  const actions: Readonly<Record<string, Action>> = {
    "/keep": (session) => session.keepLogin("new"),
    "/roles": (session) => session.setRoles(["admin"]),
  };

  it.each(Object.keys(actions))("goes out in a cookie, and the old one is dead: %s", async (path) => {
    const behind = backstage();
    const served = await serve(target, behind, appOf(actions));
    const { token, cookie } = await beginAda(behind, { stamp: "old", roles: ["clerk"] });
    const { id } = (await behind.sessions.validate(token)) ?? {};
    const answer = await post(served, path, { cookie });
    const issued = tokenIn(answer);
    expect(answer.cookies).toEqual([`${COOKIE}=${issued}; ${ATTRIBUTES}`]);
    expect(await whoHas(behind, token)).toBe("wrong-secret");
    expect((await ask(served, "/", { cookie })).body.toString()).toBe("anonymous");
    const kept = await behind.sessions.validate(issued);
    expect([kept?.id, kept?.roles]).toEqual([id, path === "/roles" ? ["admin"] : ["clerk"]]);
  });

  it("goes out although the handler then fails", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async (exchange) => {
      await actions[exchange.path]?.(exchange.session, exchange);
      throw new Error("broken");
    });
    for (const path of Object.keys(actions)) {
      const { cookie } = await beginAda(behind);
      const answer = await post(served, path, { cookie });
      expect(answer.status).toBe(500);
      expect(await whoHas(behind, tokenIn(answer))).toBe("ada");
    }
  });

  it("ends the user's other sessions with keepLogin, and no others", async () => {
    const behind = backstage();
    const served = await serve(target, behind, appOf(actions));
    const [mine, other] = [await beginAda(behind), await beginAda(behind)];
    const { token: graces } = await behind.sessions.create({ userId: "grace" });
    const answer = await post(served, "/keep", { cookie: mine.cookie });
    expect(await whoHas(behind, tokenIn(answer))).toBe("ada");
    expect(await whoHas(behind, other.token)).toBe("ended: stamp-changed");
    expect(await whoHas(behind, graces)).toBe("grace");
  });

  it("is not made when the roles are the same, nor for nobody", async () => {
    const behind = backstage();
    const served = await serve(target, behind, appOf(actions));
    const { token, cookie } = await beginAda(behind, { roles: ["admin"] });
    expect((await post(served, "/roles", { cookie })).cookies).toEqual([]);
    expect(await whoHas(behind, token)).toBe("ada");
    const { token: nobodys, cookie: nobody } = await begin(behind, {});
    for (const path of Object.keys(actions)) {
      const answer = await post(served, path, { cookie: nobody });
      expect([answer.status, answer.cookies]).toEqual([403, []]);
    }
    expect(await whoHas(behind, nobodys)).toBe("anonymous");
  });
});

describe.each(TARGETS)("the end of a login on $name", (target) => {
  it("clears the cookie with a logout, and the copy is dead", async () => {
    const behind = backstage();
    const served = await serve(target, behind, loginApp({ remember: true }, { "/logout": (s) => s.logout() }));
    const browser = visitor(served);
    await browser.post("/login");
    const copied = browser.cookies();
    const answer = await browser.post("/logout");
    expect([answer.body.toString(), answer.cookies]).toEqual(["anonymous", [DELETION]]);
    expect(browser.cookies()).toBe("");
    expect((await ask(served, "/", { cookie: copied })).body.toString()).toBe("anonymous");
    expect(await behind.sessions.count()).toBe(0);
  });

  it("is told to the next request, and takes no cookie away, when the stamp is not the user's any more", async () => {
    const behind = backstage({ cookie: { persistent: true } });
    const served = await serve(target, behind, async ({ request, session, respond }) => {
      const agrees = await session.checkStamp("new");
      const { reason, ended } = refusalOf(request) ?? {};
      respond.send(200, [agrees, whoIs(session), reason, ended?.reason].join(" ").trim());
    });
    const present = await beginAda(behind, { stamp: "new" });
    const old = await beginAda(behind, { stamp: "old" });
    const kept = await ask(served, "/", { cookie: present.cookie });
    expect([kept.body.toString(), kept.cookies]).toEqual(["true ada", []]);
    // The change may have been made in another tab of this browser, which has a newer cookie by then.
    const ended = await ask(served, "/", { cookie: old.cookie });
    expect([ended.body.toString(), ended.cookies]).toEqual(["false anonymous", []]);
    expect(ended.headers.get("cache-control")).toBe("private, no-store");
    expect(await whoHas(behind, old.token)).toBe("ended: stamp-changed");
    const told = await ask(served, "/", { cookie: old.cookie });
    expect([told.body.toString(), told.cookies]).toEqual(["false anonymous ended stamp-changed", []]);
    expect(await behind.sessions.count()).toBe(1);
  });

  it("is told to those who had to give way to a newer login", async () => {
    const behind = backstage({ limits: { perUser: 1 } });
    const served = await serve(target, behind, async ({ path, request, session, respond }) => {
      if (path === "/login") await session.login("ada");
      const refusal = refusalOf(request);
      respond.send(200, refusal === null ? whoIs(session) : `${refusal.reason}: ${refusal.ended?.reason}`);
    });
    const [first, second] = [visitor(served), visitor(served)];
    await first.post("/login");
    await second.post("/login");
    const told = await first.get("/");
    expect([told.body.toString(), told.cookies]).toEqual(["ended: evicted", []]);
    expect(told.headers.get("cache-control")).toBe("private, no-store");
    expect((await second.get("/")).body.toString()).toBe("ada");
  });
});

/** Says at every change that it was made, on the page behind a redirect. */
const flashApp: Handler = async ({ path, session, respond }) => {
  if (path === "/save" || path === "/login") session.flash("notice", "Saved");
  if (path === "/login") await session.login("ada");
  if (path !== "/" && path !== "/fails") return respond.send(303, null, { Location: "/" });
  const texts = session.flash("notice").join();
  return respond.send(path === "/fails" ? 500 : 200, `[${texts}]`);
};

describe.each(TARGETS)("a flash message on $name", (target) => {
  it("is shown once, on the page behind a redirect", async () => {
    const behind = backstage();
    const served = await serve(target, behind, flashApp);
    const known = visitor(served);
    await known.post("/login");
    for (const browser of [visitor(served), known]) {
      const { status, headers } = await browser.post("/save");
      expect([status, headers.get("location")]).toEqual([303, "/"]);
      expect((await browser.get("/")).body.toString()).toBe(browser === known ? "[Saved,Saved]" : "[Saved]");
      expect((await browser.get("/")).body.toString()).toBe("[]");
    }
  });

  it("waits for a page that is shown: an error page does not use it up", async () => {
    const behind = backstage();
    const served = await serve(target, behind, flashApp);
    const browser = visitor(served);
    await browser.post("/save");
    expect((await browser.get("/fails")).status).toBe(500);
    expect((await browser.get("/")).body.toString()).toBe("[Saved]");
  });
});

/** Resets the session, but at `/`. */
const resetApp: Handler = ({ path, session, respond }) => {
  if (path === "/") return respond.send(200, JSON.stringify(session.data));
  session.reset();
  if (path === "/begin") session.data["mine"] = true;
  if (path === "/fails") throw new Error("broken");
  return respond.send(200, whoIs(session));
};

describe.each(TARGETS)("reset on $name", (target) => {
  it.each([
    ["clears the cookie", "/reset"],
    ["begins a session anew", "/begin"],
  ])("ends the session before anything is sent, and %s", async (_name, path) => {
    const behind = backstage();
    const served = await serve(target, behind, resetApp);
    const { token } = await behind.sessions.create({ userId: "ada", data: { secret: 1 } });
    const gate = behind.hold("delete");
    const asking = served.ask({ path, headers: { ...HTTPS, cookie: `${COOKIE}=${token}` } });
    await gate.reached;
    await ask(served, "/");
    expect(asking.hasHead()).toBe(false);
    gate.open();
    const answer = await asking.answer;
    expect(answer.body.toString()).toBe("anonymous");
    expect(await whoHas(behind, token)).toBe("ended: reset");
    if (path === "/reset") expect(answer.cookies).toEqual([DELETION]);
    else expect(await dataOf(behind, tokenIn(answer))).toEqual({ mine: true });
  });

  it("changes nothing when the handler then fails, or the store does", async () => {
    const behind = backstage();
    const served = await serve(target, behind, resetApp);
    const { token, cookie } = await beginAda(behind);
    const failed = await ask(served, "/fails", { cookie });
    expect([failed.status, failed.cookies]).toEqual([500, []]);
    behind.faults.before((method) => {
      if (method === "delete") throw new Error("down");
    });
    const unsaved = await ask(served, "/reset", { cookie });
    expect([unsaved.status, unsaved.cookies]).toEqual([503, []]);
    behind.faults.heal();
    expect(await whoHas(behind, token)).toBe("ada");
  });
});

/** An application whose `/slow` waits in its handler, and then writes. */
function slowApp(more: Readonly<Record<string, Action>>): { handler: Handler; reached: Promise<void>; open(): void } {
  const [reached, opened] = [deferred(), deferred()];
  const slow: Action = async (session) => {
    session.data["seen"] = session.userId;
    reached.resolve();
    await opened.promise;
    session.data["slow"] = true;
  };
  return {
    handler: loginApp({ carry: ["cart"] }, { ...more, "/slow": slow }),
    reached: reached.promise,
    open: () => opened.resolve(),
  };
}

describe.each(TARGETS)("two requests of one session in flight on $name", (target) => {
  it.each(["handler", "store"])("the one that logs in wins over one that waits in its %s", async (place) => {
    const behind = backstage({ cookie: { persistent: true } });
    const app = slowApp({});
    const served = await serve(target, behind, app.handler);
    const { token, cookie } = await begin(behind, { cart: "tea" });
    const gate = place === "store" ? behind.hold("update") : null;
    const slow = served.ask({ path: "/slow", headers: { ...HTTPS, cookie } });
    if (gate !== null) app.open();
    await (gate?.reached ?? app.reached);
    const login = await post(served, "/login", { cookie });
    app.open();
    gate?.open();
    const late = await slow.answer;
    // A cookie of the dead session, or its deletion, would take the login away again.
    expect([late.status, late.cookies]).toEqual([200, []]);
    expect(await whoHas(behind, token)).toBe("ended: replaced");
    expect(await dataOf(behind, tokenIn(login))).toEqual({ cart: "tea" });
    expect(await whoHas(behind, tokenIn(login))).toBe("ada");
  });

  it("get a cookie each when both log in, and the session of before is dead", async () => {
    const behind = backstage();
    const served = await serve(target, behind, loginApp());
    const { token, cookie } = await begin(behind, {});
    const haveBoth = deferred();
    let waiting = 0;
    behind.faults.before(async (method) => {
      if (method !== "admit") return;
      if (++waiting === 2) haveBoth.resolve();
      await haveBoth.promise;
    });
    const answers = await Promise.all([1, 2].map(() => post(served, "/login", { cookie })));
    const tokens = answers.map((answer) => tokenIn(answer));
    expect(new Set(tokens).size).toBe(2);
    for (const issued of tokens) expect(await whoHas(behind, issued)).toBe("ada");
    expect(await whoHas(behind, token)).toBe("ended: replaced");
  });

  it.each([
    ["keeps its change where the session had data", { seen: "never" }, 200],
    ["has to try again where the session had none", undefined, 409],
  ])("the one whose token is replaced sends no cookie, and %s", async (_name, data, status) => {
    const behind = backstage({ cookie: { persistent: true } });
    const app = slowApp({ "/roles": (session) => session.setRoles(["admin"]) });
    const served = await serve(target, behind, app.handler);
    const { token } = await behind.sessions.create({ userId: "ada", ...(data !== undefined && { data }) });
    const cookie = `${COOKIE}=${token}`;
    const slow = served.ask({ path: "/slow", headers: { ...HTTPS, cookie } });
    await app.reached;
    const rotated = await post(served, "/roles", { cookie });
    app.open();
    const late = await slow.answer;
    expect([late.status, late.cookies]).toEqual([status, []]);
    const session = await behind.sessions.validate(tokenIn(rotated));
    expect([session?.roles, session?.data]).toEqual([["admin"], status === 200 ? { seen: "ada", slow: true } : {}]);
  });

  it("the one that arrives with the cookie of before begins no session, for a minute", async () => {
    const clock = manualClock();
    const behind = backstage({ clock });
    const app = loginApp({}, { "/write": (session) => void (session.data["late"] = true) });
    const served = await serve(target, behind, app);
    const { cookie } = await begin(behind, {});
    const login = await post(served, "/login", { cookie });
    clock.advance(59_999);
    // A cookie of its own would take the place of the login's.
    const late = await ask(served, "/write", { cookie });
    expect([late.status, late.body.toString(), late.cookies]).toEqual([200, "anonymous", []]);
    expect(await whoHas(behind, tokenIn(login))).toBe("ada");
    // It may log in all the same.
    expect(await whoHas(behind, tokenIn(await post(served, "/login", { cookie })))).toBe("ada");
    clock.advance(1);
    expect(await dataOf(behind, tokenIn(await ask(served, "/write", { cookie })))).toEqual({ late: true });
  });

  it("the one that comes late finds the session gone when the other logged out", async () => {
    const behind = backstage({ cookie: { persistent: true } });
    const app = slowApp({ "/logout": (session) => session.logout() });
    const served = await serve(target, behind, app.handler);
    const { token, cookie } = await beginAda(behind);
    const slow = served.ask({ path: "/slow", headers: { ...HTTPS, cookie } });
    await app.reached;
    expect((await post(served, "/logout", { cookie })).cookies).toHaveLength(1);
    app.open();
    expect((await slow.answer).cookies).toEqual([]);
    expect(await whoHas(behind, token)).toBe("ended: logout");
  });
});
