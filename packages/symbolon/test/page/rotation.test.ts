/** Rotation on every request in a real browser, with what makes other libraries log people out (DESIGN 8.4). */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { createSessionManager, generateKey, type SessionEvent, type SessionManager, type Store } from "symbolon";
import { withSession } from "symbolon/frameworks/node";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findChromium, launchChromium } from "./chromium.ts";

const search = await findChromium();
const GRACE = 10_000;
/** How many requests a browser has under way to one host of HTTP/1.1. */
const CONNECTIONS = 6;
const LINKS = `<a href="/one">one</a> <a href="/two">two</a>`;

interface Data {
  visits: number;
}

/** A response that is held back until it is let go. */
interface Held {
  readonly arrived: Promise<void>;
  letGo(): void;
}

interface Gate {
  readonly isOpen: Promise<void>;
  readonly open: () => void;
}

function gate(): Gate {
  let resolvers: (() => void)[] = [];
  const isOpen = new Promise<void>((resolve) => {
    resolvers = [resolve];
  });
  return { isOpen, open: () => resolvers.forEach((resolve) => resolve()) };
}

/** Statuses of so many fetches at once. */
function fetchAll(page: Page, count: number): Promise<number[]> {
  return page.evaluate(
    (many) => Promise.all(Array.from({ length: many }, async (_, each) => (await fetch(`/count?${each}`)).status)),
    count,
  );
}

async function shown(page: Page): Promise<string> {
  return page.getByRole("heading").innerText();
}

