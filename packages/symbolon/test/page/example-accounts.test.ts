import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { findObstacles } from "./accessibility.ts";
import { freePort, type RunningApp, startApp } from "./app-process.ts";
import { findChromium, launchChromium, launchProfile } from "./chromium.ts";
import { arrive, follow, press, Visitors } from "./visitors.ts";

const search = await findChromium();
const path = "path" in search ? search.path : "";
const title = "The example application's accounts in a browser";

const PASSWORD = "correct horse battery";
const OTHER = "another horse entirely";

/** Three devices, each with the name that its list entry gets. */
const LAPTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";
const PHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";
const DESKTOP =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";

async function heading(page: Page): Promise<string | null> {
  return page.getByRole("heading", { level: 1 }).textContent();
}

async function statusTexts(page: Page): Promise<string[]> {
  return page.getByRole("status").allTextContents();
}

async function fillLogin(page: Page, name: string, password: string, remember = false): Promise<void> {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  if (remember) await page.getByLabel("Stay logged in").check();
}

/** Signs up in a profile, and stays on the page it leads to. */
async function signUp(context: BrowserContext, name: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto("/signup");
  await fillLogin(page, name, PASSWORD);
  await press(page, "Sign up");
  await page.getByText(`Welcome, ${name}.`).waitFor();
  return page;
}

/** Logs in, and stays on the page it leads to. */
async function logIn(
  context: BrowserContext,
  name: string,
  { password = PASSWORD, remember = false, to = "/account" } = {},
): Promise<Page> {
  const page = await context.newPage();
  await page.goto(to);
  expect(await heading(page)).toBe("Log in");
  await fillLogin(page, name, password, remember);
  await press(page, "Log in");
  await page.waitForURL((url) => url.pathname === to);
  return page;
}

/** The devices that the page of devices lists: name, and whether it is this one. */
async function devicesOn(page: Page): Promise<string[]> {
  await page.goto("/devices");
  const names = await page.getByRole("main").getByRole("heading", { level: 2 }).allTextContents();
  return names.map((name) => name.trim());
}

