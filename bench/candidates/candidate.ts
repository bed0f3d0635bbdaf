/** A library in a framework, as the benchmarks run it, and what each of them is asked to do. */
import type { RequestListener } from "node:http";
import { makeData, NAME } from "../data.ts";

export type Framework = "node:http" | "Express" | "Fastify" | "Koa" | "Hono";

/** Where sessions are kept. */
export type Place = "nowhere" | "memory" | "Redis" | "cookie";

export interface Candidate {
  readonly library: string;
  readonly framework: Framework;
  readonly place: Place;
  /** What sets it apart from others of the same library. */
  readonly variant?: string;
  /** The application, once it is ready. The URL is that of a Redis. */
  readonly start: (redisUrl: string) => Promise<RequestListener> | RequestListener;
}

/** Its name in tables; no two have the same. */
export function nameOf({ library, framework, place, variant }: Omit<Candidate, "start">): string {
  const details = [place === "nowhere" ? [] : place, variant ?? []].flat();
  return `${library} on ${framework}${details.length === 0 ? "" : ` (${details.join(", ")})`}`;
}

/** How a library's own readme says that these things are done. */
export interface Hands<Request> {
  /** Begins a session for a user who has just logged in. */
  begin?(request: Request): unknown;
  get(request: Request, name: string): unknown;
  set(request: Request, name: string, value: unknown): void;
  /** Logs out. */
  end(request: Request): unknown;
  /** Where the application has to save by itself. */
  save?(request: Request): unknown;
  /** A change that must not be lost, where the library has one. */
  update?(request: Request, change: (data: { count: number }) => void): Promise<unknown>;
}

/** An application without sessions. */
export const NO_SESSIONS: Hands<unknown> = {
  get: (_request, name) => (name === "name" ? NAME : 0),
  set: () => undefined,
  end: () => undefined,
};

export const ROUTES = {
  "/read": "GET",
  "/count": "GET",
  "/login": "POST",
  "/write": "POST",
  "/update": "POST",
  "/slow-write": "POST",
  "/logout": "POST",
} as const;

export type Path = keyof typeof ROUTES;

export function isPath(text: string): text is Path {
  return Object.hasOwn(ROUTES, text);
}

/** What a slow write waits for; the requests that wait, and how to let them go on. */
const waiting: (() => void)[] = [];

export function slowWrites(): readonly (() => void)[] {
  return waiting;
}

/** What the route does; answers the body of the response. Nothing is awaited that need not be. */
export function perform<Request>(path: Path, hands: Hands<Request>, request: Request): string | Promise<string> {
  switch (path) {
    case "/read":
      return hands.get(request, "name") === NAME ? "ok" : "nobody";
    case "/count":
      return String(hands.get(request, "count"));
    case "/write":
      return addOne(hands, request);
    case "/login":
      return logIn(hands, request);
    case "/update":
      return update(hands, request);
    case "/slow-write":
      return writeSlowly(hands, request);
    case "/logout":
      return logOut(hands, request);
    default:
      return path satisfies never;
  }
}

function addOne<Request>(hands: Hands<Request>, request: Request): string | Promise<string> {
  hands.set(request, "count", Number(hands.get(request, "count")) + 1);
  return hands.save === undefined ? "ok" : save(hands, request);
}

async function save<Request>(hands: Hands<Request>, request: Request): Promise<string> {
  await hands.save?.(request);
  return "ok";
}

async function logIn<Request>(hands: Hands<Request>, request: Request): Promise<string> {
  await hands.begin?.(request);
  for (const [name, value] of Object.entries(makeData())) hands.set(request, name, value);
  return save(hands, request);
}

async function update<Request>(hands: Hands<Request>, request: Request): Promise<string> {
  await hands.update?.(request, (data) => {
    data.count++;
  });
  return "ok";
}

async function writeSlowly<Request>(hands: Hands<Request>, request: Request): Promise<string> {
  // What it goes on with was read before it waits.
  const count = Number(hands.get(request, "count"));
  await new Promise<void>((resolve) => waiting.push(resolve));
  hands.set(request, "count", count + 1);
  return save(hands, request);
}

async function logOut<Request>(hands: Hands<Request>, request: Request): Promise<string> {
  await hands.end(request);
  return "ok";
}
