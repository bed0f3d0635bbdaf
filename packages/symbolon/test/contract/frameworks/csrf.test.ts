import http from "node:http";
import type { NextFunction, Request as ExpressRequest, Response as ExpressResponse } from "express";
import { CsrfError } from "symbolon";
import { expressSession, sessionOf } from "symbolon/frameworks/express";
import { withSession as withFetchSession } from "symbolon/frameworks/fetch";
import { withSession } from "symbolon/frameworks/node";
import { describe, expect, it, onTestFinished } from "vitest";
import vectors from "../../vectors/csrf-decisions.json" with { type: "json" };
import type { Target } from "./support/app.ts";
import { type Answer, closeServer, listen } from "./support/client.ts";
import { listenerOf, makeExpress4, makeExpress5 } from "./support/express-targets.ts";
import { askDirectly, fetchDirectly } from "./support/fetch-targets.ts";
import { node2, nodeListener, serveHttp1 } from "./support/node-targets.ts";
import { backstage, begin, COOKIE, dataOf, HTTPS, OWN_PAGE, tokenIn } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";
import {
  APP,
  EVIL,
  expectRefused,
  type Known,
  knownUser,
  type Lines,
  send,
  sendText,
  watch,
} from "./support/watched.ts";

interface Vector {
  readonly name: string;
  readonly method: string;
  readonly headers: Lines;
  readonly expect: string;
  readonly config: { readonly trustedOrigins?: readonly string[] };
}

/** Fills the room that the vectors leave for real cookies and tokens. */
function fill(value: string, known: Known): string {
  return value
    .replace("__Host-sid=x", known.cookie)
    .replace(/<valid(?: for this session)?>/, known.valid)
    .replace("<valid for another session>", known.ofAnother)
    .replace("<minted before login>", known.beforeLogin);
}

/** HTTP/2 has no `Upgrade` (RFC 9113 section 8.2.2), and it alone carries a method in lower case. */
function canCarry(target: Target, { name }: Vector): boolean {
  return target === node2 ? !name.startsWith("websocket-upgrade") : name !== "lowercase-get";
}

describe("the vectors", () => {
  it("are all carried by one target at least, and all but three by every", () => {
    const cases = vectors.cases as readonly Vector[];
    expect(cases).toHaveLength(44);
    expect(cases.filter((one) => TARGETS.every((target) => canCarry(target, one)))).toHaveLength(41);
    expect(cases.filter((one) => TARGETS.some((target) => canCarry(target, one)))).toHaveLength(44);
  });

  it("leave out what Node's parser refuses by itself: a method in lower case over HTTP/1.1", async () => {
    const { sessions } = backstage({ origins: [APP] });
    let isReached = false;
    const server = http.createServer(
      nodeListener(
        [sessions],
        () => void (isReached = true),
        () => {},
      ),
    );
    const port = await listen(server);
    onTestFinished(() => closeServer(server));
    const answer = await sendText(port, ["get / HTTP/1.1", "Host: app.test", `Origin: ${EVIL}`]);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(isReached).toBe(false);
  });
});

describe.each(TARGETS)("the CSRF vectors on $name", (target) => {
  const cases = (vectors.cases as readonly Vector[]).filter((one) => canCarry(target, one));
  const withBearer = cases.filter(({ headers }) => "authorization" in headers);

  it.each([
    ...cases.map((one) => [one.name, one, {}] as const),
    ...withBearer.map((one) => [`${one.name}, with bearer switched on`, one, { bearer: true }] as const),
  ])("%s", async (_name, { method, headers, config, expect: expected }, options) => {
    const watched = await watch(target, { ...options, origins: [APP, ...(config.trustedOrigins ?? [])] });
    const { behind, refusals } = watched;
    const known = await knownUser(behind);
    const { ":query": query, ...lines } = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, fill(value, known)]),
    );
    const before = behind.calls().length;
    const answer = await send(watched, method, lines, query === undefined ? "/" : `/?${query}`);
    const calls = behind.calls().slice(before);
    expect(calls.filter((call) => call !== "read")).toEqual([]);
    expect(await dataOf(behind, known.token)).toEqual({ cart: "tea" });
    if (expected === "allow") {
      expect([answer.status, watched.reached(), refusals.length]).toEqual([200, 1, 0]);
      return;
    }
    expectRefused(answer);
    expect([watched.reached(), refusals.length]).toEqual([0, 1]);
    const isOpened = lines["cookie"]?.includes(known.cookie) === true && !("bearer" in options);
    expect(refusals[0]).toMatchObject({
      id: isOpened ? known.id : null,
      method,
      origin: lines["origin"] ?? null,
      enforced: true,
    });
  });
});