describe.skipIf("missing" in search)("missing" in search ? `${title} (skipped: ${search.missing})` : title, () => {
  let folder: string;
  let environment: { PORT: string; SYMBOLON_DATA: string };
  let app: RunningApp;
  let browser: Browser;
  let visitors: Visitors;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "symbolon-accounts-"));
    environment = { PORT: String(await freePort()), SYMBOLON_DATA: join(folder, "data") };
    [app, browser] = await Promise.all([startApp(environment), launchChromium(path)]);
    visitors = new Visitors(browser, () => app.url);
    const root = await visitors.newVisitor();
    await signUp(root, "root");
    await visitors.leave();
  });

  afterAll(async () => {
    await browser?.close();
    await app?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  afterEach(() => visitors.leave());

  test("sign up leads where the visitor was going, with what was written before", async () => {
    const page = await (await visitors.newVisitor()).newPage();
    await page.goto("/");
    await page.getByLabel("New note").fill("from before");
    await press(page, "Add note");
    await page.goto("/devices");
    expect(new URL(page.url()).pathname).toBe("/login");
    await follow(page, "Sign up");
    await fillLogin(page, "ada", PASSWORD);
    await press(page, "Sign up");
    await page.getByText("Welcome, ada.").waitFor();
    expect(new URL(page.url()).pathname).toBe("/devices");
    await page.reload();
    expect(await statusTexts(page)).toEqual([]);
    await page.goto("/");
    await page.getByRole("listitem").filter({ hasText: "from before" }).waitFor();
    expect(await page.getByText("Logged in as ada").count()).toBe(1);
  });

  test("one device signs out another, which is told so", async () => {
    const laptop = await signUp(await visitors.newVisitor({ userAgent: LAPTOP }), "grace");
    const phone = await logIn(await visitors.newVisitor({ userAgent: PHONE }), "grace");
    expect(await devicesOn(laptop)).toEqual(["Safari on iPhone", "Firefox on Linux This device"]);
    expect(await devicesOn(phone)).toEqual(["Safari on iPhone This device", "Firefox on Linux"]);
    await laptop.getByText("127.0.0.0/24").first().waitFor();

    await press(laptop, "Sign out Safari on iPhone");
    expect(await statusTexts(laptop)).toEqual(["The device is signed out."]);
    expect(await devicesOn(laptop)).toEqual(["Firefox on Linux This device"]);

    await follow(phone, "Password");
    expect(await heading(phone)).toBe("Log in");
    expect(await statusTexts(phone)).toEqual(["You were signed out here from another of your devices."]);
    await phone.reload();
    expect(await statusTexts(phone)).toEqual([]);
    await fillLogin(phone, "grace", PASSWORD);
    await press(phone, "Log in");
    expect(await heading(phone)).toBe("Change password");

    await laptop.reload();
    await press(laptop, "Sign out all other devices");
    expect(await statusTexts(laptop)).toEqual(["One device is signed out."]);
    await phone.reload();
    expect(await heading(phone)).toBe("Log in");
  });

  test("a form sent from a device that was signed out does nothing, and the next page says why", async () => {
    const laptop = await signUp(await visitors.newVisitor({ userAgent: LAPTOP }), "joan");
    const phone = await logIn(await visitors.newVisitor({ userAgent: PHONE }), "joan", { to: "/devices" });
    await laptop.goto("/devices");
    await press(laptop, /^Sign out Safari/);
    await laptop.getByText("The device is signed out.").waitFor();
    await press(phone, /^Sign out Firefox/);
    expect(await statusTexts(phone)).toEqual(["You were signed out here from another of your devices."]);
    expect(await devicesOn(laptop)).toEqual(["Firefox on Linux This device"]);
  });

  test("a third login signs out the oldest device, which is told why", async () => {
    const laptop = await signUp(await visitors.newVisitor({ userAgent: LAPTOP }), "alan");
    const phone = await logIn(await visitors.newVisitor({ userAgent: PHONE }), "alan");
    const desktop = await logIn(await visitors.newVisitor({ userAgent: DESKTOP }), "alan");
    expect(await devicesOn(desktop)).toEqual(["Chrome on Windows This device", "Safari on iPhone"]);
    await phone.reload();
    expect(await heading(phone)).toBe("Your account");
    await laptop.reload();
    expect(await heading(laptop)).toBe("Log in");
    expect(await statusTexts(laptop)).toEqual(["You were signed out here because you signed in on another device."]);
  });

  test("a change of password signs out the others, and the old password is refused", async () => {
    const laptop = await signUp(await visitors.newVisitor({ userAgent: LAPTOP }), "edsger");
    const phone = await logIn(await visitors.newVisitor({ userAgent: PHONE }), "edsger", { remember: true });
    await follow(phone, "Password");

    await phone.getByLabel("Present password").fill(OTHER);
    await phone.getByLabel("New password").fill(OTHER);
    await press(phone, "Change password");
    const problem = phone.getByRole("alert").getByRole("link");
    expect(await problem.textContent()).toMatch(/^That is not your password/);
    await problem.click();
    await phone.locator("#present:focus").waitFor();

    const before = (await phone.context().cookies())[0];
    await phone.getByLabel("Present password").fill(PASSWORD);
    await phone.getByLabel("New password").fill(OTHER);
    await press(phone, "Change password");
    expect(await statusTexts(phone)).toEqual(["Your password is changed. Your other devices are signed out."]);
    const after = (await phone.context().cookies())[0];
    expect(after?.value).not.toBe(before?.value);
    expect(after?.expires).toBeGreaterThan(Date.now() / 1000 + 86_400);

    await laptop.reload();
    expect(await statusTexts(laptop)).toEqual(["You were signed out here because your password was changed."]);
    await fillLogin(laptop, "edsger", PASSWORD);
    await press(laptop, "Log in");
    expect(await laptop.getByRole("alert").textContent()).toContain("Name and password do not match.");
    await fillLogin(laptop, "edsger", OTHER);
    await press(laptop, "Log in");
    expect(await heading(laptop)).toBe("Your account");
    await phone.reload();
    expect(await heading(phone)).toBe("Your account");
  });

  test("'stay logged in' outlives the browser and the server; without it, neither outlives the browser", async () => {
    await signUp(await visitors.newVisitor(), "barbara");
    const pages: { remembered: string | null; plain: string | null }[] = [];
    const profiles = { remembered: join(folder, "remembered"), plain: join(folder, "plain") };
    for (const round of ["first", "again"]) {
      const shown = { remembered: "", plain: "" };
      for (const kind of ["remembered", "plain"] as const) {
        const context = visitors.watch(await launchProfile(path, profiles[kind], { baseURL: app.url }));
        if (round === "first") await logIn(context, "barbara", { remember: kind === "remembered" });
        const page = await context.newPage();
        await page.goto("/account");
        shown[kind] = (await heading(page)) ?? "";
        await context.close();
      }
      pages.push(shown);
      await app.stop();
      app = await startApp(environment);
    }
    expect(pages).toEqual([
      { remembered: "Your account", plain: "Your account" },
      { remembered: "Your account", plain: "Log in" },
    ]);
  });

  test("being remembered is not enough for what matters: the password is asked for again", async () => {
    const context = await visitors.newVisitor({ userAgent: PHONE });
    await signUp(await visitors.newVisitor(), "ken");
    const page = await logIn(context, "ken", { remember: true, to: "/account/password" });
    await page.goto("/");
    await page.getByLabel("New note").fill("still here");
    await press(page, "Add note");
    await page.goto("/account");
    await follow(page, "Delete this account");
    expect(await heading(page)).toBe("Is it still you?");
    const before = (await context.cookies())[0];

    await page.getByLabel("Password").fill(OTHER);
    await press(page, "Go on");
    expect(await page.getByRole("alert").textContent()).toContain("That is not your password.");
    await page.goto("/account/delete");
    expect(await heading(page)).toBe("Is it still you?");
    await page.getByLabel("Password").fill(PASSWORD);
    await press(page, "Go on");
    expect(await heading(page)).toBe("Delete account");

    const after = (await context.cookies())[0];
    expect(after?.value).not.toBe(before?.value);
    expect(after?.expires).toBeGreaterThan(Date.now() / 1000 + 86_400);
    await page.goto("/");
    await page.getByRole("listitem").filter({ hasText: "still here" }).waitFor();

    await page.goto("/account/delete");
    await press(page, "Delete account");
    expect(await statusTexts(page)).toEqual(["Your account is deleted, and all its sessions have ended."]);
    await page.goto("/account");
    expect(await heading(page)).toBe("Log in");
  });

  test("a login that was just made needs no second one", async () => {
    const page = await signUp(await visitors.newVisitor(), "niklaus");
    await page.goto("/account/delete");
    expect(await heading(page)).toBe("Delete account");
  });

  test("the page of users is for administrators: others see 403, and no link to it", async () => {
    visitors.expectComplaints(/status of 403/);
    const user = await signUp(await visitors.newVisitor(), "donald");
    expect(await user.getByRole("link", { name: "Users" }).count()).toBe(0);
    expect((await user.goto("/admin"))?.status()).toBe(403);
    expect(await heading(user)).toBe("Not for you");

    const root = await logIn(await visitors.newVisitor(), "root", { to: "/admin" });
    const card = root.getByRole("main").getByRole("listitem").filter({ hasText: "donald" });
    expect(await card.locator("[data-sessions]").textContent()).toBe("1");
    await press(root, "Give the admin role to donald");
    expect(await statusTexts(root)).toEqual(["donald is an administrator now."]);
    await user.goto("/admin");
    expect(await heading(user)).toBe("Users");
    await press(root, "Take the admin role from donald");
    expect((await user.reload())?.status()).toBe(403);
    await press(root, "End all sessions of donald");
    expect(await statusTexts(root)).toEqual(["Sessions ended: 1."]);
    await user.goto("/account");
    expect(await statusTexts(user)).toEqual(["You were signed out here by an administrator."]);
  });

  describe("a page of another origin", () => {
    let attacker: Server;

    beforeAll(async () => {
      attacker = createServer((_request, response) => {
        const fields = { present: PASSWORD, next: OTHER };
        const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
        response.setHeader("Content-Type", "text/html");
        response.end(
          `<link rel="icon" href="data:,"><form method="post" action="${app.url}/account/password">` +
            `${inputs.join("")}<button>Win a prize</button></form>`,
        );
      });
      attacker.listen(0, "127.0.0.1");
      await once(attacker, "listening");
    });

    afterAll(() => attacker.close());

    test.each([
      ["another port", "127.0.0.1"],
      ["another host name", "localhost"],
    ])("(%s) cannot change the password of a user who presses its button", async (_what, host) => {
      visitors.expectComplaints(/status of 403/);
      const name = `victim-at-${host}`;
      const context = await visitors.newVisitor();
      const own = await signUp(context, name);
      const attack = await context.newPage();
      await attack.goto(`http://${host}:${(attacker.address() as AddressInfo).port}/`);
      const answer = attack.waitForResponse((response) => response.request().method() === "POST");
      await press(attack, "Win a prize");
      expect((await answer).status()).toBe(403);
      expect(await heading(attack)).toBe("Not done");
      // A cookie for this site came along: it was not for want of one.
      const headers = await (await answer).request().allHeaders();
      expect(headers["cookie"] !== undefined).toBe(host === "127.0.0.1");
      await own.reload();
      expect(await heading(own)).toBe("Your account");
      await logIn(await visitors.newVisitor(), name);
    });
  });

  test("all of it works without JavaScript", async () => {
    const noScript = { javaScriptEnabled: false };
    const page = await signUp(await visitors.newVisitor(noScript), "margaret");
    const second = await logIn(await visitors.newVisitor(noScript), "margaret", { remember: true });
    expect(await devicesOn(page)).toHaveLength(2);
    await page.goto("/account/password");
    await page.getByLabel("Present password").fill(OTHER);
    await page.getByLabel("New password").fill(OTHER);
    await press(page, "Change password");
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Present password").fill(PASSWORD);
    await page.getByLabel("New password").fill(OTHER);
    await press(page, "Change password");
    await page.getByText("Your password is changed.").waitFor();
    await second.reload();
    await second.getByText("because your password was changed").waitFor();
    await page.goto("/account/delete");
    await press(page, "Delete account");
    await page.getByText("Your account is deleted").waitFor();
  });

  test("logging in works with the keyboard alone, and a mistake has the focus", async () => {
    await signUp(await visitors.newVisitor(), "frances");
    const page = await (await visitors.newVisitor()).newPage();
    await page.goto("/account");
    const focused = () => page.evaluate<string>("document.activeElement.id || document.activeElement.textContent");
    const tabTo = async (wanted: string): Promise<void> => {
      for (let step = 0; step < 12 && (await focused()) !== wanted; step++) await page.keyboard.press("Tab");
      expect(await focused()).toBe(wanted);
    };
    await tabTo("name");
    await page.keyboard.type("frances");
    await page.keyboard.press("Tab");
    await page.keyboard.type("not the password");
    await arrive(page, () => page.keyboard.press("Enter"));
    // Browsers move the focus to the fragment of an address when they have painted it.
    await page.locator("#problems:focus").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.locator("#name:focus").waitFor();
    expect(await page.getByLabel("Name").inputValue()).toBe("frances");
    await page.keyboard.press("Tab");
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("remember");
    await page.keyboard.press("Space");
    await page.keyboard.press("Tab");
    await arrive(page, () => page.keyboard.press("Enter"));
    expect(await heading(page)).toBe("Your account");
    expect((await page.context().cookies())[0]?.expires).toBeGreaterThan(Date.now() / 1000);
  });

  test("password managers are told which field is which", async () => {
    const page = await signUp(await visitors.newVisitor(), "radia");
    const shown: Record<string, string> = {};
    const visitor = await (await visitors.newVisitor()).newPage();
    const pages = [
      [visitor, "/login"],
      [visitor, "/signup"],
      [page, "/account/password"],
      [page, "/confirm"],
    ] as const;
    for (const [tab, address] of pages) {
      await tab.goto(address);
      const inputs = await tab.locator("input[autocomplete]").all();
      const names = await Promise.all(inputs.map((input) => input.getAttribute("autocomplete")));
      shown[address] = names.join(" ");
    }
    expect(shown).toEqual({
      "/login": "username current-password",
      "/signup": "username new-password",
      "/account/password": "username current-password new-password",
      "/confirm": "username current-password",
    });
  });

  test.each([
    ["phone", 360, 740],
    ["desktop", 1280, 800],
  ] as const)(
    "every page is fit to be seen and used on a %s, in light and dark",
    async (name, width, height) => {
      visitors.expectComplaints(/status of 40[34]/);
      // SYMBOLON_SCREENSHOTS names a folder to keep the pictures in, for looking at them.
      const pictures = process.env["SYMBOLON_SCREENSHOTS"] ?? null;
      if (pictures !== null) mkdirSync(pictures, { recursive: true });
      const shown = new Set<string>();
      const look = async (page: Page, what: string): Promise<void> => {
        shown.add(what);
        for (const colorScheme of ["light", "dark"] as const) {
          await page.emulateMedia({ colorScheme });
          expect(await findObstacles(page), `${what}, ${colorScheme}`).toEqual([]);
          if (pictures === null) continue;
          await page.screenshot({ path: join(pictures, `${what}-${name}-${colorScheme}.png`), fullPage: true });
        }
      };
      const viewport = { width, height };
      const visitor = await (await visitors.newVisitor({ viewport, userAgent: LAPTOP })).newPage();
      for (const address of ["/", "/about", "/ended", "/login", "/signup", "/nothing-here"]) {
        await visitor.goto(address);
        await look(visitor, address === "/" ? "start" : address.slice(1));
      }
      await visitor.goto("/signup");
      await visitor.locator("form").evaluate((form) => form.setAttribute("novalidate", ""));
      await fillLogin(visitor, `?${"w".repeat(30)}`, "short");
      await press(visitor, "Sign up");
      await visitor.getByRole("alert").waitFor();
      await look(visitor, "signup-problems");

      const longName = `${name}-${"w".repeat(24)}`;
      const page = await signUp(await visitors.newVisitor({ viewport, userAgent: LAPTOP }), longName);
      await look(page, "account-welcome");
      await logIn(await visitors.newVisitor({ userAgent: PHONE }), longName, { remember: true });
      await page.goto("/");
      await page.getByLabel("New note").fill(`A long word: ${"w".repeat(100)}`);
      await press(page, "Add note");
      await look(page, "start-logged-in");
      await page.getByLabel("New note").fill(" ");
      await press(page, "Add note");
      await page.getByRole("alert").waitFor();
      await look(page, "start-problem");
      for (const address of ["/account", "/devices", "/account/password", "/confirm", "/account/delete", "/admin"]) {
        await page.goto(address);
        await look(page, address === "/admin" ? "admin-refused" : address.slice(1).replace("/", "-"));
      }
      await logIn(await visitors.newVisitor(), longName);
      await page.goto("/account");
      await look(page, "login-evicted");

      const root = await logIn(await visitors.newVisitor({ viewport }), "root", { to: "/admin" });
      await press(root, `End all sessions of ${longName}`);
      await root.getByText("Sessions ended").waitFor();
      await look(root, "admin");
      expect(shown.size).toBe(18);
    },
    60_000,
  );
});
