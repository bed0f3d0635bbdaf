/** node:http: iron-session as its readme says, Symbolon, and the least that a session can cost. */
import { getIronSession } from "iron-session";
import { createHmac, hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { generateKey, type Session } from "symbolon";
import { withSession } from "symbolon/frameworks/node";
import type { Data } from "../data.ts";
import { type Candidate, type Hands, isPath, NO_SESSIONS, perform, type Place } from "./candidate.ts";
import { RedisJson } from "./redis.ts";
import { handsOn, makeSessions } from "./symbolon.ts";

/** What each of these opens for a request; null where there is nothing to wait for. */
type Open<Opened> = (request: IncomingMessage, response: ServerResponse) => Opened | Promise<Opened>;

function application<Opened>(hands: Hands<Opened>, open: Open<Opened>): RequestListener {
  return (request, response) => {
    const opened = open(request, response);
    if (!(opened instanceof Promise)) void answer(hands, opened, request, response);
    else opened.then((session) => answer(hands, session, request, response)).catch(fail(response));
  };
}

function answer<Opened>(
  hands: Hands<Opened>,
  opened: Opened,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> | undefined {
  const path = request.url ?? "";
  const text = isPath(path) ? perform(path, hands, opened) : "nothing here";
  if (typeof text !== "string") return text.then((body) => void response.end(body), fail(response));
  response.end(text);
  return undefined;
}

function fail(response: ServerResponse): (error: unknown) => void {
  return (error) => {
    console.error(error);
    response.writeHead(500).end();
  };
}

function own(place: Place, seal: "split" | "server" = "split"): Candidate {
  return {
    library: "Symbolon",
    framework: "node:http",
    place,
    ...(seal === "server" && { variant: `seal: "server"` }),
    async start(redisUrl) {
      const sessions = await makeSessions(place, redisUrl, { seal });
      const hands = handsOn<Session<Data>>((session) => session);
      const listener = withSession(sessions, (request, response, session) => answer(hands, session, request, response));
      return (request, response) => void listener(request, response);
    },
  };
}

/** iron-session 8: the application saves. */
function ironSession(): RequestListener {
  type Iron = Record<string, unknown> & { save(): Promise<void>; destroy(): void };
  const cookieOptions = { httpOnly: true, secure: true, sameSite: "lax" } as const;
  const options = { password: generateKey(), cookieName: "session", cookieOptions };
  return application<Iron>(
    {
      get: (session, name) => session[name],
      set: (session, name, value) => void Object.assign(session, { [name]: value }),
      save: (session) => session.save(),
      end: (session) => session.destroy(),
    },
    (request, response) => getIronSession(request, response, options),
  );
}

/** What a floor holds of a session while a request runs; `id` is what the client has. */
interface Plain {
  id: string;
  readonly data: Record<string, unknown>;
  readonly response: ServerResponse;
}

const PLAIN: Omit<Hands<Plain>, "save" | "end"> = {
  get: ({ data }, name) => data[name],
  set: ({ data }, name, value) => void Object.assign(data, { [name]: value }),
};

function cookieOf(request: IncomingMessage): string {
  return request.headers.cookie?.slice("id=".length) ?? "";
}

function setCookie({ response }: Plain, value: string): void {
  response.setHeader("Set-Cookie", `id=${value}; Path=/; HttpOnly; Secure; SameSite=Lax`);
}

/** The SHA-256 of a random id is the key of a Map, which holds JSON. */
function mapFloor(): RequestListener {
  const sessions = new Map<string, string>();
  return application<Plain>(
    {
      ...PLAIN,
      begin: (plain) => {
        plain.id = randomBytes(32).toString("base64url");
        setCookie(plain, plain.id);
      },
      save: ({ id, data }) => void sessions.set(keyOf(id), JSON.stringify(data)),
      end: ({ id }) => void sessions.delete(keyOf(id)),
    },
    (request, response) => {
      const id = cookieOf(request);
      return { id, data: parse(sessions.get(keyOf(id))), response };
    },
  );
}

function keyOf(id: string): string {
  return hash("sha256", id, "base64url");
}

/** The client has it all, signed. */
function signedFloor(): RequestListener {
  const key = randomBytes(32).toString("base64url");
  const sign = (text: string): string => createHmac("sha256", key).update(text).digest("base64url");
  const open = (cookie: string): string | undefined => {
    const [text = "", tag = ""] = cookie.split(".");
    const expected = sign(text);
    const isGenuine = tag.length === expected.length && timingSafeEqual(Buffer.from(tag), Buffer.from(expected));
    return isGenuine ? Buffer.from(text, "base64url").toString() : undefined;
  };
  return application<Plain>(
    {
      ...PLAIN,
      save: (plain) => {
        const text = Buffer.from(JSON.stringify(plain.data)).toString("base64url");
        setCookie(plain, `${text}.${sign(text)}`);
      },
      end: (plain) => setCookie(plain, "; Max-Age=0"),
    },
    (request, response) => ({ id: "", data: parse(open(cookieOf(request))), response }),
  );
}

/** One GET a read, one SET a write; nothing is signed or sealed. */
async function redisFloor(redisUrl: string): Promise<RequestListener> {
  const json = await RedisJson.connect(redisUrl);
  return application<Plain>(
    {
      ...PLAIN,
      begin: (plain) => {
        plain.id = randomBytes(32).toString("base64url");
        setCookie(plain, plain.id);
      },
      save: ({ id, data }) => json.set(id, data),
      end: ({ id }) => json.destroy(id),
    },
    async (request, response) => {
      const id = cookieOf(request);
      const data = id === "" ? {} : ((await json.get(id)) ?? {});
      return { id, data: data as Record<string, unknown>, response };
    },
  );
}

function parse(json: string | undefined): Record<string, unknown> {
  return json === undefined ? {} : (JSON.parse(json) as Record<string, unknown>);
}

const bare: Omit<Candidate, "library"> = {
  framework: "node:http",
  place: "nowhere",
  start: () => application<unknown>(NO_SESSIONS, () => null),
};
const floor = { library: "floor", framework: "node:http" } as const;

export const NODE: readonly Candidate[] = [
  { ...bare, library: "bare" },
  { ...bare, library: "bare again" },
  own("memory"),
  own("memory", "server"),
  own("Redis"),
  own("cookie"),
  { library: "iron-session", framework: "node:http", place: "cookie", start: ironSession },
  { ...floor, place: "memory", variant: "SHA-256, Map, JSON", start: mapFloor },
  { ...floor, place: "cookie", variant: "HMAC, JSON", start: signedFloor },
  { ...floor, place: "Redis", variant: "GET, JSON", start: redisFloor },
];
