/** One test's stage: a manager on a store that can be watched, stopped and broken, and an application behind it. */
import { CookieJar } from "tough-cookie";
import { onTestFinished } from "vitest";
import {
  type Backstage,
  HTTPS,
  makeBackstage,
  type Options,
  OWN_PAGE,
} from "../../../../dist/testing/contract/framework-stage.js";
import type { Guarding, Handler, Served, Target } from "./app.ts";
import { type Answer, type Asking, type Deferred, deferred, type Question } from "./client.ts";

export {
  type Backstage,
  begin,
  COOKIE,
  dataOf,
  HTTPS,
  type Options,
  OWN_PAGE,
  tokenIn,
} from "../../../../dist/testing/contract/framework-stage.js";

const ORIGIN = "https://app.example/";

/** A manager on a store that can be watched, stopped and broken, until the test is over. */
export function backstage(options: Options = {}): Backstage {
  const made = makeBackstage(options);
  onTestFinished(() => made.sessions.close());
  return made;
}

/** Serves the application until the test is over. */
export async function serve(
  target: Target,
  behind: Backstage | readonly [Backstage, ...Backstage[]],
  handler: Handler,
  guarding?: Guarding,
): Promise<Served> {
  const [first, ...others] = [behind].flat() as [Backstage, ...Backstage[]];
  const served = await target.serve([first.sessions, ...others.map(({ sessions }) => sessions)], handler, guarding);
  onTestFinished(() => served.close());
  return served;
}

/** A browser: keeps cookies as RFC 6265bis says, prefixes included. */
export interface Visitor {
  readonly jar: CookieJar;
  get(path: string, more?: Omit<Question, "path">): Promise<Answer>;
  /** Sends a form of the application's own page. */
  post(path: string): Promise<Answer>;
  open(path: string, more?: Omit<Question, "path">): Asking;
  /** The `Cookie` header as it would be sent. */
  cookies(): string;
  keep(answer: Answer): void;
}

export function visitor(served: Pick<Served, "ask">): Visitor {
  const jar = new CookieJar(undefined, { prefixSecurity: "strict" });
  const cookies = (): string => jar.getCookieStringSync(ORIGIN);
  const keep = (answer: Answer): void => {
    for (const cookie of answer.cookies) jar.setCookieSync(cookie, ORIGIN);
  };
  const open = (path: string, more: Omit<Question, "path"> = {}): Asking => {
    const cookie = cookies();
    const headers = { ...HTTPS, ...(cookie === "" ? {} : { cookie }), ...more.headers };
    return served.ask({ path, ...more, headers });
  };
  const get: Visitor["get"] = async (path, more) => {
    const answer = await open(path, more).answer;
    keep(answer);
    return answer;
  };
  return { jar, cookies, keep, open, get, post: (path) => get(path, { method: "POST", headers: OWN_PAGE }) };
}

/** Asks once, as somebody without cookies behind a TLS proxy. */
export function ask(served: Served, path: string, headers: Question["headers"] = {}): Promise<Answer> {
  return served.ask({ path, headers: { ...HTTPS, ...headers } }).answer;
}

/** Sends a form of the application's own page once, behind a TLS proxy. */
export function post(served: Served, path: string, headers: Question["headers"] = {}): Promise<Answer> {
  return served.ask({ path, method: "POST", headers: { ...HTTPS, ...OWN_PAGE, ...headers } }).answer;
}

/** Warnings of the process from here on, ours only. */
export function listenToWarnings(): { readonly warnings: string[]; readonly settle: () => Promise<void> } {
  const warnings: string[] = [];
  const listener = (warning: Error): void => {
    if (warning.name === "SymbolonWarning") warnings.push(warning.message);
  };
  process.on("warning", listener);
  onTestFinished(() => void process.off("warning", listener));
  return {
    warnings,
    // Warnings are delivered on the next tick.
    settle: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

export { type Deferred, deferred };