describe.each(TARGETS)("in development on $name", (target) => {
  it("the cookie of this machine is judged by its own name", async () => {
    const own = "http://localhost:3000";
    const watched = await watch(target, { development: true, trustProxy: false, origins: [own] }, (exchange) => {
      exchange.session.data["seen"] = true;
      exchange.respond.send(200, exchange.session.csrfToken());
    });
    const path = target === fetchDirectly ? "http://localhost:3000/" : "/";
    const plainly = (method: string, headers: Lines): Promise<Answer> =>
      watched.served.ask({ path, method, headers }).answer;
    const first = await plainly("POST", {});
    const cookie = `sid=${tokenIn(first, "sid")}`;
    for (const lines of [{ origin: own }, OWN_PAGE, { "x-csrf-token": first.body.toString() }]) {
      expect((await plainly("POST", { ...lines, cookie })).status).toBe(200);
    }
    for (const lines of [
      {},
      { origin: EVIL },
      { origin: "https://localhost:3000" },
      { origin: "http://127.0.0.1:3000" },
    ]) {
      expectRefused(await plainly("POST", { ...lines, cookie }));
    }
    // The name it would have elsewhere is nobody's here.
    expect((await plainly("POST", { cookie: cookie.replace("sid=", `${COOKIE}=`) })).status).toBe(200);
  });
});

describe.each(TARGETS)("hostile headers on $name", (target) => {
  const values: readonly (string | string[])[] = [
    "",
    "null",
    "\u0080\u00ff",
    "__proto__",
    "[object Object]",
    '"same-origin"',
    "same-origin;a=1",
    `${APP}, ${APP}`,
    `${APP}#`,
    "x1_",
    `x1_${"A".repeat(128)}`,
    `x1_${"A".repeat(127)}=`,
    ",".repeat(4000),
    "a".repeat(8000),
    ["same-origin", "cross-site"],
    [APP, EVIL],
  ];
  const names = ["origin", "sec-fetch-site", "x-csrf-token", "authorization", "accept", "cookie"];
  const all = target === node2 ? names : [...names, "upgrade"];

  it.each(all)("of the name %s never cause a failure of the server", async (name) => {
    const watched = await watch(target);
    const { cookie } = await knownUser(watched.behind);
    for (const value of values) {
      for (const method of ["POST", "GET"]) {
        // A header that HTTP/2 knows to be single is refused by its client.
        if (Array.isArray(value) && name === "authorization") continue;
        const before = watched.reached();
        const { status } = await send(watched, method, { cookie, [name]: value });
        expect([name, value, status === 200 || status === 403]).toEqual([name, value, true]);
        expect(watched.reached() - before).toBe(status === 200 ? 1 : 0);
      }
    }
  });

  it("are shown to listeners in part only", async () => {
    const watched = await watch(target);
    await send(watched, "POST", { origin: `https://${"e".repeat(5000)}.test` });
    expect(watched.refusals[0]?.origin).toHaveLength(200);
  });
});

const EXPRESS = [
  { name: "Express 4", make: makeExpress4 },
  { name: "Express 5", make: makeExpress5 },
] as const;

describe.each(EXPRESS)("a refused request on $name", ({ make }) => {
  it("comes to the application's error handler as a CsrfError, which may answer with a page", async () => {
    const behind = backstage({ origins: [APP] });
    const errors: unknown[] = [];
    const app = make();
    app.use(expressSession(behind.sessions));
    app.use((error: unknown, request: ExpressRequest, response: ExpressResponse, next: NextFunction) => {
      errors.push(error);
      if (!(error instanceof CsrfError)) return next(error);
      response.status(error.status).send(`Please reload the page, ${sessionOf(request).userId}.`);
    });
    const served = await serveHttp1(listenerOf(app));
    onTestFinished(() => served.close());
    const { cookie } = await knownUser(behind);
    const answer = await send({ served }, "POST", { cookie, origin: EVIL });
    expectRefused(answer);
    expect(answer.body.toString()).toBe("Please reload the page, ada.");
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_CSRF_REFUSED", status: 403 })]);
  });

  it("keeps what its error handler writes to the session", async () => {
    const behind = backstage({ origins: [APP] });
    const app = make();
    app.use(expressSession(behind.sessions));
    app.use((_error: unknown, request: ExpressRequest, response: ExpressResponse, _next: NextFunction) => {
      sessionOf(request).data["tried"] = true;
      response.status(403).send("Please reload the page.");
    });
    const served = await serveHttp1(listenerOf(app));
    onTestFinished(() => served.close());
    const { token, cookie } = await begin(behind, {});
    expectRefused(await send({ served }, "POST", { cookie, origin: EVIL }));
    expect(await dataOf(behind, token)).toEqual({ tried: true });
  });
});

describe("a refused request", () => {
  it("is an event already on node:http, and not told to onError", async () => {
    const behind = backstage({ origins: [APP] });
    const reported: unknown[] = [];
    const listener = withSession(behind.sessions, (_request, response) => void response.end("reached"), {
      onError: (error) => reported.push(error),
    });
    const server = http.createServer((request, response) => void listener(request, response));
    const port = await listen(server);
    onTestFinished(() => closeServer(server));
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers: { ...HTTPS, origin: EVIL } });
    expect([answer.status, await answer.text()]).toEqual([403, "Forbidden"]);
    expect(reported).toEqual([]);
  });

  it("is answered by onError of a Fetch handler as any other error, and stays private", async () => {
    const behind = backstage({ origins: [APP] });
    const handler = withFetchSession(behind.sessions, () => new Response("reached"), {
      onError: (error) => new Response(String(error instanceof CsrfError), { status: 403 }),
    });
    const answer = await askDirectly((request) => handler(request), {
      path: "/",
      method: "POST",
      headers: { origin: EVIL },
    }).answer;
    expectRefused(answer);
    expect(answer.body.toString()).toBe("true");
  });
});
