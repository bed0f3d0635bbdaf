/** Clients that show what went over the wire: when the header came, and whether the body was cut. */
import http from "node:http";
import http2 from "node:http2";

/** A request to send. */
export interface Question {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** A promise is sent when it settles. */
  readonly body?: string | Promise<string>;
}

/** A response, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Every `Set-Cookie` value, in order. */
  readonly cookies: readonly string[];
  readonly body: Buffer;
  readonly text: string;
  /** Whether the connection was cut, so that nobody can take the body for complete. */
  readonly isCut: boolean;
}

/** A request under way. */
export interface Asking {
  /** Whether the header of the response has come. */
  hasHead(): boolean;
  /** Settles with the header. */
  readonly head: Promise<unknown>;
  /** Settles with the first part of the body. */
  readonly firstChunk: Promise<string>;
  /** Never rejects for a response that was cut; rejects when not even a header came. */
  readonly answer: Promise<Answer>;
  /** Gives up, as a client that goes away. */
  abort(): void;
}

/** Somebody who asks one server, over as few connections as possible. */
export interface Client {
  ask(question: Question): Asking;
  close(): void;
}

/** A promise, and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  let settle: Omit<Deferred<T>, "promise"> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // A failure nobody waits for belongs to the test that looks at it, not to the process.
  promise.catch(() => {});
  if (settle === undefined) throw new Error("A promise runs its executor at once.");
  return { promise, ...settle };
}

/** Speaks HTTP/1.1 with a port of this machine. */
export function http1Client(port: number): Client {
  const agent = new http.Agent({ keepAlive: true });
  return { ask: (question) => askHttp1(port, agent, question), close: () => agent.destroy() };
}

/** Speaks HTTP/2 with a port of this machine, without TLS. */
export function http2Client(port: number): Client {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  return { ask: (question) => askHttp2(session, question), close: () => session.destroy() };
}

/** Collects one response, from whichever client. */
export interface Collector extends Asking {
  setHead(status: number, headers: Headers): void;
  add(chunk: Uint8Array): void;
  finish(isCut: boolean): void;
  fail(error: unknown): void;
}

export function collect(abort: () => void): Collector {
  const head = deferred<unknown>();
  const firstChunk = deferred<string>();
  const answer = deferred<Answer>();
  const chunks: Uint8Array[] = [];
  let status = 0;
  let headers = new Headers();
  return {
    head: head.promise,
    firstChunk: firstChunk.promise,
    answer: answer.promise,
    hasHead: () => status !== 0,
    abort,
    setHead(newStatus, newHeaders) {
      status = newStatus;
      headers = newHeaders;
      head.resolve(null);
    },
    add(chunk) {
      chunks.push(chunk);
      firstChunk.resolve(Buffer.from(chunk).toString());
    },
    finish(isCut) {
      firstChunk.resolve("");
      const body = Buffer.concat(chunks);
      answer.resolve({ status, headers, cookies: headers.getSetCookie(), body, text: body.toString(), isCut });
    },
    fail(error) {
      for (const waiting of [head, firstChunk, answer]) waiting.reject(error);
    },
  };
}

/** Asks over HTTP/1.1; with an agent that keeps connections, over as few of them as possible. */
export function askHttp1(
  port: number,
  agent: http.Agent,
  question: Question,
  over: Pick<typeof http, "request"> = http,
): Asking {
  const { path, method = "GET", headers = {}, body } = question;
  const request = over.request({ host: "127.0.0.1", port, path, method, headers, agent });
  const collector = collect(() => request.destroy());
  request.on("error", (error) => collector.fail(error));
  request.on("response", (response) => {
    collector.setHead(response.statusCode ?? 0, headersOf(response.rawHeaders));
    response.on("data", (chunk: Buffer) => collector.add(chunk));
    response.on("error", () => collector.finish(true));
    response.on("end", () => collector.finish(false));
  });
  if (body instanceof Promise) {
    request.flushHeaders();
    void body.then((text) => request.end(text));
  } else {
    request.end(body);
  }
  return collector;
}

/** Asks over HTTP/2. */
export function askHttp2(session: http2.ClientHttp2Session, question: Question): Asking {
  const { path, method = "GET", headers = {}, body } = question;
  const stream = session.request({ ":path": path, ":method": method, ...headers });
  const collector = collect(() => stream.close(http2.constants.NGHTTP2_CANCEL));
  let isCut = false;
  stream.on("error", () => {
    isCut = true;
  });
  stream.on("response", (fields) => {
    collector.setHead(fields[":status"] ?? 0, headersOfFields(fields));
  });
  stream.on("data", (chunk: Buffer) => collector.add(chunk));
  stream.on("close", () => {
    if (collector.hasHead()) collector.finish(isCut || stream.rstCode !== 0);
    else collector.fail(new Error(`The stream was reset with code ${stream.rstCode}.`));
  });
  void Promise.resolve(body).then((text) => stream.end(text));
  return collector;
}

function headersOf(raw: readonly string[]): Headers {
  const headers = new Headers();
  raw.forEach((name, index) => {
    if (index % 2 === 0) headers.append(name, raw[index + 1] ?? "");
  });
  return headers;
}

function headersOfFields(fields: http2.IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith(":")) continue;
    for (const one of [value ?? []].flat()) headers.append(name, one);
  }
  return headers;
}