describe.skipIf("missing" in search)("rotation on every request in chromium", () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let server: Server;
  let handle: (request: IncomingMessage, response: ServerResponse) => unknown;
  let events: SessionEvent[];
  /** Waits until so many requests are under way as a browser has connections. */
  let together: (() => Promise<void>) | null;
  let slow: { readonly arrive: () => void; readonly gate: Promise<void> } | null;
  /** Cookies as the server gave them, in their order. */
  let issued: string[];
  const clock = manualClock(Date.now());

  /** Two managers, as two processes have: which one a request meets changes with every request. */
  function processesOver(store: Store): (request: IncomingMessage, response: ServerResponse) => unknown {
    const keys = [generateKey()];
    const handlers = [0, 1].map(() => {
      const rotation = { every: "request", grace: GRACE } as const;
      const options = { store, keys, clock, rotation, development: true, pruneEvery: false } as const;
      return handlerOf(createSessionManager<Data>(options));
    });
    let count = 0;
    return (request, response) => {
      if (request.url === "/favicon.ico") return response.writeHead(404).end();
      return handlers[count++ % 2]?.(request, response);
    };
  }

  function handlerOf(sessions: SessionManager<Data>): (request: IncomingMessage, response: ServerResponse) => unknown {
    sessions.on("*", (event) => events.push(event));
    return withSession(sessions, async (request, response, session) => {
      response.on("finish", () => {
        issued.push(...[response.getHeader("set-cookie") ?? []].flat().map((text) => String(text).split(";")[0] ?? ""));
      });
      const path = request.url?.split("?")[0];
      if (path === "/login") await session.login("ada");
      if (path === "/count") {
        await session.update((data) => void (data.visits = (data.visits ?? 0) + 1));
        await together?.();
      }
      if (path === "/slow") {
        slow?.arrive();
        await slow?.gate;
      }
      response.writeHead(session.userId === null ? 401 : 200, { "Content-Type": "text/html" });
      response.end(`<h1>${session.userId ?? session.state} ${session.data.visits ?? 0}</h1>${LINKS}`);
    });
  }

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

  beforeEach(async () => {
    events = [];
    issued = [];
    slow = null;
    together = null;
    handle = processesOver(memoryStore());
    context = await browser.newContext();
    page = await context.newPage();
    await page.goto(urlOf("/login"));
    expect(await shown(page)).toBe("ada 0");
  });

  // Whatever happened: nobody was accused, and the browser's cookie is the session's.
  afterEach(async () => {
    expect(types()).not.toContain("reuse-detected");
    expect(types()).not.toContain("logout");
    await page.goto(urlOf("/one"));
    expect(await shown(page)).toMatch(/^ada /);
    await context.close();
  });

  function urlOf(path: string): string {
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  }

  function types(): string[] {
    return events.map(({ type }) => type);
  }

  async function cookie(): Promise<string> {
    return (await context.cookies()).map(({ value }) => value).join();
  }

  function hold(): Held {
    const [arrival, release] = [gate(), gate()];
    slow = { arrive: arrival.open, gate: release.isOpen };
    return { arrived: arrival.isOpen, letGo: release.open };
  }

  /** A page load once the token may rotate: its arrival was noted, and the grace of the one before is over. */
  async function rotate(of: Page): Promise<void> {
    const before = await cookie();
    await of.goto(urlOf("/one"));
    clock.advance(GRACE);
    await of.goto(urlOf("/two"));
    expect(await cookie()).not.toBe(before);
  }

  test("20 parallel fetches with one token get one successor, and count to 20", async () => {
    clock.advance(GRACE);
    const all = gate();
    let count = 0;
    together = async () => {
      if (++count === CONNECTIONS) all.open();
      await all.isOpen;
    };
    expect(await fetchAll(page, 20)).toEqual(Array.from({ length: 20 }, () => 200));
    await page.goto(urlOf("/one"));
    expect(await shown(page)).toBe("ada 20");
    expect(types().filter((type) => type === "rotated")).toHaveLength(1);
    // At least as many as had left with the old token; the first of all is of the login.
    expect(issued.length).toBeGreaterThanOrEqual(1 + CONNECTIONS);
    expect(new Set(issued.slice(1)).size).toBe(1);
  });

  test("round after round of them, nobody is logged out", async () => {
    for (let round = 1; round <= 5; round++) {
      clock.advance(GRACE);
      expect(await fetchAll(page, 20)).toEqual(Array.from({ length: 20 }, () => 200));
      await page.goto(urlOf("/one"));
      expect(await shown(page)).toBe(`ada ${20 * round}`);
    }
    expect(types().filter((type) => type === "rotated")).toHaveLength(5);
  });

  test("the back button, with pages from before the rotation", async () => {
    await page.getByRole("link", { name: "one" }).click();
    await rotate(page);
    await rotate(page);
    for (let step = 0; step < 4; step++) {
      await page.goBack();
      expect(await shown(page)).toMatch(/^ada /);
      expect(await fetchAll(page, 3)).toEqual([200, 200, 200]);
      clock.advance(GRACE / 2);
    }
    await page.goForward();
    expect(await shown(page)).toMatch(/^ada /);
  });

  test("two tabs, one of which was left alone for long", async () => {
    const other = await context.newPage();
    await other.goto(urlOf("/one"));
    for (let round = 0; round < 3; round++) await rotate(page);
    clock.advance(3 * GRACE);
    expect(await fetchAll(other, 3)).toEqual([200, 200, 200]);
    const [left, right] = await Promise.all([fetchAll(page, 10), fetchAll(other, 10)]);
    expect([...left, ...right]).toEqual(Array.from({ length: 20 }, () => 200));
    await other.reload();
    expect(await shown(other)).toBe("ada 23");
  });

  test("a slow response, which must not bring back a token of before", async () => {
    const held = hold();
    clock.advance(GRACE);
    const answer = page.evaluate(async () => (await fetch("/slow")).status);
    await held.arrived;
    const other = await context.newPage();
    await other.goto(urlOf("/one"));
    await rotate(other);
    await rotate(other);
    clock.advance(2 * GRACE);
    const newest = await cookie();
    held.letGo();
    expect(await answer).toBe(200);
    expect(await cookie()).toBe(newest);
    expect(await fetchAll(page, 3)).toEqual([200, 200, 200]);
  });

  test("a slow response, which is the first to tell of the new token", async () => {
    const held = hold();
    clock.advance(GRACE);
    const before = await cookie();
    const answer = page.evaluate(async () => (await fetch("/slow")).status);
    await held.arrived;
    // Rotated by another request, whose response the browser never got.
    const lost = await fetch(urlOf("/one"), { headers: { Cookie: `sid=${before}` } });
    expect(lost.headers.getSetCookie()).toHaveLength(1);
    clock.advance(5 * GRACE);
    held.letGo();
    expect(await answer).toBe(200);
    expect(await cookie()).not.toBe(before);
    expect(lost.headers.getSetCookie()[0]).toContain(await cookie());
  });

  test("a copied cookie is found out once its owner has gone on", async () => {
    const copied = await cookie();
    clock.advance(GRACE);
    await rotate(page);
    await rotate(page);
    const thief = await fetch(urlOf("/one"), { headers: { Cookie: `sid=${copied}` } });
    expect(thief.status).toBe(401);
    expect(types().at(-1)).toBe("reuse-detected");
    expect((await page.goto(urlOf("/one")))?.status()).toBe(401);
    // What follows every test is of a session that goes on.
    events = [];
    await page.goto(urlOf("/login"));
  });
});
