/** Tokens that rotate, over the wire, in every framework (DESIGN 8.3, 8.4). */
import { refusalOf, type SessionManager } from "symbolon";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import type { Exchange, Handler, Served } from "./support/app.ts";
import type { Answer } from "./support/client.ts";
import {
  ask,
  backstage,
  type Backstage,
  COOKIE,
  dataOf,
  HTTPS,
  type Options,
  serve,
  tokenIn,
  visitor,
} from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const GRACE = 10_000;
const EVERY = 15 * 60_000;
const OTHER_SITE = { "Sec-Fetch-Site": "cross-site" };

interface Scene {
  readonly behind: Backstage;
  readonly sessions: SessionManager;
  readonly clock: ManualClock;
  readonly served: Served;
  readonly token: string;
  /** Asks with a token. */
  readonly asked: (token: string, path?: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>;
}

/** Every way to answer, by the path. */
const answers: Readonly<Record<string, (exchange: Exchange) => unknown>> = {
  "/": ({ respond, session }) => respond.send(200, session.userId ?? "nobody"),
  "/untouched": ({ respond }) => respond.send(200, "a picture"),
  "/redirect": ({ respond }) => respond.send(302, null, { Location: "/next" }),
  "/missing": ({ respond }) => respond.send(404, "nothing here"),
  "/unmodified": ({ respond }) => respond.send(304),
  "/broken": ({ respond, session }) => {
    session.data["n"] = "never saved";
    respond.send(500, "broken");
  },
  "/thrown": ({ session }) => {
    session.data["n"] = "never saved";
    throw new Error("broken");
  },
  "/unsavable": ({ session, respond }) => {
    session.data["n"] = 1n;
    respond.send(200, "never sent");
  },
  "/stream": async ({ respond }) => {
    const body = respond.stream();
    await body.write("first");
    body.end("last");
  },
  "/refusal": ({ request, respond }) => {
    const refusal = refusalOf(request);
    respond.send(200, refusal?.ended?.reason ?? refusal?.reason ?? "none");
  },
};

const app: Handler = async (exchange) => void (await answers[exchange.path]?.(exchange));

/** A session that is due to rotate. */
async function scene(target: (typeof TARGETS)[number], options: Options = {}): Promise<Scene> {
  const clock = manualClock();
  const behind = backstage({ clock, ...options });
  const served = await serve(target, behind, app);
  const { sessions } = behind;
  const { token } = await sessions.create({ userId: "user-1", data: { n: 1 } });
  clock.advance(EVERY);
  const asked: Scene["asked"] = (held, path = "/", headers = {}) =>
    ask(served, path, { cookie: `${COOKIE}=${held}`, ...headers });
  return { behind, sessions, clock, served, token, asked };
}

/** Lets the store fail at one method from here on; at none with null. */
function failAt({ faults }: Backstage, method: string | null): void {
  faults.before((called) => {
    if (called === method) throw new Error("down");
  });
}

describe.each(TARGETS)("a token that is due, on $name", (target) => {
  it.each(["/", "/untouched", "/redirect", "/missing", "/unmodified", "/broken", "/stream"])(
    "is replaced with the answer to %s, which no cache may keep",
    async (path) => {
      const { behind, token, asked } = await scene(target);
      const answer = await asked(token, path);
      const second = tokenIn(answer);
      expect(second).not.toBe(token);
      expect(answer.headers.get("cache-control")).toBe("private, no-store");
      expect(answer.headers.get("vary")).toBe("Cookie");
      expect(await dataOf(behind, second)).toEqual({ n: 1 });
      expect((await asked(second)).body.toString()).toBe("user-1");
    },
  );

  it("is replaced or stays good when the handler throws, and what that changed is not saved", async () => {
    const { behind, token, asked } = await scene(target);
    const { status, cookies } = await asked(token, "/thrown");
    expect(status).toBe(500);
    const held = cookies.length === 0 ? token : (cookies[0] ?? "").slice(11, 94);
    expect(await dataOf(behind, held)).toEqual({ n: 1 });
    expect((await asked(held)).body.toString()).toBe("user-1");
  });

  it("is stored before the header leaves", async () => {
    const { behind, served, token } = await scene(target);
    const gate = behind.hold("update");
    const asking = served.ask({ path: "/stream", headers: { ...HTTPS, cookie: `${COOKIE}=${token}` } });
    await gate.reached;
    await ask(served, "/");
    expect(asking.hasHead()).toBe(false);
    gate.open();
    expect(await dataOf(behind, tokenIn(await asking.answer))).toEqual({ n: 1 });
  });

  it("is replaced by one for fifty requests at once, and the browser stays logged in", async () => {
    const { served, token, asked, clock } = await scene(target);
    const browser = visitor(served);
    browser.jar.setCookieSync(`${COOKIE}=${token}; Path=/; Secure; HttpOnly`, "https://app.example/");
    const all = await Promise.all(Array.from({ length: 50 }, () => browser.open("/").answer));
    for (const answer of all) browser.keep(answer);
    expect(new Set(all.map((answer) => tokenIn(answer))).size).toBe(1);
    expect((await browser.get("/")).body.toString()).toBe("user-1");
    clock.advance(GRACE);
    expect((await browser.get("/")).body.toString()).toBe("user-1");
    expect((await asked(token)).body.toString()).toBe("nobody");
  });

  it("stays good when the client went away before the answer", async () => {
    const { behind, served, token, asked } = await scene(target);
    const gate = behind.hold("update");
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie: `${COOKIE}=${token}` } });
    asking.answer.catch(() => undefined);
    await gate.reached;
    asking.abort();
    gate.open();
    const second = tokenIn(await asked(token));
    expect(tokenIn(await asked(token))).toBe(second);
    expect((await asked(second)).body.toString()).toBe("user-1");
  });

  it("is not replaced where the store fails: the answer is 503, and the token stays as it is", async () => {
    const { behind, token, asked } = await scene(target);
    failAt(behind, "update");
    const failed = await asked(token);
    expect([failed.status, failed.cookies]).toEqual([503, []]);
    failAt(behind, null);
    expect((await asked(token)).body.toString()).toBe("user-1");
  });

  it("is not replaced by what another site may have sent", async () => {
    const { behind, served, token } = await scene(target);
    const headers = { ...HTTPS, ...OTHER_SITE, cookie: `${COOKIE}=${token}` };
    const { status, cookies } = await served.ask({ path: "/", method: "POST", headers }).answer;
    expect([status, cookies]).toEqual([403, []]);
    expect(behind.calls()).not.toContain("update");
  });
});

