/** An application behind the CSRF check, watched: who comes through, and what is refused before it. */
import { text } from "node:stream/consumers";
import { connect } from "node:net";
import type { SessionEvent } from "symbolon";
import { expect } from "vitest";
import type { Handler, Served, Target } from "./app.ts";
import type { Answer, Question } from "./client.ts";
import { type Backstage, backstage, COOKIE, HTTPS, type Options, serve } from "./stage.ts";

export type Lines = Readonly<Record<string, string>>;

export const APP = "https://app.test";
export const EVIL = "https://evil.test";

/** An application that counts who comes through, and what is refused before it. */
export interface Watched {
  readonly behind: Backstage;
  readonly served: Served;
  readonly refusals: readonly SessionEvent<"csrf-refused">[];
  /** How often the handler ran. */
  reached(): number;
}

export const welcome: Handler = ({ respond }) => respond.send(200, "reached");

export async function watch(target: Target, options: Options = {}, handler: Handler = welcome): Promise<Watched> {
  const behind = backstage({ origins: [APP], ...options });
  const refusals: SessionEvent<"csrf-refused">[] = [];
  behind.sessions.on("csrf-refused", (event) => refusals.push(event));
  let count = 0;
  const served = await serve(target, behind, (exchange) => {
    count++;
    return handler(exchange);
  });
  return { behind, served, refusals, reached: () => count };
}

/** Sends a request as it is: with a cookie and nothing else, nobody knows where it comes from. */
export function send(
  { served }: Pick<Watched, "served">,
  method: string,
  headers: Question["headers"],
  path = "/",
): Promise<Answer> {
  return served.ask({ path, method, headers: { ...HTTPS, ...headers } }).answer;
}

/** A user's session, and CSRF tokens of it and of others. */
export interface Known {
  readonly id: string;
  readonly token: string;
  readonly cookie: string;
  readonly valid: string;
  readonly ofAnother: string;
  readonly beforeLogin: string;
}

export async function knownUser({ sessions }: Backstage): Promise<Known> {
  const another = await sessions.create({ userId: "ada" });
  const early = await sessions.create({ data: { cart: "tea" } });
  const session = await sessions.validate(early.token);
  if (session === null) throw new Error("The session lives.");
  const beforeLogin = session.csrfToken();
  await session.login("ada", { carry: ["cart"] });
  const token = session.takeToken() ?? "";
  return {
    id: session.id ?? "",
    token,
    cookie: `${COOKIE}=${token}`,
    valid: session.csrfToken(),
    ofAnother: another.csrfToken(),
    beforeLogin,
  };
}

/** What every refused request is like, whatever framework. */
export function expectRefused(answer: Answer): void {
  expect(answer.status).toBe(403);
  expect(answer.body.toString()).not.toContain("reached");
  expect(answer.cookies).toEqual([]);
  expect(answer.headers.get("vary")).toMatch(/\bCookie, Sec-Fetch-Site, Origin$/);
  expect(answer.headers.get("cache-control")).toMatch(/^(?:private, )?no-store$/);
}

/** Writes a request to a socket as it is, and reads until the server closes it. */
export async function sendText(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end([...lines, "", ""].join("\r\n"));
  return text(socket);
}
