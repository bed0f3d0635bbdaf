/** One test's stage: a manager on a store that can be watched, stopped and broken, and an application behind it. */
import { createSessionManager, generateKey, type SessionManager, type SessionManagerOptions } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type FaultyStore, faultyStore } from "symbolon/testing";
import { CookieJar } from "tough-cookie";
import { onTestFinished } from "vitest";
import type { Guarding, Handler, Served, Target } from "./app.ts";
import { type Answer, type Asking, type Deferred, deferred, type Question } from "./client.ts";

export const COOKIE = "__Host-sid";
const ORIGIN = "https://app.example/";

/** What a proxy that ends TLS adds. */
export const HTTPS: Readonly<Record<string, string>> = { "X-Forwarded-Proto": "https" };

/** What a browser adds to requests of the application's own pages. */
export const OWN_PAGE: Readonly<Record<string, string>> = { "Sec-Fetch-Site": "same-origin" };

export type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

/** A manager and the controls of its store. */
export interface Backstage {
  readonly sessions: SessionManager;
  readonly faults: FaultyStore<ReturnType<typeof memoryStore>>;
  /** The names of all store calls so far. */
  calls(): string[];
  /** Holds the next call of a method back until opened. */
  hold(method: string): { readonly reached: Promise<void>; open(): void };
}

export function backstage(options: Options = {}): Backstage {
  const faults = faultyStore(memoryStore());
  const sessions = createSessionManager({
    store: faults.store,
    keys: [generateKey()],
    trustProxy: true,
    pruneEvery: false,
    ...options,
  });
  onTestFinished(() => sessions.close());
  return {
    sessions,
    faults,
    calls: () => faults.calls.map(({ method }) => method),
    hold(method) {
      const reached = deferred();
      const opened = deferred();
      faults.before(async (called) => {
        if (called !== method) return;
        reached.resolve();
        await opened.promise;
      });
      return { reached: reached.promise, open: () => opened.resolve() };
    },
  };
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

/** The token in a `Set-Cookie` list, when there is exactly one of ours and it sets one. */
export function tokenIn(answer: Answer, name: string = COOKIE): string {
  const ours = answer.cookies.filter((cookie) => cookie.startsWith(`${name}=`));
  if (ours.length !== 1) throw new Error(`Expected one cookie ${name}, found ${ours.length}.`);
  return /=(?<token>[^;]*)/.exec(ours[0] ?? "")?.groups?.["token"] ?? "";
}

/** The data under a token, read from the store by a request of its own. */
export async function dataOf(behind: Backstage, token: string): Promise<Record<string, unknown> | null> {
  const session = await behind.sessions.validate(token);
  return session === null ? null : structuredClone(session.data);
}

/** A session made beforehand, as the Cookie header that carries it. */
export async function begin(
  { sessions }: Backstage,
  data: Record<string, unknown>,
): Promise<{ token: string; cookie: string }> {
  const { token } = await sessions.create({ data });
  return { token, cookie: `${COOKIE}=${token}` };
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
