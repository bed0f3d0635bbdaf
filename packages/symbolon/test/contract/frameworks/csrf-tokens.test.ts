import { json, type Request as ExpressRequest, type Response as ExpressResponse, urlencoded } from "express";
import type { SessionEvent } from "symbolon";
import { expressSession } from "symbolon/frameworks/express";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Handler } from "./support/app.ts";
import type { Answer } from "./support/client.ts";
import { listenerOf, makeExpress4, makeExpress5 } from "./support/express-targets.ts";
import { serveHttp1 } from "./support/node-targets.ts";
import { backstage, HTTPS, visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";
import { APP, expectRefused, type Known, knownUser, send, watch, type Watched } from "./support/watched.ts";

/** Hands a token out at `/form`, and takes posts. */
const forms: Handler = async ({ path, session, respond }) => {
  if (path === "/login") await session.login("ada");
  if (path === "/logout") await session.logout();
  if (path === "/roles") await session.setRoles(["admin"]);
  respond.send(200, path === "/form" ? session.csrfToken() : "reached");
};

/** Whether a form with this token, from a browser that does not say where it comes from, gets through. */
async function isTaken(watched: Watched, cookie: string, token: string): Promise<boolean> {
  const answer = await send(watched, "POST", { cookie, "x-csrf-token": token });
  if (answer.status !== 200) expectRefused(answer);
  return answer.status === 200;
}

describe.each(TARGETS)("a CSRF token on $name", (target) => {
  it("is another text each time, and each of them works, more than once", async () => {
    const watched = await watch(target, {}, forms);
    const browser = visitor(watched.served);
    const texts: string[] = [];
    for (let count = 0; count < 3; count++) texts.push((await browser.get("/form")).body.toString());
    expect(new Set(texts).size).toBe(3);
    for (const one of [...texts, ...texts]) expect(await isTaken(watched, browser.cookies(), one)).toBe(true);
  });

  it("dies with login and logout, and outlives a new token of the same session", async () => {
    const watched = await watch(target, {}, forms);
    const browser = visitor(watched.served);
    const formToken = async (): Promise<string> => (await browser.get("/form")).body.toString();
    const [early, before] = [await formToken(), browser.cookies()];
    await browser.post("/login");
    expect(await isTaken(watched, browser.cookies(), early)).toBe(false);
    expect(await isTaken(watched, before, early)).toBe(false);
    const known = await formToken();
    const rotated = await browser.post("/roles");
    expect(rotated.cookies).toHaveLength(1);
    expect(await isTaken(watched, browser.cookies(), known)).toBe(true);
    const after = browser.cookies();
    await browser.post("/logout");
    expect(await isTaken(watched, after, known)).toBe(false);
    const anew = await formToken();
    expect(await isTaken(watched, browser.cookies(), known)).toBe(false);
    expect(await isTaken(watched, browser.cookies(), anew)).toBe(true);
  });
});

const EXPRESS = [
  { name: "Express 4", make: makeExpress4 },
  { name: "Express 5", make: makeExpress5 },
] as const;

function sendForm(
  { served }: Watched,
  cookie: string,
  body: string,
  type = "application/x-www-form-urlencoded",
): Promise<Answer> {
  const headers = { ...HTTPS, cookie, "content-type": type, "content-length": String(Buffer.byteLength(body)) };
  return served.ask({ path: "/", method: "POST", headers, body }).answer;
}

describe.each(EXPRESS)("the form field _csrf on $name", ({ make }) => {
  async function serveForms(order: "before" | "after"): Promise<{ watched: Watched; known: Known }> {
    const behind = backstage({ origins: [APP] });
    const refusals: SessionEvent<"csrf-refused">[] = [];
    behind.sessions.on("csrf-refused", (event) => refusals.push(event));
    let count = 0;
    const app = make();
    if (order === "before") app.use(urlencoded({ extended: true }), json());
    app.use(expressSession(behind.sessions));
    if (order === "after") app.use(urlencoded({ extended: true }), json());
    app.use((_request: ExpressRequest, response: ExpressResponse) => {
      count++;
      response.send("reached");
    });
    const served = await serveHttp1(listenerOf(app));
    onTestFinished(() => served.close());
    return { watched: { behind, served, refusals, reached: () => count }, known: await knownUser(behind) };
  }

  it("counts where a body parser is mounted before", async () => {
    const { watched, known } = await serveForms("before");
    const { cookie, valid, ofAnother } = known;
    expect((await sendForm(watched, cookie, `_csrf=${valid}&name=Ada`)).status).toBe(200);
    expect((await sendForm(watched, cookie, JSON.stringify({ _csrf: valid }), "application/json")).status).toBe(200);
    expectRefused(await sendForm(watched, cookie, `_csrf=${ofAnother}`));
    expectRefused(await sendForm(watched, cookie, "name=Ada"));
    expect(watched.refusals.map(({ reason }) => reason)).toEqual(["token-wrong", "token-missing"]);
    expect(watched.reached()).toBe(2);
  });

  it("is none when it is anything but one text", async () => {
    const { watched, known } = await serveForms("before");
    const { cookie, valid } = known;
    for (const body of [`_csrf=${valid}&_csrf=${valid}`, `_csrf[a]=${valid}`, "_csrf[__proto__]=x", "_csrf"]) {
      expectRefused(await sendForm(watched, cookie, body));
    }
    for (const body of [{ _csrf: [valid] }, { _csrf: { toString: valid } }, { _csrf: null }, { _csrf: 1 }, [valid]]) {
      expectRefused(await sendForm(watched, cookie, JSON.stringify(body), "application/json"));
    }
    expect(watched.refusals.every(({ reason }) => reason === "token-missing")).toBe(true);
    expect(watched.reached()).toBe(0);
  });

  it("is not seen where the body is parsed later", async () => {
    const { watched, known } = await serveForms("after");
    expectRefused(await sendForm(watched, known.cookie, `_csrf=${known.valid}`));
    expect(watched.reached()).toBe(0);
  });
});
