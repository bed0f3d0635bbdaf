import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePort, type RunningApp, startApp } from "./app-process.ts";
import { findChromium, launchChromium } from "./chromium.ts";
import { follow, press, Visitors } from "./visitors.ts";

const search = await findChromium();
const path = "path" in search ? search.path : "";
const title = "The example application in a browser";

async function openTab(context: BrowserContext, address = "/"): Promise<Page> {
  const page = await context.newPage();
  await page.goto(address);
  return page;
}

async function visitsOf(page: Page): Promise<number> {
  return Number(await page.locator("[data-visits]").textContent());
}

async function addNote(page: Page, text: string): Promise<void> {
  await page.getByLabel("New note").fill(text);
  await press(page, "Add note");
  await page.getByRole("listitem").filter({ hasText: text }).waitFor();
}

async function notesOn(page: Page): Promise<string[]> {
  const items = await page.getByRole("listitem").all();
  const texts = await Promise.all(items.map((item) => item.evaluate((li) => li.firstChild?.textContent?.trim())));
  return texts.map(String).toSorted();
}

async function sessionCookieOf(context: BrowserContext) {
  const cookies = await context.cookies();
  expect(cookies).toHaveLength(1);
  return cookies[0] as (typeof cookies)[number];
}

describe.skipIf("missing" in search)("missing" in search ? `${title} (skipped: ${search.missing})` : title, () => {
  let folder: string;
  let environment: { PORT: string; SYMBOLON_DATA: string };
  let app: RunningApp;
  let browser: Browser;
  let visitors: Visitors;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "symbolon-page-"));
    environment = { PORT: String(await freePort()), SYMBOLON_DATA: join(folder, "data") };
    [app, browser] = await Promise.all([startApp(environment), launchChromium(path)]);
    visitors = new Visitors(browser, () => app.url);
  });

  afterAll(async () => {
    await browser?.close();
    await app?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  afterEach(() => visitors.leave());

  test("counts up over reloads, under one cookie that scripts cannot read", async () => {
    const context = await visitors.newVisitor();
    const page = await openTab(context);
    expect(await visitsOf(page)).toBe(1);
    const cookie = await sessionCookieOf(context);
    for (const visits of [2, 3, 4]) {
      await page.reload();
      expect(await visitsOf(page)).toBe(visits);
    }
    expect(await sessionCookieOf(context)).toEqual(cookie);
    expect(cookie).toMatchObject({ name: "sid", httpOnly: true, sameSite: "Lax", path: "/", expires: -1 });
    expect(await page.evaluate("document.cookie")).toBe("");
  });

  test("shows no token, only the public handle", async () => {
    const context = await visitors.newVisitor();
    const page = await openTab(context);
    const { value } = await sessionCookieOf(context);
    expect(await page.content()).not.toContain(value.slice(3, 20));
    expect(await page.locator("code").textContent()).toMatch(/^[A-Za-z0-9_-]{20,}$/);
  });

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "goes on after the process ended by %s and started again",
    async (signal) => {
      const context = await visitors.newVisitor();
      const page = await openTab(context);
      await addNote(page, "written before the restart");
      const visits = await visitsOf(page);
      const cookie = await sessionCookieOf(context);
      // The page's pictures, too: a request that is cut off by the stop would be a complaint.
      await page.waitForLoadState("load");
      await app.stop(signal);
      app = await startApp(environment);
      await page.reload();
      expect(await visitsOf(page)).toBe(visits + 1);
      expect(await notesOn(page)).toEqual(["written before the restart"]);
      expect(await sessionCookieOf(context)).toEqual(cookie);
    },
  );

  test("keeps what two tabs write at the same time", async () => {
    const context = await visitors.newVisitor();
    const tabs = [await openTab(context), await openTab(context)] as const;
    const written: string[] = [];
    for (let round = 0; round < 5; round++) {
      const texts = tabs.map((_, tab) => `tab ${tab}, round ${round}`);
      written.push(...texts);
      await Promise.all(tabs.map((tab, index) => addNote(tab, texts[index] ?? "")));
      await Promise.all(tabs.map((tab) => tab.reload()));
    }
    await tabs[0].reload();
    expect(await notesOn(tabs[0])).toEqual(written.toSorted());
    // Two first visits; each round two pages after a note and two reloads; one reload at the end.
    expect(await visitsOf(tabs[0])).toBe(2 + 5 * 4 + 1);
  });

  test("keeps every note of forty requests at once, and counts every visit of forty more", async () => {
    const context = await visitors.newVisitor();
    const page = await openTab(context);
    const texts = Array.from({ length: 40 }, (_, index) => `note ${index}`);
    const headers = { Origin: app.url };
    const posts = texts.map((note) => context.request.post("/notes", { form: { note }, headers, maxRedirects: 0 }));
    const visits = texts.map(() => context.request.get("/"));
    const statuses = (await Promise.all([...posts, ...visits])).map((answer) => answer.status());
    expect(new Set(statuses)).toEqual(new Set([200, 303]));
    await page.reload();
    expect(await notesOn(page)).toEqual(texts.toSorted());
    expect(await visitsOf(page)).toBe(42);
  });

  test("ends the session on request, after which a copied cookie is dead", async () => {
    const context = await visitors.newVisitor();
    const page = await openTab(context);
    await addNote(page, "private");
    const cookie = await sessionCookieOf(context);
    await press(page, "End session");
    await page.getByRole("heading", { name: "Session ended" }).waitFor();
    expect(await context.cookies()).toEqual([]);

    const thief = await visitors.newVisitor();
    await thief.addCookies([cookie]);
    const stolen = await openTab(thief);
    expect(await visitsOf(stolen)).toBe(1);
    expect(await notesOn(stolen)).toEqual([]);
    expect(await stolen.getByRole("status").textContent()).toContain("is over");
    expect((await sessionCookieOf(thief)).value).not.toBe(cookie.value);

    await follow(page, "Begin a new session");
    expect(await visitsOf(page)).toBe(1);
    expect(await notesOn(page)).toEqual([]);
  });

  test("gives a visitor who only reads no cookie", async () => {
    const context = await visitors.newVisitor();
    const page = await context.newPage();
    for (const address of ["/about", "/ended"]) {
      const answer = await page.goto(address);
      expect(await answer?.headerValue("set-cookie")).toBeNull();
    }
    expect(await context.cookies()).toEqual([]);
  });

  test("shows what a visitor typed as text, whatever it is", async () => {
    const hostile = `<img src=x onerror="alert(1)"> </li></ul> &amp; ' " \${1}`;
    const page = await openTab(await visitors.newVisitor());
    await addNote(page, hostile);
    expect(await notesOn(page)).toEqual([hostile]);
  });

  test("explains a note it does not take, and keeps what was typed", async () => {
    const page = await openTab(await visitors.newVisitor());
    await page.getByLabel("New note").fill("   ");
    await press(page, "Add note");
    expect(await page.getByRole("alert").getByRole("link").textContent()).toBe("Write something first.");
    expect(await page.title()).toBe("Problem: Your session · Symbolon example");
    await page.getByLabel("New note").evaluate((input) => input.removeAttribute("maxlength"));
    await page.getByLabel("New note").fill("long ".repeat(60));
    await press(page, "Add note");
    expect(await page.getByRole("alert").textContent()).toContain("at most 280 characters");
    expect(await page.getByLabel("New note").inputValue()).toContain("long long");
    await page.reload();
    expect(await page.getByRole("alert").count()).toBe(0);
    expect(await page.getByLabel("New note").inputValue()).toBe("");
  });

  test("does nothing for a form that another site sends", async () => {
    visitors.expectComplaints(/status of 403/);
    const context = await visitors.newVisitor();
    const page = await openTab(context);
    await addNote(page, "mine");
    const localhost = app.url.replace("127.0.0.1", "localhost");
    await context.route(`${localhost}/attack`, (route) =>
      route.fulfill({
        contentType: "text/html",
        body: `<form method="post" action="${app.url}/end"><button>Win a prize</button></form>`,
      }),
    );
    const attack = await openTab(context, `${localhost}/attack`);
    await attack.getByRole("button").click();
    await attack.getByText("may have been sent from another site").waitFor();
    await page.reload();
    expect(await notesOn(page)).toEqual(["mine"]);
  });

  test("works without JavaScript", async () => {
    const page = await openTab(await visitors.newVisitor({ javaScriptEnabled: false }));
    await addNote(page, "no script");
    await page.reload();
    expect(await visitsOf(page)).toBe(3);
    await press(page, "End session");
    await page.getByRole("heading", { name: "Session ended" }).waitFor();
  });

  test("works with the keyboard alone", async () => {
    const page = await openTab(await visitors.newVisitor());
    const focused = () => page.evaluate<string>("document.activeElement.textContent || document.activeElement.id");
    const order: string[] = [];
    for (let step = 0; step < 8; step++) {
      await page.keyboard.press("Tab");
      order.push(await focused());
    }
    const expected = "Your session, Account, About, Log in, sign up, note, Add note, End session";
    expect(order.join(", ")).toBe(expected);
    await page.getByLabel("New note").focus();
    await page.keyboard.type("typed");
    await page.keyboard.press("Enter");
    await page.getByRole("listitem").filter({ hasText: "typed" }).waitFor();
  });

  test.each([
    ["phone", 360, 800],
    ["desktop", 1280, 800],
  ] as const)("fits the width of a %s", async (_name, width, height) => {
    const context = await visitors.newVisitor({ viewport: { width, height } });
    const page = await openTab(context);
    await addNote(page, "Buy milk");
    await addNote(page, `A long word: ${"w".repeat(100)}`);
    const overflow = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
    expect(overflow).toBeLessThanOrEqual(0);
    expect(await page.evaluate("document.documentElement.lang")).toBe("en");
    expect(await page.title()).toBe("Your session · Symbolon example");
  });
});
