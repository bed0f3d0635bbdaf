/** What a case of the framework contract is played on: managers that can be watched and broken, and clients. */
import assert from "node:assert/strict";
import { createSessionManager, type SessionManager } from "../../core/manager.ts";
import type { SessionManagerOptions } from "../../core/options.ts";
import type { Session } from "../../core/session.ts";
import { generateKey } from "../../crypto/keyring.ts";
import { isSymbolonError, type SymbolonError } from "../../errors.ts";
import type { OpenOptions } from "../../http/index.ts";
import { type MemoryStore, memoryStore } from "../../stores/memory.ts";
import { type FaultyStore, faultyStore } from "../faulty-store.ts";
import { type Answer, type Asking, type Client, deferred, http1Client, http2Client } from "./framework-client.ts";
import type { Exchange, FrameworkCase, FrameworkTarget, Guarding, Handler } from "./framework-target.ts";

export const COOKIE = "__Host-sid";
export const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";
/** The `Set-Cookie` value that takes the cookie away. */
export const DELETION: string = `${COOKIE}=; ${ATTRIBUTES}; Max-Age=0`;

export type Lines = Readonly<Record<string, string | string[]>>;

/** What a proxy that ends TLS adds. */
export const HTTPS: Readonly<Record<string, string>> = { "X-Forwarded-Proto": "https" };

/** What a browser adds to requests of the application's own pages. */
export const OWN_PAGE: Readonly<Record<string, string>> = { "Sec-Fetch-Site": "same-origin" };

export type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

/** A call of the store that is held back. */
export interface Gate {
  readonly reached: Promise<void>;
  open(): void;
}

/** A manager and the controls of its store. */
export interface Backstage {
  readonly sessions: SessionManager;
  readonly faults: FaultyStore<MemoryStore>;
  /** The names of all store calls so far. */
  calls(): string[];
  /** Holds the next call of a method back until opened. */
  hold(method: string): Gate;
  /** Lets the store fail at these methods from here on, at none without any. */
  failAt(...methods: string[]): void;
}

export function makeBackstage(options: Options = {}): Backstage {
  const faults = faultyStore(memoryStore());
  const sessions = createSessionManager({
    store: faults.store,
    keys: [generateKey()],
    trustProxy: true,
    pruneEvery: false,
    ...options,
  });
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
    failAt(...methods) {
      faults.before((called) => {
        if (methods.includes(called)) throw new Error("down");
      });
    },
  };
}

/** An application, and the ways to ask it. */
export interface Served extends Pick<Client, "ask"> {
  readonly reported: readonly unknown[];
  /** Asks once, as somebody without cookies over https. */
  get(path: string, headers?: Lines): Promise<Answer>;
  /** Sends a form of the application's own page once, over https. */
  post(path: string, headers?: Lines): Promise<Answer>;
}

/** Where a case is played; all of it is closed when the case is over. */
export interface Stage {
  readonly backstage: (options?: Options) => Backstage;
  /** Serves the application, which answers `/ping` by itself. `options` are those of the bindings, one by one. */
  readonly serve: (
    behind: Backstage | readonly [Backstage, ...Backstage[]],
    handler: Handler,
    guarding?: Guarding,
    options?: readonly OpenOptions[],
  ) => Promise<Served>;
}

/** So long a case may take: what it waits for never comes with some broken bindings. */
const PATIENCE = 25_000;

/** What runs a case: it has a stage of its own, and comes to an end. */
export function staged(play: (stage: Stage) => Promise<void>): FrameworkCase["run"] {
  return async (target) => {
    const closers: (() => unknown)[] = [];
    const impatience = deferred<never>();
    const timer = setTimeout(() => {
      impatience.reject(new assert.AssertionError({ message: "something that the case waits for never came" }));
    }, PATIENCE);
    try {
      await Promise.race([play(stageOn(target, closers)), impatience.promise]);
    } finally {
      clearTimeout(timer);
      for (const close of closers.toReversed()) await close();
    }
  };
}

function stageOn(target: FrameworkTarget, closers: (() => unknown)[]): Stage {
  return {
    backstage(options) {
      const made = makeBackstage(options);
      closers.push(() => made.sessions.close());
      return made;
    },
    async serve(behind, handler, guarding, options) {
      const [first, ...others] = [behind].flat() as [Backstage, ...Backstage[]];
      const managers = [first.sessions, ...others.map(({ sessions }) => sessions)] as const;
      const answering: Handler = (exchange) =>
        exchange.path === "/ping" ? exchange.respond.send(200, "pong") : handler(exchange);
      const application = await target.serve(managers, answering, guarding, options);
      const { port, reported } = application;
      const client = target.abilities.includes("http2") ? http2Client(port) : http1Client(port);
      closers.push(
        () => application.close(),
        () => client.close(),
      );
      const ask = (method: string, path: string, headers: Lines): Promise<Answer> =>
        client.ask({ path, method, headers: { ...HTTPS, ...headers } }).answer;
      return {
        ask: (question) => client.ask(question),
        reported,
        get: (path, headers = {}) => ask("GET", path, headers),
        post: (path, headers = {}) => ask("POST", path, { ...OWN_PAGE, ...headers }),
      };
    },
  };
}

