/** Sessions that browsers carry in sealed cookies, and processes that open them. */
import { createSessionManager, generateKey, openSession, type OpenedSession, type SessionManager } from "symbolon";
import { sealedCookie, type SealedCookieOptions } from "symbolon/sealed-cookie";
import { type ManualClock, manualClock } from "symbolon/testing";
import { CookieJar } from "tough-cookie";
import type { Options } from "./sessions.ts";

export const ORIGIN = "https://app.example/";
export const USER = "user-1";

export type Opened = OpenedSession<Record<string, unknown>>;

/** Processes that share keys, a clock and, if there is one, the store of revocations. */
export interface Cluster {
  readonly clock: ManualClock;
  readonly process: (options?: Options) => SessionManager;
}

export function cluster(carried: SealedCookieOptions = {}): Cluster {
  const clock = manualClock();
  const keys = [generateKey()];
  return {
    clock,
    process: (options = {}) =>
      createSessionManager({ store: sealedCookie(carried), keys, clock, pruneEvery: false, ...options }),
  };
}

/** One browser. Each request is opened by a process, used, committed, and its cookies kept. */
export class Browser {
  readonly jar = new CookieJar();

  async open(sessions: SessionManager): Promise<Opened> {
    return openSession(sessions, new Headers({ cookie: await this.jar.getCookieString(ORIGIN) }));
  }

  async take(cookies: readonly string[]): Promise<readonly string[]> {
    for (const cookie of cookies) await this.jar.setCookie(cookie, ORIGIN);
    return cookies;
  }

  /** Answers the `Set-Cookie` values. */
  async visit(sessions: SessionManager, use: (opened: Opened) => unknown): Promise<readonly string[]> {
    const opened = await this.open(sessions);
    await use(opened);
    return this.take(await opened.commit());
  }

  async state(sessions: SessionManager): Promise<string> {
    let state = "";
    await this.visit(sessions, ({ session, refusal }) => {
      state = session.userId ?? refusal?.ended?.reason ?? refusal?.reason ?? session.state;
    });
    return state;
  }

  async names(): Promise<string[]> {
    return (await this.jar.getCookies(ORIGIN)).map(({ key }) => key).toSorted();
  }

  /** Somebody who copied all cookies. */
  async copy(): Promise<Browser> {
    const thief = new Browser();
    for (const cookie of await this.jar.getCookies(ORIGIN)) await thief.jar.setCookie(cookie.toString(), ORIGIN);
    return thief;
  }
}

export async function loggedIn(sessions: SessionManager): Promise<Browser> {
  const browser = new Browser();
  await browser.visit(sessions, async ({ session }) => session.login(USER, { roles: ["editor"] }));
  return browser;
}
