/** Visitors of the example application: browser profiles of their own, watched for complaints. */
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";

/** Opens profiles for one test, and closes them after it. */
export class Visitors {
  readonly #browser: Browser;
  readonly #urlOf: () => string;
  #contexts: BrowserContext[] = [];
  #complaints: string[] = [];
  #expected: RegExp | null = null;

  /** `urlOf` is asked for each visitor: the application may have been started again. */
  constructor(browser: Browser, urlOf: () => string) {
    this.#browser = browser;
    this.#urlOf = urlOf;
  }

  /** A profile with no cookie. */
  async newVisitor(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    return this.watch(await this.#browser.newContext({ baseURL: this.#urlOf(), ...options }));
  }

  /** Takes a profile in that was opened elsewhere. */
  watch(context: BrowserContext): BrowserContext {
    this.#contexts.push(context);
    context.on("page", (page) => {
      // Violations of the content security policy are messages of the console, too.
      page.on("console", (message) => this.complain(`${message.type()}: ${message.text()}`));
      page.on("pageerror", (error) => this.complain(`error: ${error.message}`));
      page.on("dialog", (dialog) => this.complain(`dialog: ${dialog.message()}`));
      page.on("requestfailed", (request) => {
        const reason = request.failure()?.errorText ?? "";
        // Moving on before the icon has come is no failure.
        if (reason !== "net::ERR_ABORTED") this.complain(`failed: ${request.url()} ${reason}`);
      });
    });
    return context;
  }

  complain(complaint: string): void {
    this.#complaints.push(complaint);
  }

  /** What may be complained of in this test: the browser notes every status of 400 and above. */
  expectComplaints(pattern: RegExp): void {
    this.#expected = pattern;
  }

  /** Closes all profiles, and finds no complaints but the expected. */
  async leave(): Promise<void> {
    for (const context of this.#contexts.splice(0)) await context.close();
    const complaints = this.#complaints.splice(0).filter((complaint) => this.#expected?.test(complaint) !== true);
    this.#expected = null;
    expect(complaints).toEqual([]);
  }
}

/** Presses a button that sends a form, and waits for the page this leads to. */
export async function press(page: Page, name: string | RegExp): Promise<void> {
  await arrive(page, () => page.getByRole("button", { name }).click());
}

/** Follows a link to another page. */
export async function follow(page: Page, name: string): Promise<void> {
  await arrive(page, () => page.getByRole("link", { name }).click());
}

/** Waits for the next page to be there, with its pictures: what is looked up before could still be on the last one. */
export async function arrive(page: Page, leave: () => Promise<void>): Promise<void> {
  const loaded = page.waitForEvent("load");
  await leave();
  await loaded;
}