/** Insists that nothing of an answer leaves while a call of the store is held back. */
export async function assertHeldBack(served: Served, asking: Asking, gate: Gate): Promise<void> {
  const tooEarly = asking.head.then(() => assert.fail("the header left before the store was asked"));
  await Promise.race([gate.reached, tooEarly]);
  // Another request goes all the way round meanwhile: this one had every chance to leave.
  assert.equal((await served.get("/ping")).text, "pong");
  assert.equal(asking.hasHead(), false, "the header left before the store had answered");
}

/** Keeps the cookies it is given, and sends them. */
export interface Visitor {
  get(path: string): Promise<Answer>;
  post(path: string): Promise<Answer>;
  /** The `Cookie` header as it would be sent. */
  cookies(): string;
}

export function visitor(served: Served): Visitor {
  const jar = new Map<string, string>();
  const cookies = (): string => [...jar].map((pair) => pair.join("=")).join("; ");
  const ask = async (how: "get" | "post", path: string): Promise<Answer> => {
    const answer = await served[how](path, jar.size === 0 ? {} : { cookie: cookies() });
    for (const cookie of answer.cookies) {
      const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(cookie) ?? [];
      if (cookie.endsWith("; Max-Age=0")) jar.delete(name);
      else jar.set(name, value);
    }
    return answer;
  };
  return { cookies, get: (path) => ask("get", path), post: (path) => ask("post", path) };
}

/** Answers in two parts, and does something between them, once the client has read the first. */
export function twoParts(between: (exchange: Exchange) => unknown): {
  readonly handler: Handler;
  /** Asks, and settles once the first part is there. */
  readonly begin: (served: Served, headers?: Lines) => Promise<Asking>;
  readonly goOn: () => void;
} {
  const isRead = deferred();
  return {
    async handler(exchange) {
      const body = exchange.respond.stream();
      await body.write("first ");
      await isRead.promise;
      await between(exchange);
      body.end("last");
    },
    async begin(served, headers = {}) {
      const asking = served.ask({ path: "/", headers: { ...HTTPS, ...headers } });
      assert.equal(await asking.firstChunk, "first ");
      return asking;
    },
    goOn: () => isRead.resolve(),
  };
}

/** The token in a `Set-Cookie` list, when there is exactly one of ours and it sets one. */
export function tokenIn(answer: Answer, name: string = COOKIE): string {
  const ours = answer.cookies.filter((cookie) => cookie.startsWith(`${name}=`));
  assert.equal(ours.length, 1, `expected one cookie ${name}, found ${ours.length}`);
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

export function whoIs(session: Session): string {
  return session.userId ?? session.state;
}

/** Who a token stands for, asked of the manager itself. */
export async function whoHas({ sessions }: Backstage, token: string): Promise<string> {
  const found = await sessions.inspect(token);
  if (found.ok) return whoIs(found.session);
  return found.ended === undefined ? found.reason : `ended: ${found.ended.reason}`;
}

/** Insists that no shared cache may keep an answer, and no cache may show it to somebody with other headers. */
export function assertPrivate({ headers }: Answer, ...varyOn: readonly string[]): void {
  assert.ok(listed(headers, "cache-control").includes("no-store"), "the answer may be kept: Cache-Control");
  assert.ok(!listed(headers, "cache-control").includes("public"), "the answer may be shared: Cache-Control");
  const named = listed(headers, "vary");
  for (const name of ["Cookie", ...varyOn]) assert.ok(named.includes(name.toLowerCase()), `Vary lacks ${name}`);
}

function listed(headers: Headers, name: string): string[] {
  return (headers.get(name) ?? "").split(",").map((one) => one.trim().toLowerCase());
}

/** The error of ours that the process is warned of next. */
export function nextWarning(): { readonly warning: Promise<SymbolonError>; readonly stop: () => void } {
  const warned = deferred<SymbolonError>();
  const listener = (warning: Error): void => {
    if (isSymbolonError(warning)) warned.resolve(warning);
  };
  process.on("warning", listener);
  return { warning: warned.promise, stop: () => void process.off("warning", listener) };
}
