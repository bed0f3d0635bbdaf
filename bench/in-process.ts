/** Requests to an application without a network: Node's own request and response objects, on a socket that keeps what is written. */
import { IncomingMessage, type RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Writable } from "node:stream";
import { type Path, ROUTES } from "./candidates/candidate.ts";

/** What came back, as it would go over the wire. */
export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

class FakeSocket extends Writable {
  readonly remoteAddress = "127.0.0.1";
  text = "";

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += typeof chunk === "string" ? chunk : chunk.toString("latin1");
    done();
  }

  setTimeout(): this {
    return this;
  }
}

/** Sends one request; resolves when the last byte of its response is written. */
export function request(listener: RequestListener, path: Path, cookie: string): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = new FakeSocket();
    const incoming = new IncomingMessage(socket as unknown as Socket);
    incoming.method = ROUTES[path];
    incoming.url = path;
    incoming.httpVersion = "1.1";
    incoming.httpVersionMajor = 1;
    incoming.httpVersionMinor = 1;
    const headers = headersOf(cookie);
    incoming.headers = headers;
    incoming.rawHeaders = Object.entries(headers).flat();
    incoming.complete = true;
    incoming.push(null);
    const response = new ServerResponse(incoming);
    response.assignSocket(socket as unknown as Socket);
    response.once("finish", () => {
      const end = socket.text.indexOf("\r\n\r\n");
      resolve({ status: response.statusCode, head: socket.text.slice(0, end), body: socket.text.slice(end + 4) });
    });
    listener(incoming, response);
  });
}

/** As a browser sends a request of the site's own page, and a proxy that speaks https passes it on. */
export function headersOf(cookie: string): Record<string, string> {
  const headers = {
    host: "localhost",
    accept: "*/*",
    "sec-fetch-site": "same-origin",
    "x-forwarded-proto": "https",
    "x-forwarded-for": "192.0.2.7",
  };
  return cookie === "" ? headers : { ...headers, cookie };
}

/** The cookies of one browser. */
export class Jar {
  readonly #cookies = new Map<string, string>();

  /** The header of the next request. */
  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  keep({ head }: Answer): void {
    for (const [, name = "", value = "", attributes = ""] of head.matchAll(/^set-cookie: ([^=]+)=([^;\r]*)(.*)$/gim)) {
      const isDeleted = value === "" || /max-age=0\b|expires=thu, 01 jan 1970/i.test(attributes);
      if (isDeleted) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
  }
}

/** Sends what a browser would, and keeps the cookies of the response. */
export async function browse(listener: RequestListener, path: Path, jar: Jar): Promise<Answer> {
  const answer = await request(listener, path, jar.cookie);
  jar.keep(answer);
  return answer;
}

/** Logs in; throws when the session is not there afterwards. */
export async function logIn(listener: RequestListener): Promise<Jar> {
  const jar = new Jar();
  const { status, body } = await browse(listener, "/login", jar);
  if (status !== 200) throw new Error(`The log-in was answered ${status}: ${body}`);
  await expectOk(listener, "/read", jar.cookie);
  return jar;
}

/** A wrong answer ends the benchmark: it would be measured as a quick one. */
export async function expectOk(listener: RequestListener, path: Path, cookie: string): Promise<void> {
  const { status, body } = await request(listener, path, cookie);
  if (status !== 200 || !body.includes("ok")) throw new Error(`${path} was answered ${status}: ${body}`);
}
