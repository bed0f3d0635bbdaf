/** Access tokens in cookies, in a real browser: which cookies it takes, and that its user notices nothing of them. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { createSessionManager, generateKey } from "symbolon";
import { requireLogin, withSession } from "symbolon/frameworks/node";
import { claimsOf, createJwtSessionManager, generateJwtKey } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findChromium, launchChromium } from "./chromium.ts";

const search = await findChromium();

const FORMS = ["/login", "/logout"]
  .map((action) => `<form method="post" action="${action}"><button>${action}</button></form>`)
  .join("");

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** An application that never asks the store about an access token, and says what opened the session. */
async function application(clock: ManualClock): Promise<Listener> {
  const sessions = createSessionManager({
    store: memoryStore(),
    keys: [generateKey()],
    development: true,
    pruneEvery: false,
    clock,
  });
  const jwts = createJwtSessionManager({
    sessions,
    issuer: "https://accounts.example",
    audience: "https://app.example",
    signing: [await generateJwtKey()],
    carrier: "cookie",
    verification: "offline",
  });
  const secret = requireLogin()((_request, response) => void response.end("for users"));
  return withSession(jwts, async (request, response, session) => {
    if (request.method === "POST") {
      if (request.url === "/login") await session.login("ada");
      if (request.url === "/logout") await session.logout();
      response.writeHead(303, { Location: "/" }).end();
      return;
    }
    if (request.url === "/secret") return secret(request, response, session);
    response.setHeader("Content-Type", "text/html");
    const opener = claimsOf(session) === null ? "session" : "access token";
    response.end(`<h1>${session.userId ?? "nobody"} by ${opener}</h1><p id="seen"></p>${FORMS}
      <script>document.getElementById("seen").textContent = document.cookie || "nothing";</script>`);
  });
}

describe.skipIf("missing" in search)("access cookies in chromium", () => {
  const clock = manualClock(Date.now());
  let browser: Browser;
  let server: Server;

  beforeAll(async () => {
    if ("path" in search) browser = await launchChromium(search.path);
    const handle = await application(clock);
    server = createServer((request, response) => void handle(request, response));
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
  });

  afterAll(async () => {
    await browser?.close();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });

  test("come with the login, open the session, are renewed when they expire, and go with the logout", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const held = async () =>
      Object.fromEntries((await context.cookies()).map(({ name, value, httpOnly }) => [name, { value, httpOnly }]));
    const heading = () => page.getByRole("heading").innerText();
    const statusOfSecret = () => page.evaluate(async () => (await fetch("/secret")).status);

    await page.goto(url);
    expect([await heading(), await held(), await statusOfSecret()]).toEqual(["nobody by session", {}, 401]);
    await page.getByRole("button", { name: "/login" }).click();
    // The page that the login leads to.
    expect(await heading()).toBe("ada by access token");
    const first = await held();
    expect(Object.keys(first).toSorted()).toEqual(["access", "sid"]);
    expect(Object.values(first).map(({ httpOnly }) => httpOnly)).toEqual([true, true]);
    expect(await page.locator("#seen").innerText()).toBe("nothing");
    await page.reload();
    expect([await heading(), await held(), await statusOfSecret()]).toEqual(["ada by access token", first, 200]);

    // Expired: the session's own cookie opens it once.
    clock.advance(10 * 60_000);
    await page.reload();
    expect(await heading()).toBe("ada by session");
    const second = await held();
    expect(second["sid"]).toEqual(first["sid"]);
    expect(second["access"]?.value).not.toBe(first["access"]?.value);
    await page.reload();
    expect(await heading()).toBe("ada by access token");

    // Expired again, and by now the session's token rotates: many requests at once are the user's all the same.
    clock.advance(20 * 60_000);
    const statuses = await page.evaluate(async () =>
      Promise.all(Array.from({ length: 12 }, async () => (await fetch("/secret")).status)),
    );
    expect(statuses).toEqual(Array.from({ length: 12 }, () => 200));
    expect((await held())["sid"]?.value).not.toBe(first["sid"]?.value);

    const copy = await context.cookies();
    await page.getByRole("button", { name: "/logout" }).click();
    expect([await heading(), await held(), await statusOfSecret()]).toEqual(["nobody by session", {}, 401]);
    await context.addCookies(copy);
    await page.reload();
    expect([await heading(), await statusOfSecret()]).toEqual(["nobody by session", 401]);
    await context.close();
  });
});
