/** Sealed cookies in a real browser, which alone knows what it drops, cuts and sends back. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { createSessionManager, generateKey } from "symbolon";
import { withSession } from "symbolon/frameworks/node";
import { sealedCookie } from "symbolon/sealed-cookie";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findChromium, launchChromium } from "./chromium.ts";

const search = await findChromium();

/** Shows who is there, and how much they keep; the forms change both. */
const FORMS = ["/login", "/fill?bytes=6000", "/fill?bytes=100", "/logout"]
  .map((action) => `<form method="post" action="${action}"><button>${action}</button></form>`)
  .join("");

interface Kept {
  text?: string;
}

/** What one process does with a request. */
function processWith(keys: readonly string[]): (request: IncomingMessage, response: ServerResponse) => unknown {
  const sessions = createSessionManager<Kept>({ store: sealedCookie(), keys, development: true, pruneEvery: false });
  return withSession(sessions, async (request, response, session) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    if (request.method === "POST") {
      if (pathname === "/login") await session.login("ada");
      if (pathname === "/logout") await session.logout();
      if (pathname === "/fill") session.data.text = "x".repeat(Number(searchParams.get("bytes")));
      response.writeHead(303, { Location: "/" }).end();
      return;
    }
    response.setHeader("Content-Type", "text/html");
    response.end(`<h1>${session.userId ?? session.state} ${session.data.text?.length ?? 0}</h1>${FORMS}`);
  });
}

describe.skipIf("missing" in search)("sealed cookies in chromium", () => {
  let browser: Browser;
  let server: Server;
  const keys = [generateKey()];
  let handle = processWith(keys);

  beforeAll(async () => {
    if ("path" in search) browser = await launchChromium(search.path);
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

  test("outlive the server, grow to three and shrink again, and are gone after logout", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const names = async (): Promise<string[]> => (await context.cookies()).map(({ name }) => name).toSorted();
    const press = async (action: string): Promise<string> => {
      await page.getByRole("button", { name: action, exact: true }).click();
      return page.getByRole("heading").innerText();
    };
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    expect(await names()).toEqual([]);
    expect(await press("/login")).toBe("ada 0");
    expect(await names()).toEqual(["sid"]);
    expect(await press("/fill?bytes=6000")).toBe("ada 6000");
    expect(await names()).toEqual(["sid", "sid.1", "sid.2"]);
    // Another process, which has never seen the session.
    handle = processWith(keys);
    await page.reload();
    expect(await page.getByRole("heading").innerText()).toBe("ada 6000");
    expect(await press("/fill?bytes=100")).toBe("ada 100");
    expect(await names()).toEqual(["sid"]);
    expect(await press("/logout")).toBe("anonymous 0");
    expect(await names()).toEqual([]);
    await context.close();
  });
});