describe.each(TARGETS)("a token that is good once, on $name", (target) => {
  it.each(["/", "/redirect", "/broken", "/thrown", "/unsavable", "/stream"])(
    "has the next one in the answer to %s",
    async (path) => {
      const { token, asked } = await scene(target, { rotation: { grace: 0 } });
      const second = tokenIn(await asked(token, path));
      expect([(await asked(token)).body.toString(), (await asked(second)).body.toString()]).toEqual([
        "nobody",
        "user-1",
      ]);
    },
  );

  it("has the next one in the refusal of what another site may have sent, which so logs nobody out", async () => {
    const { served, token, asked } = await scene(target, { rotation: { grace: 0 } });
    const headers = { ...HTTPS, ...OTHER_SITE, cookie: `${COOKIE}=${token}` };
    const refused = await served.ask({ path: "/", method: "POST", headers }).answer;
    expect(refused.status).toBe(403);
    expect((await asked(tokenIn(refused))).body.toString()).toBe("user-1");
  });
});

describe.each(TARGETS)("a token that comes again, on $name", (target) => {
  /** The session has another token by now, which has arrived; all grace is over. */
  const stolen = async (options: Options = {}) => {
    const one = await scene(target, options);
    const second = tokenIn(await one.asked(one.token));
    await one.asked(second);
    one.clock.advance(GRACE);
    return { ...one, second };
  };

  it("is nobody's, and the session's own ended; the application can say why, and no cookie is sent", async () => {
    const { token, second, asked } = await stolen();
    const replayed = await asked(token, "/refusal");
    expect([replayed.status, replayed.body.toString(), replayed.cookies]).toEqual([200, "reuse-detected", []]);
    for (const held of [token, second]) {
      const { body, cookies } = await asked(held, "/refusal");
      expect([body.toString(), cookies]).toEqual(["reuse-detected", []]);
    }
  });

  it("is answered 503 where the session cannot be ended; the handler does not run", async () => {
    const { behind, token, asked } = await stolen();
    failAt(behind, "delete");
    const failed = await asked(token, "/refusal");
    expect([failed.status, failed.cookies]).toEqual([503, []]);
    failAt(behind, null);
    expect((await asked(token, "/refusal")).body.toString()).toBe("reuse-detected");
  });
});
